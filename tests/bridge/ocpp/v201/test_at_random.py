"""Stations of OCPP 2.0.1 that do anything in any order: money adds up, and nothing is stuck."""

from __future__ import annotations

from pathlib import Path
from random import Random
from typing import Any

import pytest

from agent.machine.model import SessionState
from agent.ports.quotes import Quote
from tests.bridge.ocpp.stage import METER_START, Stage, staged
from tests.bridge.ocpp.station import boot, obstacle, plug, register, station
from tests.bridge.ocpp.wire import RawCharger

STATES = ("", "Charging", "EVConnected", "SuspendedEV", "SuspendedEVSE", "Idle")
TRIGGERS = (
    "Authorized",
    "CablePluggedIn",
    "ChargingStateChanged",
    "Deauthorized",
    "EVConnectTimeout",
    "MeterValuePeriodic",
    "RemoteStart",
    "RemoteStop",
    "StopAuthorized",
    "Trigger",
)


class Chaos:
    """A station without any order; its meter alone is right."""

    def __init__(self, random: Random, stage: Stage, raw: RawCharger) -> None:
        self._random = random
        self._stage = stage
        self._raw = raw
        self.wh = METER_START
        self.starts: list[dict[str, Any]] = []

    async def answer_calls(self) -> None:
        """Answer what was asked so far, one way or the other."""
        await self._raw.call("Heartbeat", {})
        while self._raw.waiting:
            _, message_id, action, payload = await self._raw.asked()
            status = self._random.choice(("Accepted", "Rejected"))
            answer: dict[str, Any] = {"status": status}
            if action == "RequestStartTransaction":
                answer = {"status": "Accepted"}
                self.starts.append(payload)
                if self._random.random() < 0.3:
                    answer["transactionId"] = self._random.choice("ab")
            elif action == "GetTransactionStatus":
                answer = {"messagesInQueue": self._random.random() < 0.5}
                answer["ongoingIndicator"] = self._random.random() < 0.5
            await self._raw.send([3, message_id, answer])

    async def do(self) -> None:
        """One thing."""
        self._stage.world.clock.advance(self._random.choice((0, 1, 10, 40)))
        if self._random.random() < 0.5:
            self.wh += self._random.randrange(60)
        if self._random.random() < 0.15:
            status = self._random.choice(("Available", "Occupied", "Occupied"))
            await plug(self._raw, self._stage, status)
        else:
            await self._tell()
        await self.answer_calls()
        await self._stage.world.site.ring_due()

    async def _tell(self) -> None:
        random, stage = self._random, self._stage
        state = random.choice(STATES)
        info: dict[str, Any] = {"transactionId": random.choice("ab")}
        info |= {"chargingState": state} if state else {}
        late = random.choice((0, 0, 0, -100))
        payload: dict[str, Any] = {
            "eventType": random.choice(("Started", "Updated", "Updated", "Updated", "Ended")),
            "timestamp": stage.at(late),
            "triggerReason": random.choice(TRIGGERS),
            "seqNo": random.randrange(5),
        }
        start = random.choice(self.starts) if self.starts else None
        if start is not None and random.random() < 0.4:
            info["remoteStartId"] = start["remoteStartId"]
        if random.random() < 0.3:
            stranger = {"idToken": "STRANGER", "type": "ISO14443"}
            token = start["idToken"] if start is not None and random.random() < 0.7 else stranger
            payload["idToken"] = token
        if random.random() < 0.6:
            payload["evse"] = {"id": 1}
        if random.random() < 0.7:
            payload["meterValue"] = register(stage, self.wh)
        if late and random.random() < 0.5:
            payload["offline"] = True
        await self._raw.call("TransactionEvent", payload | {"transactionInfo": info})


async def end(stage: Stage, raw: RawCharger, chaos: Chaos, quote: Quote) -> None:
    """The car leaves, and nothing more comes of it."""
    for name in "ab":
        info = {"transactionId": name}
        await raw.call(
            "TransactionEvent",
            {
                "eventType": "Ended",
                "timestamp": stage.at(),
                "triggerReason": "EVDeparted",
                "seqNo": 99,
                "transactionInfo": info,
                "meterValue": register(stage, chaos.wh),
            },
        )
    await plug(raw, stage, "Available")
    for _ in range(40):
        if stage.session(quote).state is SessionState.CLOSED:
            return
        await stage.tick(60)
        await chaos.answer_calls()


@pytest.mark.parametrize("seed", range(12))
async def test_money_adds_up_and_the_connector_is_free_in_the_end(
    tmp_path: Path, seed: int
) -> None:
    random = Random(seed)  # noqa: S311  no secret
    async with staged(tmp_path) as stage:
        wh, energies = METER_START, dict[str, int]()
        for _ in range(3):
            async with station(stage, boots=False) as raw:
                chaos = Chaos(random, stage, raw)
                chaos.wh = wh
                if random.random() < 0.7:
                    await boot(raw)
                await plug(raw, stage, random.choice(("Available", "Occupied")))
                before_wh = chaos.wh
                quote = None
                if await obstacle(stage) is None:
                    quote = await stage.world.paid()
                for _ in range(30):
                    await chaos.do()
                if quote is None:
                    quote = await last_quote(stage)
                if quote is not None:
                    await end(stage, raw, chaos, quote)
                    session = stage.session(quote)
                    assert session.state is SessionState.CLOSED
                    energies[session.id] = session.energy_wh
                    assert 0 <= sum(energies.values()) <= chaos.wh - METER_START
                    parts = (session.cost_msat, session.refunded_msat, session.owed_msat)
                    assert session.paid_msat == sum(parts) + session.rounding_msat
                    assert await obstacle(stage) is None
                wh = chaos.wh
                assert wh >= before_wh


async def last_quote(stage: Stage) -> Quote | None:
    """The quote of a session that is open from before."""
    for session in stage.world.point.sessions.open():
        return stage.world.journal.quotes.of_session(session.id)[0]
    return None
