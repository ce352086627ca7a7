"""Words: what a driver writes becomes a command, what happens becomes a sentence."""
