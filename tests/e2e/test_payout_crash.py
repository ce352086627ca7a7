"""Killed with SIGKILL at every step of a payout, and of the taking of a held payment.

`python -m tests.e2e.payouts --rounds 200` is the long run, over all backends.
"""

from __future__ import annotations

from pathlib import Path

from tests.e2e.killed import HOLD_STEPS, PAYOUT_STEPS
from tests.e2e.payouts import play


async def test_nothing_is_paid_twice_and_nothing_is_lost(tmp_path: Path) -> None:
    steps = (*PAYOUT_STEPS, *HOLD_STEPS)
    (till,) = await play(tmp_path, ["lnd"], len(steps))
    assert sorted(till.deaths) == sorted(steps)
    assert till.in_msat > till.out_msat > 0
