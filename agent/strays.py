"""Transactions of nobody's on a charge point's connectors: when one begins, is seen, is over.

A start that was not paid for is answered Invalid, and some chargers charge all the same. A
connector has one transaction, the one that began there last: so a stray one takes it from the
session that charged there. Its meter counted for nobody then, so that the session does not get
the connector back when the stray one is over, but only where it turns out that it never ran.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from agent.commons import Commons
from agent.connectors import POWERED
from agent.journal.transactions import Transaction
from agent.machine.model import Session, SessionState
from agent.ports.charger import StopReport
from agent.sessions import Sessions


@dataclass
class Stray:
    """A transaction that nobody paid for.

    Attributes:
        transaction_id: its number.
        register_wh: where its meter began; None for unknown.
        since_ms: since when it is known here, Unix ms.
        over_at_ms: since when it is over, Unix ms; None while it goes on.
        ran: whether energy may have flowed in it.
        stopped: whether its charger said that it has ended.
    """

    transaction_id: int
    register_wh: int | None
    since_ms: int
    over_at_ms: int | None = None
    ran: bool = True
    stopped: bool = False


class Strays:
    """The transactions of one charge point that nobody paid for, the last on each connector.

    Args:
        charge_point_id: whose.
        connectors: those that it has by the operator's file.
        sessions: what was paid for there.
        commons: what all charge points share.
    """

    def __init__(
        self, charge_point_id: str, connectors: Iterable[int], sessions: Sessions, commons: Commons
    ) -> None:
        self._id = charge_point_id
        self._connectors = frozenset(connectors)
        self._sessions = sessions
        self._commons = commons
        self._last: dict[int, Stray] = {}

    def resume(self) -> None:
        """Take up what the journal knows; call it when the sessions are loaded.

        It does not know ends: one goes on where its connector was in use when last seen, and
        never ran where the session there was shown to go on after it.
        """
        journal, now_ms = self._commons.journal, self._commons.clock()
        statuses = journal.connectors(self._id)
        for connector in self._connectors:
            transaction = journal.transactions.last_on(self._id, connector)
            if transaction is None or self._was_paid_for(transaction):
                continue
            session = self._sessions.on(connector)
            ran = (
                session is None
                or session.transaction_id is None
                or (
                    session.transaction_id < transaction.id
                    and session.vanished_since_ms is not None
                )
            )
            goes_on = ran and statuses.get(connector) in POWERED
            self._last[connector] = Stray(
                transaction.id,
                transaction.register_wh,
                since_ms=now_ms,
                over_at_ms=None if goes_on else now_ms,
                ran=ran,
            )

    def _was_paid_for(self, transaction: Transaction) -> bool:
        """Whether it is a session's, and did not begin after that was over."""
        if not transaction.session_id:
            return False
        session = self._commons.journal.sessions.get(transaction.session_id)
        if session is None or session.state is not SessionState.CLOSED:
            return True
        return session.transaction_id is not None and session.transaction_id >= transaction.id

    def place(self, connector: int) -> int:
        """A connector of the operator's file; 0 for all that a charger makes up."""
        return connector if connector in self._connectors else 0

    def on(self, connector: int) -> Stray | None:
        """The one that goes on at a place."""
        stray = self._last.get(connector)
        return stray if stray is not None and stray.over_at_ms is None else None

    def has_taken(self, session: Session) -> bool:
        """Whether what is said of a session's connector, and names no transaction, is not the
        session's: one goes on there, or ran there after the session's own had begun."""
        stray = self._last.get(session.connector)
        if stray is None or stray.transaction_id < (session.transaction_id or 0):
            return False
        return stray.over_at_ms is None or (stray.ran and session.transaction_id is not None)

    def began(self, connector: int, transaction_id: int, register_wh: int | None) -> None:
        """One began on a connector: what ran there before is over."""
        stray = Stray(transaction_id, register_wh, self._commons.clock())
        self._last[self.place(connector)] = stray

    def seen(self, transaction: Transaction, sampled_at_ms: int) -> Stray | None:
        """A meter was read just now that names one; None where it cannot be that which runs.

        Some chargers go on naming an old one: a later one runs where there is any, and a session
        that waits for its start, or was shown to go on, has the benefit of the doubt. One that
        looked over goes on if it was read after that, unless its charger ended it.
        """
        place = self.place(transaction.connector)
        stray = self._last.get(place)
        if not transaction.session_id and (stray is None or stray.transaction_id < transaction.id):
            stray = Stray(transaction.id, transaction.register_wh, sampled_at_ms, over_at_ms=0)
        if stray is None or stray.transaction_id != transaction.id:
            return None
        if stray.over_at_ms is None:
            return stray
        if stray.stopped or sampled_at_ms <= stray.over_at_ms:
            return None
        session = self._sessions.on(place)
        if session is not None:
            own_id = session.transaction_id
            if own_id is None or own_id > transaction.id or not stray.ran:
                return None
        stray.over_at_ms, stray.ran = None, True
        self._last[place] = stray
        return stray

    def freed(self, connector: int) -> None:
        """No transaction runs on a connector, as its status says."""
        stray = self.on(connector)
        if stray is not None:
            stray.over_at_ms = self._commons.clock()

    def ended(self, report: StopReport) -> bool:
        """A transaction ended; returns whether it is one of these."""
        for stray in self._last.values():
            if stray.transaction_id == report.transaction_id:
                stray.over_at_ms = self._commons.clock()
                stray.stopped = True
                stray.ran = report.register_wh is None or report.register_wh != stray.register_wh
                return True
        return False

    def gave_way(self, connector: int) -> None:
        """A transaction that was paid for runs on a connector."""
        stray = self._last.get(connector)
        if stray is not None:
            stray.over_at_ms, stray.ran = self._commons.clock(), False

    def paid_one_read(self, session: Session, sampled_at_ms: int) -> None:
        """A meter was read that names a session's transaction: that runs, if it was read since."""
        stray = self._last.get(session.connector)
        if stray is not None and stray.since_ms < sampled_at_ms:
            self.gave_way(session.connector)
