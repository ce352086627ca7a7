"""Each TxStartPoint with each TxStopPoint (OCPP 2.0.1, part 2, section 2.6.4 and use case E01)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from agent.machine.model import Ending, Session, SessionState
from agent.ports.quotes import Quote
from tests.bridge.ocpp.stage import METER_START, Stage, staged
from tests.bridge.ocpp.station import event, obstacle, plug, register, station
from tests.bridge.ocpp.wire import RawCharger

BAY, CONNECTED, AUTHORIZED = "ParkingBayOccupancy", "EVConnected", "Authorized"
SIGNED, PATH, ENERGY = "DataSigned", "PowerPathClosed", "EnergyTransfer"
STARTS = (BAY, CONNECTED, AUTHORIZED, SIGNED, PATH, ENERGY)
STOPS = (BAY, CONNECTED, AUTHORIZED, PATH, ENERGY)


class Book:
    """An EVSE whose transactions begin and end by the book.

    Args:
        raw: its connection.
        stage: where it stands.
        start: the fact that begins a transaction where it holds.
        stop: the fact that ends it once it does not hold any more.
    """

    def __init__(self, raw: RawCharger, stage: Stage, start: str, stop: str) -> None:
        self._raw, self._stage = raw, stage
        self._start, self._stop = start, stop
        self._facts: set[str] = set()
        self._begun, self._name = 0, ""
        self._names: dict[str, Any] = {}
        self.wh = METER_START

    async def _tell(self, trigger: str, *, on: set[str] | None = None, off: str = "") -> None:
        """Facts begin or cease to hold: an event, where there is a transaction."""
        before = set(self._facts)
        self._facts = (self._facts | (on or set())) - set(off.split())
        kind = "Ended" if self._stop in before - self._facts else "Updated"
        more: dict[str, Any] = {}
        if not self._name and self._start in self._facts:
            self._begun += 1
            self._name, kind = f"tx-{self._begun}", "Started"
            more["evse"] = {"id": 1}
        if not self._name:
            return
        info = {"chargingState": "Idle"}
        if CONNECTED in self._facts:
            info["chargingState"] = "Charging" if ENERGY in self._facts else "EVConnected"
        if "remoteStartId" in self._names:
            info["remoteStartId"] = self._names.pop("remoteStartId")
        if "idToken" in self._names:
            more["idToken"] = self._names.pop("idToken")
        more |= {"meterValue": register(self._stage, self.wh), "triggerReason": trigger}
        await event(self._raw, self._stage, kind, info, name=self._name, **more)
        self._name = "" if kind == "Ended" else self._name

    async def plug_in(self) -> None:
        await plug(self._raw, self._stage, "Occupied")
        await self._tell("CablePluggedIn", on={BAY, CONNECTED})
        await self._flow()

    async def start(self, told: str) -> None:
        """A remote start comes.

        Args:
            told: what tells for whom the transaction is: fields of the request, or its answer.
        """
        _, message_id, action, asked = await self._raw.asked()
        assert action == "RequestStartTransaction"
        answer = {"status": "Accepted"}
        if "answer" in told and self._name:
            answer["transactionId"] = self._name
        await self._raw.send([3, message_id, answer])
        self._names = {key: value for key, value in asked.items() if key in told}
        await self._tell("RemoteStart", on={AUTHORIZED})
        await self._flow()

    async def _flow(self) -> None:
        if self._facts >= {CONNECTED, AUTHORIZED}:
            await self._tell("SignedDataReceived", on={PATH, SIGNED})
            await self._tell("ChargingStateChanged", on={ENERGY})

    async def give(self, wh: int) -> None:
        self._stage.world.clock.advance(30)
        self.wh += wh
        await self._tell("MeterValuePeriodic")

    async def stop(self, trigger: str) -> None:
        """The charge is stopped, and the car stays plugged in."""
        await self._tell(trigger, off=f"{AUTHORIZED} {PATH} {SIGNED} {ENERGY}")

    async def unplug(self) -> None:
        """The car drives off."""
        await plug(self._raw, self._stage, "Available")
        await self._tell("EVCommunicationLost", off=" ".join(self._facts))


async def closed(stage: Stage, quote: Quote) -> Session:
    session = await stage.until(quote, SessionState.CLOSED)
    parts = (session.cost_msat, session.refunded_msat, session.owed_msat, session.rounding_msat)
    assert session.paid_msat == sum(parts)
    return session


@pytest.mark.parametrize("stop", STOPS)
@pytest.mark.parametrize("start", STARTS)
async def test_each_driver_pays_for_what_he_took(tmp_path: Path, start: str, stop: str) -> None:
    """One after the other: three at a cable that stays plugged in, each named in another way or
    not at all, then two who pay before they plug in."""
    async with staged(tmp_path) as stage, station(stage) as raw:
        book = Book(raw, stage, start, stop)
        await book.plug_in()
        for told, end in (
            ("idToken remoteStartId", "RemoteStop"),
            ("nothing", "StopAuthorized"),
            ("answer", "unplug"),
            ("remoteStartId", "unplug"),
            ("idToken", "RemoteStop"),
        ):
            quote = await stage.world.paid()
            await book.start(told)
            if told in ("remoteStartId", "idToken"):
                stage.world.clock.advance(10)
                await book.plug_in()
            assert stage.session(quote).state is SessionState.CHARGING, told
            await book.give(40)
            await book.give(30)
            match end:
                case "RemoteStop":
                    await stage.world.site.owned.stop(quote.secret)
                    await raw.accept("RequestStopTransaction")
                    await book.stop("RemoteStop")
                case "StopAuthorized":
                    await book.stop("StopAuthorized")
                case _:
                    await book.unplug()
            session = await closed(stage, quote)
            assert (session.energy_wh, session.ending) == (70, Ending.STOPPED), told
            await stage.world.until(lambda: not stage.world.point.sessions.takes(1))
            assert await obstacle(stage) is None
            stage.world.clock.advance(20)
        await book.unplug()
        assert raw.waiting == 0
