"""Strom as it is, but for one step at which it kills itself with SIGKILL.

`STROM_KILL_AT` names the step: of a payout its intent, its being sent, its answer; of a held
payment its being taken. Everything else is the real program.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar, cast

import bridge.app
from agent.journal.journal import Journal, Step, Task
from agent.machine.events import RefundClaimed, RefundSent, RefundSettled
from bridge.cli import main
from wallet.base import HoldWallet, Wallet
from wallet.connect import connect

T = TypeVar("T")

STEP = os.environ.get("STROM_KILL_AT", "")

PAYOUT_STEPS = (
    "before intent",
    "after intent",
    "before send",
    "before answer",
    "after answer",
)
HOLD_STEPS = ("before taking", "after taking")


def die(step: str) -> None:
    """End here, without a word to anybody, if this is the step."""
    if step == STEP:
        os.kill(os.getpid(), signal.SIGKILL)


class DeadlyJournal(Journal):
    """Dies before or after it has stored a step of a payout."""

    async def commit(self, step: Step) -> list[Task] | None:
        kinds = {type(event) for event in step.events}
        if RefundClaimed in kinds:
            die("before intent")
        if RefundSettled in kinds:
            die("after answer")
        stored = await super().commit(step)
        if RefundClaimed in kinds:
            die("after intent")
        if RefundSent in kinds:
            die("before send")
        return stored


def deadly(*arguments: Any, **named: Any) -> Wallet:
    """A wallet by its URL that dies when the backend has answered, and before Strom knows."""
    wallet = connect(*arguments, **named)
    vars(wallet)["pay"] = _then_die(wallet.pay, "before answer")
    if isinstance(wallet, HoldWallet):
        take = _then_die(wallet.settle_held, "after taking")

        async def settle_held(preimage: bytes) -> None:
            die("before taking")
            await take(preimage)

        vars(wallet)["settle_held"] = settle_held
    return wallet


def _then_die(call: Callable[..., Awaitable[T]], step: str) -> Callable[..., Awaitable[T]]:
    async def called(*arguments: Any, **named: Any) -> T:
        answer = await call(*arguments, **named)
        die(step)
        return answer

    return called


if __name__ == "__main__":
    patched = cast("Any", bridge.app)
    patched.Journal = DeadlyJournal
    patched.connect = deadly
    main()
