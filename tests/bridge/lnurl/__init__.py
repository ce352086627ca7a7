"""Tests of the LNURL service."""
