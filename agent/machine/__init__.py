"""The pure machines: one step takes a session and an event, and gives a session and effects."""
