"""A harness for each backend: what the contract suite needs besides the wallet itself."""
