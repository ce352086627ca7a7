"""Nodes of a private Lightning network as LND sees them: the state behind tests' LND."""

from __future__ import annotations

import hashlib
import os
import time

import anyio
from coincurve import PrivateKey

from wallet import bolt11
from wallet import lnd_pb2 as pb

EVERYTHING = frozenset(
    {
        ("info", "read"),
        ("invoices", "read"),
        ("invoices", "write"),
        ("offchain", "read"),
        ("offchain", "write"),
    }
)


def make_macaroon(permissions: frozenset[tuple[str, str]]) -> bytes:
    """A macaroon as LND bakes it: version 2, a bakery identifier, no caveats."""

    def field(number: int, value: bytes) -> bytes:
        return bytes([number << 3 | 2, len(value)]) + value

    ops = b"".join(
        field(3, field(1, entity.encode()) + field(2, action.encode()))
        for entity, action in sorted(permissions)
    )
    identifier = b"\x03" + field(1, os.urandom(16)) + field(2, b"0") + ops
    length = (
        bytes([len(identifier)])
        if len(identifier) < 128
        else bytes([len(identifier) & 0x7F | 0x80, len(identifier) >> 7])
    )
    return b"\x02\x01\x03lnd\x02" + length + identifier + b"\x00\x00\x06\x20" + os.urandom(32)


class LndNode:
    """One node: what LND keeps in its database, and how payments move between nodes.

    Attributes:
        stuck: payments that it sends stay in flight.
        locked: its wallet is locked.
        dumb: an invoice subscription that begins now hangs: it never tells anything.
        fee_msat: what routing costs its payments.
        channels: as it lists them.
    """

    def __init__(self, network: dict[str, LndNode], alias: str, *, chain: str = "regtest") -> None:
        self.alias = alias
        self.chain = chain
        self.key = PrivateKey()
        self.pubkey = self.key.public_key.format().hex()
        self.balance_msat = 0
        self.macaroons: dict[str, frozenset[tuple[str, str]]] = {}
        self.stuck = self.locked = self.dumb = False
        self.channels: list[pb.Channel] = []
        self.fee_msat = 0
        self.network = network
        self.invoices: dict[bytes, pb.Invoice] = {}
        self._preimages: dict[bytes, bytes] = {}
        self.payments: dict[bytes, pb.Payment] = {}
        self._payment_requests: dict[bytes, bolt11.Bolt11] = {}
        self.settled = 0
        self.changed = anyio.Event()
        network[self.pubkey] = self

    def bake(self, permissions: frozenset[tuple[str, str]] = EVERYTHING) -> bytes:
        """A macaroon that it accepts."""
        macaroon = make_macaroon(permissions)
        self.macaroons[macaroon.hex()] = permissions
        return macaroon

    def add_invoice(
        self,
        amount_msat: int | None,
        *,
        memo: str = "",
        description_hash: bytes = b"",
        expiry_s: int = 3600,
        preimage: bytes | None = None,
        hold_hash: bytes = b"",
    ) -> pb.Invoice:
        """Make an invoice."""
        if not hold_hash:
            preimage = preimage or os.urandom(32)
        payment_hash = hold_hash or hashlib.sha256(preimage or b"").digest()
        if payment_hash in self.invoices:
            raise ValueError("invoice with payment hash already exists")
        if preimage:
            self._preimages[payment_hash] = preimage
        request = bolt11.sign(
            self.key.secret,
            network="bitcoin" if self.chain == "mainnet" else self.chain,
            payment_hash=payment_hash.hex(),
            payment_secret=os.urandom(32),
            amount_msat=amount_msat,
            description=description_hash or memo,
            timestamp_s=int(time.time()),
            expiry_s=expiry_s or 86400,
        )
        invoice = pb.Invoice(
            memo=memo,
            r_hash=payment_hash,
            value_msat=amount_msat or 0,
            value=(amount_msat or 0) // 1000,
            payment_request=request,
            description_hash=description_hash,
            expiry=expiry_s or 86400,
            add_index=len(self.invoices) + 1,
            state=pb.Invoice.OPEN,
        )
        self.invoices[payment_hash] = invoice
        return invoice

    async def pay(self, request: str) -> pb.Payment:
        """Pay as this node and wait for the end of it."""
        payment = self.send(bolt11.decode(request), fee_limit_msat=10**9)
        while payment.status == pb.Payment.IN_FLIGHT:
            changed = self.changed
            await changed.wait()
        return payment

    def invoice(self, payment_hash: str) -> pb.Invoice:
        """An invoice of this node."""
        return self.invoices[bytes.fromhex(payment_hash)]

    def unstick(self) -> None:
        """Let payments in flight go on."""
        self.stuck = False
        for payment in self.payments.values():
            if payment.status == pb.Payment.IN_FLIGHT:
                self._route(payment, 10**9)
        self.wake()

    def send(self, invoice: bolt11.Bolt11, fee_limit_msat: int) -> pb.Payment:
        """Begin a payment."""
        payment_hash = bytes.fromhex(invoice.payment_hash)
        payment = pb.Payment(
            payment_hash=invoice.payment_hash,
            value_msat=invoice.amount_msat or 0,
            status=pb.Payment.IN_FLIGHT,
            creation_time_ns=time.time_ns(),
        )
        self.payments[payment_hash] = payment
        self._payment_requests[payment_hash] = invoice
        if not self.stuck:
            self._route(payment, fee_limit_msat)
        return payment

    def _route(self, payment: pb.Payment, fee_limit_msat: int) -> None:
        payment_hash = bytes.fromhex(payment.payment_hash)
        payee = self.network.get(self._payment_requests[payment_hash].payee)
        if payee is None or self.fee_msat > fee_limit_msat:
            self.fail(payment, pb.FAILURE_REASON_NO_ROUTE)
        elif payment.value_msat + self.fee_msat > self.balance_msat:
            self.fail(payment, pb.FAILURE_REASON_INSUFFICIENT_BALANCE)
        else:
            payment.fee_msat = self.fee_msat
            payee.accept(payment_hash, payment.value_msat)

    def accept(self, payment_hash: bytes, amount_msat: int) -> None:
        """An HTLC arrived."""
        invoice = self.invoices.get(payment_hash)
        if invoice is None or invoice.state != pb.Invoice.OPEN or amount_msat < invoice.value_msat:
            self.tell_payers(payment_hash, None)
        elif payment_hash in self._preimages:
            self.settle(invoice, self._preimages[payment_hash])
        else:
            invoice.state = pb.Invoice.ACCEPTED
            self.wake()

    def settle(self, invoice: pb.Invoice, preimage: bytes) -> None:
        """Take the money of an invoice."""
        self.settled += 1
        invoice.state = pb.Invoice.SETTLED
        invoice.settled = True
        invoice.settle_index = self.settled
        invoice.settle_date = int(time.time())
        invoice.amt_paid_msat = invoice.value_msat
        invoice.r_preimage = preimage
        self.balance_msat += invoice.value_msat
        self.tell_payers(invoice.r_hash, preimage)
        self.wake()

    def tell_payers(self, payment_hash: bytes, preimage: bytes | None) -> None:
        """End the payments of a hash: paid with a preimage, failed without."""
        for node in self.network.values():
            payment = node.payments.get(payment_hash)
            if payment is None or payment.status != pb.Payment.IN_FLIGHT or node is self:
                continue
            if preimage is None:
                node.fail(payment, pb.FAILURE_REASON_INCORRECT_PAYMENT_DETAILS)
            else:
                payment.status = pb.Payment.SUCCEEDED
                payment.payment_preimage = preimage.hex()
                node.balance_msat -= payment.value_msat + payment.fee_msat
                node.wake()

    def fail(self, payment: pb.Payment, reason: pb.PaymentFailureReason) -> None:
        """End a payment without success."""
        payment.status = pb.Payment.FAILED
        payment.failure_reason = reason
        payment.fee_msat = 0
        self.wake()

    def wake(self) -> None:
        """Let all who wait look again."""
        self.changed.set()
        self.changed = anyio.Event()
