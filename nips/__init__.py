"""The nostr protocol: one file per specification, and the one relay pool."""
