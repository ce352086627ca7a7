"""Strom as it is, but for one step at which it kills itself with SIGKILL.

`STROM_KILL_AT` names the step: of a payout its intent, its being sent, its answer; of a held
payment its being taken; of a message, followed by its first word, its being heard, begun, acted
on and answered; of a charger's new password its being stored, answered and confirmed.
`STROM_AHEAD_MS` puts its clock forward. Everything else is the real program.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar, cast

import bridge.app
import bridge.charger_security
import bridge.cli.serve
import bridge.wallets
from agent.journal import codec, journal
from agent.journal.journal import Journal, Step, Task
from agent.journal.nostr_book import Begun, NostrBook
from agent.machine.events import RefundClaimed, RefundSent, RefundSettled
from agent.nostr.ears import Heard
from agent.ports.charge_point import ChargePoint
from agent.talk.conversation import Conversation
from bridge.cli import main
from bridge.ocpp.security.passwords import Passwords, Replacement
from bridge.ocpp.security.rotation import Rekeyable, Rotation
from wallet.base import HoldWallet, Wallet
from wallet.connect import connect

T = TypeVar("T")

STEP = os.environ.get("STROM_KILL_AT", "")
AHEAD_MS = int(os.environ.get("STROM_AHEAD_MS", "0"))

PAYOUT_STEPS = (
    "before intent",
    "after intent",
    "before send",
    "before answer",
    "after answer",
)
HOLD_STEPS = ("before taking", "after taking")
MESSAGE_STEPS = ("heard", "begun", "acted on", "answered")
PASSWORD_STEPS = (
    "before storing",
    "after storing",
    "after answer of charger",
    "before confirming",
    "after confirming",
)


def die(step: str) -> None:
    """End here, without a word to anybody, if this is the step."""
    if step == STEP:
        os.kill(os.getpid(), signal.SIGKILL)


class DeadlyPasswords(Passwords):
    """Dies before or after it has stored or confirmed a charger's new password."""

    def propose(self, charge_point_id: str, first: str) -> Replacement:
        die("before storing")
        proposed = super().propose(charge_point_id, first)
        die("after storing")
        return proposed

    def confirm(self, charge_point_id: str) -> None:
        die("before confirming")
        super().confirm(charge_point_id)
        die("after confirming")


class DeadlyRotation(Rotation):
    """Dies when a charger has answered, and before Strom knows."""

    async def prepared(
        self,
        charge_point: ChargePoint,
        charger: Rekeyable,
        authorization: Sequence[str],
        first: str,
    ) -> None:
        vars(charger)["set_password"] = _then_die(charger.set_password, "after answer of charger")
        await super().prepared(charge_point, charger, authorization, first)


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


class DeadlyBook(NostrBook):
    """Dies when a message is noted as begun, or its answer is stored and not yet sent."""

    async def begin(self, begun: Begun) -> None:
        await super().begin(begun)
        die(f"begun {_first_word(codec.decode(begun.body, Heard).text)}")

    async def publish(self, publications: Any, at_ms: int, **named: Any) -> None:
        await super().publish(publications, at_ms, **named)
        if publications and named.get("handled"):
            die(f"answered {DeadlyConversation.last_word}")


class DeadlyConversation(Conversation):
    """Dies when it hears a message, or has acted on it."""

    last_word = ""

    async def answer(self, charge_point_id: str, heard: Heard) -> str:
        die(f"heard {_first_word(heard.text)}")
        told = await super().answer(charge_point_id, heard)
        die(f"acted on {_first_word(heard.text)}")
        DeadlyConversation.last_word = _first_word(heard.text)
        return told


def _first_word(text: str) -> str:
    return text.split()[0]


def ahead() -> int:
    """The time, put forward."""
    return int(time.time() * 1000) + AHEAD_MS


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
    patched.Conversation = DeadlyConversation
    cast("Any", journal).NostrBook = DeadlyBook
    cast("Any", bridge.wallets).connect = deadly
    cast("Any", bridge.cli.serve)._now_ms = ahead
    guarded = cast("Any", bridge.charger_security)
    guarded.Passwords = DeadlyPasswords
    guarded.Rotation = DeadlyRotation
    main()
