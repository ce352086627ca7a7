"""Whose session a charger's report belongs to: chargers name tags, transactions and connectors
loosely.

The number of a transaction is Strom's, so that it alone would do; but some chargers count by
themselves, and theirs may be that of the charge next door. Others write 0 for each connector, or
1, or that which they were asked to start. So a number is not believed against the connector that
stands beside it where something else runs there, unless what runs there is called by its own
number: then this charger numbers rightly, and the connector is what is wrong.
"""

from __future__ import annotations

from collections import deque

from agent.commons import Commons
from agent.connectors import Connectors
from agent.journal.transactions import Transaction
from agent.machine.meter import Source
from agent.machine.model import Session, SessionState
from agent.numbering import Numbering
from agent.ports.charger import MeterReport, StartReport, StopReport
from agent.sessions import Sessions
from agent.strays import Strays

LEAST_OF_TAG = 8
"""So many hexadecimal digits of a tag are enough: no other open session begins with them."""

KNOWN_AGAIN = 64
"""So many stops of nobody's are known again: some chargers repeat theirs for ever."""

_END_SAMPLE = Source.END_SAMPLE

FRESH_MS = 60_000
"""What a meter showed longer ago says nothing of whether power flows now."""


class Owners:
    """Finds the sessions of one charge point that its charger reports of.

    Args:
        charge_point_id: whose.
        connectors: their states.
        sessions: its sessions.
        strays: its transactions that nobody paid for.
        commons: what all charge points share.
    """

    def __init__(
        self,
        charge_point_id: str,
        connectors: Connectors,
        sessions: Sessions,
        strays: Strays,
        commons: Commons,
    ) -> None:
        self._charge_point_id = charge_point_id
        self._connectors = connectors
        self._sessions = sessions
        self._strays = strays
        self._commons = commons
        self.numbering = Numbering(charge_point_id, commons.journal)
        self._kept: deque[StopReport] = deque(maxlen=KNOWN_AGAIN)

    def by_connector(self, connector: int) -> Session | None:
        """The open session that is meant by what is said of a connector alone."""
        session = self._sessions.on(connector)
        return None if session is None or self._strays.has_taken(session) else session

    def past_on(self, connector: int) -> Session | None:
        """The session that is over whose transaction began last on a connector, and of which the
        charger never said that it ended."""
        transaction = self._commons.journal.transactions.last_on(self._charge_point_id, connector)
        if transaction is None or not transaction.session_id:
            return None
        session = self._sessions.get(transaction.session_id)
        is_its_last = session.transaction_id == transaction.id and not session.transaction_ended
        return session if session.state is SessionState.CLOSED and is_its_last else None

    def by_tag(self, id_tag: str) -> Session | None:
        """The open session that was started under a tag; some chargers pad it with junk, some
        cut it to the length of a card's number."""
        tag = id_tag.strip().lower()
        for session in self._sessions.open():
            cut = len(tag) >= LEAST_OF_TAG and session.id.startswith(tag)
            if cut or tag.startswith(session.id):
                return session
        return None

    def past_by_tag(self, id_tag: str) -> Session | None:
        """The session that was started under a tag, open or not."""
        session = self._commons.journal.sessions.get(id_tag.strip().lower()[:16])
        return session if session and session.charge_point == self._charge_point_id else None

    def by_sample(
        self, report: MeterReport, known: dict[int, Transaction | None]
    ) -> Session | None:
        """By the transaction it names, else by the connector: chargers often name none, or 0.

        A message may have thousands of readings: what the journal says is kept in `known`.
        """
        named, connector = report.transaction_id, report.connector
        own = self._sessions.in_transaction(named)
        if own is not None:
            if connector == own.connector:
                self.numbering.heard(connector, named or 0)
            elif self._runs_elsewhere(own.connector, connector):
                return self._charging_on(connector)
            if report.source is not _END_SAMPLE:
                self._strays.paid_one_read(own, report.sampled_at_ms)
            return own
        if named is not None and named not in known:
            known[named] = self._commons.journal.transactions.get(named)
        other = None if named is None else known[named]
        # A number of another charge point's is none of Strom's: this charger counts by itself.
        if other is not None and other.charge_point == self._charge_point_id:
            if connector == other.connector:
                self.numbering.heard(connector, other.id)
            elif self._runs_elsewhere(other.connector, connector):
                known[other.id] = None
                return self._charging_on(connector)
            return self._past(other, report.sampled_at_ms)
        return self._charging_on(connector)

    def _charging_on(self, connector: int) -> Session | None:
        session = self.by_connector(connector)
        return None if session is None or session.started_at_ms is None else session

    def _runs_elsewhere(self, own: int, connector: int) -> bool:
        """Whether a reading whose number is of a transaction on its `own` connector, and which
        names another one, is of what runs there."""
        place = self._strays.place(connector)
        if place in (0, own):
            return False
        stray, session = self._strays.on(place), self._sessions.on(place)
        if stray is not None:
            running = stray.transaction_id
        elif session is not None and session.transaction_id is not None:
            running = session.transaction_id
        else:
            # A charge on one connector alone may be shown on the other.
            return self._connectors.shows_power(place) and self._connectors.shows_power(own)
        return not self.numbering.is_right(place, running)

    def _past(self, transaction: Transaction, sampled_at_ms: int) -> Session | None:
        """The session whose transaction still runs, as its meter shows just now."""
        is_fresh = self._commons.clock() - sampled_at_ms <= FRESH_MS
        if not is_fresh or not transaction.session_id:
            return None
        session = self._sessions.get(transaction.session_id)
        return None if session.transaction_ended else session

    def is_repeated(self, session: Session, report: StartReport) -> bool:
        """Whether a start tells of what runs already, though its timestamp is another one.

        Some chargers write the time of each try. Where the register has not moved since the
        start, nothing can have begun anew.
        """
        if session.state is SessionState.CLOSED or session.transaction_id is None:
            return False
        running = self._commons.journal.transactions.get(session.transaction_id)
        return running is not None and (running.connector, running.register_wh) == (
            report.connector,
            report.register_wh,
        )

    def known_start(self, report: StartReport) -> Transaction | None:
        """The transaction that a start tells of in the same words as before.

        Without a time the same words are said of each start of a card by a meter that did not
        move. They mean the same one where they are of a session, or while it goes on.
        """
        if report.started_at_ms or self.by_tag(report.id_tag) or self.past_by_tag(report.id_tag):
            return self._commons.journal.transactions.find(self._charge_point_id, report)
        stray = self._strays.on(self._strays.place(report.connector))
        if stray is None:
            return None
        running = self._commons.journal.transactions.get(stray.transaction_id)
        told = (report.connector, report.register_wh)
        is_same = running is not None and (running.connector, running.register_wh) == told
        return running if is_same else None

    def by_signed_values(self, connector: int, transaction_id: int | None) -> str:
        """The id of the session that signed values belong to; "" for none."""
        known = (
            None
            if transaction_id is None
            else self._commons.journal.transactions.get(transaction_id)
        )
        if (
            known is not None
            and known.charge_point == self._charge_point_id
            and not self._runs_elsewhere(known.connector, connector)
        ):
            return known.session_id
        session = self.by_connector(connector)
        return session.id if session else ""

    def by_stop(self, report: StopReport) -> tuple[str, int]:
        """By the transaction it names, else by its tag.

        A stop names no connector. Its tag may be any card's, but where it is that of another
        open session, whose own number was never heard, the number is the charger's own; and a
        stranger's card that stopped before the transaction began did so for another central
        system, which numbers alike.

        Returns:
            The session's id, "" for none, and the id of the transaction that ended.
        """
        named = report.transaction_id
        transaction = self._commons.journal.transactions.get(named)
        tagged = self.by_tag(report.id_tag)
        if transaction is not None and transaction.charge_point == self._charge_point_id:
            if tagged is None and self._is_of_before(report, transaction):
                return "", named
            if tagged is None or tagged.id == transaction.session_id:
                return transaction.session_id, named
            running = tagged.transaction_id
            if running is None or self.numbering.is_right(tagged.connector, running):
                return transaction.session_id, named
        return (tagged.id, tagged.transaction_id or 0) if tagged else ("", named)

    def _is_of_before(self, report: StopReport, transaction: Transaction) -> bool:
        """Whether a stop by a card is older than the open transaction whose number it has.

        Without a card the time alone tells nothing: a power cut takes the clock of many chargers
        along, and summer time ends. What is kept in error would go on at its driver's cost.
        """
        session = self._sessions.in_transaction(transaction.id)
        if not report.id_tag.strip() or session is None or session.started_at_ms is None:
            return False
        return report.stopped_at_ms < session.started_at_ms - FRESH_MS

    async def keep(self, report: StopReport) -> bool:
        """Keep a stop that belongs to nobody, as evidence; returns once it is stored.

        Returns:
            False where it was kept before.
        """
        if report in self._kept:
            return False
        now_ms = self._commons.clock()
        await self._commons.journal.keep(self._charge_point_id, now_ms, report)
        self._kept.append(report)
        return True
