"""A whole site on a real journal and the play-money wallet, with a clock that tests set."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from agent.alerts import Alerts
from agent.charge_point import ChargePointAgent
from agent.config.tables import (
    ChargePointConfig,
    Config,
    ConnectorConfig,
    SessionsConfig,
    TariffConfig,
)
from agent.journal.journal import Journal, Task
from agent.leaving import left_behind
from agent.machine.effects import SendMessage, Topic
from agent.machine.events import ConnectorStatus
from agent.ports.addresses import Providers
from agent.ports.charger import ChargerCommand, StartOutcome, StopOutcome, WatchOutcome
from agent.ports.quotes import Origin, Quote, QuoteRequest
from agent.site import Site
from agent.views import PublicFace
from nips.identity import Identity
from wallet.base import Wallet
from wallet.dev import DevWallet

START_MS = 1_800_000_000_000


@dataclass
class ManualClock:
    """The time, set by the test."""

    now_ms: int = START_MS

    def __call__(self) -> int:
        return self.now_ms

    def advance(self, seconds: float) -> None:
        self.now_ms += int(seconds * 1000)


@dataclass
class ScriptedCharger:
    """A charger that answers as the test says and remembers what it was asked."""

    start_outcome: StartOutcome = StartOutcome.ACCEPTED
    stop_outcome: StopOutcome = StopOutcome.ACCEPTED
    asked: list[tuple[str, int, str]] = field(default_factory=list[tuple[str, int, str]])

    async def start(self, connector: int, id_tag: str) -> StartOutcome:
        self.asked.append(("start", connector, id_tag))
        return self.start_outcome

    async def stop(self, transaction_id: int) -> StopOutcome:
        self.asked.append(("stop", transaction_id, ""))
        return self.stop_outcome

    async def command(self, command: ChargerCommand, connector: int) -> bool:
        self.asked.append((command, connector, ""))
        return True

    async def watch(self, connector: int) -> WatchOutcome:
        self.asked.append(("watch", connector, ""))
        return WatchOutcome.COMING

    async def watch_as_usual(self, connector: int) -> None:
        self.asked.append(("watch as usual", connector, ""))

    async def cut_power(self, connector: int, transaction_id: int) -> bool:
        self.asked.append(("cut power", connector, str(transaction_id)))
        return True


@dataclass
class Ear:
    """Hears what a charge point would say and publish."""

    said: list[tuple[str, object]] = field(default_factory=list[tuple[str, object]])
    statuses: int = 0

    def status_changed(self, charge_point_id: str) -> None:
        self.statuses += 1

    async def deliver(self, task: Task, recovered: bool) -> None:
        self.said.append((task.session_id, task.effect))

    def topics(self) -> list[Topic]:
        return [effect.topic for _, effect in self.said if isinstance(effect, SendMessage)]


@dataclass
class World:
    """What a test works with."""

    site: Site
    wallet: DevWallet
    clock: ManualClock
    ear: Ear
    journal: Journal

    @property
    def point(self) -> ChargePointAgent:
        return self.site.charge_point("CP001")

    async def paid(self, sats: int = 1000, connector: int | None = 1, **more: object) -> Quote:
        """A driver asks for a quote and pays it; returns once it is credited."""
        request = QuoteRequest(sats * 1000, Origin.LNURL, connector=connector)
        quote = await self.point.quote(request)
        await self.wallet.driver_pay(quote.bolt11)
        await self.until(lambda: self.journal.sessions.get(quote.session_id) is not None)
        return quote

    async def until(self, condition: Callable[[], bool]) -> None:
        """Return once a condition holds; the test's own time limit bounds it."""
        while not condition():
            await asyncio.sleep(0.001)

    async def ready(self, charger: ScriptedCharger | None = None) -> ScriptedCharger:
        """Connect a charger with a free connector."""
        charger = charger or ScriptedCharger()
        await self.point.attach(charger)
        await self.point.connector_status(1, ConnectorStatus.AVAILABLE, self.clock())
        return charger


def config(**sessions: int) -> Config:
    return Config(
        sessions=SessionsConfig.model_validate(sessions),
        tariffs={"day": TariffConfig.model_validate({"energy_per_kwh": 300})},
        charge_points=(
            ChargePointConfig(
                id="CP001",
                name="Old Mill",
                tariff="day",
                connectors=(
                    ConnectorConfig(id=1, max_power_w=350_000),
                    ConnectorConfig(id=2, max_power_w=350_000),
                ),
            ),
        ),
    )


KEY = Identity.generate()
FACE = PublicFace(KEY.pubkey, KEY.npub, "nprofile1example", "cp001@127.0.0.1:8080")


@asynccontextmanager
async def running(
    folder: Path,
    clock: ManualClock | None = None,
    settings: Config | None = None,
    *,
    providers: Providers | None = None,
    money: Wallet | None = None,
    play: DevWallet | None = None,
    alerts: Alerts | None = None,
    steady: ManualClock | None = None,
) -> AsyncGenerator[World]:
    """A site at work on a folder; leave and enter again for a restart.

    With `money` its wallet is that one, and `World.wallet` is nobody's; with `play` both are that
    one, not open.
    """
    clock = clock or ManualClock()
    wallet = play or DevWallet(folder, clock)
    await wallet.open()
    journal = Journal.open(folder / "strom.db")
    ear = Ear()
    settings = settings or config()
    site = Site(
        settings,
        faces={point.id: FACE for point in settings.charge_points},
        journal=journal,
        wallet=money or wallet,
        clock=clock,
        alerts=alerts,
        steady=steady,
        herald=ear,
        voice=ear.deliver,
        payees=None,
        providers=providers,
        identities={point.id: KEY for point in settings.charge_points},
        left=left_behind(settings, journal),
    )
    try:
        async with site.running():
            yield World(site, wallet, clock, ear, journal)
    finally:
        journal.close()
        await wallet.close()


def only(values: Sequence[object]) -> object:
    (value,) = values
    return value
