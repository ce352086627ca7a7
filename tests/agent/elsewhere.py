"""A charge point that takes zaps at a lightning address of a provider, and that provider."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from agent.config.tables import TariffConfig
from agent.machine.model import Session
from agent.ports.errors import Refused
from nips.event import NostrEvent
from nips.identity import Identity
from nips.zaps import zap_receipt, zap_request
from tests.agent.world import KEY, ManualClock, ScriptedCharger, World, config, running
from wallet.base import Invoice
from wallet.bolt11 import decode
from wallet.dev import DevWallet

ADDRESS = "mill@provider.example"
DRIVER = Identity.generate()


@dataclass
class Provider:
    """Signs the receipts of all its users with one key, and says which."""

    key: Identity = field(default_factory=Identity.generate)
    trouble: str = ""

    async def zapper(self, address: str) -> str:
        assert address == ADDRESS
        if self.trouble:
            raise Refused(self.trouble)
        return self.key.pubkey

    def receipt(self, raw: str, bolt11: str, at_ms: int) -> NostrEvent:
        return zap_receipt(self.key, raw, bolt11, at_ms // 1000)


@dataclass
class Elsewhere:
    """A site whose charge point takes zaps at a provider, and the provider."""

    world: World
    provider: Provider
    charger: ScriptedCharger

    def request(self, sats: int = 1000, payer: Identity = DRIVER, comment: str = "") -> str:
        event = zap_request(
            payer,
            recipient_pubkey=KEY.pubkey,
            amount_msat=sats * 1000,
            relays=["wss://relay.example.com"],
            comment=comment,
            created_at=self.world.clock() // 1000,
        )
        return event.to_json()

    async def invoice(self, raw: str, sats: int = 1000, wallet: DevWallet | None = None) -> Invoice:
        """The provider's invoice in our wallet, or in that of another of its users."""
        at = wallet or self.world.wallet
        return await at.create_invoice(sats * 1000, memo="", description=raw.encode(), expiry_s=600)

    async def pay(self, raw: str, sats: int = 1000) -> NostrEvent:
        """Pay our invoice for a zap request; returns the receipt, which nobody has heard yet."""
        invoice = await self.invoice(raw, sats)
        await self.world.wallet.driver_pay(invoice.bolt11)
        return self.provider.receipt(raw, invoice.bolt11, self.world.clock())

    async def zapped(self, sats: int = 1000, **more: object) -> Session:
        """A zap, whole; returns the session that it opened or topped up."""
        receipt = await self.pay(self.request(sats, **more), sats)  # pyright: ignore[reportArgumentType]
        await self.hear(receipt)
        return self.session_of(receipt)

    async def hear(self, *receipts: NostrEvent) -> None:
        for receipt in receipts:
            await self.world.site.outside.hear(receipt)
        await self.world.site.outside.look()

    def session_of(self, receipt: NostrEvent) -> Session:
        found = self.maybe_session_of(receipt)
        assert found is not None
        return found

    def maybe_session_of(self, receipt: NostrEvent) -> Session | None:
        quote = self.world.journal.quotes.get(decode(receipt.tag("bolt11") or "").payment_hash)
        return quote and self.world.journal.sessions.get(quote.session_id)


@asynccontextmanager
async def elsewhere(
    folder: Path, provider: Provider | None = None, clock: ManualClock | None = None
) -> AsyncGenerator[Elsewhere]:
    provider = provider or Provider()
    settings = config()
    night = TariffConfig.model_validate({"energy_per_kwh": 100})
    points = tuple(p.model_copy(update={"lud16": ADDRESS}) for p in settings.charge_points)
    settings = settings.model_copy(
        update={"tariffs": {**settings.tariffs, "night": night}, "charge_points": points}
    )
    async with running(folder, clock, settings, providers=provider) as world:
        charger = await world.ready()
        await world.site.outside.look()
        yield Elsewhere(world, provider, charger)
