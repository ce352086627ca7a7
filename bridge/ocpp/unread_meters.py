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
from bridge.ocpp import timestamps
from bridge.ocpp.intervals import CLOCK, PERIODIC, Interval, Row, Tally, contexts, in_order, told
from bridge.ocpp.readings import Reading

logger = logging.getLogger(__name__)

_NOTE = "ocpp1.6 intervals"
_MOST, _MOST_HERE = 64, 3
"""So many transactions are remembered of a charger and of one connector: some never end."""
_RUNNING = {PERIODIC: Row.PERIODIC, CLOCK: Row.CLOCK, "": Row.PERIODIC}
"""A value that does not say why it was read is a periodic one (section 7.43)."""
_ENDED = contexts("", ended=True)


class Sum(NamedTuple):
    """What was summed up of a transaction by now, to be reported as a reading."""

    transaction_id: int
    connector: int
    reading: Reading


_ASKED_MS = 60_000
"""A value that was asked for comes within that time."""
_WHOLE_PERCENT = 75
"""Values that come after less of the usual time are of an interval that still runs."""


class _Unread(msgspec.Struct, frozen=True, omit_defaults=True):
    """A transaction: where it is, what is counted of it, and the least time between two of its
    intervals, 0 for unknown."""

    connector: int
    tally: Tally
    period_ms: int = 0

    def with_told(self, intervals: list[Interval], *, is_asked: bool) -> _Unread:
        """With what a message brought.

        Args:
            intervals: in any order.
            is_asked: whether the meter was asked for, so that some may still run: they are told
                again when they are over.
        """
        tally, period_ms = self.tally, self.period_ms
        for one in sorted(intervals, key=in_order):
            gap_ms = one.until_ms - tally.ends.get(one.row, tally.since_ms)
            is_whole = 0 < period_ms * _WHOLE_PERCENT <= gap_ms * 100
            if one.row is Row.PERIODIC and is_asked and not is_whole:
                continue
            after = tally.after([one], None)
            if one.row is Row.PERIODIC and after.until_ms > tally.until_ms:
                period_ms = min(period_ms or gap_ms, gap_ms)
            tally = after
        return _Unread(self.connector, tally, period_ms)


class UnreadMeters:
    """The transactions of one charger of which no register was read since they began; they survive
    a restart.

    Args:
        charge_point: whose they are.
    """

    def __init__(self, charge_point: ChargePoint) -> None:
        self._charge_point = charge_point
        self._open: dict[int, _Unread] | None = None
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
        self,
        transaction_id: int,
        connector: int,
        register_wh: int | None,
        written_ms: int,
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
        start_wh = register_wh or 0
        tally = Tally().anew(written_ms, start_wh, is_all_his=True)
        tally = tally.based_on(start_wh * 1000, written_ms)
        left = {number: one for number, one in known.items() if number not in surplus}
        await self._save(left | {transaction_id: _Unread(connector, tally)})

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
            await self._save({other: one for other, one in known.items() if other != number})
            return found, None
        intervals = told(meter_value, _ENDED if ended else _RUNNING)
        is_asked = now_ms - self._asked_at_ms < _ASKED_MS
        after = unread.with_told(intervals, is_asked=is_asked and not ended)
        if after != unread:
            await self._save(known | {number: after})
        tally = after.tally
        if not tally.was_told:
            return found, None
        found = [_without_register(one) for one in found]
        if not intervals or tally.until_ms <= tally.since_ms:
            return found, None
        others, reading = _with_sum(found, tally)
        return others, Sum(number, unread.connector, reading)

    async def last_word_wh(self, register_wh: int | None) -> int | None:
        """The register with which a transaction ends; None where the charger names none: 0 is none
        while it tells intervals.

        Args:
            register_wh: as the charger wrote it.
        """
        if register_wh or not self.may_be_open:
            return register_wh
        known = await self._known()
        return None if any(one.tally.was_told for one in known.values()) else register_wh

    async def ended(self, transaction_id: int) -> None:
        """A transaction has ended, and that is stored."""
        known = await self._known()
        if transaction_id in known:
            await self._save(
                {other: one for other, one in known.items() if other != transaction_id}
            )

    async def _known(self) -> dict[int, _Unread]:
        if self._open is None:
            text = await self._charge_point.note(_NOTE)
            try:
                self._open = msgspec.json.decode(text, type=dict[int, _Unread]) if text else {}
            except msgspec.MsgspecError:
                logger.error("what was summed up of a charger's intervals cannot be read")
                self._open = {}
        return self._open

    async def _save(self, known: dict[int, _Unread]) -> None:
        """Keep them; what cannot be stored is not known either, so that it counts when it comes
        again."""
        text = msgspec.json.encode(known).decode() if known else ""
        await self._charge_point.keep_note(_NOTE, text)
        self._open = known


def _meant(known: dict[int, _Unread], connector: int, named: int) -> int:
    """The transaction that a reading is of; 0 for none.

    Chargers name none, or 0, for what runs at a connector. A number that belongs to another
    connector than the one beside it is not believed where something else runs there.
    """
    here = [number for number, one in known.items() if one.connector == connector]
    if named <= 0:
        return max(here, key=lambda number: known[number].tally.since_ms, default=0)
    return 0 if here and named not in here else named


def _without_register(reading: Reading) -> Reading:
    return Reading(reading.written, None, reading.power_w)


def _with_sum(found: list[Reading], tally: Tally) -> tuple[list[Reading], Reading]:
    """The readings but that of the moment up to which all is summed up, and the sum with its
    power."""
    others: list[Reading] = []
    power_w: int | None = None
    for one in found:
        if one.power_w is not None and timestamps.parse(one.written) == tally.until_ms:
            power_w = one.power_w
        elif one.power_w is not None:
            others.append(one)
    return others, Reading(timestamps.render(tally.until_ms), tally.register_wh, power_w)
