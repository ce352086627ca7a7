"""What NWC wallets tell of a payment, and leave out: LNbits' own provider, coinos, Blink."""

from __future__ import annotations

import hashlib
import os
from typing import Any

import anyio
import pytest

from tests.wallet.clock import now_ms
from tests.wallet.contract import PATIENCE_S, stream
from tests.wallet.nwc_scripted import (
    SAT,
    Refusal,
    ScriptedService,
    fund,
)
from wallet.base import InvoiceState, PaymentState
from wallet.bolt11 import decode
from wallet.dev import DevWallet
from wallet.nwc import NwcWallet
from wallet.nwc_record import Transaction

pytestmark = [pytest.mark.usefixtures("node_modules"), pytest.mark.timeout(600)]


def told_by_lnbits(request: str, **differences: Any) -> dict[str, Any]:
    """An invoice as the NWC provider of LNbits (1.1.2) tells of it: it knows no state, and gives
    what is not pending any more, paid or failed, the time at which it was made as settled_at."""
    invoice = decode(request)
    record: dict[str, Any] = {
        "type": "incoming",
        "invoice": request,
        "description": "m",
        "preimage": "00" * 32,
        "payment_hash": invoice.payment_hash,
        "amount": invoice.amount_msat,
        "fees_paid": 0,
        "created_at": invoice.timestamp_s,
        "expires_at": invoice.expires_at_ms // 1000,
        "settled_at": invoice.timestamp_s,
        "metadata": {},
    }
    return record | differences


def answer_with(
    service: ScriptedService, record: dict[str, Any], *, listed: list[dict[str, Any]]
) -> None:
    """Let every look-up find one record, and the list be this one."""

    async def lookup_invoice(_params: dict[str, Any]) -> dict[str, Any]:
        return record

    async def list_transactions(params: dict[str, Any]) -> dict[str, Any]:
        assert params["unpaid"] is False
        offset = params["offset"]
        return {"transactions": listed[offset : offset + params["limit"]]}

    service.handlers |= {"lookup_invoice": lookup_invoice, "list_transactions": list_transactions}


async def test_an_invoice_that_lnbits_gave_up_is_not_paid(
    service: ScriptedService, wallet: NwcWallet
) -> None:
    invoice = await wallet.create_invoice(5 * SAT, memo="m", description=None, expiry_s=600)
    record = told_by_lnbits(invoice.bolt11)
    answer_with(service, record, listed=[])
    assert await wallet.lookup_invoice(invoice.payment_hash) == (InvoiceState.UNKNOWN, None)
    answer_with(service, record, listed=[record])
    state, settlement = await wallet.lookup_invoice(invoice.payment_hash)
    assert state is InvoiceState.SETTLED
    assert settlement is not None
    assert settlement.amount_msat == 5 * SAT


async def test_a_wallet_without_states_that_tells_when_it_was_paid_is_believed(
    service: ScriptedService, wallet: NwcWallet
) -> None:
    invoice = await wallet.create_invoice(5 * SAT, memo="m", description=None, expiry_s=600)
    record = told_by_lnbits(invoice.bolt11)
    record["settled_at"] = record["created_at"] + 5
    answer_with(service, record, listed=[])
    state, _ = await wallet.lookup_invoice(invoice.payment_hash)
    assert state is InvoiceState.SETTLED


async def test_the_time_of_a_payment_that_is_told_is_not_the_one_of_its_invoice(
    service: ScriptedService, dev: DevWallet, wallet: NwcWallet
) -> None:
    """Who pays more than two minutes after he got the invoice would have paid too late."""
    long_ago_s = now_ms() // 1000 - 1000
    paid = await dev.create_invoice(5 * SAT, memo="m", description=None, expiry_s=600)
    for state in (None, "settled"):
        for settled_at in (long_ago_s, None) if state else (long_ago_s,):
            record = told_by_lnbits(
                paid.bolt11, state=state, created_at=long_ago_s, settled_at=settled_at
            )
            answer_with(service, record, listed=[record])
            before_ms = now_ms()
            _, settlement = await wallet.lookup_invoice(paid.payment_hash)
            assert settlement is not None
            assert before_ms <= settlement.settled_at_ms <= now_ms()
            async with stream(wallet, "") as settlements:
                with anyio.fail_after(PATIENCE_S):
                    told = await anext(settlements)
            assert told.payment_hash == paid.payment_hash
            assert before_ms <= told.settled_at_ms <= now_ms()


async def test_nobody_pays_after_the_invoice_expired(dev: DevWallet) -> None:
    """So a payment heard of when Strom was down for long was not made just now."""
    made = await dev.create_invoice(5 * SAT, memo="m", description=None, expiry_s=600)
    record = Transaction(invoice=made.bolt11, created_at=1, settled_at=1, state="settled")
    assert record.settled_at_ms(made.expires_at_ms - 5) == made.expires_at_ms - 5
    assert record.settled_at_ms(made.expires_at_ms + 9_000) == made.expires_at_ms
    dated = Transaction(invoice=made.bolt11, created_at=1, settled_at=2, state="settled")
    assert dated.settled_at_ms(made.expires_at_ms) == 2_000


async def test_an_older_invoice_paid_last_is_told_of(
    service: ScriptedService, wallet: NwcWallet
) -> None:
    """The list gives the time at which an invoice was made as that of its payment."""
    now_s = now_ms() // 1000
    records: list[dict[str, Any]] = []
    for made_at_s in (now_s - 500, now_s):
        made = await wallet.create_invoice(5 * SAT, memo="m", description=None, expiry_s=600)
        times = {"created_at": made_at_s, "settled_at": made_at_s}
        records.append(told_by_lnbits(made.bolt11, **times))
    first, second = records
    answer_with(service, second, listed=[second])
    async with stream(wallet, "") as settlements:
        with anyio.fail_after(PATIENCE_S):
            cursor = (await anext(settlements)).cursor
    answer_with(service, second, listed=[second, first])
    told: set[str] = set()
    async with stream(wallet, cursor) as settlements:
        with anyio.fail_after(PATIENCE_S):
            while first["payment_hash"] not in told:
                told.add((await anext(settlements)).payment_hash)


async def test_what_lnbits_does_not_find_is_not_there(
    service: ScriptedService, dev: DevWallet, wallet: NwcWallet
) -> None:
    """Its refunds could not be paid: that it knows nothing of them yet was taken for trouble."""
    await fund(dev)
    request, payment_hash = await dev.driver_invoice(10 * SAT)
    really = service.handlers["lookup_invoice"]

    async def lookup_invoice(params: dict[str, Any]) -> dict[str, Any] | None:
        try:
            return await really(params)
        except Refusal:
            raise Refusal("INTERNAL", "Payment not found") from None

    service.handlers["lookup_invoice"] = lookup_invoice
    assert await wallet.lookup_invoice(payment_hash) == (InvoiceState.UNKNOWN, None)
    outcome = await wallet.pay(request, fee_limit_msat=0, timeout_s=5)
    assert outcome.state is PaymentState.SETTLED


@pytest.mark.parametrize(
    ("preimage_is_true", "state"), [(True, PaymentState.SETTLED), (False, PaymentState.UNKNOWN)]
)
async def test_a_payment_without_a_state_is_proved_by_its_preimage(
    service: ScriptedService,
    dev: DevWallet,
    wallet: NwcWallet,
    preimage_is_true: bool,
    state: PaymentState,
) -> None:
    preimage = os.urandom(32)
    payment_hash = hashlib.sha256(preimage).hexdigest()
    request, _ = await dev.driver_invoice(10 * SAT)
    record = told_by_lnbits(
        request,
        type="outgoing",
        payment_hash=payment_hash,
        preimage=preimage.hex() if preimage_is_true else "00" * 32,
    )
    answer_with(service, record, listed=[])
    assert (await wallet.lookup_payment(payment_hash)).state is state


@pytest.mark.parametrize(
    ("refusal", "state"),
    [
        (Refusal("PAYMENT_FAILED", "Payment failed."), PaymentState.FAILED),
        (Refusal("INTERNAL", "Payment pending"), PaymentState.UNKNOWN),
        (None, PaymentState.SETTLED),
    ],
)
async def test_the_answer_to_a_payment_and_a_record_without_a_state(
    service: ScriptedService,
    dev: DevWallet,
    wallet: NwcWallet,
    refusal: Refusal | None,
    state: PaymentState,
) -> None:
    """LNbits puts zeros for the preimage that it does not know, paid or not."""
    request, _ = await dev.driver_invoice(10 * SAT)

    async def pay_invoice(_params: dict[str, Any]) -> dict[str, Any]:
        answer_with(service, told_by_lnbits(request, type="outgoing"), listed=[])
        if refusal is not None:
            raise refusal
        return {"preimage": "00" * 32}

    service.handlers["pay_invoice"] = pay_invoice
    outcome = await wallet.pay(request, fee_limit_msat=0, timeout_s=5)
    assert outcome.state is state


async def test_what_a_record_leaves_out_is_read_from_its_invoice(
    service: ScriptedService, wallet: NwcWallet
) -> None:
    """coinos tells no amount of what its own users paid, and its list names no hash."""
    invoice = await wallet.create_invoice(5 * SAT, memo="m", description=None, expiry_s=600)
    record = {
        "type": "incoming",
        "state": "settled",
        "invoice": invoice.bolt11,
        "settled_at": now_ms() // 1000,
        "description": None,
        "fees_paid": None,
    }
    answer_with(service, record, listed=[record])
    _, settlement = await wallet.lookup_invoice(invoice.payment_hash)
    assert settlement is not None
    assert settlement.amount_msat == 5 * SAT
    async with stream(wallet, "") as settlements:
        with anyio.fail_after(PATIENCE_S):
            told = await anext(settlements)
    assert (told.payment_hash, told.amount_msat) == (invoice.payment_hash, 5 * SAT)


async def test_times_and_amounts_with_fractions(
    service: ScriptedService, wallet: NwcWallet
) -> None:
    """Zeus divides the milliseconds of a clock by 1000."""
    invoice = await wallet.create_invoice(5 * SAT, memo="m", description=None, expiry_s=600)
    settled_at_s = now_ms() // 1000 + 5
    record = told_by_lnbits(
        invoice.bolt11, state="settled", settled_at=settled_at_s + 0.25, amount=5000.0
    )
    answer_with(service, record, listed=[record])
    state, settlement = await wallet.lookup_invoice(invoice.payment_hash)
    assert state is InvoiceState.SETTLED
    assert settlement is not None
    assert (settlement.amount_msat, settlement.settled_at_ms) == (5000, settled_at_s * 1000)
