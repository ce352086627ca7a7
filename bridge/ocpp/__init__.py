"""The OCPP 1.6J central system: chargers in, the agent's events out, and back."""
