"""A whole Strom over relays in trouble: a charge point, its driver, and a reader of its state."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio

from agent.config.tables import checked
from agent.machine.events import ConnectorStatus
from agent.machine.money import MSAT_PER_SAT
from agent.nostr.press import published_status
from bridge.app import App
from bridge.driver.nostr import NostrDriver, connected
from bridge.simulator import SimulatedChargePoint
from nips.dms import DirectMessage, DmProtocol, write_message
from nips.errors import InvalidEvent
from nips.event import NostrEvent
from nips.filters import Filter
from nips.identity import Identity
from nips.relays import RelayPool
from nips.status import KIND_CONNECTOR_STATUS, parse_connector_status
from tests.bridge.ocpp.wire import now_ms
from wallet.dev import DevWallet

PAID_MSAT = 2_000_000
TOPPED_UP_MSAT = 500_000
RIGHT_WITHIN_S = 10.0


@dataclass
class Place:
    """A charge point and who uses it.

    Attributes:
        relay: where the driver and the reader are.
        orders: what the charger was told over OCPP.
        heard: all messages that the driver got.
    """

    app: App
    charger: SimulatedChargePoint
    relay: str
    reader: RelayPool
    orders: list[str]
    heard: list[DirectMessage]
    driver: NostrDriver
    receipts: list[NostrEvent] = field(default_factory=list[NostrEvent])

    @property
    def point(self) -> str:
        return self.app.identities["CP001"].pubkey

    @property
    def wallet(self) -> DevWallet:
        assert isinstance(self.app.wallet, DevWallet)
        return self.app.wallet

    async def until(self, condition: Callable[[], Awaitable[bool]]) -> None:
        """Return once a condition holds; the test's time limit bounds it."""
        while not await condition():
            await anyio.sleep(0.02)

    async def told(self, words: str) -> str:
        """The message with these words, once it is there."""

        async def is_there() -> bool:
            return bool(self.texts(words))

        await self.until(is_there)
        return self.texts(words)[0]

    def texts(self, words: str) -> list[str]:
        return [message.text for message in self.heard if words in message.text]

    async def send(self, event: NostrEvent) -> None:
        """Bring an event to the relay as clients do: until it has it."""
        while not (await self.reader.publish(event, [self.relay], timeout_s=2))[self.relay].ok:
            await anyio.sleep(0.05)

    async def say(self, text: str, protocol: DmProtocol = "nip17") -> NostrEvent:
        event = write_message(self.driver.identity, self.point, text, protocol, now_ms() // 1000)
        await self.send(event)
        return event

    async def published(self) -> str:
        """What any reader takes for the connector's state; "" while there is none."""
        asked = Filter(kinds=(KIND_CONNECTOR_STATUS,), authors=(self.point,))
        now_s = now_ms() // 1000
        for event in await self.reader.fetch(asked, [self.relay], timeout_s=2):
            try:
                state = parse_connector_status(event)
            except InvalidEvent:
                continue
            return state.status if state.expires_at > now_s else ""
        return ""

    async def right_again(self) -> None:
        """The published state is the true one within ten seconds."""
        began = time.monotonic()
        published, true = "", "?"
        while published != true:
            (connector,) = (await self.app.site.view("CP001")).connectors
            published, true = await self.published(), str(published_status(connector))
            taken_s = time.monotonic() - began
            assert taken_s < RIGHT_WITHIN_S, f"{published} is published, {true} is true"

    async def becomes(self, status: ConnectorStatus) -> None:
        """The charger has reported this state."""

        async def is_so() -> bool:
            return (await self.app.site.view("CP001")).connectors[0].status is status

        await self.until(is_so)

    async def starts_charging(self) -> None:
        """The driver zaps, pays and plugs in, and hears that he charges."""
        request = self.driver.zap_request(self.point, PAID_MSAT, "Hello!").to_json()
        quote = await self.app.site.charge_point("CP001").quote_zap(request, PAID_MSAT, None)
        await self.wallet.driver_pay(quote.bolt11)
        await self.charger.plug_in()
        await self.becomes(ConnectorStatus.CHARGING)
        # A connector shows it a moment before its transaction starts.
        await self.told("Charging at connector")

    async def tops_up(self) -> None:
        """By message, in NIP-04."""
        await self.say(f"topup {TOPPED_UP_MSAT // 1000}", "nip04")
        bolt11 = next(
            word for word in (await self.told("lnbcrt")).split() if word.startswith("lnbcrt")
        )
        await self.wallet.driver_pay(bolt11)
        await self.told("added, thank you")

    async def stops_and_takes_the_change(self, stop: NostrEvent | None = None) -> None:
        """By messages, in NIP-17 unless `stop` is already written; then the driver leaves."""
        if stop is None:
            await self.say("stop")
        else:
            await self.send(stop)
        await self.told("Finished:")
        (session,) = await self.app.site.owned.sessions_of("CP001", self.driver.identity.pubkey)
        invoice, payment_hash = await self.wallet.driver_invoice(session.owed_msat)
        await self.say(f"refund {invoice}")
        await self.told("came back to you")
        assert await self.wallet.driver_invoice_paid(payment_hash)
        await self.told("Receipt:")
        await self.charger.unplug()
        await self.becomes(ConnectorStatus.AVAILABLE)

    async def all_happened_once(self) -> None:
        """One session, one start, one stop, every message once, and every msat accounted for."""
        (session,) = await self.app.site.owned.sessions_of("CP001", self.driver.identity.pubkey)
        assert session.state == "CLOSED"
        assert session.paid_msat == PAID_MSAT + TOPPED_UP_MSAT
        assert session.owed_msat == 0 < session.cost_msat
        # What came in and did not go out again is what the charge cost, up to the rounding.
        kept_msat = (await self.wallet.info()).balance_msat
        assert kept_msat is not None
        assert 0 <= kept_msat - session.cost_msat < MSAT_PER_SAT
        for order in ("RemoteStartTransaction", "RemoteStopTransaction"):
            assert self.orders.count(order) == 1
        for words in (
            "sat received",
            "Charging at connector",
            "added, thank you",
            "I am stopping",
            "Finished:",
            "came back to you",
            "Receipt:",
        ):
            assert len(self.texts(words)) == 1, (words, self.texts(words))
        assert len({message.event_id for message in self.heard}) == len(self.heard)


@asynccontextmanager
async def charging_place(folder: Path, relays: Sequence[str], relay: str) -> AsyncGenerator[Place]:
    """A Strom with one charger, on all these relays.

    Args:
        relay: where driver and reader are.
    """
    raw: dict[str, object] = {
        "strom": {"http_listen": "127.0.0.1:0", "ocpp_listen": "127.0.0.1:0"},
        "nostr": {"relays": list(relays)},
        "tariffs": {"day": {"energy_per_kwh": 300}},
        "charge_points": [{"id": "CP001", "name": "Old Mill", "tariff": "day"}],
    }
    config = checked(raw, folder / "strom.toml")
    orders: list[str] = []
    heard: list[DirectMessage] = []

    def trace(sent: bool, action: str, payload: dict[str, Any]) -> None:
        del payload
        if not sent:
            orders.append(action)

    def listen(incoming: NostrEvent | DirectMessage) -> None:
        if isinstance(incoming, DirectMessage):
            heard.append(incoming)

    async with AsyncExitStack() as stack:
        app = await stack.enter_async_context(App.open(config, now_ms))
        group = await stack.enter_async_context(anyio.create_task_group())
        stack.callback(group.cancel_scope.cancel)
        url = f"ws://127.0.0.1:{app.ocpp_port}/ocpp"
        charger = SimulatedChargePoint(url, "CP001", connectors=1, speed=100, trace=trace)
        group.start_soon(charger.run)
        reader = RelayPool(now_ms, allow_loopback=True)
        stack.push_async_callback(reader.close)
        await reader.open([relay])
        driver = await stack.enter_async_context(
            connected(Identity.generate(), (relay,), now_ms, listen)
        )
        place = Place(app, charger, relay, reader, orders, heard, driver)
        await driver.listen(place.point)
        await place.becomes(ConnectorStatus.AVAILABLE)
        yield place
