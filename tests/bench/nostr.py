"""1,000 identities in one process: publishing, and answering a message to each of them.

The limit stands beside it: what nostr-sdk itself signs, verifies and decrypts on one core in
the same run. Each function returns plain figures; `python -m tests.bench.nostr` prints them.
"""

from __future__ import annotations

import asyncio
import json
import resource
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass

from nostr_sdk import (
    Event,
    PublicKey,
    nip04_decrypt,
    nip04_encrypt,
)

from nips.dms import DmProtocol, read_message, write_message
from nips.embedded_relay import EmbeddedRelay
from nips.filters import Filter
from nips.identity import Identity
from nips.profile import Profile, dm_relays, profile, relay_list
from nips.relays import Incoming, RelayPool
from nips.status import ConnectorState, UserStatus, connector_status, user_status

AT_ONCE = 200
KINDS_PUBLISHED = 5


@dataclass(frozen=True, slots=True)
class RawLimits:
    """What nostr-sdk does on one core, per second."""

    sign: float
    parse_and_verify: float
    nip04_encrypt: float
    nip04_decrypt: float
    nip17_write: float
    nip17_read: float


@dataclass(frozen=True, slots=True)
class PublishFigures:
    """How long it took to publish all that `identities` charge points show."""

    identities: int
    events: int
    seconds: float
    events_per_s: float
    failed: int
    rss_mib: float


@dataclass(frozen=True, slots=True)
class MessageFigures:
    """How long it took until every identity had answered one message.

    Attributes:
        limit_s: decrypting, encrypting, signing and verifying the same number with nostr-sdk
            alone, on one core.
    """

    protocol: str
    messages: int
    seconds: float
    limit_s: float
    times_limit: float
    rss_mib: float


def rss_mib() -> float:
    """The most memory this process has had, in MiB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1024


def _per_second(action: Callable[[], object], times: int = 300) -> float:
    began = time.perf_counter()
    for _ in range(times):
        action()
    return times / (time.perf_counter() - began)


def raw_limits() -> RawLimits:
    """Measure nostr-sdk alone."""
    driver, charger = Identity.generate(), Identity.generate()
    secret, peer = driver.keys.secret_key(), PublicKey.parse(charger.pubkey)
    event = driver.sign(1, "x" * 100, [["p", charger.pubkey]], 1)
    raw = event.to_json()
    digest = bytes.fromhex(event.id)
    encrypted = nip04_encrypt(secret, peer, "status")
    wrapped = write_message(driver, charger.pubkey, "status", "nip17", 1)
    own = charger.keys.secret_key()
    sender = PublicKey.parse(driver.pubkey)
    return RawLimits(
        sign=_per_second(lambda: driver.keys.sign_schnorr(digest)),
        parse_and_verify=_per_second(lambda: Event.from_json(raw).verify()),
        nip04_encrypt=_per_second(lambda: nip04_encrypt(secret, peer, "status")),
        nip04_decrypt=_per_second(lambda: nip04_decrypt(own, sender, encrypted)),
        nip17_write=_per_second(
            lambda: write_message(driver, charger.pubkey, "status", "nip17", 1)
        ),
        nip17_read=_per_second(lambda: read_message(charger, wrapped)),
    )


def _clock_ms() -> int:
    return time.time_ns() // 1_000_000


async def publish_all(identities: int = 1000) -> PublishFigures:
    """Publish kinds 0, 10002, 10050, 30315 and 30716 of each identity to one relay."""
    relay = EmbeddedRelay("127.0.0.1", 0)
    await relay.open()
    pool = RelayPool(_clock_ms)
    await pool.open([relay.url])
    await pool.wait_connected(relay.url, 10)
    chargers = [Identity.generate() for _ in range(identities)]
    slots = asyncio.Semaphore(AT_ONCE)
    failed = 0

    async def publish(charger: Identity, number: int) -> None:
        nonlocal failed
        at = _clock_ms() // 1000
        name = f"CP{number:04}"
        state = ConnectorState(name, 1, "Available", at, at + 900, text="Available")
        for template in (
            profile(Profile(name=name, lud16=f"{name.lower()}@example.com", bot=True)),
            relay_list([relay.url]),
            dm_relays([relay.url]),
            user_status(UserStatus("Available - 300 sat/kWh", expires_at=at + 900)),
            connector_status(state),
        ):
            async with slots:
                acks = await pool.publish(charger.sign_template(template, at), timeout_s=60)
            failed += not acks[relay.url].ok

    began = time.perf_counter()
    await asyncio.gather(*(publish(charger, n) for n, charger in enumerate(chargers)))
    seconds = time.perf_counter() - began
    memory = rss_mib()
    await pool.close()
    await relay.close()
    events = identities * KINDS_PUBLISHED
    return PublishFigures(identities, events, seconds, events / seconds, failed, memory)


async def answer_messages(protocol: DmProtocol = "nip04", count: int = 1000) -> MessageFigures:
    """Send a message to each of `count` identities of one pool, and await all answers.

    The driver's encryption is done before, his decryption after the clock has stopped.
    """
    relay = EmbeddedRelay("127.0.0.1", 0)
    await relay.open()
    chargers = {
        identity.pubkey: identity for identity in (Identity.generate() for _ in range(count))
    }
    driver = Identity.generate()
    kinds = (4,) if protocol == "nip04" else (1059,)
    ours, theirs = RelayPool(_clock_ms), RelayPool(_clock_ms)
    for pool in (ours, theirs):
        await pool.open([relay.url])
        await pool.wait_connected(relay.url, 10)
    await ours.subscribe("in", Filter(kinds=kinds, tags={"p": tuple(chargers)}))
    await theirs.subscribe("in", Filter(kinds=kinds, tags={"p": (driver.pubkey,)}))
    at = _clock_ms() // 1000
    questions = [write_message(driver, pubkey, "status", protocol, at) for pubkey in chargers]

    async def answer() -> None:
        publishing: set[asyncio.Task[object]] = set()
        incoming = ours.incoming()
        for _ in range(count):
            event = (await anext(incoming)).event
            charger = chargers[event.tag("p") or ""]
            message = read_message(charger, event)
            reply = write_message(charger, message.sender, "Available", protocol, at)
            task: asyncio.Task[object] = asyncio.create_task(ours.publish(reply, timeout_s=60))
            publishing.add(task)
            task.add_done_callback(publishing.discard)
        await asyncio.gather(*publishing)

    async def collect() -> list[Incoming]:
        incoming = theirs.incoming()
        return [await anext(incoming) for _ in range(count)]

    async def ask() -> None:
        slots = asyncio.Semaphore(AT_ONCE)

        async def send(number: int) -> None:
            async with slots:
                await theirs.publish(questions[number], timeout_s=60)

        await asyncio.gather(*(send(number) for number in range(count)))

    began = time.perf_counter()
    _, answers, _ = await asyncio.gather(answer(), collect(), ask())
    seconds = time.perf_counter() - began
    memory = rss_mib()
    assert {read_message(driver, item.event).sender for item in answers} == set(chargers)
    await ours.close()
    await theirs.close()
    await relay.close()
    raw = raw_limits()
    # Each message is verified twice (question, answer) by the receiving pools in this process.
    if protocol == "nip04":
        each = 1 / raw.nip04_decrypt + 1 / raw.nip04_encrypt + 1 / raw.sign
    else:
        each = 1 / raw.nip17_read + 1 / raw.nip17_write
    limit_s = count * (each + 2 / raw.parse_and_verify)
    return MessageFigures(protocol, count, seconds, limit_s, seconds / limit_s, memory)


async def main() -> None:
    """Print all figures as JSON."""
    figures = {
        "raw nostr-sdk, per second": asdict(raw_limits()),
        "publish": asdict(await publish_all()),
        "nip04": asdict(await answer_messages("nip04")),
        "nip17": asdict(await answer_messages("nip17")),
    }
    sys.stdout.write(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    asyncio.run(main())
