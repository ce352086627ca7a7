"""What a Lightning backend must do, in the terms of BOLT 11: the wallet's whole contract.

A backend is the only authority on whether money moved. Its notifications are hints to
look; what it cannot say is UNKNOWN, and never guessed.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol, runtime_checkable


class WalletError(Exception):
    """Root of all that can go wrong in this room. Its text never holds a secret."""


class WalletConfigError(WalletError):
    """The wallet's URL or one of its files is wrong; the text says what to do."""


class WalletUnavailable(WalletError):
    """The backend cannot be reached or does not answer now; nothing is known to have happened."""


class WalletRefused(WalletError):
    """The backend answered and said no, finally: nothing was done."""


class InvoiceState(StrEnum):
    """What became of an invoice of ours."""

    OPEN = "open"
    HELD = "held"
    SETTLED = "settled"
    CANCELED = "canceled"
    UNKNOWN = "unknown"


class PaymentState(StrEnum):
    """What became of a payment we sent.

    NO_RECORD is more than UNKNOWN: this backend keeps a record of each payment before it sends
    anything, and has none of this one. A request that is still on its way to it may change that.
    """

    SETTLED = "settled"
    FAILED = "failed"
    PENDING = "pending"
    UNKNOWN = "unknown"
    NO_RECORD = "no_record"


@dataclass(frozen=True, slots=True)
class Invoice:
    """An invoice of ours.

    Attributes:
        bolt11: the payment request.
        payment_hash: hex.
        amount_msat: what it asks for.
        expires_at_ms: Unix milliseconds after which it should not be paid.
        preimage: hex, where the backend lets us know it before it is paid; "" elsewhere. It
            proves the payment, so only the payer may learn it, by paying.
    """

    bolt11: str
    payment_hash: str
    amount_msat: int
    expires_at_ms: int
    preimage: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Settlement:
    """An invoice of ours that was paid.

    Attributes:
        payment_hash: hex.
        amount_msat: what arrived.
        settled_at_ms: when, as the backend says.
        cursor: pass it to `Wallet.settlements` to go on behind this one.
    """

    payment_hash: str
    amount_msat: int
    settled_at_ms: int
    cursor: str


@dataclass(frozen=True, slots=True)
class PaymentOutcome:
    """What became of a payment of ours.

    Attributes:
        state: SETTLED and FAILED are final; anything else is looked up again.
        fee_msat: what routing cost, when SETTLED.
        reason: why it failed, in words an operator understands, when FAILED.
    """

    state: PaymentState
    fee_msat: int = 0
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Sent:
    """A payment that went out, or is on its way.

    Attributes:
        payment_hash: hex.
        amount_msat: what the payee gets.
    """

    payment_hash: str
    amount_msat: int


@dataclass(frozen=True, slots=True)
class WalletInfo:
    """What an operator wants to know of a backend.

    Attributes:
        name: backend and alias of the node, for a person.
        network: "bitcoin", "testnet", "signet", "regtest".
        balance_msat: what can be spent; None when the backend does not say.
        inbound_msat: what can be received; None when the backend does not say.
        budget_msat: what may still be spent with the given key, where its owner set a limit.
        play_money: True for the built-in wallet, whose money is worth nothing.
        holds: True when hold invoices work.
        pays: False when the given key may not pay at all.
        missing: permissions that the given key lacks, in words.
    """

    name: str
    network: str
    balance_msat: int | None = None
    inbound_msat: int | None = None
    budget_msat: int | None = None
    play_money: bool = False
    holds: bool = False
    pays: bool = True
    missing: tuple[str, ...] = ()


class Wallet(Protocol):
    """A Lightning backend. All methods may raise WalletUnavailable."""

    async def open(self) -> None:
        """Connect and check; raises WalletConfigError when it can never work as configured."""
        ...

    async def close(self) -> None:
        """Let go of connections and files; idempotent."""
        ...

    async def info(self) -> WalletInfo:
        """The backend's name, network and liquidity."""
        ...

    async def source(self) -> str:
        """Whose money this is: a name of the node or account, the same after each restart.

        What another one was asked to pay, this one knows nothing of. Holds no secret.
        """
        ...

    async def create_invoice(
        self, amount_msat: int, *, memo: str, description: bytes | None, expiry_s: int
    ) -> Invoice:
        """Make an invoice.

        Args:
            amount_msat: what it asks for; a backend of whole sats refuses a fraction.
            memo: the plain description, used when `description` is None.
            description: its SHA-256 becomes the invoice's `h` field (LUD-06, NIP-57).
            expiry_s: seconds until it should not be paid any more.

        Raises:
            WalletRefused: the backend will not make this invoice.
        """
        ...

    async def lookup_invoice(self, payment_hash: str) -> tuple[InvoiceState, Settlement | None]:
        """What became of an invoice of ours; the Settlement when it is SETTLED."""
        ...

    def settlements(self, cursor: str) -> AsyncGenerator[Settlement]:
        """Every settlement behind `cursor` ("" for all the backend still has), then live ones.

        May repeat a settlement, never skips one that the backend reports. Raises
        WalletUnavailable when the stream is lost: the caller comes back with its cursor
        and looks up every open invoice.
        """
        ...

    async def pay(self, bolt11: str, *, fee_limit_msat: int, timeout_s: int) -> PaymentOutcome:
        """Pay an invoice, at most once per payment hash however often it is called.

        Returns:
            SETTLED or FAILED when final, PENDING or UNKNOWN otherwise. FAILED is only
            said when the payment cannot arrive any more.

        Raises:
            WalletUnavailable: only when the request surely never reached the backend.
        """
        ...

    async def lookup_payment(self, payment_hash: str) -> PaymentOutcome:
        """What became of a payment.

        Returns:
            NO_RECORD where the backend has none of it and would have one if it had ever been
            asked to pay; UNKNOWN where it has none and that says nothing.
        """
        ...

    async def sent_since(self, at_ms: int) -> Sequence[Sent] | None:
        """What was paid from here since a time, whoever asked for it; without what failed.

        Returns:
            At least those; None where the backend does not tell.
        """
        ...


@runtime_checkable
class HoldWallet(Wallet, Protocol):
    """A backend that can hold a payment until its receiver decides (hold invoices).

    It works when `info().holds` is True as well. A held payment locks the payer's money:
    settle or cancel it within minutes.
    """

    async def create_hold_invoice(
        self,
        payment_hash: str,
        amount_msat: int,
        *,
        memo: str,
        description: bytes | None,
        expiry_s: int,
    ) -> Invoice:
        """Make an invoice for a hash whose preimage only the caller knows.

        Args:
            payment_hash: hex SHA-256 of the 32-byte preimage.

        The other arguments and errors are those of `create_invoice`.
        """
        ...

    async def await_held(self, payment_hash: str) -> InvoiceState:
        """Wait until a hold invoice is not OPEN any more: HELD, SETTLED or CANCELED.

        Raises:
            WalletUnavailable: the stream was lost; ask again.
            WalletRefused: no such hold invoice.
        """
        ...

    async def settle_held(self, preimage: bytes) -> None:
        """Take a held payment; settling again is no error.

        Raises:
            WalletRefused: nothing is held under this preimage's hash (any more).
        """
        ...

    async def cancel_held(self, payment_hash: str) -> None:
        """Let a payment go back, or make an open hold invoice unpayable; idempotent.

        Raises:
            WalletRefused: it is settled already, or there is no such invoice.
        """
        ...
