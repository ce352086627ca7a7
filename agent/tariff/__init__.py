"""What charging costs: the price a driver saw, and the bill of a session. Pure."""
