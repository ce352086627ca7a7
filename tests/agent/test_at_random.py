"""Two honest meters on a line that drops, repeats and overtakes, and a Strom that is restarted:
the laws of money hold at every step, and in the end everything is closed and paid back."""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from random import Random

import pytest

from agent.machine.events import ConnectorStatus
from agent.machine.model import SessionState
from agent.ports.charger import (
    MeterReport,
    StartOutcome,
    StartReport,
    StopOutcome,
    StopReport,
)
from agent.ports.errors import AgentError
from agent.ports.quotes import Origin, Quote, QuoteRequest
from tests.agent.world import ManualClock, ScriptedCharger, World, running

LIVES = 3
STEPS = 40


@dataclass
class Running:
    """A transaction as its charger knows it."""

    start: StartReport
    id: int = 0


class Station(ScriptedCharger):
    """A charger whose meters are right."""

    def __init__(self, random: Random, clock: ManualClock) -> None:
        super().__init__()
        self.world: World | None = None
        self._random = random
        self._clock = clock
        self._wh = {1: 1_000, 2: 50_000}
        self._wanted: dict[int, str] = {}
        self._queue: deque[Callable[[World], Awaitable[None]]] = deque()
        self.running: dict[int, Running] = {}
        self.given_wh: Counter[str] = Counter()

    async def start(self, connector: int, id_tag: str) -> StartOutcome:
        if connector in self.running:
            return StartOutcome.REJECTED
        self._wanted[connector] = id_tag
        return self._random.choice((StartOutcome.ACCEPTED, StartOutcome.UNKNOWN))

    async def stop(self, transaction_id: int) -> StopOutcome:
        for connector, one in tuple(self.running.items()):
            if one.id == transaction_id and self._random.random() < 0.6:
                self.end(connector)
        return self._random.choice(list(StopOutcome))

    def lives(self) -> None:
        """What a car and a meter do meanwhile."""
        for connector in (1, 2):
            one, fate = self.running.get(connector), self._random.random()
            if one is not None:
                wh = self._random.randrange(80)
                self._wh[connector] += wh
                self.given_wh[one.start.id_tag] += wh
                if fate < 0.05:
                    self.end(connector)
                elif fate < 0.6:
                    self._read(connector, one)
                elif fate < 0.7:
                    paused = ConnectorStatus.SUSPENDED_EV, ConnectorStatus.CHARGING
                    self._show(connector, self._random.choice(paused))
            elif connector in self._wanted and fate < 0.5:
                self._begin(connector, self._wanted.pop(connector))

    def _begin(self, connector: int, tag: str) -> None:
        one = Running(StartReport(connector, tag, self._wh[connector], self._clock()))
        self.running[connector] = one

        async def tell(world: World) -> None:
            started = world.point.transaction_started
            times = 2 if self._random.random() < 0.2 else 1
            verdicts = await asyncio.gather(*[started(one.start) for _ in range(times)])
            one.id = verdicts[0].transaction_id
            assert len(set(verdicts)) == 1
            if not verdicts[0].accepted and self.running.get(connector) is one:
                self.end(connector)

        self._queue.append(tell)
        self._show(connector, ConnectorStatus.CHARGING)

    def _read(self, connector: int, one: Running) -> None:
        at_ms, wh, named = self._clock(), self._wh[connector], self._random.random() < 0.8

        async def tell(world: World) -> None:
            number = one.id if named else None
            await world.point.meter_sampled([MeterReport(connector, number, at_ms, wh)])

        self._queue.append(tell)

    def _show(self, connector: int, status: ConnectorStatus) -> None:
        at_ms = self._clock()
        self._queue.append(lambda world: world.point.connector_status(connector, status, at_ms))

    def end(self, connector: int) -> None:
        one = self.running.pop(connector)
        at_ms, wh = self._clock(), self._wh[connector]

        async def tell(world: World) -> None:
            stop = StopReport(one.id, wh, at_ms, id_tag=one.start.id_tag)
            await world.point.transaction_stopped(stop)

        self._queue.append(tell)
        self._show(connector, ConnectorStatus.AVAILABLE)

    async def talks(self, world: World) -> None:
        """Say what is to be said, on a line that may be lost before or after the answer."""
        while self._queue and world.point.online:
            fate = self._random.random()
            if fate < 0.03:
                await world.point.detach(self)
                return
            await self._queue[0](world)
            if fate < 0.1:
                await world.point.detach(self)
                return
            if fate < 0.15:
                await self._queue[0](world)
            self._queue.popleft()


async def drive(world: World, random: Random, quotes: list[Quote]) -> None:
    """One thing that a driver may do."""
    fate = random.random()
    amount_msat = random.choice((100_000, 500_000, 1_000_000))
    try:
        if fate < 0.4 or not quotes:
            request = QuoteRequest(amount_msat, Origin.LNURL, connector=random.choice((1, 2)))
            quotes.append(await world.point.quote(request))
            await world.wallet.driver_pay(quotes[-1].bolt11)
            return
        secret = random.choice(quotes[-3:]).secret
        if fate < 0.5:
            await world.site.owned.stop(secret)
        elif fate < 0.7:
            request = QuoteRequest(amount_msat, Origin.LNURL, topup_secret=secret)
            await world.wallet.driver_pay((await world.point.quote(request)).bolt11)
        else:
            await pay_back(world, secret)
    except AgentError:
        pass


async def pay_back(world: World, secret: str) -> None:
    offer = await world.site.owned.offer_refund(secret)
    # What was sent in the moment of a restart is sent again: only before it expires.
    bolt11, _ = await world.wallet.driver_invoice(offer.amount_msat, expiry_s=86_400)
    await world.site.owned.claim_refund(offer.k1, bolt11)


def is_on_the_disk(world: World) -> bool:
    """Whether the sessions are read as they are in memory."""
    live = world.point.sessions.live()
    return all(world.journal.sessions.get(session.id) == session for session in live)


def check(world: World) -> None:
    """What holds at any moment."""
    for session in world.point.sessions.live():
        if session.state is SessionState.CLOSED:
            parts = session.cost_msat, session.refunded_msat, session.owed_msat
            assert session.paid_msat == sum(parts) + session.rounding_msat
            assert session.cost_msat <= session.taken_msat


async def driver_has_msat(world: World) -> int:
    return (await world.wallet.info()).inbound_msat or 0


@pytest.mark.parametrize("seed", range(6))
async def test_whatever_happens_the_money_adds_up(tmp_path: Path, seed: int) -> None:
    random = Random(seed)  # noqa: S311  no secret
    clock = ManualClock()
    station = Station(random, clock)
    quotes: list[Quote] = []
    async with running(tmp_path, clock) as world:
        had_msat = await driver_has_msat(world)
    for _ in range(LIVES):
        async with running(tmp_path, clock) as world:
            for _ in range(STEPS):
                clock.advance(random.choice((0.1, 1, 10, 30)))
                station.lives()
                if not world.point.online and random.random() < 0.4:
                    await world.point.attach(station)
                jobs = [station.talks(world)]
                if random.random() < 0.4:
                    jobs.append(drive(world, random, quotes))
                await asyncio.gather(*jobs)
                await world.site.ring_due()
                await world.until(lambda: is_on_the_disk(world))
                check(world)
    async with running(tmp_path, clock) as world:
        for connector in tuple(station.running):
            station.end(connector)
        # What was paid as the last life ended is credited now, and not while the time flies.
        await world.site.settlements.look_up_open()
        for _ in range(70):
            clock.advance(60)
            await world.point.attach(station)
            await station.talks(world)
            await world.site.ring_due()
        assert world.point.sessions.open() == []
        for secret in {quote.secret for quote in quotes}:
            while (await world.site.owned.session(secret)).owed_msat:
                try:
                    await pay_back(world, secret)
                except AgentError:
                    await asyncio.sleep(0)
        cost_msat = 0
        for session_id in {quote.session_id for quote in quotes}:
            session = world.journal.sessions.get(session_id)
            assert session is not None
            assert session.energy_wh <= station.given_wh[session_id]
            cost_msat += session.cost_msat + session.rounding_msat
        assert had_msat - await driver_has_msat(world) == cost_msat
