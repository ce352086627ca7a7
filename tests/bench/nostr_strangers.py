"""Everyone whom Strom meets on nostr, in a process of their own: a relay, and its drivers.

The benchmark starts it and speaks with it in lines of JSON. First it says where its relay is.
Then, for each line `{"protocol": ..., "chargers": [...]}`, it makes a new driver for each charger,
shows their profiles, writes their questions and says `{"ready": true}`; at the next line all of
them ask, and when all were answered it says how long that took.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Iterable, Sequence
from typing import Any

from websockets.asyncio.client import ClientConnection, connect

from nips.dms import KIND_GIFT_WRAP, KIND_NIP04_MESSAGE, DmProtocol, read_message, write_message
from nips.embedded_relay import EmbeddedRelay
from nips.event import NostrEvent
from nips.filters import MAX_VALUES
from nips.identity import Identity
from nips.profile import Profile, dm_relays, profile

QUESTION = "status"
PATIENCE_S = 120


class _Drivers:
    """One new driver for each charger, over one connection that only sends and counts.

    Their answers are decrypted and verified after the clock has stopped.
    """

    def __init__(self, url: str, protocol: DmProtocol, chargers: Sequence[str]) -> None:
        self._url = url
        self._kind = KIND_NIP04_MESSAGE if protocol == "nip04" else KIND_GIFT_WRAP
        self._protocol: DmProtocol = protocol
        self._asked = {Identity.generate(): charger for charger in chargers}
        self._questions: list[str] = []

    async def introduce(self) -> None:
        """Publish who they are and where they read, and write their questions."""
        now_s = int(time.time())
        shown = [
            driver.sign_template(template, now_s)
            for driver in self._asked
            for template in (profile(Profile(name="Dora")), dm_relays([self._url]))
        ]
        async with connect(self._url, compression=None, max_queue=None) as socket:
            await self._send(socket, [_event(event) for event in shown])
            for _ in shown:
                said = json.loads(await socket.recv())
                if said[0] != "OK" or not said[2]:
                    raise RuntimeError(f"the relay refused a driver's profile: {said}")
        self._questions = [
            _event(write_message(driver, charger, QUESTION, self._protocol, now_s))
            for driver, charger in self._asked.items()
        ]

    async def ask(self) -> float:
        """Ask everything at once; the seconds until the last answer."""
        by_pubkey = {driver.pubkey: driver for driver in self._asked}
        answers: dict[str, dict[str, Any]] = {}
        async with connect(self._url, compression=None, max_queue=None) as socket:
            for name, part in enumerate(_cut(list(by_pubkey))):
                wanted = {"kinds": [self._kind], "#p": part}
                await socket.send(json.dumps(["REQ", str(name), wanted]))
                while json.loads(await socket.recv())[0] != "EOSE":
                    pass
            began = time.perf_counter()
            sending = asyncio.create_task(self._send(socket, self._questions))
            async with asyncio.timeout(PATIENCE_S):
                while len(answers) < len(self._asked):
                    said = json.loads(await socket.recv())
                    if said[0] == "EVENT":
                        answers[said[2]["id"]] = said[2]
            seconds = time.perf_counter() - began
            await sending
        self._check(answers.values(), by_pubkey)
        return seconds

    async def _send(self, socket: ClientConnection, messages: Iterable[str]) -> None:
        for message in messages:
            await socket.send(message)

    def _check(self, answers: Iterable[dict[str, Any]], drivers: dict[str, Identity]) -> None:
        """Every driver has an answer in words, from the charger that he asked."""
        answered = set[str]()
        for raw in answers:
            event = NostrEvent.parse(json.dumps(raw))
            driver = drivers[event.tag("p") or ""]
            message = read_message(driver, event)
            if message.sender != self._asked[driver] or not message.text:
                raise RuntimeError("an answer is not from the one who was asked")
            answered.add(driver.pubkey)
        if answered != set(drivers):
            raise RuntimeError("somebody was answered twice, and somebody not at all")


def _event(event: NostrEvent) -> str:
    return f'["EVENT",{event.to_json()}]'


def _cut(values: Sequence[str]) -> Iterable[Sequence[str]]:
    for start in range(0, len(values), MAX_VALUES):
        yield values[start : start + MAX_VALUES]


def _say(**said: object) -> None:
    sys.stdout.write(json.dumps(said) + "\n")
    sys.stdout.flush()


async def main() -> None:
    """Serve the relay, and play the drivers as often as told, until the input ends."""
    relay = EmbeddedRelay("127.0.0.1", 0)
    await relay.open()
    _say(relay=relay.url)
    while line := await asyncio.to_thread(sys.stdin.readline):
        told = json.loads(line)
        drivers = _Drivers(relay.url, told["protocol"], told["chargers"])
        await drivers.introduce()
        _say(ready=True)
        await asyncio.to_thread(sys.stdin.readline)
        _say(seconds=await drivers.ask())
    await relay.close()


if __name__ == "__main__":
    asyncio.run(main())
