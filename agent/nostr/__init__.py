"""A charge point on nostr: what it publishes, says and hears, and by which relays."""
