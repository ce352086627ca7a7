"""What a charger says is wrong with its connectors, and what the operators hear of it.

Nothing of it is stored: a charger tells it with the state of its connectors, which it sends when it
boots (OCPP 1.6 section 4.2, OCPP 2.0.1 use case B01) and is asked for when it comes back without.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from agent.alerts import Alerts
from agent.commons import Changes
from agent.machine.events import ConnectorStatus
from agent.ports.charger import Fault


class Faults:
    """What is wrong with one charge point.

    Args:
        charge_point_id: whose.
        alerts: who tells the operators.
        changes: wakes who looks at it.
    """

    def __init__(self, charge_point_id: str, alerts: Alerts, changes: Changes) -> None:
        self._id = charge_point_id
        self._alerts = alerts
        self._changes = changes
        self._said: dict[int, Fault] = {}
        self._faulted: set[int] = set()
        self._unexplained: set[int] = set()
        """Connectors of which operators heard that they are Faulted, and not why."""

    @property
    def count(self) -> int:
        """How many connectors have something wrong, the charge point as a whole being one."""
        return len(self._said.keys() | self._faulted)

    def current(self) -> Mapping[int, Fault]:
        """What is wrong now, by connector; 0 is the charge point as a whole."""
        return dict(sorted(self._said.items()))

    def said(
        self, connector: int, fault: Fault | None, status: ConnectorStatus | None = None
    ) -> None:
        """The charger said what is wrong with a connector.

        Args:
            connector: which; 0 for the charger as a whole.
            fault: what is wrong; None for nothing.
            status: the state that it showed with it; None for none.
        """
        is_worse = status is not None and self._take(connector, status)
        known = self._said.get(connector)
        if fault is None:
            self._said.pop(connector, None)
        else:
            if known is not None and _same(known, fault):
                fault = replace(fault, since_ms=known.since_ms)
            self._said[connector] = fault
        if fault != known:
            self._changes.tell()
        self._judge(connector, is_worse=is_worse)

    def showed(self, connector: int, status: ConnectorStatus) -> None:
        """A connector showed a state."""
        self._judge(connector, is_worse=self._take(connector, status))

    def _take(self, connector: int, status: ConnectorStatus) -> bool:
        """Keep whether a connector is Faulted; returns whether it became so."""
        if status is not ConnectorStatus.FAULTED:
            self._faulted.discard(connector)
            return False
        is_new = connector not in self._faulted
        self._faulted.add(connector)
        return is_new

    def _judge(self, connector: int, *, is_worse: bool) -> None:
        """Tell the operators of what somebody must see to, also where it got worse, and that it is
        over."""
        fault, is_faulted = self._said.get(connector), connector in self._faulted
        name = f"fault {self._id}/{connector}"
        place = f"{self._id}: connector {connector}" if connector else f"{self._id}: the charger"
        if not is_faulted and (fault is None or not fault.is_grave):
            self._unexplained.discard(connector)
            self._alerts.cleared(name, f"{place} is in order again")
            return
        if fault is None:
            self._unexplained.add(connector)
            self._alerts.raised(name, f"{place} is Faulted and does not say why", again=is_worse)
            return
        verb = "is Faulted:" if is_faulted else "reports"
        sentence = f"{place} {verb} {fault.reason}"
        self._alerts.raised(name, sentence, again=is_worse)
        if connector in self._unexplained:
            # OCPP 2.0.1 tells the state and the reason in messages of their own.
            self._unexplained.discard(connector)
            self._alerts.happened(f"reason {self._id}/{connector}", sentence)


def _same(one: Fault, other: Fault) -> bool:
    return (one.code, one.vendor_code) == (other.code, other.vendor_code)
