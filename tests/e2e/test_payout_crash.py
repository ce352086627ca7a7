"""Killed with SIGKILL at every step of a payout, and of the taking of a held payment.

`python -m tests.e2e.payouts --rounds 200` is the long run, over all backends.
"""

from __future__ import annotations

from pathlib import Path

from tests.e2e.killed import HOLD_STEPS, PAYOUT_STEPS
from tests.e2e.payouts import check_balance, play, round_of_lost_request, tills


async def test_nothing_is_paid_twice_and_nothing_is_lost(tmp_path: Path) -> None:
    steps = (*PAYOUT_STEPS, *HOLD_STEPS)
    (till,) = await play(tmp_path, ["lnd"], len(steps))
    assert sorted(till.deaths) == sorted(steps)
    assert till.in_msat > till.out_msat > 0


async def test_what_was_never_sent_is_owed_again_once_its_invoice_expired(tmp_path: Path) -> None:
    async with tills(tmp_path, ["lnd"]) as (till,):
        folder = tmp_path / "lnd"
        folder.mkdir()
        await round_of_lost_request(till, folder)
        await check_balance(till, folder, 0)
