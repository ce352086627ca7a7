"""For whom a transaction of OCPP 2.0.1 is, and whether his car is there.

OCPP 2.0.1, part 2 "Specification", use cases C01 to C16, E03 to E05, F01 and F02:
https://openchargealliance.org/protocols/open-charge-point-protocol/

A station tells it by an id token, by the number of a remote start, by its answer to one, or not at
all; some tell somebody else's token.
"""

from __future__ import annotations

from agent.machine.events import ConnectorStatus
from agent.ports.charge_point import ChargePoint
from bridge.ocpp.meters.readings import Reading
from bridge.ocpp.v201 import registers
from bridge.ocpp.v201.transactions import Station, Transaction
from bridge.ocpp.v201.values import Kind, State, TransactionEvent

PERIODIC = frozenset({"metervalueperiodic", "metervalueclock"})
"""Triggers of events that are sent for their readings."""
_BEFORE_PLUG = frozenset({"authorized", "remotestart"})


class Drivers:
    """Finds out for whom the transactions of one station are.

    Args:
        charge_point: knows who may charge.
        station: what is known of its transactions.
    """

    def __init__(self, charge_point: ChargePoint, station: Station) -> None:
        self._charge_point = charge_point
        self._station = station

    async def learn(
        self, known: Transaction, event: TransactionEvent, found: list[Reading]
    ) -> bool | None:
        """Learn for whom a transaction is, and from which register on.

        Returns:
            Whether what the event shows may charge; None where it shows nothing.
        """
        allowed: bool | None = False if event.has_token else None
        tag, told = known.tag, self._told(known, event)
        for candidate in (*told, *await self._supposed(known, event, told)):
            allowed = await self._charge_point.may_charge(candidate)
            if allowed:
                tag = candidate
                break
        if known.tag and allowed and tag != known.tag and self._is_there(tag, known):
            known.begins_anew()
        elif known.is_vacant and is_nobodys(known, event):
            known.begins_anew()
            tag = ""
        elif known.number is not None and event.tag and event.tag != known.tag:
            # Somebody stops it with a card of his own: that says nothing of the card.
            return await self._charge_point.may_charge(event.tag)
        if known.number is None:
            if tag != known.tag:
                known.supposed = tag not in told
            tag = tag or next(iter(told), "")
            registers.take_first(known, tag, event, found, self._station.counted_wh())
        return allowed

    def is_plugged(self, known: Transaction, event: TransactionEvent) -> bool:
        """Whether a car is there: who never plugs in gets all of his money back."""
        state = event.state or known.state
        if event.trigger == "cablepluggedin" or state.is_plugged:
            return True
        if state is State.IDLE:
            return False
        free = self._station.evses.last(known.evse) is ConnectorStatus.AVAILABLE
        return not (free and event.trigger in _BEFORE_PLUG)

    def waits_for_remote_start(self, known: Transaction, event: TransactionEvent) -> bool:
        """Whether a car is there and the remote start that is for it has not reached it yet: what a
        station tells of the time before that comes late over a slow line."""
        state = event.state or known.state
        return (
            known.supposed
            and state is State.EV_CONNECTED
            and not event.has_token
            and event.remote_start_id is None
            and event.trigger not in _BEFORE_PLUG
        )

    def _told(self, known: Transaction, event: TransactionEvent) -> list[str]:
        """For whom an event says that the transaction is, where that is news."""
        start = self._station.start_of(event.remote_start_id)
        tags = [event.tag] if event.tag else []
        if start is not None and start.tag not in (known.tag, event.tag):
            tags.append(start.tag)
        return tags

    async def _supposed(
        self, known: Transaction, event: TransactionEvent, told: list[str]
    ) -> list[str]:
        """For whom it may be besides: nobody is asked to stop because of it.

        That the station answered a remote start with this transaction, or that the EVSE took a
        remote start and now does what follows it, and says nothing of who it is; also where the
        cable stayed plugged in after the charge of another driver.
        """
        start = self._station.start_for(event.name)
        if not told and self._follows_start(event):
            is_over = known.sold and not await self._charge_point.may_charge(known.tag)
            if known.is_vacant or is_over or (start is None and not known.tag):
                start = self._station.start_at(event.evse or known.evse)
        if start is None or start.tag in (known.tag, *told):
            return []
        return [start.tag] if self._is_there(start.tag, known) else []

    def _is_there(self, tag: str, known: Transaction) -> bool:
        """Whether a remote start for a tag, where there was one, was for a transaction's EVSE.

        Some stations answer it with whichever transaction runs.
        """
        evse = self._station.evse_for(tag)
        return not evse or not known.evse or evse == known.evse

    def _follows_start(self, event: TransactionEvent) -> bool:
        """Whether an event that names nobody can follow a remote start."""
        flows = event.state in (State.CHARGING, State.SUSPENDED_EV)
        return (
            not event.has_token
            and not event.is_offline
            and (flows or event.trigger == "remotestart")
        )


def is_nobodys(known: Transaction, event: TransactionEvent) -> bool:
    """Whether power flows and goes on to flow for no token at all (free vend)."""
    flows = (event.state or known.state) is State.CHARGING
    lasts = event.kind is Kind.UPDATED and event.trigger in PERIODIC
    return flows and lasts and not event.is_offline and known.register_wh is not None
