"""OCPP 2.0.1: what its stations say, and how they are commanded."""
