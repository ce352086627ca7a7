"""What the EVSEs of a station show, in the words of OCPP 1.6.

A connector of Strom's is an EVSE of OCPP 2.0.1, which gives power to one car at a time and may
have several plugs (part 1, "Architecture & Topology"). StatusNotification and NotifyEvent tell of
each plug whether it is occupied, and the events of a transaction what flows (use case G01).
"""

from __future__ import annotations

from agent.machine.events import ConnectorStatus
from agent.ports.charge_point import ChargePoint
from bridge.ocpp.v201.values import State

STATUSES = {
    "available": ConnectorStatus.AVAILABLE,
    "occupied": ConnectorStatus.PREPARING,
    "reserved": ConnectorStatus.RESERVED,
    "unavailable": ConnectorStatus.UNAVAILABLE,
    "faulted": ConnectorStatus.FAULTED,
}
"""ConnectorStatusEnumType, in lower case."""

POWERED = frozenset(
    {ConnectorStatus.CHARGING, ConnectorStatus.SUSPENDED_EV, ConnectorStatus.SUSPENDED_EVSE}
)
"""What only a transaction shows."""

_FLOWS = {
    State.CHARGING: ConnectorStatus.CHARGING,
    State.SUSPENDED_EV: ConnectorStatus.SUSPENDED_EV,
    State.SUSPENDED_EVSE: ConnectorStatus.SUSPENDED_EVSE,
}
_INOPERATIVE = frozenset({ConnectorStatus.UNAVAILABLE, ConnectorStatus.FAULTED})
_WHILE_FREE = (
    ConnectorStatus.PREPARING,
    ConnectorStatus.RESERVED,
    ConnectorStatus.AVAILABLE,
    ConnectorStatus.UNAVAILABLE,
    ConnectorStatus.FAULTED,
)
"""Of the plugs of an EVSE the first of these counts: one that works is enough."""
_WHILE_IN_USE = (
    ConnectorStatus.PREPARING,
    ConnectorStatus.FAULTED,
    ConnectorStatus.UNAVAILABLE,
    ConnectorStatus.RESERVED,
    ConnectorStatus.AVAILABLE,
)
"""The same during a transaction: a free plug beside the one in use says nothing."""
_MOST_PLUGS = 500


class Evses:
    """The EVSEs of one station.

    Args:
        charge_point: to whom they are reported.
    """

    def __init__(self, charge_point: ChargePoint) -> None:
        self._charge_point = charge_point
        self._plugs: dict[tuple[int, int], ConnectorStatus] = {}
        self._shown_ms: dict[int, int] = {}
        self._told: dict[int, ConnectorStatus] = {}
        self._last: dict[int, ConnectorStatus] = {}
        self._occupied_ms: dict[int, int] = {}

    def connected(self) -> None:
        """The station connected: what it shows is to be told again."""
        self._told.clear()

    def begun(self, evse: int) -> None:
        """A transaction began or ended, by which Strom changed its mind: the same."""
        self._told.pop(evse, None)

    def last(self, evse: int) -> ConnectorStatus | None:
        """What an EVSE showed last; None for nothing yet."""
        return self._last.get(evse)

    def shown_ms(self, evse: int) -> int:
        """When that was, Unix ms; 0 for never."""
        return self._shown_ms.get(evse, 0)

    def plug(
        self, evse: int, connector: int, status: ConnectorStatus, *, in_use: bool
    ) -> ConnectorStatus:
        """What an EVSE shows once one of its plugs showed something.

        Args:
            evse: 0 for the whole station.
            connector: which plug; 0 for the EVSE itself.
            status: what it showed.
            in_use: whether there is a transaction.
        """
        if len(self._plugs) < _MOST_PLUGS or (evse, connector) in self._plugs:
            self._plugs[evse, connector] = status
        whole = self._plugs.get((evse, 0), status)
        if whole in _INOPERATIVE and (evse, 0) in self._plugs:
            return whole
        plugs = {shown for (at, no), shown in self._plugs.items() if at == evse and no}
        order = _WHILE_IN_USE if in_use else _WHILE_FREE
        return next((one for one in order if one in plugs), whole)

    def occupied(self, evse: int, at_ms: int) -> None:
        """A plug is occupied, as that of a transaction that runs, for all that is known."""
        self._occupied_ms[evse] = at_ms

    async def ended(self, evse: int, at_ms: int) -> None:
        """A transaction ended at a time: a plug that is free since, and was occupied later, has
        another car. Raises AgentError."""
        occupied_ms = self._occupied_ms.pop(evse, 0)
        if occupied_ms > at_ms and self.last(evse) is ConnectorStatus.AVAILABLE:
            await self.show(evse, ConnectorStatus.PREPARING, occupied_ms)

    async def show(
        self, evse: int, status: ConnectorStatus, at_ms: int, *, once: bool = False
    ) -> None:
        """Report what an EVSE shows, where `once` only a change. Raises AgentError."""
        self._shown_ms[evse] = max(at_ms, self.shown_ms(evse))
        self._last[evse] = status
        if not once or self._told.get(evse) is not status:
            await self._charge_point.connector_status(evse, status, at_ms)
            self._told[evse] = status


def shown_by(state: State, before: State, *, sold: bool) -> ConnectorStatus | None:
    """What an EVSE shows by the state of its transaction; None for nothing new.

    Args:
        state: of now.
        before: the last one.
        sold: whether somebody pays for the transaction.
    """
    if state is State.IDLE:
        return ConnectorStatus.AVAILABLE if before.is_plugged else None
    if state is State.EV_CONNECTED or (state is State.SUSPENDED_EVSE and not sold):
        # A car that waits for somebody to pay keeps nobody from it.
        if not sold:
            return ConnectorStatus.PREPARING
        return ConnectorStatus.SUSPENDED_EVSE if before in _FLOWS else None
    return _FLOWS.get(state)
