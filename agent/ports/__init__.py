"""What the agent and its guests promise each other: plain data and async calls, both ways.

A bridge reaches a charge point only through `Site.charge_point(id)`. Nothing here assumes
that all charge points live in one process.
"""
