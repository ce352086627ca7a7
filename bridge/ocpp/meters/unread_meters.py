"""Energy of OCPP 1.6 chargers that tell it by intervals, and no register while they charge.

What flowed is told by `Energy.Active.Import.Interval` (section 7.31), and summed up as it comes:
the sum is reported as a register that counts on from that of the start. Many such chargers have no
register at all, and write 0 where one should be, at the start, among samples and at the stop
(sections 6.45 and 6.49). Any other register that is read while they charge makes an end of that:
then it is billed by registers.
"""

from __future__ import annotations

import logging
from typing import NamedTuple

import msgspec

from agent.ports.charge_point import ChargePoint
from bridge.ocpp.meters.intervals import told
from bridge.ocpp.meters.readings import Reading
from bridge.ocpp.meters.unread_transaction import ENDED, RUNNING, UnreadTransaction

logger = logging.getLogger(__name__)

_NOTE = "ocpp1.6 intervals"
_MOST, _MOST_HERE = 64, 3
"""So many transactions are remembered of a charger and of one connector: some never end."""
_ASKED_MS = 60_000
"""A value that was asked for comes within that time."""

Known = dict[int, UnreadTransaction]
"""Transactions by Strom's numbers of them, in the order in which they were told of."""


class Sum(NamedTuple):
    """What was summed up of a transaction by now, to be reported as a reading."""

    transaction_id: int
    connector: int
    reading: Reading


class UnreadMeters:
    """The transactions of one charger of which no register was read since they began; they survive
    a restart.

    Args:
        charge_point: whose they are.
    """

    def __init__(self, charge_point: ChargePoint) -> None:
        self._charge_point = charge_point
        self._open: Known | None = None
        self._asked_at_ms = -_ASKED_MS

    def asked(self, at_ms: int) -> None:
        """The charger is asked for its meter.

        Args:
            at_ms: when, by our clock.
        """
        self._asked_at_ms = at_ms

    @property
    def may_be_open(self) -> bool:
        """Whether there are any, for all that is known without looking."""
        return self._open is None or bool(self._open)

    async def began(
        self, transaction_id: int, connector: int, register_wh: int | None, written_ms: int
    ) -> None:
        """A transaction began, whether anybody pays for it or not; safe to repeat.

        Args:
            transaction_id: Strom's number of it.
            connector: where; 0 for unknown.
            register_wh: with which register; None for none.
            written_ms: when, by the charger's clock; 0 for unknown.
        """
        known = await self._known()
        if transaction_id in known or not written_ms:
            return
        here = [number for number, one in known.items() if one.connector == connector]
        surplus = {*here[: 1 - _MOST_HERE], *list(known)[: 1 - _MOST]}
        left = {number: one for number, one in known.items() if number not in surplus}
        begun = UnreadTransaction.begun(connector, register_wh, written_ms)
        await self._save(left | {transaction_id: begun})

    async def metered(
        self,
        meter_value: object,
        found: list[Reading],
        connector: int,
        transaction_id: int | None,
        now_ms: int,
        *,
        ended: bool = False,
    ) -> tuple[list[Reading], Sum | None]:
        """The meter was read; returns once what it adds is stored.

        Args:
            meter_value: a `meterValue` list as the charger wrote it.
            found: the readings in it.
            connector: where; 0 for unknown.
            transaction_id: as the charger named it.
            now_ms: when the message came, by our clock.
            ended: whether it came with the stop.

        Returns:
            The readings without what is no register, and what is to be reported besides: the sum
            by now, where intervals were told. To report that again is safe.
        """
        known = await self._known()
        number = _meant(known, connector, transaction_id or 0)
        unread = known.get(number)
        if unread is None:
            return found, None
        if any(one.register_wh for one in found):
            await self._save(_without(known, number))
            return found, None
        intervals = told(meter_value, ENDED if ended else RUNNING)
        is_asked = now_ms - self._asked_at_ms < _ASKED_MS
        after = unread.after(intervals, is_asked=is_asked and not ended)
        if after != unread:
            # Before it is reported: a sum that is reported late has all that came before in it.
            await self._save(known | {number: after})
        if not after.tells:
            return found, None
        found = [
            Reading(one.written, None, one.power_w) for one in found if one.power_w is not None
        ]
        if not intervals or not after.is_counted:
            return found, None
        left, reading = after.summed_up(found)
        return left, Sum(number, after.connector, reading)

    async def last_word_wh(self, register_wh: int | None) -> int | None:
        """The register with which a transaction ends; None where the charger names none: 0 is none
        while it tells intervals.

        Args:
            register_wh: as the charger wrote it.
        """
        if register_wh or not self.may_be_open:
            return register_wh
        known = await self._known()
        return None if any(one.tells for one in known.values()) else register_wh

    async def ended(self, transaction_id: int) -> None:
        """A transaction has ended, and that is stored."""
        known = await self._known()
        if transaction_id in known:
            await self._save(_without(known, transaction_id))

    async def _known(self) -> Known:
        if self._open is None:
            text = await self._charge_point.note(_NOTE)
            try:
                self._open = msgspec.json.decode(text, type=Known) if text else {}
            except msgspec.MsgspecError:
                logger.error("what was summed up of a charger's intervals cannot be read")
                self._open = {}
        return self._open

    async def _save(self, known: Known) -> None:
        """Keep them; what cannot be stored is not known either, so that it counts when it comes
        again."""
        text = msgspec.json.encode(known).decode() if known else ""
        await self._charge_point.keep_note(_NOTE, text)
        self._open = known


def _without(known: Known, number: int) -> Known:
    return {other: one for other, one in known.items() if other != number}


def _meant(known: Known, connector: int, named: int) -> int:
    """The transaction that a reading is of; 0 for none.

    Chargers name none, or 0, for what runs at a connector. A number that belongs to another
    connector than the one beside it is not believed where something else runs there.
    """
    here = [number for number, one in known.items() if one.connector == connector]
    if named <= 0:
        return max(here, key=lambda number: known[number].tally.since_ms, default=0)
    return 0 if here and named not in here else named
