"""Killed with SIGKILL while a driver's message is dealt with: it is acted on once and answered."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import pytest

from bridge.driver.nostr import connected
from nips.dms import DirectMessage, DmProtocol, compose_message
from nips.event import NostrEvent
from nips.identity import Identity
from nips.relays import RelayPool
from tests.bridge.ocpp.wire import now_ms
from tests.e2e.killed import MESSAGE_STEPS
from tests.e2e.served import PAID_SAT, Strom, strom_and_charger


def events_in(folder: Path, kind: str) -> int:
    """How many events of a kind the journal holds."""
    with sqlite3.connect(f"file:{folder}/data/strom.sqlite?mode=ro", uri=True) as db:
        row = db.execute("SELECT count(*) FROM events WHERE kind = ?", (kind,)).fetchone()
    db.close()
    return row[0]


class Dora:
    """A driver with her own zap, and all that she heard."""

    def __init__(self, strom: Strom, pool: RelayPool, point: str) -> None:
        self.identity = Identity.generate()
        self.heard: list[DirectMessage] = []
        self.point = point
        self._strom = strom
        self._pool = pool

    def listen(self, incoming: NostrEvent | DirectMessage) -> None:
        if isinstance(incoming, DirectMessage):
            self.heard.append(incoming)

    async def say(self, text: str, protocol: DmProtocol) -> str:
        """Returns by which an answer names the message."""
        said = compose_message(self.identity, self.point, text, protocol, now_ms() // 1000)
        relay = self._strom.relay_url
        assert await self._pool.wait_connected(relay, 10)
        assert (await self._pool.publish(said.event, [relay]))[relay].ok
        return said.message_id

    async def told(self, words: str) -> str:
        """What the one message with these words answers; "" when it is no answer."""

        async def is_there() -> bool:
            return any(words in message.text for message in self.heard)

        await self._strom.until(is_there)
        (answers,) = [message.answers for message in self.heard if words in message.text]
        return answers


@pytest.mark.parametrize(
    ("step", "protocol"),
    list(zip(MESSAGE_STEPS, ("nip17", "nip04", "nip17", "nip04"), strict=True)),
)
async def test_a_message_is_acted_on_once_and_answered(
    tmp_path: Path, step: str, protocol: DmProtocol
) -> None:
    orders: list[str] = []

    def trace(sent: bool, action: str, payload: dict[str, Any]) -> None:
        del payload
        if not sent:
            orders.append(action)

    async with strom_and_charger(
        tmp_path, program="tests.e2e.killed", trace=trace, STROM_KILL_AT=f"{step} stop"
    ) as (strom, charger):
        offer = await strom.get("/.well-known/lnurlp/cp001")
        pool = RelayPool(now_ms, allow_loopback=True)
        dora = Dora(strom, pool, offer["nostrPubkey"])
        try:
            await pool.open([strom.relay_url])
            assert await pool.wait_connected(strom.relay_url, 10)
            async with connected(dora.identity, (strom.relay_url,), now_ms, dora.listen) as driver:
                await driver.listen(dora.point)
                request = driver.zap_request(dora.point, PAID_SAT * 1000, "").to_json()
                joint = "&" if "?" in offer["callback"] else "?"
                asked = await strom.http.get(
                    f"{offer['callback']}{joint}amount={PAID_SAT * 1000}",
                    params={"amount": str(PAID_SAT * 1000), "nostr": request},
                )
                await charger.plug_in()
                await strom.post("/dev/pay", {"pr": asked.json()["pr"]})
                page = asked.json()["successAction"]["url"]
                await dora.told("Charging at connector")

                stop = await dora.say("stop", protocol)
                await strom.until(strom.has_died)
                await strom.start(STROM_KILL_AT=f"{step} refund")
                assert await dora.told("I am stopping your charge") == stop
                owed_msat = (await strom.ends(page))["owed_msat"]
                assert await dora.told("are still yours") == ""
                mine = await strom.post("/dev/invoice", {"amount_msat": owed_msat})
                refund = await dora.say(f"refund {mine['pr']}", protocol)
                await strom.until(strom.has_died)
                await strom.start()
                assert await dora.told("are on their way to you") == refund
                await dora.told("came back to you")
                # Whoever hears this has heard all that came before it.
                await dora.say("price", protocol)
                await dora.told("sat/kWh")
        finally:
            await pool.close()
        paid = await strom.get(f"/dev/invoice/{mine['payment_hash']}")
        assert paid["paid"] is True
        session = await strom.get(page)
        assert session["owed_msat"] == 0
        # A stop may be told to the charger again, for it names its transaction; a start may not.
        assert orders.count("RemoteStartTransaction") == 1
        assert events_in(tmp_path, "StopRequested") == 1
        assert events_in(tmp_path, "RefundClaimed") == 1
        assert len({message.event_id for message in dora.heard}) == len(dora.heard)
        for words in ("I am stopping", "are on their way", "came back", "Receipt:"):
            assert len([m for m in dora.heard if words in m.text]) == 1, words
