"""A real site behind the real server, and a charger made of raw frames before it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agent.config.tables import Config
from agent.machine.model import Session, SessionState
from agent.ports.quotes import Quote
from bridge.ocpp import timestamps
from bridge.ocpp.limits import Limits
from bridge.ocpp.server import AuthPolicy, OcppServer
from tests.agent.world import World, running
from tests.bridge.ocpp.wire import RawCharger, charger, serving

METER_START = 40_000


@dataclass
class Stage:
    """What a test works with."""

    world: World
    server: OcppServer

    def at(self, seconds: float = 0) -> str:
        """A timestamp so many seconds from now."""
        return timestamps.render(self.world.clock() + int(seconds * 1000))

    def session(self, quote: Quote) -> Session:
        """The session that a quote opened, as it is on the disk."""
        session = self.world.journal.sessions.get(quote.session_id)
        assert session is not None
        return session

    async def until(self, quote: Quote, state: SessionState) -> Session:
        """Wait for a state of a session."""
        await self.world.until(lambda: self.session(quote).state is state)
        return self.session(quote)

    async def closed(self, quote: Quote) -> tuple[int, int, int]:
        """Wait for the end of a session; returns what was billed."""
        return billed(await self.until(quote, SessionState.CLOSED))

    async def status(self, raw: RawCharger, status: str, connector: int = 1) -> None:
        """A connector reports its state."""
        payload = {"connectorId": connector, "errorCode": "NoError", "status": status}
        assert await raw.call("StatusNotification", payload | {"timestamp": self.at()}) == {}

    async def paid(self, raw: RawCharger, sats: int = 1000, connector: int = 1) -> Quote:
        """A driver pays, and the charger accepts the remote start."""
        quote = await self.world.paid(sats, connector)
        asked = await raw.accept("RemoteStartTransaction")
        assert asked == {"connectorId": connector, "idTag": quote.session_id}
        return quote

    async def start(self, raw: RawCharger, quote: Quote, **fields: object) -> Any:
        """StartTransaction; returns the answer."""
        payload = {
            "connectorId": quote.connector,
            "idTag": quote.session_id,
            "meterStart": METER_START,
            "timestamp": self.at(),
        }
        return await raw.call("StartTransaction", payload | fields)

    async def charging(self, raw: RawCharger, sats: int = 1000) -> tuple[Quote, int]:
        """A paid session under way; returns its quote and its transaction."""
        quote = await self.paid(raw, sats)
        answer = await self.start(raw, quote)
        assert answer["idTagInfo"] == {"status": "Accepted"}
        return quote, answer["transactionId"]

    async def sample(
        self, raw: RawCharger, register: object, *, unit: str | None = "Wh", **fields: object
    ) -> None:
        """MeterValues of one register reading, ten seconds later."""
        self.world.clock.advance(10)
        sample = {"value": str(register)} | ({"unit": unit} if unit else {})
        value = {"timestamp": self.at(), "sampledValue": [sample]}
        payload = {"connectorId": 1, "meterValue": [value]}
        assert await raw.call("MeterValues", payload | fields) == {}

    async def stop(self, raw: RawCharger, transaction_id: object, **fields: object) -> None:
        """StopTransaction, ten seconds later."""
        self.world.clock.advance(10)
        payload = {
            "transactionId": transaction_id,
            "meterStop": METER_START + 1000,
            "timestamp": self.at(),
        }
        assert await raw.call("StopTransaction", payload | fields) == {}

    async def tick(self, seconds: float) -> None:
        """Let time pass and every deadline ring."""
        self.world.clock.advance(seconds)
        await self.world.site.ring_due()


def billed(session: Session) -> tuple[int, int, int]:
    """A closed session's energy, its cost and what goes back; nothing is lost between them."""
    assert session.state is SessionState.CLOSED
    assert session.paid_msat == session.cost_msat + session.owed_msat + session.rounding_msat
    return session.energy_wh, session.cost_msat, session.owed_msat


@asynccontextmanager
async def staged(
    folder: Path,
    *,
    policy: AuthPolicy | None = None,
    limits: Limits | None = None,
    settings: Config | None = None,
) -> AsyncGenerator[Stage]:
    """A site with charge point CP001 of two connectors, and its server."""
    async with (
        running(folder, settings=settings) as world,
        serving(world.site, policy=policy, limits=limits, clock=world.clock) as server,
    ):
        yield Stage(world, server)


@asynccontextmanager
async def booted(
    stage: Stage,
    path: str = "/ocpp/CP001",
    *,
    subprotocols: Sequence[str] | None = ("ocpp1.6",),
    credentials: bytes | None = None,
    port: int | None = None,
) -> AsyncGenerator[RawCharger]:
    """A charger that booted and shows connector 1 as free."""
    async with charger(
        stage.server, path, port=port, subprotocols=subprotocols, credentials=credentials
    ) as raw:
        assert (await raw.boot())["status"] == "Accepted"
        await stage.status(raw, "Available")
        yield raw
