"""The only door to the database: what happened, what stands, what is still to be done."""
