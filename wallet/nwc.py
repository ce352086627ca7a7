"""Any wallet that speaks Nostr Wallet Connect.

https://github.com/nostr-protocol/nips/blob/master/47.md

What the wallet's owner allowed is known at the start. A payment that was not answered is
UNKNOWN; PAYMENT_FAILED can be a mere time-out, so the wallet's record of the hash decides.
NIP-47 has no limit for the fee of a payment: only the budget of the connection bounds it.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import AsyncGenerator, Callable
from typing import Any, TypeVar

import anyio
import msgspec

from wallet import bolt11, checks, cursors
from wallet import nwc_permissions as permissions
from wallet.base import (
    Invoice,
    InvoiceState,
    PaymentOutcome,
    PaymentState,
    Sent,
    Settlement,
    WalletConfigError,
    WalletInfo,
    WalletRefused,
    WalletUnavailable,
)
from wallet.bolt11 import InvalidInvoice
from wallet.nwc_connection import Connection
from wallet.nwc_link import (
    AnswerLost,
    Notification,
    NwcError,
    NwcLink,
)
from wallet.nwc_listing import is_listed, listed_from, settled_since
from wallet.nwc_permissions import Node
from wallet.nwc_record import Transaction, opens, outcome_of, received_by
from wallet.told import Told

ANSWER_S = 30.0
RESCAN_S = 30
POLL_S = 3
OVERLAP_MS = 120_000

# With these the wallet has not even tried.
_NOT_TRIED = {
    "INSUFFICIENT_BALANCE": "insufficient balance in the wallet",
    "QUOTA_EXCEEDED": "the budget of the wallet connection is used up",
    "RESTRICTED": "the wallet connection may not pay",
    "UNAUTHORIZED": "the wallet connection was revoked",
    "NOT_IMPLEMENTED": "the wallet cannot pay",
}
# LNbits and others have no code of their own for what they do not find.
_VAGUE = frozenset({"INTERNAL", "OTHER"})
_NOT_FOUND = re.compile(r"(invoice|payment|transaction)\b.*\bnot found", re.IGNORECASE)
_T = TypeVar("_T")


class _Transactions(msgspec.Struct):
    transactions: list[Transaction]


class _Balance(msgspec.Struct):
    balance: int


class _Budget(msgspec.Struct):
    used_budget: int | None = None
    total_budget: int | None = None


class NwcWallet:
    """A wallet behind a wallet connection; a HoldWallet where its wallet says so.

    Args:
        connection: what the wallet's owner handed out.
        network: what its invoices are for.
        clock: gives the time in Unix milliseconds.
        answer_s: how long an answer may take; payments have a limit of their own.
    """

    def __init__(
        self,
        connection: Connection,
        network: str,
        clock: Callable[[], int],
        *,
        answer_s: float = ANSWER_S,
    ) -> None:
        self._link = NwcLink(connection, clock)
        self._network = network
        self._clock = clock
        self._answer_s = answer_s
        self._allowed: frozenset[str] | None = None
        self._alias = ""
        self._paying = anyio.Lock()
        identity = f"{connection.wallet} {connection.secret}"
        self._source = f"nwc-{hashlib.sha256(identity.encode()).hexdigest()[:16]}"

    async def open(self) -> None:
        """Connect, and check what the connection allows and the network."""
        service = await self._link.open()
        node = Node()
        if "get_info" in service.methods:
            try:
                node = await self._ask("get_info", {}, Node)
            except NwcError as error:
                if error.code in ("UNAUTHORIZED", "RESTRICTED"):
                    raise WalletConfigError(
                        f"the wallet does not accept this connection: {error}"
                    ) from None
        allowed = permissions.allowed(service, node)
        missing = permissions.missing(allowed)
        if missing:
            raise WalletConfigError(
                f"the wallet connection does not allow {' and '.join(missing)}: make one that does"
            )
        network = node.bitcoin_network() or self._network
        if network != self._network:
            raise WalletConfigError(checks.another_network("the wallet", network, self._network))
        self._alias = node.alias or ""
        self._allowed = allowed

    async def close(self) -> None:
        """End the connection; idempotent."""
        await self._link.close()

    async def info(self) -> WalletInfo:
        """The wallet's name, balance and budget, and what the connection does not allow."""
        allowed = await self._permissions()
        balance_msat = budget_msat = None
        if "get_balance" in allowed:
            balance_msat = (await self._answer("get_balance", {}, _Balance)).balance
        if "get_budget" in allowed:
            budget = await self._answer("get_budget", {}, _Budget)
            if budget.total_budget:
                budget_msat = max(0, budget.total_budget - (budget.used_budget or 0))
        return WalletInfo(
            name=f"NWC: {self._alias or 'wallet'}",
            network=self._network,
            balance_msat=balance_msat,
            budget_msat=budget_msat,
            holds=permissions.holds(allowed),
            pays="pay_invoice" in allowed,
            missing=permissions.wanting(allowed),
        )

    async def source(self) -> str:
        """As in `Wallet`: the connection, of which only a hash is told."""
        return self._source

    async def create_invoice(
        self, amount_msat: int, *, memo: str, description: bytes | None, expiry_s: int
    ) -> Invoice:
        """As in `Wallet`; the wallet may refuse fractions of a satoshi."""
        return await self._make("make_invoice", {}, amount_msat, memo, description, expiry_s)

    async def lookup_invoice(self, payment_hash: str) -> tuple[InvoiceState, Settlement | None]:
        """As in `Wallet`."""
        found = await self._lookup(payment_hash)
        if found is None or found.type == "outgoing":
            return InvoiceState.UNKNOWN, None
        if found.over and found.undated and not await self._is_listed(payment_hash, found):
            return InvoiceState.UNKNOWN, None
        if found.settled:
            return InvoiceState.SETTLED, self._settlement(payment_hash, found)
        match found.state:
            case "accepted":
                return InvoiceState.HELD, None
            case "failed" | "expired":
                return InvoiceState.CANCELED, None
            case _:
                return InvoiceState.OPEN, None

    async def settlements(self, cursor: str) -> AsyncGenerator[Settlement]:
        """As in `Wallet`; may repeat those of the last two minutes before the cursor.

        Without the permission list_transactions nothing can be replayed, and without
        notifications the list is read every few seconds.
        """
        since_ms = cursors.read(self._source, cursor)
        allowed = await self._permissions()
        period_s = RESCAN_S if "payment_received" in allowed else POLL_S
        told = Told()
        async with self._link.notifications() as queue:
            while True:
                rescan_at = anyio.current_time() + period_s
                if "list_transactions" in allowed:
                    for found in await settled_since(self._listed, since_ms - OVERLAP_MS):
                        since_ms = max(since_ms, found.settled_at_ms(self._clock()))
                        if told.is_new(found.payment_hash or ""):
                            yield self._settlement(found.payment_hash or "", found)
                while anyio.current_time() < rescan_at:
                    notification: Notification | None = None
                    with anyio.CancelScope(deadline=rescan_at) as waiting:
                        notification = await queue.get()
                    if waiting.cancelled_caught:
                        break
                    if notification is None:
                        raise WalletUnavailable("the relay of the wallet was lost")
                    received = received_by(notification)
                    if received is not None and told.is_new(received.payment_hash or ""):
                        yield self._settlement(received.payment_hash or "", received)

    async def pay(self, bolt11: str, *, fee_limit_msat: int, timeout_s: int) -> PaymentOutcome:
        """As in `Wallet`, except that the fee is bounded by the connection's budget only."""
        del fee_limit_msat
        try:
            invoice = checks.payable(bolt11, network=self._network, now_ms=self._clock())
        except InvalidInvoice as error:
            return PaymentOutcome(PaymentState.FAILED, reason=str(error))
        allowed = await self._permissions()
        if "pay_invoice" not in allowed:
            return PaymentOutcome(
                PaymentState.FAILED, reason="the wallet connection does not allow pay_invoice"
            )
        # One at a time: an answer to one attempt must not be read off the record of another.
        async with self._paying:
            before = await self._lookup(invoice.payment_hash)
            if before is not None and before.type == "incoming":
                return PaymentOutcome(
                    PaymentState.FAILED, reason="the invoice is this wallet's own"
                )
            known = outcome_of(before)
            if known.state in (PaymentState.SETTLED, PaymentState.PENDING):
                return known
            return await self._send(invoice, timeout_s)

    async def lookup_payment(self, payment_hash: str) -> PaymentOutcome:
        """As in `Wallet`; some wallets look up invoices alone, so NOT_FOUND says nothing."""
        return outcome_of(await self._lookup(payment_hash))

    async def sent_since(self, at_ms: int) -> list[Sent] | None:
        """As in `Wallet`; where the connection may list payments."""
        if "list_transactions" not in await self._permissions():
            return None

        async def ask(params: dict[str, Any]) -> list[Transaction]:
            return (await self._ask("list_transactions", params, _Transactions)).transactions

        try:
            listed = await listed_from(ask, at_ms // 1000, "outgoing")
        except NwcError:
            return None
        return [
            Sent(payment_hash, entry.amount or 0)
            for payment_hash, entry in listed.items()
            if outcome_of(entry).state is not PaymentState.FAILED
        ]

    async def create_hold_invoice(
        self,
        payment_hash: str,
        amount_msat: int,
        *,
        memo: str,
        description: bytes | None,
        expiry_s: int,
    ) -> Invoice:
        """As in `HoldWallet`."""
        params = {"payment_hash": payment_hash}
        return await self._make(
            "make_hold_invoice", params, amount_msat, memo, description, expiry_s
        )

    async def await_held(self, payment_hash: str) -> InvoiceState:
        """As in `HoldWallet`: notified, and looked up every few seconds."""
        async with self._link.notifications() as queue:
            while True:
                found = await self._lookup(payment_hash)
                if found is None:
                    raise WalletRefused("the wallet has no invoice of this hash")
                state, _ = await self.lookup_invoice(payment_hash)
                if state is not InvoiceState.OPEN:
                    return state
                with anyio.move_on_after(POLL_S):
                    if await queue.get() is None:
                        raise WalletUnavailable("the relay of the wallet was lost")

    async def settle_held(self, preimage: bytes) -> None:
        """As in `HoldWallet`."""
        try:
            await self._ask("settle_hold_invoice", {"preimage": preimage.hex()}, dict[str, Any])
        except NwcError:
            state, _ = await self.lookup_invoice(hashlib.sha256(preimage).hexdigest())
            if state is not InvoiceState.SETTLED:
                raise

    async def cancel_held(self, payment_hash: str) -> None:
        """As in `HoldWallet`."""
        params = {"payment_hash": payment_hash}
        try:
            await self._ask("cancel_hold_invoice", params, dict[str, Any])
        except NwcError:
            state, _ = await self.lookup_invoice(payment_hash)
            if state is not InvoiceState.CANCELED:
                raise

    async def _make(
        self,
        method: str,
        params: dict[str, Any],
        amount_msat: int,
        memo: str,
        description: bytes | None,
        expiry_s: int,
    ) -> Invoice:
        checks.positive(amount_msat)
        order = params | {"amount": amount_msat, "expiry": expiry_s}
        if description is None:
            order["description"] = memo
        else:
            order["description_hash"] = hashlib.sha256(description).hexdigest()
        made = await self._ask(method, order, Transaction)
        return checks.issued(
            made.invoice or "",
            backend="the wallet",
            network=self._network,
            amount_msat=amount_msat,
            description=description,
        )

    async def _send(self, invoice: bolt11.Bolt11, timeout_s: int) -> PaymentOutcome:
        try:
            paid = await self._link.request(
                "pay_invoice", {"invoice": invoice.text}, timeout_s=timeout_s
            )
        except AnswerLost:
            return PaymentOutcome(PaymentState.UNKNOWN)
        except NwcError as error:
            if error.code == "RATE_LIMITED":
                # NIP-47: to be tried again in a few seconds; until then no look-up tells more.
                raise WalletUnavailable("the wallet takes no more requests for now") from None
            return await self._after_refusal(invoice.payment_hash, error)
        preimage, fee_msat = paid.get("preimage"), paid.get("fees_paid")
        if opens(preimage, invoice.payment_hash):
            return PaymentOutcome(
                PaymentState.SETTLED, fee_msat=fee_msat if isinstance(fee_msat, int) else 0
            )
        try:
            record = await self._lookup(invoice.payment_hash)
        except WalletUnavailable:
            return PaymentOutcome(PaymentState.UNKNOWN)
        # Some wallets put zeros for a preimage; none stands there while it is on its way.
        if preimage and record is not None and record.type == "outgoing" and record.over:
            return PaymentOutcome(PaymentState.SETTLED, fee_msat=record.fees_paid or 0)
        return outcome_of(record)

    async def _after_refusal(self, payment_hash: str, error: NwcError) -> PaymentOutcome:
        try:
            record = await self._lookup(payment_hash)
        except WalletUnavailable:
            return PaymentOutcome(PaymentState.UNKNOWN)
        outcome = outcome_of(record)
        if outcome.state is not PaymentState.UNKNOWN:
            return outcome
        if error.code in _NOT_TRIED:
            return PaymentOutcome(PaymentState.FAILED, reason=_NOT_TRIED[error.code])
        if error.code == "PAYMENT_FAILED" and (record is None or record.over):
            return PaymentOutcome(PaymentState.FAILED, reason=str(error))
        return outcome

    async def _lookup(self, payment_hash: str) -> Transaction | None:
        """The wallet's record of a hash; None when it has none."""
        try:
            return await self._ask("lookup_invoice", {"payment_hash": payment_hash}, Transaction)
        except NwcError as error:
            if error.code == "NOT_FOUND" or (
                error.code in _VAGUE and _NOT_FOUND.search(error.message)
            ):
                return None
            raise WalletUnavailable(str(error)) from None

    async def _is_listed(self, payment_hash: str, found: Transaction) -> bool:
        """Whether an invoice is among the paid ones, for a wallet that tells no state."""
        if "list_transactions" not in await self._permissions():
            return False
        return await is_listed(self._listed, payment_hash, found)

    async def _listed(self, params: dict[str, Any]) -> list[Transaction]:
        return (await self._answer("list_transactions", params, _Transactions)).transactions

    async def _permissions(self) -> frozenset[str]:
        """What the connection allows; learnt now when the wallet was away at the start."""
        if self._allowed is None:
            try:
                await self.open()
            except WalletConfigError as error:
                raise WalletUnavailable(str(error)) from None
        return self._allowed or frozenset()

    async def _answer(self, method: str, params: dict[str, Any], shape: type[_T]) -> _T:
        """As `_ask`, for questions that the wallet has no reason to refuse."""
        try:
            return await self._ask(method, params, shape)
        except NwcError as error:
            raise WalletUnavailable(str(error)) from None

    async def _ask(self, method: str, params: dict[str, Any], shape: type[_T]) -> _T:
        result = await self._link.request(method, params, timeout_s=self._answer_s)
        try:
            return msgspec.convert(result, shape)
        except msgspec.ValidationError as error:
            raise WalletUnavailable(
                f"the wallet answered {method} in an unknown shape: {error}"
            ) from None

    def _settlement(self, payment_hash: str, found: Transaction) -> Settlement:
        settled_at_ms = found.settled_at_ms(self._clock())
        return Settlement(
            payment_hash=payment_hash,
            amount_msat=found.amount or 0,
            settled_at_ms=settled_at_ms,
            cursor=cursors.write(self._source, settled_at_ms),
        )
