"""A simulated charge point: an OCPP 1.6 client that behaves like a real charger.

For `strom simulate`, the demo and tests. It shares no code with the central system, so each
is a check on the other.
"""

from bridge.simulator.charge_point import SimulatedChargePoint
from bridge.simulator.electric import Battery

__all__ = ["Battery", "SimulatedChargePoint"]
