"""Lightning backends behind one protocol."""
