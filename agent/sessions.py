"""The live sessions of one charge point: event in, step, one commit, effects out.

All that happens at a charge point passes here one after the other; a session in memory is
always one that is on the disk.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from msgspec.structs import replace

from agent.commons import Commons
from agent.journal.journal import Step, is_live
from agent.machine import session as machine
from agent.machine.deadlines import deadline
from agent.machine.effects import (
    CancelPayment,
    CutPower,
    Effect,
    OfferRefund,
    PayRefund,
    PublishStatus,
    PublishZapReceipt,
    SendMessage,
    SettlePayment,
    StartCharging,
    StopCharging,
    WatchAsUsual,
    WatchClosely,
)
from agent.machine.events import (
    ChargerBooted,
    ClockSet,
    ConnectorStatus,
    ConnectorStatusChanged,
    DeadlineReached,
    Event,
    MeterSampled,
    Obstacle,
    PaymentHeld,
    PaymentSettled,
    RefundOffered,
    TransactionShown,
)
from agent.machine.model import CLOSED, STARTING, Policy, Session
from agent.machine.money import MSAT_PER_SAT
from agent.ports.charger import StartReport
from agent.ports.errors import UnknownSession
from agent.ports.quotes import Quote
from agent.repeats import Repeats
from wallet.base import Settlement

LATE_PAYMENT_GRACE_MS = 60_000
"""An invoice paid that long after its expiry still buys; wallets and clocks are not exact."""

_FLEETING = (
    MeterSampled,
    ConnectorStatusChanged,
    ChargerBooted,
    DeadlineReached,
    TransactionShown,
)
"""Events that are worth a row only when they changed something."""


log = logging.getLogger(__name__)


class Sessions:
    """The sessions of one charge point that are open or still owe money.

    Args:
        charge_point_id: whose.
        commons: what all charge points share.
        max_power_w: what its connectors give at most, by their ids.
        check_meter: whether energy that a connector cannot have given is left out.
    """

    def __init__(
        self,
        charge_point_id: str,
        commons: Commons,
        max_power_w: Mapping[int, int] | None = None,
        *,
        check_meter: bool = True,
    ) -> None:
        self._charge_point_id = charge_point_id
        self._commons = commons
        self._max_power_w = max_power_w or {}
        self._check_meter = check_meter
        self.stop_lead_ms: int | None = None
        """How long its charger takes to stop; None while that is not known."""
        self.waits_for_unplug: Callable[[int], bool] = lambda _: False
        """Whether the cable of the charge before is still plugged in at a connector."""
        self._live: dict[str, Session] = {}
        self._opening: Session | None = None
        self._repeats = Repeats()
        self._lock = asyncio.Lock()

    def load(self, session: Session) -> None:
        """Take up a session again after a start."""
        self._live[session.id] = session
        self._set_timer(session.id)

    async def charger_lost(self, heard_ms: int = 0) -> None:
        """Every session that has not ended hears that its charger is lost.

        Args:
            heard_ms: when it was certainly still there, Unix ms; 0 for just now.
        """
        now_ms, lost = self._commons.clock(), ConnectorStatus.OFFLINE
        for session in self.open():
            key = f"{lost}:{session.id}:{now_ms}"
            event = ConnectorStatusChanged(key, now_ms, lost, min(heard_ms, now_ms))
            await self.submit(session.id, [event])

    def get(self, session_id: str) -> Session:
        """A session of this charge point, live or past; raises UnknownSession."""
        session = self._live.get(session_id) or self._commons.journal.sessions.get(session_id)
        if session is None:
            raise UnknownSession("there is no such session")
        return session

    def open(self) -> list[Session]:
        """The sessions that have not ended."""
        return [s for s in self._live.values() if s.state is not CLOSED]

    def in_transaction(self, transaction_id: int | None) -> Session | None:
        """The open session that a transaction is of; None for none."""
        if transaction_id is not None:
            for session in self._live.values():
                if session.transaction_id == transaction_id and session.state is not CLOSED:
                    return session
        return None

    def live(self) -> list[Session]:
        """The sessions that have not ended, or whose money has not all gone back."""
        return list(self._live.values())

    def on(self, connector: int) -> Session | None:
        """The open session on a connector; of several there that which began to charge last."""
        here = [s for s in self.open() if s.connector == connector]
        return max(here, key=lambda session: session.transaction_id or 0, default=None)

    def power_of(self, connector: int) -> int:
        """What a connector gives at most, in W; 0 for unknown."""
        return self._max_power_w.get(connector, 0)

    def takes(self, connector: int) -> bool:
        """Whether a connector has an open session, or one that is being stored just now."""
        opening = self._opening is not None and self._opening.connector == connector
        return opening or self.on(connector) is not None

    async def credit(
        self, quote: Quote, settlement: Settlement, obstacle_of: Callable[[int], Obstacle | None]
    ) -> Session:
        """Credit a settled payment once: it opens its session, or adds to it.

        Args:
            quote: the quote whose invoice was paid.
            settlement: the wallet's word.
            obstacle_of: why a connector could not start now.
        """
        await self._follow_clock()
        async with self._lock:
            now_ms = self._commons.clock()
            known = self._known(quote)
            late = self._late(quote, settlement.settled_at_ms, now_ms)
            event = PaymentSettled(
                key=f"paid:{settlement.payment_hash}",
                at_ms=now_ms,
                payment_hash=settlement.payment_hash,
                # No invoice is paid with less than it asks for: some wallets do not say how much
                # came, or say it in another unit.
                amount_msat=max(settlement.amount_msat, quote.amount_msat),
                payer=quote.payer,
                tariff=quote.tariff,
                start_deadline_ms=self._start_deadline_ms(now_ms),
                obstacle=None if known else late or obstacle_of(quote.connector),
            )
            session, effects = self._receive(known, quote, event)
            paid = (settlement.payment_hash, settlement.settled_at_ms)
            with self._being_opened(session):
                await self._store(session, [event], effects, quote_settled=paid)
            return self.get(quote.session_id)

    async def hold(self, quote: Quote, obstacle_of: Callable[[int], Obstacle | None]) -> Session:
        """Open the session of a payment that the wallet holds, once.

        Args:
            quote: the quote whose payment is held.
            obstacle_of: why a connector could not start now.
        """
        await self._follow_clock()
        async with self._lock:
            now_ms = self._commons.clock()
            known = self._known(quote)
            late = self._late(quote, now_ms, now_ms)
            event = PaymentHeld(
                key=f"held:{quote.payment_hash}",
                at_ms=now_ms,
                payment_hash=quote.payment_hash,
                amount_msat=quote.amount_msat,
                payer=quote.payer,
                tariff=quote.tariff,
                start_deadline_ms=self._start_deadline_ms(now_ms),
                obstacle=None if known else late or obstacle_of(quote.connector),
            )
            session, effects = self._receive(known, quote, event)
            with self._being_opened(session):
                await self._store(session, [event], effects)
            return self.get(quote.session_id)

    @contextmanager
    def _being_opened(self, session: Session) -> Generator[None]:
        """Nobody else is promised the connector of a session that is on its way to the disk."""
        self._opening = None if session.state is CLOSED else session
        try:
            yield
        finally:
            self._opening = None

    def _known(self, quote: Quote) -> Session | None:
        journal = self._commons.journal
        return self._live.get(quote.session_id) or journal.sessions.get(quote.session_id)

    def _start_deadline_ms(self, now_ms: int) -> int:
        return now_ms + self._commons.sessions.start_timeout_s * 1000

    def _receive(
        self, known: Session | None, quote: Quote, event: PaymentSettled | PaymentHeld
    ) -> tuple[Session, tuple[Effect, ...]]:
        if known is not None:
            return machine.step(known, event)
        return machine.opened(
            quote.session_id,
            self._charge_point_id,
            quote.connector,
            self._policy(),
            event,
            self.power_of(quote.connector),
            self._check_meter,
            self.waits_for_unplug(quote.connector),
        )

    def _policy(self) -> Policy:
        policy = self._commons.policy
        lead_ms = self.stop_lead_ms
        return policy if lead_ms is None else replace(policy, stop_lead_ms=lead_ms)

    async def submit(
        self,
        session_id: str,
        events: Sequence[Event],
        transaction: tuple[int, StartReport] | None = None,
    ) -> Session:
        """Take events into a session; returns once they and what follows are stored.

        Events known already by their keys change nothing.

        Raises:
            UnknownSession: no such session.
            IllegalEvent: a refund event that cannot happen now; nothing is stored.
        """
        await self._follow_clock()
        async with self._lock:
            after = await self._take(session_id, events, transaction)
            if after is None and len(events) > 1:
                for event in events:
                    after = await self._take(session_id, [event], None) or after
            return after or self.get(session_id)

    async def clock_set(self, session_id: str, event: ClockSet) -> Session:
        """Move a session with the clock; returns once that is stored."""
        async with self._lock:
            return await self._take(session_id, [event], None) or self.get(session_id)

    async def _follow_clock(self) -> None:
        """Let no event by the clock of now come before its having been set is dealt with."""
        watch = self._commons.clock_watch
        if watch is not None and watch.is_set():
            await watch.look()

    def would_follow(self, session_id: str, event: Event) -> Sequence[Effect]:
        """What an event leads to, for one that cannot be stored; nothing is changed by it.

        Raises:
            UnknownSession, IllegalEvent: as `submit`.
        """
        return machine.step(self.get(session_id), event)[1]

    async def _take(
        self,
        session_id: str,
        events: Sequence[Event],
        transaction: tuple[int, StartReport] | None,
    ) -> Session | None:
        """The session after events, which are stored; None when one of them was known already:
        then nothing is stored."""
        before = session = self.get(session_id)
        events = self._repeats.without(session_id, events)
        effects: list[Effect] = []
        withdraw_key: tuple[str, int] | None = None
        for event in events:
            session, wanted = machine.step(session, event)
            effects.extend(wanted)
            if isinstance(event, RefundOffered):
                withdraw_key = (event.k1, event.refund_no)
        idle = not effects and transaction is None and session == before
        if idle and all(isinstance(event, _FLEETING) for event in events):
            return session
        stored = await self._store(
            session, events, effects, transaction=transaction, withdraw_key=withdraw_key
        )
        if not stored:
            return None
        self._repeats.heard(session_id, events)
        if session.state is not before.state:
            _tell(before, session)
        return session

    def _late(self, quote: Quote, paid_at_ms: int, now_ms: int) -> Obstacle | None:
        """Whether the driver who paid this can no longer be expected at the charge point."""
        patience_ms = self._commons.sessions.start_timeout_s * 1000
        # The wallet's clock, which the expiry is by too, may be behind ours; but nobody pays before
        # there is anything to pay.
        since_ms = max(paid_at_ms, quote.created_at_ms)
        too_late = (
            paid_at_ms > quote.expires_at_ms + LATE_PAYMENT_GRACE_MS
            or now_ms > since_ms + patience_ms
        )
        return Obstacle.LATE if too_late else None

    def _set_timer(self, session_id: str) -> None:
        at_ms = self._deadline(session_id)
        self._commons.timers.set(session_id, self._charge_point_id, at_ms)

    def _deadline(self, session_id: str) -> int | None:
        """A session's next deadline, Unix ms; None for none.

        While Strom was not there a charger may have begun what was paid for: no start of before
        is given up until the charger had time to tell.
        """
        session = self._live.get(session_id)
        if session is None:
            return None
        at_ms = deadline(session)
        is_of_before = session.opened_at_ms < self._commons.started_at_ms
        if at_ms is not None and session.state is STARTING and is_of_before:
            at_ms = max(at_ms, self._commons.start_up_ends_at_ms)
        return at_ms

    async def _store(
        self, session: Session, events: Sequence[Event], effects: Sequence[Effect], **more: Any
    ) -> bool:
        """Commit, then hand the effects on; False when an event was known already."""
        tasks: list[tuple[str, Effect]] = []
        for effect in effects:
            target = self._target(session, effect)
            if target:
                tasks.append((target, effect))
        stored = await self._commons.journal.commit(Step(session, events, tasks, **more))
        if stored is None:
            return False
        if session.state is CLOSED and self._live.get(session.id, session).state is not CLOSED:
            self._commons.tally.closed(session)
        if is_live(session):
            self._live[session.id] = session
        else:
            self._live.pop(session.id, None)
            self._repeats.forget(session.id)
        if effects:
            self._set_timer(session.id)
            self._commons.post(stored)
            if any(isinstance(effect, PublishStatus) for effect in effects):
                self._commons.herald.status_changed(self._charge_point_id)
        else:
            self._commons.timers.set_soon(session.id, self._charge_point_id, self._deadline)
        self._commons.changes.tell(session.id)
        return True

    def _target(self, session: Session, effect: Effect) -> str:
        """The outbox target of an effect; "" for one that is not stored."""
        match effect:
            case StartCharging() | StopCharging() | CutPower():
                return f"charger:{self._charge_point_id}/{session.connector}"
            case WatchClosely() | WatchAsUsual():
                # A question to a charger that is slow must not hold up its stop.
                return f"watch:{self._charge_point_id}/{session.connector}"
            case PublishZapReceipt() | SendMessage():
                return f"voice:{self._charge_point_id}"
            case SettlePayment(payment_hash) | CancelPayment(payment_hash):
                return f"hold:{payment_hash}"
            case PayRefund():
                return f"payout:{session.id}"
            case OfferRefund():
                # Whoever claims it himself does not wait for an address that does not answer.
                return f"offer:{session.id}"
            case _:
                return ""


def _tell(before: Session, after: Session) -> None:
    """Say in the log that charging began, and how it ended."""
    if before.started_at_ms is None and after.started_at_ms is not None:
        log.info(
            "%s: connector %d charges, transaction %s of session %s",
            after.charge_point,
            after.connector,
            after.transaction_id,
            after.id,
        )
    if before.state is not CLOSED and after.state is CLOSED:
        log.info(
            "%s: session %s at connector %d is over: %d Wh for %s sat of %s",
            after.charge_point,
            after.id,
            after.connector,
            after.energy_wh,
            _sats(after.cost_msat),
            _sats(after.credit_msat),
        )


def _sats(amount_msat: int) -> str:
    return f"{amount_msat // MSAT_PER_SAT:,}.{amount_msat % MSAT_PER_SAT:03d}"
