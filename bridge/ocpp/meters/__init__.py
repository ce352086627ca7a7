"""What chargers tell of their meters, read with tolerance."""
