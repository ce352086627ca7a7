"""Drivers and strangers at one charge point: what its charger tells of either."""

from __future__ import annotations

from agent.machine.events import ConnectorStatus
from agent.machine.model import Session, SessionState
from agent.ports.charger import MeterReport, StartReport, StopReport
from agent.ports.quotes import Quote
from tests.agent.world import ScriptedCharger, World

UNKNOWN_CONNECTOR = 99


def asked(charger: ScriptedCharger, what: str) -> list[int]:
    return [number for order, number, _ in charger.asked if order == what]


def session(world: World, quote: Quote) -> Session:
    return world.point.sessions.get(quote.session_id)


async def refused(world: World, connector: int = 1, register_wh: int = 500) -> int:
    """A transaction under a card that is nobody's here."""
    report = StartReport(connector, "BB2TBR09", register_wh, world.clock())
    verdict = await world.point.transaction_started(report)
    assert not verdict.accepted
    return verdict.transaction_id


async def started(world: World, quote: Quote, register_wh: int = 0) -> int:
    """What was paid for begins."""
    report = StartReport(quote.connector, quote.session_id, register_wh, world.clock())
    verdict = await world.point.transaction_started(report)
    assert verdict.accepted
    return verdict.transaction_id


async def charging(world: World) -> tuple[Quote, int]:
    """A driver who charges, and has 500 Wh."""
    quote = await world.paid()
    number = await started(world, quote)
    await sampled(world, 500, number)
    return quote, number


async def sampled(
    world: World, register_wh: int, named: int | None = None, *, connector: int = 1
) -> None:
    """A reading, half a minute later."""
    world.clock.advance(30)
    await world.point.meter_sampled([MeterReport(connector, named, world.clock(), register_wh)])


async def status(world: World, status: ConnectorStatus, connector: int = 1) -> None:
    await world.point.connector_status(connector, status, world.clock())


async def stopped(world: World, number: int, register_wh: int | None) -> None:
    await world.point.transaction_stopped(StopReport(number, register_wh, world.clock()))


async def given_up(world: World, quote: Quote) -> None:
    """Nothing more is heard of a session: it ends by its last reading."""
    assert session(world, quote).state is not SessionState.CLOSED
    world.clock.advance(61)
    await world.site.ring_due()
    await world.until(lambda: session(world, quote).state is SessionState.CLOSED)


async def delivered(world: World) -> None:
    await world.until(lambda: not world.journal.undelivered())
