"""OCPP 1.6J: what its chargers say, and how they are commanded."""
