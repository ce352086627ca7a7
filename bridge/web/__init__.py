"""The driver's pages over HTTP."""
