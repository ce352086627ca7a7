"""Runs inside LNbits' environment: its LND client against the server that is given.

Prints one JSON object with what the client made of the server's answers. The server pays the
invoices that this prints on the way, one a line, and the script reads "paid" back.
"""

import asyncio
import importlib
import json
import sys
from typing import Any

# By name, as LNbits is not installed where the types are checked.
LndWallet: Any = importlib.import_module("lnbits.wallets.lndgrpc").LndWallet


async def main() -> None:
    """Use every method of the client once."""
    wallet: Any = LndWallet()
    result: dict[str, object] = {}
    status = await wallet.status()
    result["error"], result["balance_msat"] = status.error_message, status.balance_msat

    stream = wallet.paid_invoices_stream()
    announced = asyncio.ensure_future(anext(stream))
    # It listens before there is anything to hear.
    await asyncio.sleep(0)
    made = await wallet.create_invoice(21, "a memo", unhashed_description=b"text", expiry=600)
    result["invoice_ok"] = made.ok
    result["open"] = (await wallet.get_invoice_status(made.checking_id)).pending
    print(made.payment_request, flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    result["paid"] = (await wallet.get_invoice_status(made.checking_id)).success
    result["announced"] = await asyncio.wait_for(announced, 10) == made.checking_id

    payment = await wallet.pay_invoice(sys.argv[1], 1000)
    result["sent"], result["fee_msat"] = payment.ok, payment.fee_msat
    result["sent_status"] = (await wallet.get_payment_status(payment.checking_id)).success
    again = await wallet.pay_invoice(sys.argv[1], 1000)
    result["again"] = again.error_message
    unknown = await wallet.get_payment_status("00" * 32)
    result["unknown_pending"] = unknown.pending

    held = await wallet.create_hold_invoice(5, "ab" * 32, "hold")
    result["held_ok"] = held.ok
    result["canceled"] = (await wallet.cancel_hold_invoice("ab" * 32)).ok
    result["canceled_status"] = (await wallet.get_invoice_status("ab" * 32)).failed
    result["settled_canceled"] = (await wallet.settle_hold_invoice("cd" * 32)).ok
    print(json.dumps(result), flush=True)


asyncio.run(main())
