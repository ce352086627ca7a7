"""What is done about transactions that nobody paid for: asked to end while they go on, and told of.

A start that was not sold is answered Invalid, and most chargers end it then by themselves. Some
do not (StopTransactionOnInvalidId), and some begin by cards of their own while they are offline.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass

from agent.alerts import QUIET_MS
from agent.commons import Commons
from agent.connectors import Connectors
from agent.journal.journal import Task
from agent.journal.transactions import Transaction
from agent.machine.effects import CutPower, Effect, StopCharging
from agent.machine.meter import Source, Unit
from agent.machine.metering import MOST_POWER_W
from agent.machine.model import Session
from agent.owners import FRESH_MS, Owners
from agent.ports.charger import Charger, MeterReport, StopReport
from agent.strays import Stray, Strays
from agent.tariff.model import MS_PER_HOUR

ASK_AGAIN_MS = 15_000
"""A charger that goes on is asked again after that."""
ASK_SELDOM_MS = 60_000
"""One that ignored it several times is asked that often."""
IGNORED = 3
ENDS_ITSELF_MS = 2_000
"""A reading of the first moment says only that it began: its refusal is on the way."""

log = logging.getLogger(__name__)


@dataclass
class _Asked:
    """How often a charger was asked to end a transaction."""

    transaction_id: int
    times: int = 0
    at_ms: int = 0


class Unsold:
    """The transactions of one charge point that nobody paid for.

    Args:
        charge_point_id: whose.
        commons: what all charge points share.
        connectors: where the operators hear of what does not stop.
        strays: those that are known.
        owners: whose a connector is.
    """

    def __init__(
        self,
        charge_point_id: str,
        commons: Commons,
        connectors: Connectors,
        strays: Strays,
        owners: Owners,
    ) -> None:
        self._id = charge_point_id
        self._commons = commons
        self._connectors = connectors
        self._strays = strays
        self._owners = owners
        self._asked: dict[int, _Asked] = {}
        self._reminders: dict[str, int] = {}
        self._told_at_ms = -QUIET_MS

    def begun_in_vain(self, connector: int, transaction_id: int) -> None:
        """One began for a session that is over, which asked for its stop at once."""
        now_ms = self._commons.clock()
        self._asked[self._strays.place(connector)] = _Asked(transaction_id, times=1, at_ms=now_ms)

    async def powered(self, connector: int) -> None:
        """A connector gives power, as its status says."""
        stray = self._strays.on(connector)
        if stray is not None:
            await self._ask(connector, stray)

    async def sampled(self, report: MeterReport, named: Transaction | None) -> None:
        """A meter was read, and the reading is no session's.

        Args:
            report: what the charger said.
            named: the transaction that it names; None where it names none that is known.
        """
        is_fresh = self._commons.clock() - report.sampled_at_ms <= FRESH_MS
        if not is_fresh or report.source is Source.END_SAMPLE:
            return
        if named is not None and named.charge_point == self._id:
            place = self._strays.place(named.connector)
            stray = self._strays.seen(named, report.sampled_at_ms)
        else:
            place = self._strays.place(report.connector)
            stray = self._strays.on(place)
            unknown = report.transaction_id or 0
            if stray is None and unknown > 0 and self._owners.by_connector(place) is None:
                self._connectors.charges_unknown(place, unknown)
        if stray is not None and self._commons.clock() - stray.since_ms >= ENDS_ITSELF_MS:
            await self._ask(place, stray)

    def ended(self, report: StopReport) -> None:
        """A transaction ended that is no session's: the operator hears what it gave away."""
        transaction = self._commons.journal.transactions.get(report.transaction_id)
        if transaction is None or transaction.charge_point != self._id:
            return
        place = self._strays.place(transaction.connector)
        if self._strays.on(place) is None and self._owners.by_connector(place) is None:
            self._connectors.stopped(place)
        if report.register_wh is None or transaction.register_wh is None:
            return
        self._tell_given(
            transaction.connector, report, report.register_wh - transaction.register_wh, "paid for"
        )

    def outlived(self, session: Session, report: StopReport, max_power_w: int) -> None:
        """A session's transaction ended which went on after the session was given up: the operator
        hears what it took since, where its register tells.

        Args:
            session: as it closed.
            report: the charger's word.
            max_power_w: what the connector gives at most; 0 for unknown.
        """
        meter = session.meter
        if meter is None or report.register_wh is None or meter.past.unit is not Unit.AS_WRITTEN:
            return
        energy_wh = report.register_wh - meter.register_wh
        power_w = max_power_w or MOST_POWER_W
        if energy_wh > power_w * (report.stopped_at_ms - meter.at_ms) // MS_PER_HOUR:
            # Such a register was set anew, or is of another meter.
            return
        self._tell_given(session.connector, report, energy_wh, "was billed for")

    def _tell_given(self, connector: int, report: StopReport, energy_wh: int, how: str) -> None:
        if energy_wh > 0:
            sentence = (
                f"{self._id}: connector {connector} gave {energy_wh:,} Wh that nobody {how} "
                f"(transaction {report.transaction_id}, ended: {report.reason})"
            )
            log.warning("%s", sentence)
            self._commons.alerts.happened(f"unsold {self._id}", sentence)

    async def _ask(self, place: int, stray: Stray) -> None:
        now_ms = self._commons.clock()
        asked = self._asked.get(place)
        if asked is None or asked.transaction_id != stray.transaction_id:
            asked = self._asked[place] = _Asked(stray.transaction_id)
        pause_ms = ASK_AGAIN_MS if asked.times < IGNORED else ASK_SELDOM_MS
        if asked.times and now_ms - asked.at_ms < pause_ms:
            return
        asked.times += 1
        asked.at_ms = now_ms
        if asked.times > IGNORED:
            self._connectors.ignores_stop(place)
        elif asked.times == 1:
            loud = now_ms - self._told_at_ms >= QUIET_MS
            self._told_at_ms = now_ms if loud else self._told_at_ms
            log.log(
                logging.WARNING if loud else logging.INFO,
                "%s: connector %d charges and nobody paid for it (transaction %d): "
                "it is asked to stop",
                self._id,
                place,
                stray.transaction_id,
            )
        self._remind(place, now_ms + (ASK_AGAIN_MS if asked.times < IGNORED else ASK_SELDOM_MS))
        effects: list[Effect] = [StopCharging(stray.transaction_id)]
        if asked.times > 1:
            effects.append(CutPower(stray.transaction_id))
        target = f"charger:{self._id}/unsold"
        self._commons.post(await self._commons.journal.post(target, effects))

    def _remind(self, place: int, at_ms: int) -> None:
        """Many chargers say only once that they charge, and some say nothing of energy."""
        name = f"unsold:{self._id}:{place}"
        self._reminders[name] = place
        self._commons.timers.set(name, self._id, at_ms)

    async def reminded(self, name: str) -> bool:
        """The time to look again has come: one is asked again whose connector still charges, by
        the charger's last word.

        Returns:
            Whether it is a reminder of this charge point's.
        """
        place = self._reminders.pop(name, None)
        if place is None:
            return False
        stray = self._strays.on(place)
        if stray is not None and self._connectors.shows_power(place) and self._connectors.online:
            await self._ask(place, stray)
        return True

    async def deliver(self, task: Task, charger: Charger | None) -> None:
        """Carry out an effect for such a transaction; one that goes on is asked again anyhow."""
        if charger is None:
            return
        match task.effect:
            case StopCharging(transaction_id):
                outcome = await charger.stop(transaction_id)
                log.info("%s: stop of transaction %d: %s", self._id, transaction_id, outcome)
            case CutPower(transaction_id):
                transaction = self._commons.journal.transactions.get(transaction_id)
                if transaction is not None and self._goes_on(transaction):
                    done = await charger.cut_power(transaction.connector, transaction_id)
                    how = "is cut" if done else "was not cut: the charger takes no limit"
                    log.info("%s: the power of transaction %d %s", self._id, transaction_id, how)
            case other:
                raise TypeError(f"not for a transaction without a session: {other}")

    def _goes_on(self, transaction: Transaction) -> bool:
        stray = self._strays.on(self._strays.place(transaction.connector))
        return stray is not None and stray.transaction_id == transaction.id
