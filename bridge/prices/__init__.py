"""Prices from outside: what Bitcoin costs."""
