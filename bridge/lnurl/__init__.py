"""LNURL: what a Lightning wallet scans, pays and withdraws from. https://github.com/lnurl/luds"""
