"""Zaps to a lightning address that lives at a provider, whose money reaches our own wallet.

A provider signs the receipts of all its users with one key and copies what the payer wrote: a
receipt may be true and yet for money that somebody else got. So a receipt is only a hint which
payment to look for. It is kept until it is dealt with; nothing is charged before our own wallet
has confirmed the payment hash; and payment hash, zap request and receipt each count once.
Money that no receipt explains is booked for the operator, and never guessed at.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace

import anyio

from agent.buckets import Buckets
from agent.charge_point import ChargePointAgent
from agent.commons import Commons
from agent.journal.outside import HeardReceipt, Unattributed
from agent.machine.events import Payer
from agent.machine.model import SessionState
from agent.machine.money import MSAT_PER_SAT
from agent.ports.addresses import Providers
from agent.ports.errors import Refused
from agent.ports.quotes import Origin, Quote
from agent.tariff.model import MS_PER_HOUR, MS_PER_MINUTE
from agent.zaps import Zap
from nips.errors import InvalidEvent, InvalidZapReceipt, InvalidZapRequest
from nips.event import NostrEvent
from nips.zaps import CheckedReceipt, check_receipt
from wallet.base import InvoiceState, Settlement, WalletError
from wallet.bolt11 import PREFIXES, InvalidInvoice, decode

LOOK_EVERY_S = 5.0
ASK_PROVIDER_EVERY_MS = 3_600_000
ASK_PROVIDER_AGAIN_MS = 30_000
WAIT_MS = 86_400_000
"""How long a receipt is kept whose payment the wallet does not know: it was probably for
somebody else, but wallets too can be late."""

GRACE_MS = 300_000
"""A payment's receipt may take so long before the payment counts as unexplained."""

TOLD_FOR_MS = 7 * 86_400_000
"""How long such a payment is named among the troubles of now."""

ALERT = "unattributed"
RECEIPTS_BURST = 30
RECEIPTS_PER_MINUTE = 60
MOST_WAITING = 1_000
SINCE = "outside:since"
_NO_CONNECTOR = 0

log = logging.getLogger(__name__)


@dataclass
class _Signer:
    """The key by which a provider signs: "" while it is not known."""

    pubkey: str = ""
    ask_at_ms: int = 0


class OutsidePayments:
    """Watches the addresses of those charge points that have one elsewhere.

    Args:
        commons: wallet, journal and clock.
        points: the charge points with such an address, by their public keys.
        providers: asks providers for their keys.
        credit: credits a quote with a settlement; must bear repetition.
    """

    def __init__(
        self,
        commons: Commons,
        points: Mapping[str, ChargePointAgent],
        providers: Providers | None,
        credit: Callable[[Quote, Settlement], Awaitable[object]],
    ) -> None:
        self._commons = commons
        self._book = commons.journal.outside
        self._points = points
        self._providers = providers
        self._credit = credit
        self._signers = {
            address: _Signer(commons.journal.setting(f"zapper:{address}") or "")
            for address in {point.config.lud16 for point in points.values()}
        }
        self._buckets = Buckets(commons.clock, RECEIPTS_BURST, RECEIPTS_PER_MINUTE)
        self._look_at_ms: dict[str, int] = {}
        self._look = asyncio.Event()
        self._lock = asyncio.Lock()

    @property
    def pubkeys(self) -> tuple[str, ...]:
        """Whose receipts are to be listened for."""
        return tuple(self._points)

    async def run(self) -> None:
        """Work until cancelled; ends at once where no charge point has an address elsewhere."""
        if not self._points:
            return
        journal = self._commons.journal
        if journal.setting(SINCE) is None:
            await journal.set_setting(SINCE, str(self._commons.clock()))
        while True:
            await self.look()
            with anyio.move_on_after(LOOK_EVERY_S):
                await self._look.wait()
            self._look.clear()

    async def hear(self, receipt: NostrEvent) -> None:
        """Keep a receipt that may be about one of our payments; cheap checks only."""
        point = self._points.get(receipt.tag("p") or "")
        if point is None or self._commons.journal.nostr.is_handled(receipt.id):
            return
        signer = self._signers[point.config.lud16].pubkey
        if signer and receipt.pubkey != signer:
            return
        if not self._is_worth_it(point.id, receipt):
            log.warning("%s: too many zap receipts; one was passed over", point.id)
            return
        now_ms = self._commons.clock()
        await self._book.hear(HeardReceipt(receipt.id, point.id, now_ms, receipt.to_json()))
        self._look.set()

    def _is_worth_it(self, charge_point_id: str, receipt: NostrEvent) -> bool:
        """Whether a receipt is kept: any other user of our provider can send us true ones."""
        if self._book.waiting_count() < MOST_WAITING and self._buckets.take(charge_point_id):
            return True
        try:
            payment_hash = decode(receipt.tag("bolt11") or "").payment_hash
        except InvalidInvoice:
            return False
        return any(money.payment_hash == payment_hash for money in self._book.unattributed())

    async def explain(self, settlement: Settlement) -> None:
        """Note a payment that no quote of ours asked for: a receipt may come and explain it."""
        since_ms = int(self._commons.journal.setting(SINCE) or 0)
        if not self._points or settlement.settled_at_ms < since_ms or not since_ms:
            return
        payment = Unattributed(
            settlement.payment_hash,
            settlement.amount_msat,
            settlement.settled_at_ms,
            "no zap receipt names it",
        )
        await self._book.book(payment)
        self._look_at_ms.clear()
        self._look.set()

    async def look(self) -> None:
        """Ask providers that are due for their keys, then look at every receipt that waits."""
        async with self._lock:
            for address, signer in self._signers.items():
                if signer.ask_at_ms <= self._commons.clock():
                    await self._ask(address, signer)
            now_ms = self._commons.clock()
            for heard in self._book.waiting():
                if self._look_at_ms.get(heard.receipt_id, 0) <= now_ms:
                    self._look_at_ms[heard.receipt_id] = now_ms + _pause_ms(now_ms, heard)
                    if await self._look_at(heard):
                        self._look_at_ms.pop(heard.receipt_id, None)
            await self._tell_unexplained()

    async def _ask(self, address: str, signer: _Signer) -> None:
        now_ms = self._commons.clock()
        signer.ask_at_ms = now_ms + ASK_PROVIDER_AGAIN_MS
        if self._providers is None:
            return
        try:
            pubkey = await self._providers.zapper(address)
        except Refused as reason:
            log.warning("%s cannot be watched now: %s", address, reason)
            return
        signer.ask_at_ms = now_ms + ASK_PROVIDER_EVERY_MS
        if signer.pubkey == pubkey:
            return
        if signer.pubkey:
            log.warning("the provider of %s signs its zap receipts with another key now", address)
        signer.pubkey = pubkey
        await self._commons.journal.set_setting(f"zapper:{address}", pubkey)

    async def _look_at(self, heard: HeardReceipt) -> bool:
        """Take the payment that a receipt is about; False when it has to be looked at again."""
        now_ms = self._commons.clock()
        try:
            point = self._point(heard.charge_point)
            receipt = await self._checked(point, heard.body)
            settlement = await self._confirmed(receipt)
        except _Later:
            if now_ms - heard.heard_at_ms <= WAIT_MS:
                return False
            log.info("%s: a zap receipt was for money that never came here", heard.charge_point)
            await self._book.dismiss(heard.receipt_id, now_ms)
            return True
        except (InvalidEvent, InvalidZapReceipt) as error:
            log.info("%s: a zap receipt is not valid: %s", heard.charge_point, error)
            await self._book.dismiss(heard.receipt_id, now_ms)
            return True
        try:
            zap = point.sales.read_zap(receipt.request)
        except InvalidZapRequest as error:
            # The money is here and can buy nothing: it is for no connector that there is.
            log.info("%s: a paid zap cannot be charged for: %s", point.id, error)
            zap = Zap(receipt.request, receipt.request.sender, "", _NO_CONNECTOR, "")
        await self._take(point, receipt, zap, settlement)
        return True

    def _point(self, charge_point_id: str) -> ChargePointAgent:
        """The charge point; raises _Later for one that has no such address any more."""
        point = next((p for p in self._points.values() if p.id == charge_point_id), None)
        if point is None:
            raise _Later
        return point

    async def _checked(self, point: ChargePointAgent, body: str) -> CheckedReceipt:
        """The receipt, consistent and signed by our provider; raises _Later, or what is wrong."""
        signer = self._signers[point.config.lud16].pubkey
        if not signer:
            raise _Later
        try:
            network = PREFIXES[(await self._commons.wallet.info()).network]
        except WalletError:
            raise _Later from None
        return check_receipt(
            NostrEvent.parse(body),
            recipient_pubkey=point.face.pubkey,
            issuer_pubkey=signer,
            network=network,
        )

    async def _confirmed(self, receipt: CheckedReceipt) -> Settlement:
        """The wallet's own word about the payment; raises _Later without it."""
        try:
            state, settlement = await self._commons.wallet.lookup_invoice(
                receipt.invoice.payment_hash
            )
        except WalletError:
            raise _Later from None
        if state is not InvoiceState.SETTLED or settlement is None:
            raise _Later
        return settlement

    async def _take(
        self, point: ChargePointAgent, receipt: CheckedReceipt, zap: Zap, settlement: Settlement
    ) -> None:
        now_ms = self._commons.clock()
        quote = self._quote(point, receipt, zap)
        taken = await self._book.take(quote, receipt.request.event_id, receipt.event_id, now_ms)
        if taken:
            log.info("%s: a zap by %s was paid", point.id, point.config.lud16)
            await self._credit(quote, settlement)
            return
        await self._book.dismiss(receipt.event_id, now_ms)
        if self._commons.journal.quotes.get(quote.payment_hash) is None:
            reason = "its zap request was paid before"
            hash_, amount_msat = quote.payment_hash, settlement.amount_msat
            stray = Unattributed(hash_, amount_msat, settlement.settled_at_ms, reason)
            await self._book.book(stray)

    def _quote(self, point: ChargePointAgent, receipt: CheckedReceipt, zap: Zap) -> Quote:
        """The quote that was never asked for here: at the price that was published then."""
        own = next(
            (
                session
                for session in point.sessions.open()
                if zap.payer is not None
                and session.payer.pubkey == zap.payer
                and zap.connector in (None, session.connector)
                and session.state is not SessionState.STOPPING
            ),
            None,
        )
        first = self._commons.journal.quotes.of_session(own.id)[0] if own else None
        # The invoice was made when the driver saw the price; what his zap request says of the
        # time is his own word.
        made_at_ms = receipt.invoice.made_at_s * 1000
        tariff = self._book.tariff_at(point.id, made_at_ms + 999) or point.sales.tariff
        return Quote(
            payment_hash=receipt.invoice.payment_hash,
            bolt11=receipt.bolt11,
            amount_msat=receipt.invoice.amount_msat or 0,
            charge_point=point.id,
            connector=own.connector if own else point.sales.connector_for(zap.connector),
            session_id=own.id if own else secrets.token_hex(8),
            secret=first.secret if first else secrets.token_urlsafe(16),
            origin=Origin.OUTSIDE,
            payer=own.payer if own else Payer(pubkey=zap.payer),
            tariff=own.tariff if own else tariff,
            created_at_ms=made_at_ms,
            expires_at_ms=receipt.invoice.expires_at_s * 1000,
            comment=zap.comment,
            language=zap.language,
            topup=own is not None,
        )

    async def _tell_unexplained(self) -> None:
        """Tell the operators of money that nothing explained in time, of each payment once."""
        now_ms = self._commons.clock()
        strays = [p for p in self._book.unattributed() if now_ms - p.settled_at_ms > GRACE_MS]
        for payment in strays:
            if not payment.told:
                log.warning(
                    "payment %s over %d msat belongs to no charge: %s",
                    payment.payment_hash,
                    payment.amount_msat,
                    payment.reason,
                )
                await self._book.book(replace(payment, told=True))
        recent = [p for p in strays if now_ms - p.settled_at_ms < TOLD_FOR_MS]
        if recent:
            sats = sum(payment.amount_msat for payment in recent) // MSAT_PER_SAT
            what = f"{len(recent)} payments" if len(recent) > 1 else "a payment"
            sentence = f"{what} over {sats} sat reached the wallet and belongs to no charge"
            self._commons.alerts.raised(ALERT, f"{sentence}: see strom owed")
        else:
            self._commons.alerts.cleared(ALERT, "no payment is without its charge")


def _pause_ms(now_ms: int, heard: HeardReceipt) -> int:
    """How long to leave a receipt alone: the older it is, the less is to be hoped for it."""
    age_ms = now_ms - heard.heard_at_ms
    if age_ms < MS_PER_MINUTE:
        return 0
    return MS_PER_MINUTE if age_ms < MS_PER_HOUR else 10 * MS_PER_MINUTE


class _Later(Exception):
    """Nothing can be said yet."""
