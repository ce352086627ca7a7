"""The play-money wallet beyond the contract: its file, its crashes, its second process."""

from __future__ import annotations

import logging
import os
import signal
import sqlite3
import sys
from pathlib import Path

import anyio
import pytest
from anyio.streams.text import TextReceiveStream

from tests.wallet.clock import ManualClock, now_ms
from wallet.base import InvoiceState, PaymentState, WalletConfigError, WalletRefused
from wallet.dev import FILE_NAME, DevWallet

PAYER = """
import sys
from pathlib import Path
import anyio
from tests.wallet.clock import now_ms
from wallet.dev import DevWallet

async def main() -> None:
    wallet = DevWallet(Path(sys.argv[1]), now_ms)
    await wallet.open()
    while True:
        taken = await wallet.create_invoice(3000, memo="m", description=None, expiry_s=600)
        print("invoice", taken.payment_hash, flush=True)
        await wallet.driver_pay(taken.bolt11)
        print("taken", taken.payment_hash, flush=True)
        request, payment_hash = await wallet.driver_invoice(1000)
        print("refund", payment_hash, flush=True)
        outcome = await wallet.pay(request, fee_limit_msat=0, timeout_s=5)
        print(outcome.state, payment_hash, flush=True)

anyio.run(main)
"""


async def test_it_says_that_it_is_play_money(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    wallet = DevWallet(tmp_path, now_ms)
    with caplog.at_level(logging.WARNING):
        await wallet.open()
    assert "PLAY MONEY" in caplog.text
    info = await wallet.info()
    assert info.play_money
    assert "play money" in info.name
    await wallet.close()


async def test_its_file_is_private(tmp_path: Path) -> None:
    wallet = DevWallet(tmp_path / "data", now_ms)
    await wallet.open()
    for path in (tmp_path / "data").iterdir():
        assert path.stat().st_mode & 0o077 == 0, path
    await wallet.close()


async def test_refunds_cannot_exceed_receipts(tmp_path: Path) -> None:
    wallet = DevWallet(tmp_path, now_ms)
    await wallet.open()
    assert (await wallet.info()).balance_msat == 0
    request, _ = await wallet.driver_invoice(1000)
    outcome = await wallet.pay(request, fee_limit_msat=0, timeout_s=5)
    assert outcome.state is PaymentState.FAILED
    assert "insufficient balance" in outcome.reason
    await wallet.close()


async def test_an_expired_invoice_cannot_be_paid(tmp_path: Path) -> None:
    clock = ManualClock()
    wallet = DevWallet(tmp_path, clock)
    await wallet.open()
    invoice = await wallet.create_invoice(5000, memo="m", description=None, expiry_s=60)
    clock.advance_s(61)
    with pytest.raises(WalletRefused, match="expired"):
        await wallet.driver_pay(invoice.bolt11)
    assert (await wallet.lookup_invoice(invoice.payment_hash))[0] is InvoiceState.OPEN
    await wallet.close()


async def test_its_nodes_stay_the_same(tmp_path: Path) -> None:
    first = DevWallet(tmp_path, now_ms)
    await first.open()
    taken = await first.create_invoice(5000, memo="m", description=None, expiry_s=60)
    await first.close()
    second = DevWallet(tmp_path, now_ms)
    await second.open()
    assert len(await second.driver_pay(taken.bolt11)) == 64
    await second.close()


async def test_a_second_process_is_refused(tmp_path: Path) -> None:
    first = DevWallet(tmp_path, now_ms)
    await first.open()
    with pytest.raises(WalletConfigError, match="another process uses it"):
        await DevWallet(tmp_path, now_ms).open()
    await first.close()


async def test_unusable_files(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(WalletConfigError, match=r"Not a directory|File exists"):
        await DevWallet(tmp_path / "file", now_ms).open()
    (tmp_path / FILE_NAME).write_text(
        "this is no database, but it is long enough to be read as one" * 20
    )
    with pytest.raises(WalletConfigError, match="not a database"):
        await DevWallet(tmp_path, now_ms).open()


async def test_a_newer_file_is_refused(tmp_path: Path) -> None:
    wallet = DevWallet(tmp_path, now_ms)
    await wallet.open()
    await wallet.close()
    connection = sqlite3.connect(tmp_path / FILE_NAME)
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(WalletConfigError, match="newer Strom"):
        await DevWallet(tmp_path, now_ms).open()


async def test_nothing_is_lost_by_sigkill(tmp_path: Path) -> None:
    """What it said before it was killed still holds, and the sums meet."""
    taken: set[str] = set()
    refunded: set[str] = set()
    for lines in range(1, 13):
        process = await anyio.open_process(
            [sys.executable, "-c", PAYER, str(tmp_path)], stderr=None, cwd=Path.cwd()
        )
        assert process.stdout is not None
        text = ""
        async with process:
            async for chunk in TextReceiveStream(process.stdout):
                text += chunk
                if text.count("\n") >= lines:
                    os.kill(process.pid, signal.SIGKILL)
                    break
        for line in text.splitlines():
            word, _, payment_hash = line.partition(" ")
            if word == "taken" and len(payment_hash) == 64:
                taken.add(payment_hash)
            if word == "settled" and len(payment_hash) == 64:
                refunded.add(payment_hash)
    wallet = DevWallet(tmp_path, now_ms)
    await wallet.open()
    for payment_hash in taken:
        assert (await wallet.lookup_invoice(payment_hash))[0] is InvoiceState.SETTLED
    for payment_hash in refunded:
        assert (await wallet.lookup_payment(payment_hash)).state is PaymentState.SETTLED
        assert await wallet.driver_invoice_paid(payment_hash)
    await wallet.close()
    connection = sqlite3.connect(tmp_path / FILE_NAME)
    (received,) = connection.execute(
        "SELECT sum(amount_msat) FROM invoices WHERE purse = 'operator' AND state = 'settled'"
    ).fetchone()
    (sent,) = connection.execute(
        "SELECT coalesce(sum(amount_msat), 0) FROM payments"
        " WHERE purse = 'operator' AND state = 'settled'"
    ).fetchone()
    (balance,) = connection.execute(
        "SELECT balance_msat FROM nodes WHERE purse = 'operator'"
    ).fetchone()
    connection.close()
    assert taken
    assert refunded
    assert balance == received - sent
