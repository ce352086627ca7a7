"""Tests of the driver's side of the public protocols."""
