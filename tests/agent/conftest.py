"""Shared by the agent's tests: a property is judged by what it finds, not by how fast it runs."""

from hypothesis import settings

settings.register_profile("strom", deadline=None)
settings.load_profile("strom")
