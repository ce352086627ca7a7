"""Transactions of OCPP 2.0.1: what TransactionEvents mean to a charge point.

OCPP 2.0.1, part 2 "Specification", use cases E01 to E15:
https://openchargealliance.org/protocols/open-charge-point-protocol/

A station may begin a transaction when a car is plugged in, when somebody is authorized or when
power flows, and end it when any of these ceases (TxStartPoint, TxStopPoint). To Strom it has begun
once a car is there and it is known for whom and from which register on, and it is over when the
authorization is: what follows until the cable is pulled concerns nobody's money.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from agent.machine.events import ConnectorStatus
from agent.machine.meter import Source
from agent.ports.charge_point import ChargePoint
from agent.ports.charger import StartReport, StopReport
from bridge.ocpp import timestamps
from bridge.ocpp.meters.intervals import Tally
from bridge.ocpp.meters.readings import Reading
from bridge.ocpp.meters.samples import Samples
from bridge.ocpp.v201 import registers
from bridge.ocpp.v201.drivers import PERIODIC, Drivers, is_nobodys
from bridge.ocpp.v201.evses import POWERED, shown_by
from bridge.ocpp.v201.transactions import EarlyEnd, Station, Transaction
from bridge.ocpp.v201.values import Kind, State, TransactionEvent

logger = logging.getLogger(__name__)

_STOPS = frozenset({"remotestop", "stopauthorized", "deauthorized"})
"""Triggers that take the authorization back."""
_PATIENCE_MS = 20_000
"""A station that took a question for its last register, and speaks of other things after that
time, has no answer to it."""


class TransactionEvents:
    """Takes the transaction events of one connection.

    Args:
        charge_point: to whom they are reported.
        station: what is known of its transactions.
        clock: what is known of the station's clock.
        samples: where readings of its meters go.
        want_register: called with an EVSE whose register is to be asked for; `without_register`
            is to be called where the station has no answer to that.
    """

    def __init__(
        self,
        charge_point: ChargePoint,
        station: Station,
        clock: timestamps.Clock,
        samples: Samples,
        want_register: Callable[[int], None],
    ) -> None:
        self._charge_point = charge_point
        self._station = station
        self._clock = clock
        self._samples = samples
        self._want_register = want_register
        self._drivers = Drivers(charge_point, station)
        self._wanted_ms: dict[str, int] = {}
        """When the last registers of transactions were asked for here, Unix ms."""

    async def take(self, event: TransactionEvent, now_ms: int) -> bool | None:
        """Report an event; returns once that is stored.

        Returns:
            Whether the id token may charge; None for an event without one: stations take an
            answer to a question that they did not ask for a fault.

        Raises:
            AgentError: it could not be stored; the station sends it again.
        """
        is_behind = self._station.is_behind(event.name, event.seq_no)
        lost = self._station.missing(event.name, event.seq_no)
        if lost:
            name = event.name[:36]
            logger.info("%s: %d events of %s are missing", self._charge_point.id, lost, name)
        # Such events wait in the station, not always with the flag that says so.
        self._clock.measure(event.written, now_ms, live=False)
        at_ms = self._clock.ours(event.written, now_ms)
        self._station.heard(event.name, now_ms, at_ms)
        if self._station.contradicts(event.name, is_end=event.kind is Kind.ENDED):
            logger.warning(
                "%s: the station speaks of transaction %s, of which it said that it was over and "
                "that nothing of it waited: it is not asked after transactions any more",
                self._charge_point.id,
                event.name[:36],
            )
        found = await self._samples.read(event.meter_value, now_ms)
        if is_behind and event.kind is Kind.UPDATED:
            # Without a clock, what waited in the station would seem to be of now: a register that
            # fell and counts anew.
            found = [one for one in found if self._clock.can_date(one.written, now_ms)]
        known = await self._transaction(event, found, at_ms)
        known.evse = event.evse or known.evse
        if known.early_end is not None and not known.started_ms and event.kind is not Kind.STARTED:
            # From where on it is to be billed, its beginning alone tells.
            return await self._charge_point.may_charge(event.tag) if event.has_token else None
        allowed = await self._drivers.learn(known, event, found)
        tally = registers.counted(known, event, found)
        if known.number is None and (known.tag or is_nobodys(known, event)):
            allowed = await self._begin(known, event, found, tally, now_ms)
        registers.choose(known, tally, found)
        found = registers.reckoned(known, tally, found)
        is_over = self._is_over(known, event)
        if event.kind is not Kind.ENDED:
            known.stopped_ms = (known.stopped_ms or at_ms) if is_over else 0
        found, summed_up = registers.beyond_registers(known, tally, found)
        await self._measure(known, event, found, now_ms)
        if summed_up is not None and known.number is not None:
            sums, source = [summed_up], Source.INTERVALS
            await self._samples.report(sums, known.evse, known.number, now_ms, source)
        if event.kind is Kind.ENDED or is_over:
            last_wh = registers.last_word_wh(tally, found)
            await self._end(known, event, last_wh, at_ms, now_ms)
        elif known.early_end is not None and known.number is not None:
            await self._end_at_last(known, known.early_end, now_ms)
        elif not known.ended:
            await self._show(known, event, at_ms, now_ms)
        # An event that could not be stored comes again, and is counted then.
        known.intervals = tally
        known.state = event.state or known.state
        await self._station.save()
        return allowed if event.has_token else None

    async def metered_outside(self, evse: int, found: list[Reading], now_ms: int) -> list[Reading]:
        """A register was read outside of transactions: one may have waited for it.

        Returns:
            The readings as they are to be billed.
        """
        read_wh = [one.register_wh for one in found if one.register_wh is not None]
        for known in self._station.all_running(evse) if read_wh else ():
            waits = known.number is None and known.register_wh is None and known.tag
            if waits and known.state is not State.IDLE:
                known.register_wh = read_wh[-1]
                await self._start(known, now_ms)
            registers.choose(known, known.intervals, found)
            tally = registers.with_registers(known, found)
            found = registers.reckoned(known, tally, found)
            known.intervals = tally
            await self._station.save()
        return found

    async def _transaction(
        self, event: TransactionEvent, found: list[Reading], at_ms: int
    ) -> Transaction:
        """The transaction that an event is about.

        Some stations count their transactions anew after each reboot: a start under a known name
        is another transaction, unless it is the same start again.
        """
        known = self._station.get(event.name)
        if (
            known is not None
            and event.kind is Kind.STARTED
            and self._is_another(known, event, found)
        ):
            if known.number is not None and not known.ended:
                await self._stop(known.number, None, at_ms, "Other")
            known = None
        if known is None:
            known = self._station.add(event.name)
        if event.kind is Kind.STARTED and not known.started_ms:
            known.started_ms = event.written_ms
        return known

    def _is_another(
        self, known: Transaction, event: TransactionEvent, found: list[Reading]
    ) -> bool:
        """Whether a start is another one than that which is known by its name.

        A start that is repeated has its time, its token or its register again.
        """
        if not known.started_ms:
            end = known.early_end
            return end is not None and 0 < end.at_ms < event.written_ms
        if event.written_ms in (0, known.started_ms):
            return False
        if known.ended:
            return True
        start = self._station.start_of(event.remote_start_id)
        tags = {event.tag, start.tag if start else ""}
        registers = {one.register_wh for one in found}
        return (
            known.number is not None
            and known.tag not in tags
            and (known.register_wh not in registers or known.register_wh is None)
        )

    async def _begin(
        self,
        known: Transaction,
        event: TransactionEvent,
        found: list[Reading],
        tally: Tally,
        now_ms: int,
    ) -> bool:
        """Report that a transaction began, once all is known; returns whether it may go on."""
        allowed = await self._charge_point.may_charge(known.tag)
        is_over = event.kind is Kind.ENDED or known.early_end is not None
        flowed = _flowed(known, found, tally)
        if is_over and not flowed:
            return allowed
        if (
            allowed
            and not flowed
            and (
                not self._drivers.is_plugged(known, event)
                or self._drivers.waits_for_remote_start(known, event)
            )
        ):
            known.told_ms = 0
            return True
        known.told_ms = known.told_ms or event.written_ms
        if allowed and known.register_wh is None:
            if not (is_over or (known.asked and event.trigger in PERIODIC)):
                if known.evse and not known.asked:
                    self._want_register(known.evse)
                    known.asked = True
                return True
            logger.warning(
                "%s: a transaction has no energy register: %s. "
                "SampledDataCtrlr.TxUpdatedMeasurands must have Energy.Active.Import.Register",
                self._charge_point.id,
                "what is lost of its intervals cannot be billed"
                if tally.was_told
                else "what flows cannot be billed",
            )
            if tally.was_told:
                known.register_wh, known.is_counted = tally.start_wh, True
        return await self._start(known, now_ms)

    async def _start(self, known: Transaction, now_ms: int) -> bool:
        verdict = await self._charge_point.transaction_started(
            StartReport(
                connector=known.evse or self._station.evse_for(known.tag) or 1,
                id_tag=known.tag,
                register_wh=known.register_wh,
                started_at_ms=known.told_ms,
                began_at_ms=self._clock.ours(known.told_ms, now_ms),
            )
        )
        known.number, known.sold = verdict.transaction_id, verdict.accepted
        self._station.matched(known.tag, known.name)
        self._station.evses.begun(known.evse)
        return verdict.accepted

    async def _measure(
        self, known: Transaction, event: TransactionEvent, found: list[Reading], now_ms: int
    ) -> None:
        number = known.number
        await self._samples.keep_signed(event.meter_value, known.evse, number, now_ms)
        if number is None:
            # It would be taken for a reading of whatever else runs at the EVSE.
            return
        source = Source.END_SAMPLE if event.kind is Kind.ENDED else Source.SAMPLE
        if known.stopped_ms:
            # What is read after the end says nothing of how long the charge went on.
            ours, until_ms = self._clock.ours, known.stopped_ms
            found = [one for one in found if ours(one.written, now_ms) <= until_ms]
        if event.kind is Kind.ENDED:
            last = registers.last(found)
            # What is told as the last word is not told as a sample too: it may be a lie.
            found = [one for one in found if one is not last]
        await self._samples.report(found, known.evse, number, now_ms, source)

    async def _show(
        self, known: Transaction, event: TransactionEvent, at_ms: int, now_ms: int
    ) -> None:
        """Report what its EVSE shows by it, unless the news is older than what is known."""
        status = shown_by(event.state, known.state, sold=known.sold)
        evses = self._station.evses
        stale = event.is_offline or now_ms - at_ms > timestamps.MAX_DELAY_MS
        if not known.evse or status is None:
            return
        if stale and at_ms < evses.shown_ms(known.evse):
            return
        known.left = known.left and status not in POWERED
        await evses.show(known.evse, status, at_ms, once=True)

    def _is_over(self, known: Transaction, event: TransactionEvent) -> bool:
        """Whether the authorization has ended though the transaction goes on till the unplug.

        A last register is waited for: the end of the transaction may follow at once with it. What
        took the authorization back from nobody says nothing of the driver who comes next.
        """
        state = event.state or known.state
        # Some stations tell of a stop that they were asked for by the state alone.
        obeys = known.asked_to_stop and event.state in (State.EV_CONNECTED, State.IDLE)
        known.stopping = known.stopping or (bool(known.tag) and (event.trigger in _STOPS or obeys))
        if not known.stopping or not known.sold or state in (State.CHARGING, State.SUSPENDED_EV):
            return False
        return state is not State.NONE

    async def _end(
        self,
        known: Transaction,
        event: TransactionEvent,
        last_wh: int | None,
        at_ms: int,
        now_ms: int,
    ) -> None:
        final = event.kind is Kind.ENDED
        if not final and last_wh is None and self._waits_for_register(known, event, now_ms):
            return
        reason = event.stopped_reason or ("Local" if final else "Remote")
        number = -1 if known.number is None else known.number
        await self._stop(number, last_wh, known.stopped_ms or at_ms, reason)
        if final and known.number is None and not known.started_ms:
            known.early_end = EarlyEnd(event.written_ms, last_wh, reason)
            # For whom it is, and from which register on, is not for its end to say.
            known.tag, known.told_ms, known.register_wh = "", 0, None
        stale = event.is_offline or now_ms - at_ms > timestamps.MAX_DELAY_MS
        await self._ended(known, at_ms, final=final, stale=stale)

    def _waits_for_register(self, known: Transaction, event: TransactionEvent, now_ms: int) -> bool:
        """Whether the register with which a charge ended may still come; asks for it once."""
        if not known.evse:
            return False
        wanted_ms = self._wanted_ms.get(known.name)
        if wanted_ms is None:
            self._wanted_ms[known.name] = now_ms
            self._want_register(known.evse)
            return True
        return event.trigger != "trigger" and now_ms - wanted_ms < _PATIENCE_MS

    async def without_register(self, evse: int) -> None:
        """The station has no answer to the question for a register: a charge at the EVSE that
        waits for its last one ends by what was read before. Raises AgentError."""
        for known in self._station.all_running(evse):
            flows = known.state in (State.CHARGING, State.SUSPENDED_EV)
            if known.name in self._wanted_ms and known.sold and known.number and not flows:
                last_wh = registers.last_word_wh(known.intervals, [])
                await self._stop(known.number, last_wh, known.stopped_ms, "Remote")
                await self._ended(known, known.stopped_ms, final=False, stale=False)
                await self._station.save()

    async def stopped_silently(self, name: str) -> None:
        """A transaction was asked to stop, gives nothing since, and tells neither its end nor its
        last register: it ends by what was read. Raises AgentError."""
        known = self._station.get(name)
        if known is None or known.number is None or not known.sold:
            return
        known.stopping = True
        at_ms = known.stopped_ms or self._station.told_ms(name)
        last_wh = registers.last_word_wh(known.intervals, [])
        await self._stop(known.number, last_wh, at_ms, "Remote")
        await self._ended(known, at_ms, final=False, stale=False)
        await self._station.save()

    async def _ended(self, known: Transaction, at_ms: int, *, final: bool, stale: bool) -> None:
        """A charge is over, and where `final` its transaction; its EVSE gives no power."""
        self._wanted_ms.pop(known.name, None)
        known.stopped_ms = 0
        if known.ended:
            return
        known.ended, known.sold = final, False
        evses = self._station.evses
        older = stale and at_ms < evses.shown_ms(known.evse)
        evses.begun(known.evse)
        if evses.last(known.evse) in POWERED and not older:
            await evses.show(known.evse, ConnectorStatus.FINISHING, at_ms)
        if final:
            await evses.ended(known.evse, at_ms)

    async def _end_at_last(self, known: Transaction, end: EarlyEnd, now_ms: int) -> None:
        """Report the end of a transaction that was told before its beginning."""
        number = -1 if known.number is None else known.number
        await self._stop(number, end.register_wh, self._clock.ours(end.at_ms, now_ms), end.reason)
        known.early_end, known.sold = None, False
        self._station.evses.begun(known.evse)

    async def forgotten(self, name: str) -> None:
        """A transaction is over, and when and with which register was lost: it is billed as far
        as it is known to have gone on. Raises AgentError."""
        known = self._station.get(name)
        if known is not None and known.number is not None:
            last_wh = registers.last_word_wh(known.intervals, [])
            told_ms = self._station.told_ms(name)
            await self._stop(known.number, last_wh, told_ms, "Other", presumed=True)
        await self._station.gone(name)

    async def _stop(
        self,
        number: int,
        register_wh: int | None,
        at_ms: int,
        reason: str,
        *,
        presumed: bool = False,
    ) -> None:
        """Report the end of a transaction; it is never found by guessing, so without a tag."""
        await self._charge_point.transaction_stopped(
            StopReport(number, register_wh, at_ms, reason, presumed=presumed)
        )


def _flowed(known: Transaction, found: list[Reading], tally: Tally) -> bool:
    """Whether a transaction that has not begun shows that energy flowed."""
    if known.register_wh is None or tally.beyond_register_wh is not None:
        return tally.energy_mwh > tally.start_mwh
    read_wh = [one.register_wh or 0 for one in found]
    if known.early_end is not None:
        read_wh.append(known.early_end.register_wh or 0)
    return max(read_wh, default=0) > known.register_wh
