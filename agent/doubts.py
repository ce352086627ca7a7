"""Refunds that may have been paid already, though the journal knows nothing of it.

A journal that came back from a backup, or of which a copy is at work elsewhere, owes what has been
paid since. Its wallet knows: at each start it is asked for what went out since the journal's last
word. A payment that was never decided on here casts doubt on the refunds that were open then: they
wait for the operator's word, and nothing is paid twice by Strom itself.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from agent.commons import Commons
from agent.machine.model import Session, SessionState
from agent.machine.refund import RefundState
from agent.ports.errors import Refused
from wallet.base import Sent, WalletError

ALIVE = "alive"
"""The setting that tells when Strom was last at work, Unix ms."""

DOUBT = "doubt:"
"""Before a session's id: the setting that tells why its refunds wait; "" once they do not."""

ALIVE_EVERY_S = 60.0
ASK_AGAIN_S = 10.0
ALERT = "doubts"

log = logging.getLogger(__name__)


class Doubted(Refused):
    """It may have been paid already: the operator has to look first."""

    def __init__(self) -> None:
        super().__init__(
            "this may have been paid back already: the operator has to look first, and was told",
            word="doubted",
        )


class Doubts:
    """Which refunds wait for the operator's word.

    Args:
        commons: wallet, journal, clock and alerts.
    """

    def __init__(self, commons: Commons) -> None:
        self._commons = commons
        self._old: dict[str, Session] = {}
        self._since_ms = 0
        self._asked = False
        self._asking = asyncio.Lock()

    def resume(self, sessions: Iterable[Session]) -> None:
        """Begin with what the journal holds.

        Args:
            sessions: all of which anything can still come, as they were when Strom last stopped.
        """
        self._old = {session.id: session for session in sessions}
        self._since_ms = int(self._commons.journal.setting(ALIVE) or 0)
        # A journal of before this was written down tells nothing of gaps.
        self._asked = not (self._old and self._since_ms)
        self._tell()

    async def run(self) -> None:
        """Ask the wallet, then write down that Strom is at work, until cancelled."""
        while True:
            try:
                await self._ask()
            except WalletError as error:
                log.info("what the wallet paid meanwhile is not known yet: %s", error)
                await asyncio.sleep(ASK_AGAIN_S)
            else:
                await self._commons.journal.set_setting(ALIVE, str(self._commons.clock()))
                await asyncio.sleep(ALIVE_EVERY_S)

    def is_doubted(self, session_id: str) -> bool:
        """Whether the refunds of a session wait for the operator's word."""
        return bool(self._commons.journal.setting(f"{DOUBT}{session_id}"))

    async def known(self, session_id: str) -> None:
        """Return once it is known whether a session's refunds are doubted; raises WalletError."""
        if session_id in self._old:
            await self._ask()

    async def check(self, session_id: str) -> None:
        """Let a refund be decided on.

        Raises:
            Doubted: it may have been paid already.
            Refused: that is not known yet.
        """
        try:
            await self.known(session_id)
        except WalletError:
            sentence = "the wallet does not answer; try again soon"
            raise Refused(sentence, word="wallet", passing=True) from None
        if self.is_doubted(session_id):
            raise Doubted

    async def lift(self, session_id: str, operator: str) -> None:
        """The operator has looked."""
        if self.is_doubted(session_id):
            await self._commons.journal.set_setting(f"{DOUBT}{session_id}", "")
            log.warning("%s has looked what was paid back for session %s", operator, session_id)
            self._tell()

    async def _ask(self) -> None:
        """Ask the wallet, once; raises WalletError."""
        async with self._asking:
            if self._asked:
                return
            sent = await self._commons.wallet.sent_since(self._since_ms)
            has_event = self._commons.journal.sessions.has_event
            strange = [one for one in sent or () if not has_event(f"claimed:{one.payment_hash}")]
            for session in self._old.values():
                if _may_be_its(session, strange):
                    reason = f"{len(strange)} payments since {self._since_ms}"
                    await self._commons.journal.set_setting(f"{DOUBT}{session.id}", reason)
            self._asked = True
        self._tell()

    def _tell(self) -> None:
        reasons = self._commons.journal.settings(DOUBT)
        doubted = [session_id for session_id in self._old if reasons.get(session_id)]
        if not doubted:
            self._commons.alerts.cleared(ALERT, "no refund is in doubt any more")
            return
        since = datetime.fromtimestamp(self._since_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M UTC")
        self._commons.alerts.raised(
            ALERT,
            "the wallet has paid what this Strom never decided on: if its data comes from a backup,"
            f" or a copy of it is at work elsewhere, refunds of {len(doubted)} sessions may have "
            f"been paid already; they wait until you have looked: see strom owed. What drivers "
            f"paid after {since} it does not know of either",
        )


def _may_be_its(session: Session, payments: Sequence[Sent]) -> bool:
    """Whether one of some payments can have been a refund of a session.

    What a charge that ran would have come to nobody knows, so that it may be any of them.
    """
    if session.state is not SessionState.CLOSED:
        return bool(payments)
    owed_msat = {r.amount_msat for r in session.refunds if r.state is not RefundState.PAID}
    return any(payment.amount_msat in owed_msat for payment in payments)
