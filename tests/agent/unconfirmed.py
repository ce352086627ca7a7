"""Refunds of which nobody knows what became, in a journal before Strom starts on it."""

from __future__ import annotations

import os
from pathlib import Path

from msgspec.structs import replace

from agent.journal.journal import Step
from agent.machine.model import Session, SessionState
from agent.machine.refund import Refund, RefundState
from tests.agent.journal.journals import opened_at
from tests.agent.machine.examples import T0, after, asked_to_stop, paid, starting
from wallet import bolt11

HASH = "5a" * 32
MADE_S = T0 // 1000 - 400_000_000


def _expired(payment_hash: str) -> str:
    return bolt11.sign(
        os.urandom(32),
        network="regtest",
        payment_hash=payment_hash,
        payment_secret=os.urandom(32),
        amount_msat=1_000_000,
        description="a refund",
        timestamp_s=MADE_S,
        expiry_s=600,
    )


async def stored(path: Path, *refunds: Refund) -> Session:
    """A closed session of CP001 that owes these refunds, in the journal of that file."""
    session = after(starting(), asked_to_stop(T0))
    assert session.state is SessionState.CLOSED
    session = replace(session, charge_point="CP001", refunds=refunds)
    async with opened_at(path) as journal:
        await journal.commit(Step(session, [paid(T0)]))
    return session


def unknown(no: int = 1, amount_msat: int = 1_000_000) -> Refund:
    """A refund of which the wallet that was asked to pay it cannot tell."""
    return Refund(
        no,
        amount_msat,
        RefundState.UNKNOWN,
        bolt11=_expired(HASH),
        payment_hash=HASH,
        wallet="a wallet of before",
    )
