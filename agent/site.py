"""All charge points of this Strom, what they share, and their sessions by who owns them."""

from __future__ import annotations

import logging
from collections.abc import (
    AsyncGenerator,
    Awaitable,
    Callable,
    Iterable,
    Mapping,
    Sequence,
)
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial

import anyio

from agent.alerts import Alerts
from agent.all_sessions import AllSessions
from agent.charge_point import ChargePointAgent
from agent.clock import Clock
from agent.clock_watch import ClockWatch
from agent.commons import Changes, Commons, Herald, WatchedHerald
from agent.config.tables import Config
from agent.disk_watch import DiskWatch, outlasting
from agent.doubts import Doubts
from agent.holds import Holds
from agent.journal.errors import JournalUnusable
from agent.journal.journal import Journal, Task
from agent.journal.pruning import DAY_MS
from agent.leaving import Leaving, LeftBehind, remember
from agent.liquidity import Liquidity
from agent.machine.events import (
    DeadlineReached,
    Event,
    Obstacle,
    PaymentCanceled,
    StopBy,
    StopRequested,
)
from agent.machine.model import Session
from agent.machine.money import MSAT_PER_SAT
from agent.office import Office
from agent.outbox import Handler, Outbox
from agent.outside import OutsidePayments
from agent.owned_sessions import OwnedSessions
from agent.papers import Papers
from agent.payouts import AddressOf, Payouts
from agent.ports.addresses import Payees, Providers
from agent.ports.charge_point import ChargePointView
from agent.ports.errors import Refused, StopNotStored, UnknownChargePoint
from agent.ports.quotes import Quote
from agent.set_clock import SetClock
from agent.settlements import Settlements
from agent.tariff.rate import ExchangeRate
from agent.tariff_choice import TariffChoice
from agent.timers import Timers
from agent.views import PublicFace
from nips.identity import Identity
from wallet.base import Settlement, Wallet

UNSTORED_AGAIN_MS = 5_000
"""What cannot be stored is tried again after that."""

log = logging.getLogger(__name__)


class Site:
    """See `agent.ports.site.Site` for what bridges may ask of it.

    Args:
        config: the operator's file.
        faces: what each charge point shows of itself, by its id.
        journal: open; the site runs and closes it.
        wallet: open; the caller closes it.
        clock: Unix milliseconds.
        herald: publishes the charge points' states.
        voice: delivers what a charge point says on nostr (an outbox handler).
        payees: finds invoices behind lightning addresses.
        providers: asks who signs the zaps of a lightning address elsewhere.
        address_of: the lightning address in a profile; see `agent.payouts.Payouts`.
        rate: the exchange rate to show amounts with.
        identities: of each charge point, by its id: they sign receipts and open private zaps.
        alerts: what the operators must know of; None where there is nobody to tell.
        left: the charge points that have left the file while something was open there.
        steady: milliseconds by which it is seen that the clock was set; None where nobody does.

    Attributes:
        leaving: sees those off that left the file.
    """

    def __init__(
        self,
        config: Config,
        *,
        faces: Mapping[str, PublicFace],
        journal: Journal,
        wallet: Wallet,
        clock: Clock,
        herald: Herald,
        voice: Handler,
        payees: Payees | None,
        providers: Providers | None = None,
        address_of: AddressOf | None = None,
        rate: Callable[[], ExchangeRate | None] = lambda: None,
        identities: Mapping[str, Identity] | None = None,
        alerts: Alerts | None = None,
        left: LeftBehind | None = None,
        steady: Clock | None = None,
    ) -> None:
        left = left or LeftBehind()
        self.config = config
        identities = identities or {}
        points = {point.id: point for point in (*left.points, *config.charge_points)}
        self._papers = Papers(journal, points, identities)
        self._tariffs = TariffChoice(config, journal, clock)
        self._journal = journal
        self._on_clock_set: Callable[[int], None] = lambda _: None
        watch = ClockWatch(clock, steady, self._clock_was_set) if steady else None
        look = watch.look if watch else None
        self._timers = Timers(clock, self._deadline_reached, look=look)
        self._alerts = alerts or Alerts(clock, _tell_nobody)
        self._disk = DiskWatch(journal, self._alerts)
        self._liquidity = Liquidity(
            wallet,
            lambda: self._sessions.bound_msat(),
            clock,
            config.wallet.reserve_sat * MSAT_PER_SAT,
            self._alerts,
        )
        changes = Changes()
        self._alerts.on_change(changes.tell)
        self._holds = Holds(
            journal,
            wallet,
            clock,
            config.wallet.hold,
            hold=self.hold,
            credit=self.credit,
            cancel=self._hold_canceled,
        )
        self.commons = Commons(
            journal=journal,
            wallet=wallet,
            clock=clock,
            sessions=config.sessions,
            herald=WatchedHerald(herald, changes),
            timers=self._timers,
            post=self._post,
            started_at_ms=clock(),
            alerts=self._alerts,
            admit=self._admit,
            holds=self._holds,
            rate=rate,
            changes=changes,
            clock_watch=watch,
        )
        self._agents: dict[str, ChargePointAgent] = {}
        for point in config.charge_points:
            tariff = config.tariffs[point.tariff].frozen(point.tariff)
            face, identity = faces[point.id], identities.get(point.id)
            agent = ChargePointAgent(point, tariff, face, self.commons, identity)
            self._agents[point.id] = agent
        self._ids = {charge_point_id.lower(): charge_point_id for charge_point_id in self._agents}
        self.leaving = Leaving(left, self.commons)
        self._let_in = {**self.leaving.agents, **self._agents}
        kept = {point_id: agent.sessions for point_id, agent in self._let_in.items()}
        self._sessions = AllSessions(journal, kept, self.commons)
        self._set_clock = SetClock(self.commons, self._sessions)
        self._doubts = Doubts(self.commons)
        self.payouts = Payouts(
            self.commons, config.wallet, self._sessions, payees, address_of, doubts=self._doubts
        )
        self.owned = OwnedSessions(
            self.commons, self._sessions, self._papers, self.payouts, self._stop
        )
        elsewhere = {a.face.pubkey: a for a in self._agents.values() if a.config.lud16}
        self.outside = OutsidePayments(self.commons, elsewhere, providers, self.credit)
        self.settlements = Settlements(
            self.commons,
            self.credit,
            hold=self.hold,
            recovered=self._recovered,
            unexplained=self.outside.explain,
        )
        self._outbox = Outbox(
            journal,
            {
                "charger": self._deliver_to_charger,
                "watch": self._deliver_to_charger,
                "hold": self._holds.deliver,
                "payout": self.payouts.deliver,
                "offer": self.payouts.deliver,
                "voice": voice,
            },
        )
        self.office = Office(
            self.commons,
            self._agents.values(),
            charge_point=self.charge_point,
            stop=self._stop,
            tariffs=self._tariffs,
            settlements=self.settlements,
            paying=self.payouts.paying,
            outbox=self._outbox,
        )

    @asynccontextmanager
    async def _running(self) -> AsyncGenerator[Site]:
        async with anyio.create_task_group() as keeper:
            keeper.start_soon(self._journal.run)
            try:
                async with anyio.create_task_group() as group:
                    await self._resume()
                    self._outbox.start(group)
                    group.start_soon(self._alerts.run)
                    group.start_soon(self._disk.run)
                    group.start_soon(self.settlements.run)
                    for work, what in self._background():
                        group.start_soon(outlasting, work, what)
                    yield self
                    group.cancel_scope.cancel()
            finally:
                self._journal.stop()

    def _background(self) -> tuple[tuple[Callable[[], Awaitable[None]], str], ...]:
        kept_ms = self.config.sessions.keep_samples_days * DAY_MS
        return (
            (self._doubts.run, "looking for payments that are not written down"),
            (self._holds.run, "watching held payments"),
            (self.outside.run, "looking for payments to other addresses"),
            (self._timers.run, "ringing at deadlines"),
            (self.leaving.run, "seeing charge points off"),
            (partial(self._journal.pruning.run, self.commons.clock, kept_ms), "pruning"),
            (self._set_clock.run, "keeping the time"),
        )

    def running(self) -> AbstractAsyncContextManager[Site]:
        """Take up what the journal holds, and work until the context is left."""
        return self._running()

    async def _resume(self) -> None:
        """Load what was open when Strom last stopped."""
        alive_ms = self._journal.sessions.alive_ms()
        sessions: dict[str, list[Session]] = {}
        live = self._journal.sessions.live()
        self._doubts.resume(live)
        if self.commons.clock_watch is not None:
            live, behind_ms = await self._set_clock.resume(live)
            alive_ms -= behind_ms
        for session in live:
            sessions.setdefault(session.charge_point, []).append(session)
        for agent in self._agents.values():
            agent.resume()
            await self._tariffs.resume(agent)
            await agent.resume_sessions(sessions.pop(agent.id, []), alive_ms)
        await self.leaving.resume(sessions, alive_ms, self._stop)
        await remember(self.config, self._journal)
        for charge_point_id, orphans in sessions.items():
            if charge_point_id in self.leaving.agents:
                continue
            log.warning(
                "%s has left the file; what was paid there is still settled (%s)",
                charge_point_id,
                ", ".join(session.id for session in orphans),
            )
            retired = self._sessions.of(charge_point_id)
            for session in orphans:
                retired.load(session)
            await retired.charger_lost(alive_ms)

    def _post(self, tasks: Iterable[Task]) -> None:
        self._outbox.post(tasks)

    async def _deliver_to_charger(self, task: Task, recovered: bool) -> None:
        charge_point_id = task.target.partition(":")[2].rpartition("/")[0]
        agent = self._let_in.get(charge_point_id)
        if agent is not None:
            await agent.deliver(task, recovered)

    async def _deadline_reached(self, charge_point_id: str, session_id: str, at_ms: int) -> None:
        agent = self._let_in.get(charge_point_id)
        event: DeadlineReached | None = None
        try:
            if agent is not None and await agent.reminded(session_id):
                return
            silent = agent is not None and agent.silent
            event = DeadlineReached(f"deadline:{session_id}:{at_ms}", at_ms, silent)
            await self._sessions.of(charge_point_id).submit(session_id, [event])
        except JournalUnusable as error:
            # A disk that is full: it is tried again, and meanwhile nobody charges for nothing.
            log.error("%s: a deadline of %s: %s", charge_point_id, session_id, error)
            self._timers.set(session_id, charge_point_id, at_ms + UNSTORED_AGAIN_MS)
            if event is not None:
                self._stop_unstored(charge_point_id, session_id, event)

    def on_clock_set(self, call: Callable[[int], None]) -> None:
        """Call this when the machine's clock was set, with by how many ms: forward, or (below
        zero) back."""
        self._on_clock_set = call

    async def _clock_was_set(self, by_ms: int) -> None:
        self._on_clock_set(by_ms)
        await self._set_clock.was_set(by_ms)

    async def ring_due(self) -> int:
        """Send every session whose deadline has passed its DeadlineReached; returns how many."""
        return await self._timers.ring_due()

    def charge_point(self, charge_point_id: str) -> ChargePointAgent:
        """The charge point of that id in any case; raises UnknownChargePoint."""
        known = self._ids.get(charge_point_id.lower())
        if known is None:
            raise UnknownChargePoint(f'there is no charge point "{charge_point_id}" here')
        return self._agents[known]

    async def view(self, charge_point_id: str) -> ChargePointView:
        """The public state of a charge point; raises UnknownChargePoint."""
        return await self.charge_point(charge_point_id).view()

    def charge_point_ids(self) -> Sequence[str]:
        """The ids of all charge points, in the order of the operator's file."""
        return list(self._agents)

    async def credit(self, quote: Quote, settlement: Settlement) -> Session:
        """Credit a settled payment, once, however often it is reported.

        What was paid at a charge point that has left the operator's file is owed back.
        """
        self._liquidity.changed()
        agent = self._agents.get(quote.charge_point)
        if agent is None:
            return await self._sessions.of(quote.charge_point).credit(quote, settlement, _gone)
        return await agent.sales.credit(quote, settlement)

    async def _admit(self, amount_msat: int) -> None:
        """Raises Refused when a payment of so much cannot be taken now."""
        if self.settlements.trouble is not None:
            raise Refused("the wallet of this charge point does not answer; try again soon")
        await self._liquidity.check(amount_msat)

    def _recovered(self) -> None:
        """The wallet answers again: what waited for it waits no longer."""
        self._liquidity.changed()
        self._outbox.hurry()

    async def hold(self, quote: Quote) -> Session:
        """Open the session of a payment that is held, once, however often it is reported."""
        agent = self._agents.get(quote.charge_point)
        if agent is None:
            return await self._sessions.of(quote.charge_point).hold(quote, _gone)
        return await agent.sales.hold(quote)

    async def _hold_canceled(self, quote: Quote, event: PaymentCanceled) -> None:
        """A held payment went back: its session, if it opened one, must know."""
        if self._journal.sessions.get(quote.session_id) is not None:
            await self._sessions.of(quote.charge_point).submit(quote.session_id, [event])

    async def _stop(self, session: Session, by: StopBy) -> None:
        now_ms = self.commons.clock()
        event = StopRequested(f"stop:{session.id}:{by}:{now_ms}", now_ms, by)
        try:
            await self._sessions.submit(session, event)
        except JournalUnusable as error:
            # Whoever wants no more need not wait for the disk.
            if self._stop_unstored(session.charge_point, session.id, event):
                raise StopNotStored(str(error)) from error
            raise

    async def part_with(self, charge_point_ids: Iterable[str], within_s: float) -> None:
        """Ask what is open at charge points to end, and wait for that, but not for long.

        Args:
            charge_point_ids: those that are about to leave the operator's file.
            within_s: how long they have for it.
        """
        parting = [self._let_in[name] for name in charge_point_ids if name in self._let_in]
        await self.leaving.part_with(parting, self._stop, within_s)

    def _stop_unstored(self, charge_point_id: str, session_id: str, event: Event) -> bool:
        agent = self._let_in.get(charge_point_id)
        return agent is not None and agent.stop_unstored(session_id, event)


def _gone(connector: int) -> Obstacle:
    """Nothing can be started at a charge point that has left the operator's file."""
    del connector
    return Obstacle.UNAVAILABLE


async def _tell_nobody(text: str) -> None:
    del text
