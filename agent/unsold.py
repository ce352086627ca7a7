"""Transactions that nobody paid for: asked to end while they go on, and told of.

A start that was not sold is answered Invalid, and most chargers end it then by themselves. Some
do not (StopTransactionOnInvalidId), and some begin by cards of their own while they are offline.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass

from agent.alerts import QUIET_MS
from agent.commons import Commons
from agent.connectors import Connectors
from agent.journal.journal import Task, Transaction
from agent.machine.effects import CutPower, Effect, StopCharging
from agent.machine.metering import Source
from agent.owners import FRESH_MS, Owners
from agent.ports.charger import Charger, MeterReport, StopReport

ASK_AGAIN_MS = 15_000
"""A charger that goes on is asked again after that."""
ASK_SELDOM_MS = 60_000
"""One that ignored it several times is asked that often."""
IGNORED = 3
ENDS_ITSELF_MS = 2_000
"""A reading of the first moment says only that it began: its refusal is on the way."""

log = logging.getLogger(__name__)


@dataclass
class _Running:
    """A transaction that goes on, and how often its charger was asked to end it."""

    transaction_id: int
    began_at_ms: int = 0
    asks: int = 0
    asked_at_ms: int = 0


class Unsold:
    """The transactions of one charge point that nobody paid for.

    Args:
        charge_point_id: whose.
        commons: what all charge points share.
        connectors: where the operators hear of what does not stop.
        owners: whose a connector is.
    """

    def __init__(
        self, charge_point_id: str, commons: Commons, connectors: Connectors, owners: Owners
    ) -> None:
        self._id = charge_point_id
        self._commons = commons
        self._connectors = connectors
        self._owners = owners
        self._running: dict[int, _Running] = {}
        self._told_at_ms = -QUIET_MS

    def began(self, connector: int, transaction_id: int) -> None:
        """A start was refused; most likely its charger ends it now."""
        running = _Running(transaction_id, self._commons.clock())
        self._running[self._place(connector)] = running

    def _place(self, connector: int) -> int:
        """A connector of the configuration; 0 for all that a charger makes up."""
        return connector if connector in self._connectors.ids else 0

    async def powered(self, connector: int) -> None:
        """A connector gives power, as its status says."""
        running = self._running.get(connector)
        if running is not None and not self._owners.is_sold(connector):
            await self._ask(connector, running)

    async def sampled(self, report: MeterReport, named: Transaction | None) -> None:
        """A meter was read, and the reading is no session's.

        Args:
            report: what the charger said.
            named: the transaction that it names; None where it names none that is known.
        """
        is_fresh = self._commons.clock() - report.sampled_at_ms <= FRESH_MS
        if not is_fresh or report.source is not Source.SAMPLE:
            return
        own = named is not None and named.charge_point == self._id
        connector = self._place(named.connector if named and own else report.connector)
        # A charger may name an old transaction while a driver charges: then it is his.
        if self._owners.is_sold(connector):
            return
        running = self._running.get(connector)
        if named is not None and own:
            if named.session_id:
                return
            if running is None or running.transaction_id < named.id:
                # The journal knows it from before a restart.
                running = self._running[connector] = _Running(named.id)
            if running.transaction_id != named.id:
                return
        if running is None:
            if report.transaction_id is not None and report.transaction_id > 0:
                self._connectors.charges_unknown(connector, report.transaction_id)
        elif self._commons.clock() - running.began_at_ms >= ENDS_ITSELF_MS:
            await self._ask(connector, running)

    def freed(self, connector: int) -> None:
        """A connector charges no longer."""
        self._running.pop(connector, None)

    def ended(self, report: StopReport) -> None:
        """A transaction ended that is no session's: the operator hears what it gave away."""
        transaction = self._commons.journal.transaction(report.transaction_id)
        if transaction is None or transaction.charge_point != self._id:
            return
        connector = self._place(transaction.connector)
        if self._goes_on(transaction):
            del self._running[connector]
        if not self._owners.is_sold(connector):
            self._connectors.stopped(connector)
        if report.register_wh is None or transaction.register_wh is None:
            return
        energy_wh = report.register_wh - transaction.register_wh
        if energy_wh > 0:
            sentence = (
                f"{self._id}: connector {transaction.connector} gave {energy_wh:,} Wh that nobody "
                f"paid for (transaction {transaction.id}, ended: {report.reason})"
            )
            log.warning("%s", sentence)
            self._commons.alerts.happened(f"unsold {self._id}", sentence)

    async def _ask(self, connector: int, running: _Running) -> None:
        now_ms = self._commons.clock()
        pause_ms = ASK_AGAIN_MS if running.asks < IGNORED else ASK_SELDOM_MS
        if running.asks and now_ms - running.asked_at_ms < pause_ms:
            return
        running.asks += 1
        running.asked_at_ms = now_ms
        if running.asks > IGNORED:
            self._connectors.ignores_stop(connector)
        elif running.asks == 1:
            loud = now_ms - self._told_at_ms >= QUIET_MS
            self._told_at_ms = now_ms if loud else self._told_at_ms
            log.log(
                logging.WARNING if loud else logging.INFO,
                "%s: connector %d charges and nobody paid for it (transaction %d): "
                "it is asked to stop",
                self._id,
                connector,
                running.transaction_id,
            )
        effects: list[Effect] = [StopCharging(running.transaction_id)]
        if running.asks > 1:
            effects.append(CutPower(running.transaction_id))
        target = f"charger:{self._id}/unsold"
        self._commons.post(await self._commons.journal.post(target, effects))

    async def deliver(self, task: Task, charger: Charger | None) -> None:
        """Carry out an effect for such a transaction; one that goes on is asked again anyhow."""
        if charger is None:
            return
        match task.effect:
            case StopCharging(transaction_id):
                outcome = await charger.stop(transaction_id)
                log.info("%s: stop of transaction %d: %s", self._id, transaction_id, outcome)
            case CutPower(transaction_id):
                transaction = self._commons.journal.transaction(transaction_id)
                if transaction is not None and self._goes_on(transaction):
                    done = await charger.cut_power(transaction.connector, transaction_id)
                    log.info("%s: power of transaction %d cut: %s", self._id, transaction_id, done)
            case other:
                raise TypeError(f"not for a transaction without a session: {other}")

    def _goes_on(self, transaction: Transaction) -> bool:
        running = self._running.get(self._place(transaction.connector))
        return running is not None and running.transaction_id == transaction.id
