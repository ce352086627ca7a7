"""What a driver wants to pay for, and what he was promised for it."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from agent.machine.events import Payer
from agent.tariff.model import Tariff


class Origin(StrEnum):
    """By which way a payment is asked for."""

    ZAP = "zap"
    LNURL = "lnurl"
    MESSAGE = "message"
    OUTSIDE = "outside"


@dataclass(frozen=True, slots=True)
class QuoteRequest:
    """What a driver wants to pay for.

    Attributes:
        amount_msat: how much.
        origin: by which way he asks.
        connector: the connector he named; None: the first that can start.
        payer: who he is, as far as he showed.
        description: the raw text whose SHA-256 the invoice commits to (LNURL metadata
            with payer data, or the zap request as it came); None for a plain memo.
        zap_request: the raw zap request when this is a zap.
        topup_secret: the secret of the session to be topped up; None to start one.
        comment: the driver's words.
        reply: protocol in which to write to him: "nip04", "nip17" or "".
        language: the language of his words, as a two-letter code, "" for the default.
    """

    amount_msat: int
    origin: Origin
    connector: int | None = None
    payer: Payer = Payer()
    description: str | None = None
    zap_request: str | None = None
    topup_secret: str | None = None
    comment: str = ""
    reply: str = ""
    language: str = ""


@dataclass(frozen=True, slots=True)
class Quote:
    """An invoice of ours and all that was promised with it; a row, never a state of a charger.

    Attributes:
        payment_hash: hex; the quote's name.
        session_id: the session that it opens or tops up.
        secret: what makes the payer of a session known; part of his session page's URL.
        tariff: the frozen tariff.
        settled_at_ms: when it was paid; None while it is not.
        preimage: hex, where our wallet told it.
        hold: whether the wallet holds the payment until charging begins.
    """

    payment_hash: str
    bolt11: str
    amount_msat: int
    charge_point: str
    connector: int
    session_id: str
    secret: str = field(repr=False)
    origin: Origin
    payer: Payer
    tariff: Tariff
    created_at_ms: int
    expires_at_ms: int
    zap_request: str | None = None
    comment: str = ""
    reply: str = ""
    language: str = ""
    topup: bool = False
    settled_at_ms: int | None = None
    preimage: str = field(default="", repr=False)
    hold: bool = False

    @property
    def is_proved_by_preimage(self) -> bool:
        """Whether who has the preimage is the payer.

        The receipt of a zap shows its invoice to everybody. For that, providers elsewhere publish
        the preimage (NIP-57 allows it), and LNbits tells it to whoever asks.
        """
        public = self.zap_request is not None or self.origin is Origin.OUTSIDE
        return bool(self.preimage) or not public
