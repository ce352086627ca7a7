"""A driver's nostr client: finds charge points, writes to them, hears what they say."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import TypeVar

import anyio

from bridge.driver.errors import DriverError
from nips.dms import (
    KIND_GIFT_WRAP,
    KIND_NIP04_MESSAGE,
    WRAP_BACKDATING_S,
    DirectMessage,
    DmProtocol,
    compose_message,
    read_message,
)
from nips.errors import InvalidEvent, NostrError
from nips.event import Coordinate, NostrEvent
from nips.filters import Filter
from nips.identity import Identity
from nips.profile import (
    KIND_DM_RELAYS,
    KIND_PROFILE,
    KIND_RELAY_LIST,
    Profile,
    dm_relays,
    parse_dm_relays,
    parse_profile,
    parse_relay_list,
    relay_list,
)
from nips.relays import Ack, RelayPool
from nips.status import (
    KIND_CONNECTOR_STATUS,
    ConnectorState,
    parse_connector_status,
)
from nips.zaps import KIND_ZAP_RECEIPT, zap_request

CONNECT_S = 5.0
"""How long all relays together may take until one is reached."""
_LATECOMERS_S = 1.0

NAMING_S = 3.0
"""How long words that answer no message are held back for those that do."""

_T = TypeVar("_T")

Watch = Callable[[NostrEvent | DirectMessage], None]


def _unwatched(heard: NostrEvent | DirectMessage) -> None:
    del heard


@dataclass
class Ear:
    """All that came in, for whoever waits for something in it."""

    events: list[NostrEvent] = field(default_factory=list[NostrEvent])
    messages: list[DirectMessage] = field(default_factory=list[DirectMessage])
    _more: asyncio.Event = field(default_factory=asyncio.Event)

    def tell(self) -> None:
        """Something came in."""
        self._more.set()
        self._more = asyncio.Event()

    async def more(self) -> None:
        """Return when something more came in."""
        await self._more.wait()


class NostrDriver:
    """One driver on his relays; made by `connected`.

    Attributes:
        identity: who he is.
    """

    def __init__(
        self, identity: Identity, pool: RelayPool, clock: Callable[[], int], watch: Watch
    ) -> None:
        self.identity = identity
        self._watch = watch
        self._pool = pool
        self._clock = clock
        self._ear = Ear()
        self._since_s = clock() // 1000

    @property
    def relays(self) -> tuple[str, ...]:
        """The relays he is connected to."""
        return self._pool.relays

    # Looking around

    async def profile(self, pubkey: str) -> Profile:
        """Somebody's profile (kind 0).

        Raises:
            DriverError: none of the relays has it.
        """
        found = await self._newest(KIND_PROFILE, pubkey)
        if found is None:
            raise DriverError("no relay knows this charge point; name another with --relay")
        try:
            return parse_profile(found)
        except InvalidEvent:
            raise DriverError("the charge point's profile cannot be read") from None

    async def connectors(
        self, *, author: str | None = None, geohashes: Sequence[str] = ()
    ) -> list[tuple[Coordinate, ConnectorState]]:
        """The connectors that published a state which still holds (kind 30716)."""
        tags = {"g": tuple(geohashes)} if geohashes else {}
        authors = (author,) if author else ()
        wanted = Filter(kinds=(KIND_CONNECTOR_STATUS,), authors=authors, tags=tags)
        newest: dict[Coordinate, NostrEvent] = {}
        for event in await self._pool.fetch(wanted):
            # Newest first: an older version counts no more, whatever the newest says.
            newest.setdefault(event.coordinate, event)
        now_s = self._clock() // 1000
        found: list[tuple[Coordinate, ConnectorState]] = []
        for coordinate, event in newest.items():
            with suppress(InvalidEvent):
                state = parse_connector_status(event)
                if state.expires_at > now_s:
                    found.append((coordinate, state))
        return found

    async def _newest(self, kind: int, author: str) -> NostrEvent | None:
        found = await self._pool.fetch(Filter(kinds=(kind,), authors=(author,)))
        return found[0] if found else None

    # Listening

    async def listen(self, charge_point: str) -> None:
        """Hear from now on what a charge point writes, publishes and receipts."""
        now_s = self._since_s
        mine = {"p": (self.identity.pubkey,)}
        await self._pool.subscribe(
            "driver",
            [
                Filter(kinds=(KIND_NIP04_MESSAGE,), tags=mine, since=now_s),
                Filter(kinds=(KIND_GIFT_WRAP,), tags=mine, since=now_s - WRAP_BACKDATING_S),
                Filter(kinds=(KIND_ZAP_RECEIPT,), tags={"p": (charge_point,)}, since=now_s),
                Filter(kinds=(KIND_CONNECTOR_STATUS,), authors=(charge_point,), since=now_s),
            ],
        )

    async def run(self) -> None:
        """Take in what the relays bring, until the pool is closed."""
        async for incoming in self._pool.incoming():
            event = incoming.event
            if event.kind in (KIND_NIP04_MESSAGE, KIND_GIFT_WRAP):
                try:
                    message = read_message(self.identity, event)
                except InvalidEvent:
                    continue
                if message.sent_at >= self._since_s:
                    self._ear.messages.append(message)
                    self._watch(message)
            else:
                self._ear.events.append(event)
                self._watch(event)
            self._ear.tell()

    async def message(
        self, sender: str, wanted: Callable[[DirectMessage], bool], timeout_s: float
    ) -> DirectMessage:
        """The first message of somebody's that fits, now or later; each is given out once.

        Raises:
            DriverError: none came in time.
        """

        def look() -> DirectMessage | None:
            for message in self._ear.messages:
                if message.sender == sender and wanted(message):
                    self._ear.messages.remove(message)
                    return message
            return None

        return await self._found(look, timeout_s, "no answer came")

    async def answer(self, sender: str, message_id: str, timeout_s: float) -> DirectMessage:
        """What somebody answers to a message of ours.

        Strom 0.1 named no message in its answers: of it the first words count. They are held
        back for `NAMING_S`, for a newer Strom may have said something else before its answer.

        Raises:
            DriverError: none came in time.
        """
        ends_at = anyio.current_time() + timeout_s
        first = await self.message(sender, lambda told: told.answers in ("", message_id), timeout_s)
        if first.answers:
            return first
        left_s = min(NAMING_S, ends_at - anyio.current_time())
        try:
            named = await self.message(sender, lambda told: told.answers == message_id, left_s)
        except DriverError:
            return first
        self._ear.messages.insert(0, first)
        return named

    def forget_messages(self) -> None:
        """From now on `message` gives out only what comes in later."""
        self._ear.messages.clear()

    async def event(self, wanted: Callable[[NostrEvent], bool], timeout_s: float) -> NostrEvent:
        """The first receipt or state that fits, now or later.

        Raises:
            DriverError: none came in time.
        """

        def look() -> NostrEvent | None:
            return next((event for event in self._ear.events if wanted(event)), None)

        return await self._found(look, timeout_s, "nothing was published")

    async def _found(self, look: Callable[[], _T | None], timeout_s: float, why: str) -> _T:
        with anyio.move_on_after(timeout_s):
            while (found := look()) is None:
                await self._ear.more()
            return found
        raise DriverError(f"{why} within {timeout_s:g} s")

    # Speaking

    async def introduce(self) -> None:
        """Publish where messages reach this driver (kinds 10002 and 10050)."""
        now_s = self._clock() // 1000
        for template in (relay_list(self.relays), dm_relays(self.relays)):
            await self._publish(self.identity.sign_template(template, now_s), None)

    async def say(self, charge_point: str, text: str, protocol: DmProtocol) -> str:
        """Write a direct message, at the relays where the charge point reads them.

        Returns:
            By which an answer names it.

        Raises:
            DriverError: no relay took it.
        """
        written = compose_message(
            self.identity, charge_point, text, protocol, self._clock() // 1000
        )
        await self._publish(written.event, await self._inbox(charge_point, protocol))
        return written.message_id

    async def _inbox(self, pubkey: str, protocol: DmProtocol) -> tuple[str, ...] | None:
        kind = KIND_DM_RELAYS if protocol == "nip17" else KIND_RELAY_LIST
        found = await self._newest(kind, pubkey)
        if found is None:
            return None
        try:
            named = parse_dm_relays(found) if protocol == "nip17" else parse_relay_list(found).read
        except InvalidEvent:
            return None
        return tuple(dict.fromkeys((*self.relays, *named)))

    def zap_request(
        self,
        charge_point: str,
        amount_msat: int,
        comment: str,
        *,
        lnurl: str | None = None,
        coordinate: Coordinate | None = None,
        anonymous: bool = False,
    ) -> NostrEvent:
        """A signed zap request (NIP-57), its receipt wanted at this driver's relays."""
        return zap_request(
            Identity.generate() if anonymous else self.identity,
            recipient_pubkey=charge_point,
            amount_msat=amount_msat,
            relays=self.relays,
            comment=comment,
            created_at=self._clock() // 1000,
            coordinate=coordinate,
            lnurl=lnurl,
            anonymous=anonymous,
        )

    async def _publish(self, event: NostrEvent, relays: Sequence[str] | None) -> None:
        """Bring an event to relays; a slow one is not waited for long when another has it."""
        urls = self.relays if relays is None else relays
        offers = {asyncio.create_task(self._pool.publish(event, [url])) for url in urls}
        acks: dict[str, Ack] = {}
        while offers and not any(ack.ok for ack in acks.values()):
            done, offers = await asyncio.wait(offers, return_when=asyncio.FIRST_COMPLETED)
            for offer in done:
                acks |= offer.result()
        if not any(ack.ok for ack in acks.values()):
            reasons = "; ".join(f"{url}: {ack.reason}" for url, ack in acks.items())
            raise DriverError(f"no relay took it ({reasons})")
        if offers:
            _, offers = await asyncio.wait(offers, timeout=_LATECOMERS_S)
        for offer in offers:
            offer.cancel()
        await asyncio.gather(*offers, return_exceptions=True)


@asynccontextmanager
async def connected(
    identity: Identity,
    relays: Sequence[str],
    clock: Callable[[], int],
    watch: Watch = _unwatched,
    *,
    patience_s: float = CONNECT_S,
) -> AsyncGenerator[NostrDriver]:
    """A driver connected to his relays.

    Args:
        watch: told each event and message as it comes in.
        patience_s: how long it may take until one of them is reached.

    Raises:
        DriverError: a relay's URL is none, or not one of them can be reached.
    """
    pool = RelayPool(clock, allow_loopback=True)
    pool.set_identities([identity])
    try:
        await pool.open(relays)
    except NostrError as error:
        await pool.close()
        raise DriverError(str(error)) from None
    try:
        if not await _reached(pool, patience_s):
            raise DriverError(f"no relay can be reached: {', '.join(relays)}")
        driver = NostrDriver(identity, pool, clock, watch)
        async with anyio.create_task_group() as group:
            group.start_soon(driver.run)
            yield driver
            group.cancel_scope.cancel()
    finally:
        await pool.close()


async def _reached(pool: RelayPool, patience_s: float) -> bool:
    """Whether one relay is reached in time; others then have a moment to be reached too."""
    waits = [asyncio.create_task(pool.wait_connected(url, patience_s)) for url in pool.relays]
    done, late = await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    reached = any(wait.result() for wait in done)
    if reached and late:
        await asyncio.wait(late, timeout=_LATECOMERS_S)
    for wait in late:
        wait.cancel()
    await asyncio.gather(*late, return_exceptions=True)
    return reached
