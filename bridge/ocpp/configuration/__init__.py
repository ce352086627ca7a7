"""The configuration of chargers: compared with the operator's file and with what billing needs."""
