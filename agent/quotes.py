"""Quotes: a price frozen, an invoice made, a row written, in this order."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import secrets
from dataclasses import replace

from agent.commons import Commons
from agent.machine.events import Obstacle
from agent.machine.model import Session, SessionState
from agent.machine.money import MSAT_PER_SAT
from agent.ports.errors import Refused
from agent.ports.quotes import Quote, QuoteRequest
from agent.tariff.model import Tariff
from wallet.base import HoldWallet, WalletError, WalletRefused

ANSWER_S = 8.0
"""How long the wallet may take for an invoice: the driver's own wallet does not wait longer."""

OBSTACLES: dict[Obstacle, str] = {
    Obstacle.OFFLINE: "this charge point is offline",
    Obstacle.NOT_ANSWERING: "the charger does not answer at the moment; try again soon",
    Obstacle.OCCUPIED: "this charge point is in use",
    Obstacle.FAULTED: "this charge point is out of order",
    Obstacle.UNAVAILABLE: "this charge point is switched off",
    Obstacle.RESERVED: "this charge point is reserved",
    Obstacle.DISABLED: "the operator has switched this charge point off",
    Obstacle.REJECTED: "the charger refused to start",
    Obstacle.NOT_PLUGGED_IN: "no car was plugged in in time",
    Obstacle.STILL_PLUGGED_IN: "the cable of the charge before was not unplugged",
    Obstacle.LATE: "the payment came too late",
    Obstacle.WITHDRAWN: "the payment was withdrawn",
    Obstacle.AMOUNT: "that amount is too small or too large here",
}
"""Each obstacle as a sentence for a driver, without its full stop."""

log = logging.getLogger(__name__)


def check_amount(amount_msat: int, commons: Commons) -> None:
    """Refuse an amount outside the operator's bounds; raises Refused."""
    least, most = commons.sessions.min_payment_sat, commons.sessions.max_payment_sat
    if amount_msat < least * MSAT_PER_SAT:
        raise Refused(f"the least payment here is {least} sat")
    if amount_msat > most * MSAT_PER_SAT:
        raise Refused(f"the largest payment here is {most} sat")


def is_taken(amount_msat: int, commons: Commons) -> bool:
    """Whether an amount is within the operator's bounds."""
    try:
        check_amount(amount_msat, commons)
    except Refused:
        return False
    return True


async def make(
    commons: Commons,
    request: QuoteRequest,
    *,
    charge_point_id: str,
    name: str,
    connector: int,
    tariff: Tariff,
    topping_up: Session | None,
    secret: str = "",
    holder: HoldWallet | None = None,
) -> Quote:
    """Make an invoice and store what was promised with it before anyone sees it.

    Args:
        commons: wallet, journal and clock.
        request: what the driver wants.
        charge_point_id: where.
        name: the charge point's name, for the invoice's memo.
        connector: the connector that the money is for.
        tariff: the price to freeze.
        topping_up: the open session that the money is added to; None for a new one.
        secret: the secret of that session.
        holder: makes an invoice whose payment is held until charging begins; None for a
            plain one.

    Raises:
        Refused: the wallet makes no invoice now; the text is for the driver.
    """
    if topping_up is not None and topping_up.state in (SessionState.STOPPING, SessionState.CLOSED):
        raise Refused("this session is ending; start a new one", word="ending")
    description = None if request.description is None else request.description.encode()
    sats = request.amount_msat // MSAT_PER_SAT
    memo = f"{sats} sat of charging at {name}"
    expiry_s = commons.sessions.invoice_expiry_s
    try:
        async with asyncio.timeout(ANSWER_S):
            if holder is None:
                invoice = await commons.wallet.create_invoice(
                    request.amount_msat, memo=memo, description=description, expiry_s=expiry_s
                )
            else:
                preimage = secrets.token_bytes(32)
                held = await holder.create_hold_invoice(
                    hashlib.sha256(preimage).hexdigest(),
                    request.amount_msat,
                    memo=memo,
                    description=description,
                    expiry_s=expiry_s,
                )
                invoice = replace(held, preimage=preimage.hex())
    except TimeoutError:
        raise Refused("the wallet of this charge point is too slow; try again soon") from None
    except WalletError as error:
        if isinstance(error, WalletRefused) and request.amount_msat % MSAT_PER_SAT:
            # Who pays an amount in his own currency sends such; LNbits takes none.
            raise Refused(
                f"this charge point takes whole satoshi only: pay {sats} sat",
                word="whole_sats",
                sats=sats,
            ) from error
        if isinstance(error, WalletRefused):
            sentence = f"{charge_point_id}: no invoice was made for a driver: {error}"
            log.warning("%s", sentence)
            commons.alerts.happened("invoice refused", sentence)
            raise Refused(
                "the wallet of this charge point makes no such invoice; its operator was told",
                word="no_sale",
            ) from error
        raise Refused(
            "the wallet of this charge point does not answer; try again soon", word="wallet"
        ) from error
    quote = Quote(
        payment_hash=invoice.payment_hash,
        bolt11=invoice.bolt11,
        amount_msat=invoice.amount_msat,
        charge_point=charge_point_id,
        connector=connector,
        session_id=topping_up.id if topping_up else secrets.token_hex(8),
        secret=secret or secrets.token_urlsafe(16),
        origin=request.origin,
        payer=topping_up.payer if topping_up else request.payer,
        tariff=topping_up.tariff if topping_up else tariff,
        created_at_ms=commons.clock(),
        expires_at_ms=invoice.expires_at_ms,
        zap_request=request.zap_request,
        comment=request.comment,
        reply=request.reply,
        language=request.language,
        topup=topping_up is not None,
        preimage=invoice.preimage,
        hold=holder is not None,
    )
    await commons.journal.quotes.add(quote)
    return quote
