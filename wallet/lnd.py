"""LND over gRPC.

https://lightning.engineering/api-docs/api/lnd/

LND pays a hash once by itself; what is uncertain is only whether it heard of a payment. So
a broken call is UNKNOWN until LND tells more, and FAILED needs LND's own word.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass, replace

import anyio

from wallet import bolt11, checks, cursors, lnd_permissions
from wallet import lnd_pb2 as pb
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
from wallet.lnd_payment import failed, followed, outcome
from wallet.lnd_rpc import (
    ADD_HOLD_INVOICE,
    ADD_INVOICE,
    CANCEL_INVOICE,
    CHANNEL_BALANCE,
    GET_INFO,
    LIST_CHANNELS,
    LIST_INVOICES,
    LIST_PAYMENTS,
    LOOKUP_INVOICE,
    SEND_PAYMENT,
    SETTLE_INVOICE,
    SUBSCRIBE_INVOICES,
    SUBSCRIBE_SINGLE_INVOICE,
    TRACK_PAYMENT,
    LndRefused,
    LndRpc,
    Stream,
)

# LND's streams can hang without an error, so a silent one is begun anew.
SILENCE_S = 300
# As long as nothing was ever settled there is no index to resume from.
FIRST_SILENCE_S = 5
# How much longer than its own time-out LND may take to say how a payment ended.
VERDICT_S = 10
PAGE = 500

_NETWORKS = {"mainnet": "bitcoin"}
_STATES = {
    pb.Invoice.OPEN: InvoiceState.OPEN,
    pb.Invoice.ACCEPTED: InvoiceState.HELD,
    pb.Invoice.SETTLED: InvoiceState.SETTLED,
    pb.Invoice.CANCELED: InvoiceState.CANCELED,
}


@dataclass(frozen=True, slots=True)
class _Node:
    """What is known of the node since it was first reached."""

    pubkey: str
    alias: str


class LndWallet:
    """A node of LND's; a HoldWallet.

    Args:
        rpc: the connection, not open.
        macaroon: the same one as the connection's, to read its permissions.
        network: the network that it must be on.
        clock: gives the time in Unix milliseconds.
        silence_s, first_silence_s, verdict_s: see the constants of this module.
    """

    def __init__(
        self,
        rpc: LndRpc,
        macaroon: bytes,
        network: str,
        clock: Callable[[], int],
        *,
        silence_s: float = SILENCE_S,
        first_silence_s: float = FIRST_SILENCE_S,
        verdict_s: float = VERDICT_S,
    ) -> None:
        self._rpc = rpc
        self._missing = lnd_permissions.missing(macaroon)
        self._network = network
        self._clock = clock
        self._silence_s = silence_s
        self._first_silence_s = first_silence_s
        self._verdict_s = verdict_s
        self._known: _Node | None = None

    async def open(self) -> None:
        """Connect, and check certificate, macaroon and network."""
        self._rpc.open()
        try:
            await self._node()
        except checks.Misconfigured as error:
            raise WalletConfigError(str(error)) from None

    async def close(self) -> None:
        """End all calls; idempotent."""
        await self._rpc.close()

    async def info(self) -> WalletInfo:
        """The node's name, its liquidity, and what the macaroon may not do."""
        self._known = None
        node = await self._node()
        balance_msat = inbound_msat = None
        if "see the balance" not in self._missing:
            balance_msat, inbound_msat = await self._liquidity()
        return WalletInfo(
            name=f"LND: {node.alias or node.pubkey[:16]}",
            network=self._network,
            balance_msat=balance_msat,
            inbound_msat=inbound_msat,
            holds="make invoices" not in self._missing,
            pays="pay refunds" not in self._missing,
            missing=self._missing,
        )

    async def _liquidity(self) -> tuple[int, int]:
        """What can be paid and received, in msat.

        Each side of a channel keeps a reserve (BOLT 2) that it cannot pay with, and what is in
        channels that are not active cannot move at all: LND's balance holds both.
        """
        balance = await self._rpc.call(CHANNEL_BALANCE, pb.ChannelBalanceRequest())
        listed = await self._rpc.call(LIST_CHANNELS, pb.ListChannelsRequest())
        stuck_sat = stuck_inbound_sat = 0
        for channel in listed.channels:
            ours, theirs = channel.local_balance, channel.remote_balance
            reserve_sat = channel.local_constraints.chan_reserve_sat
            their_reserve_sat = channel.remote_constraints.chan_reserve_sat
            stuck_sat += min(ours, reserve_sat) if channel.active else ours
            stuck_inbound_sat += min(theirs, their_reserve_sat) if channel.active else theirs
        return (
            max(0, balance.local_balance.msat - stuck_sat * 1000),
            max(0, balance.remote_balance.msat - stuck_inbound_sat * 1000),
        )

    async def source(self) -> str:
        """As in `Wallet`: the node's key."""
        return _source(await self._node())

    async def create_invoice(
        self, amount_msat: int, *, memo: str, description: bytes | None, expiry_s: int
    ) -> Invoice:
        """As in `Wallet`; any whole amount of msat."""
        checks.positive(amount_msat)
        preimage = secrets.token_bytes(32)
        order = pb.Invoice(
            r_preimage=preimage, value_msat=amount_msat, expiry=expiry_s, private=True
        )
        if description is None:
            order.memo = memo
        else:
            order.description_hash = hashlib.sha256(description).digest()
        made = await self._rpc.call(ADD_INVOICE, order)
        invoice = self._issued(made.payment_request, amount_msat, description)
        return replace(invoice, preimage=preimage.hex())

    async def lookup_invoice(self, payment_hash: str) -> tuple[InvoiceState, Settlement | None]:
        """As in `Wallet`."""
        node = await self._node()
        try:
            invoice = await self._rpc.call(
                LOOKUP_INVOICE, pb.PaymentHash(r_hash=bytes.fromhex(payment_hash))
            )
        except LndRefused as error:
            if error.not_found or "no existing invoices" in error.details:
                return InvoiceState.UNKNOWN, None
            raise WalletUnavailable(str(error)) from None
        state = _STATES.get(invoice.state, InvoiceState.UNKNOWN)
        settled = state is InvoiceState.SETTLED
        return state, _settlement(node, invoice) if settled else None

    async def settlements(self, cursor: str) -> AsyncGenerator[Settlement]:
        """As in `Wallet`: by LND's settle index.

        LND resumes behind an index from 1 on, and never tells of the one that is index 1 or
        of anything before a first subscription, so without a cursor all invoices are listed.
        """
        node = await self._node()
        index = cursors.read(_source(node), cursor)
        try:
            while True:
                if index == 0:
                    for invoice in await self._all_settled():
                        index = invoice.settle_index
                        yield _settlement(node, invoice)
                request = pb.InvoiceSubscription(settle_index=index)
                silence_s = self._silence_s if index else self._first_silence_s
                async with self._rpc.stream(SUBSCRIBE_INVOICES, request) as stream:
                    while (invoice := await _next_settled(stream, silence_s)) is not None:
                        if index == 0:
                            # The first one seen live need not be the first one ever.
                            break
                        index = max(index, invoice.settle_index)
                        yield _settlement(node, invoice)
        except LndRefused as error:
            raise WalletUnavailable(str(error)) from None

    async def pay(self, bolt11: str, *, fee_limit_msat: int, timeout_s: int) -> PaymentOutcome:
        """As in `Wallet`; LND goes on trying when the call breaks off."""
        node = await self._node(fresh=True)
        try:
            invoice = checks.payable(bolt11, network=self._network, now_ms=self._clock())
        except InvalidInvoice as error:
            return failed(str(error))
        if invoice.payee == node.pubkey:
            return failed("the invoice is this node's own")
        request = pb.SendPaymentRequest(
            payment_request=invoice.text,
            fee_limit_msat=fee_limit_msat,
            timeout_seconds=timeout_s,
            no_inflight_updates=True,
        )
        patience_s = timeout_s + self._verdict_s
        try:
            async with self._rpc.stream(SEND_PAYMENT, request, patience_s) as stream:
                return await followed(stream)
        except WalletUnavailable:
            return PaymentOutcome(PaymentState.UNKNOWN)
        except LndRefused as refused:
            return await self._after_refusal(invoice, refused, patience_s)

    async def lookup_payment(self, payment_hash: str) -> PaymentOutcome:
        """As in `Wallet`; LND writes a payment down before it looks for a route."""
        request = pb.TrackPaymentRequest(payment_hash=bytes.fromhex(payment_hash))
        try:
            async with self._rpc.stream(TRACK_PAYMENT, request, 20) as stream:
                payment = await stream.read()
        except LndRefused as error:
            if error.not_found:
                return PaymentOutcome(PaymentState.NO_RECORD)
            raise WalletUnavailable(str(error)) from None
        return PaymentOutcome(PaymentState.UNKNOWN) if payment is None else outcome(payment)

    async def sent_since(self, at_ms: int) -> list[Sent] | None:
        """As in `Wallet`."""
        sent: list[Sent] = []
        offset = 0
        while True:
            request = pb.ListPaymentsRequest(
                include_incomplete=True, index_offset=offset, max_payments=PAGE, reversed=True
            )
            try:
                page = await self._rpc.call(LIST_PAYMENTS, request)
            except LndRefused:
                return None
            made = [p for p in page.payments if p.creation_time_ns >= at_ms * 1_000_000]
            sent += [
                Sent(payment.payment_hash, payment.value_msat)
                for payment in made
                if payment.status != pb.Payment.FAILED
            ]
            offset = page.first_index_offset
            if len(made) < PAGE or not offset:
                return sent

    async def create_hold_invoice(
        self,
        payment_hash: str,
        amount_msat: int,
        *,
        memo: str,
        description: bytes | None,
        expiry_s: int,
    ) -> Invoice:
        """As in `HoldWallet`. LND lets a held payment go some hours before its time lock ends."""
        checks.positive(amount_msat)
        order = pb.AddHoldInvoiceRequest(
            hash=bytes.fromhex(payment_hash), value_msat=amount_msat, expiry=expiry_s, private=True
        )
        if description is None:
            order.memo = memo
        else:
            order.description_hash = hashlib.sha256(description).digest()
        made = await self._rpc.call(ADD_HOLD_INVOICE, order)
        return self._issued(made.payment_request, amount_msat, description)

    async def await_held(self, payment_hash: str) -> InvoiceState:
        """As in `HoldWallet`."""
        # LND waits for an unknown hash to become known.
        state, _ = await self.lookup_invoice(payment_hash)
        if state is InvoiceState.UNKNOWN:
            raise WalletRefused("LND has no invoice of this hash")
        request = pb.SubscribeSingleInvoiceRequest(r_hash=bytes.fromhex(payment_hash))
        while state is InvoiceState.OPEN:
            async with self._rpc.stream(SUBSCRIBE_SINGLE_INVOICE, request) as stream:
                invoice = await stream.read()
                while invoice is not None and invoice.state == pb.Invoice.OPEN:
                    invoice = await stream.read()
            if invoice is not None:
                state = _STATES.get(invoice.state, InvoiceState.UNKNOWN)
        return state

    async def settle_held(self, preimage: bytes) -> None:
        """As in `HoldWallet`."""
        await self._rpc.call(SETTLE_INVOICE, pb.SettleInvoiceMsg(preimage=preimage))

    async def cancel_held(self, payment_hash: str) -> None:
        """As in `HoldWallet`."""
        request = pb.CancelInvoiceMsg(payment_hash=bytes.fromhex(payment_hash))
        await self._rpc.call(CANCEL_INVOICE, request)

    async def _after_refusal(
        self, invoice: bolt11.Bolt11, refused: LndRefused, patience_s: float
    ) -> PaymentOutcome:
        """What a refused payment means: LND has a record of it before it sends anything."""
        if refused.bad_macaroon:
            return failed("the macaroon does not allow payments (offchain:write)")
        request = pb.TrackPaymentRequest(
            payment_hash=bytes.fromhex(invoice.payment_hash), no_inflight_updates=True
        )
        try:
            async with self._rpc.stream(TRACK_PAYMENT, request, patience_s) as stream:
                return await followed(stream)
        except WalletUnavailable:
            return PaymentOutcome(PaymentState.UNKNOWN)
        except LndRefused as error:
            if error.not_found and not refused.already_exists:
                return failed(refused.details)
            return PaymentOutcome(PaymentState.UNKNOWN)

    async def _all_settled(self) -> list[pb.Invoice]:
        """All settled invoices of the node in the order of their settlement."""
        settled: list[pb.Invoice] = []
        offset = 0
        while True:
            page = await self._rpc.call(
                LIST_INVOICES, pb.ListInvoiceRequest(index_offset=offset, num_max_invoices=PAGE)
            )
            settled += [entry for entry in page.invoices if entry.state == pb.Invoice.SETTLED]
            if len(page.invoices) < PAGE:
                return sorted(settled, key=lambda invoice: invoice.settle_index)
            offset = page.last_index_offset

    async def _node(self, *, fresh: bool = False) -> _Node:
        """The node, asked once; `fresh` asks again, to see that it is there."""
        if self._known is not None and not fresh:
            return self._known
        try:
            info = await self._rpc.call(GET_INFO, pb.GetInfoRequest())
        except LndRefused as error:
            if "permission denied" in error.details:
                raise checks.Misconfigured(
                    f"the macaroon for LND at {self._rpc.address} lacks info:read: bake one with "
                    "info:read invoices:read invoices:write offchain:read offchain:write"
                ) from None
            if error.bad_macaroon:
                raise checks.Misconfigured(
                    f"LND at {self._rpc.address} does not accept the macaroon: {error.details}"
                ) from None
            raise WalletUnavailable(str(error)) from None
        except WalletUnavailable:
            reason = await self._rpc.why_unreachable()
            if reason is None:
                raise
            raise reason from None
        told = info.chains[0].network if info.chains else ""
        network = _NETWORKS.get(told, told)
        if network != self._network:
            raise checks.Misconfigured(
                checks.another_network(f"LND at {self._rpc.address}", network, self._network)
            )
        self._known = _Node(info.identity_pubkey, info.alias)
        return self._known

    def _issued(self, request: str, amount_msat: int, description: bytes | None) -> Invoice:
        return checks.issued(
            request,
            backend="LND",
            network=self._network,
            amount_msat=amount_msat,
            description=description,
        )


def _source(node: _Node) -> str:
    return f"lnd-{node.pubkey[:16]}"


def _settlement(node: _Node, invoice: pb.Invoice) -> Settlement:
    return Settlement(
        payment_hash=invoice.r_hash.hex(),
        amount_msat=invoice.amt_paid_msat,
        settled_at_ms=invoice.settle_date * 1000,
        cursor=cursors.write(_source(node), invoice.settle_index),
    )


async def _next_settled(stream: Stream[pb.Invoice], silence_s: float) -> pb.Invoice | None:
    """The next settled invoice; None when the stream ended or was silent for too long."""
    while True:
        invoice = None
        with anyio.move_on_after(silence_s):
            invoice = await stream.read()
        if invoice is None or invoice.state == pb.Invoice.SETTLED:
            return invoice
