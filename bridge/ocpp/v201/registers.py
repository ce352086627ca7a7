"""The registers by which transactions of OCPP 2.0.1 are billed, read or reckoned.

A register that was read always counts. A transaction that began without one is billed by its
intervals, as one whose register is their sum (`bridge.ocpp.meters.intervals`); one that began with
a register and ends without, by the last that was read and the intervals after it.
"""

from __future__ import annotations

from bridge.ocpp import timestamps
from bridge.ocpp.meters.intervals import Tally
from bridge.ocpp.meters.readings import Reading
from bridge.ocpp.v201.transactions import Transaction
from bridge.ocpp.v201.values import Kind, TransactionEvent, intervals


def last(found: list[Reading]) -> Reading | None:
    """The latest reading of a register: stations write them in any order."""
    readings = _with_register(found)
    if not readings:
        return None
    latest = max(_at_ms(one) for one in readings)
    return [one for one in readings if _at_ms(one) == latest][-1]


def last_word_wh(tally: Tally, found: list[Reading]) -> int | None:
    """With which register a transaction ends; None where nothing tells.

    Args:
        tally: what is counted of it.
        found: the readings of its end.
    """
    read = last(found)
    return tally.beyond_register_wh if read is None else read.register_wh


def take_first(
    known: Transaction, tag: str, event: TransactionEvent, found: list[Reading], counted_wh: int
) -> None:
    """Keep the register from which on a transaction that has not begun is to be billed.

    That is the one of the moment in which it became known for whom it is, or the last before
    it: what flowed until then nobody had ordered.

    Args:
        known: the transaction.
        tag: for whom it is; "" while that is not known.
        event: what told that.
        found: the readings in it.
        counted_wh: where the sum of its intervals begins.
    """
    readings = sorted(_with_register(found), key=_at_ms)
    if not tag:
        known.register_wh = readings[-1].register_wh if readings else known.register_wh
        return
    if not known.tag:
        known.tag, known.told_ms = tag, event.written_ms
        is_all_his = event.kind is Kind.STARTED
        known.intervals = known.intervals.anew(event.written_ms, counted_wh, is_all_his=is_all_his)
        late = event.kind is Kind.ENDED and readings
        if late:
            known.told_ms = _at_ms(readings[0]) or known.told_ms
        if readings:
            known.register_wh = readings[0].register_wh
            known.intervals = known.intervals.based_on(_mwh(readings[0]), known.told_ms)
    elif known.register_wh is None and readings:
        known.register_wh = readings[0].register_wh


def counted(known: Transaction, event: TransactionEvent, found: list[Reading]) -> Tally:
    """What is counted with an event."""
    if known.tag and known.register_wh is not None and not known.is_counted:
        known.intervals = _based(known, event.written_ms)
    return with_registers(known, found).after(intervals(event), event.seq_no)


def with_registers(known: Transaction, found: list[Reading]) -> Tally:
    """What is counted with registers that are read: they come before intervals."""
    tally = known.intervals
    for one in sorted(_with_register(found), key=_at_ms):
        if known.is_counted:
            tally = tally.read(_mwh(one), _at_ms(one))
        elif tally.shown_mwh is not None:
            tally = tally.shown(_mwh(one), _at_ms(one))
    return tally


def _based(known: Transaction, at_ms: int) -> Tally:
    """What is counted of a transaction whose first register was read by now."""
    tally = known.intervals
    if tally.shown_mwh is not None or known.register_wh is None:
        return tally
    return tally.based_on(known.register_wh * 1000, at_ms)


def choose(known: Transaction, tally: Tally, found: list[Reading]) -> None:
    """Settle by what a transaction is billed that began without a register."""
    if known.number is None or known.register_wh is not None:
        return
    readings = _with_register(found)
    if readings:
        known.register_wh = readings[0].register_wh
    elif tally.was_told:
        known.register_wh, known.is_counted = tally.start_wh, True


def reckoned(known: Transaction, tally: Tally, found: list[Reading]) -> list[Reading]:
    """Readings of a transaction as they are billed: where it is counted, what is counted by now
    is in the place of their registers."""
    if not known.is_counted:
        return found
    billed: list[Reading] = []
    is_new = tally.energy_mwh > known.intervals.energy_mwh
    is_new = is_new or tally.until_ms > known.intervals.until_ms
    for one in found:
        is_last = is_new and _at_ms(one) == tally.until_ms
        if is_last or one.power_w is not None:
            register_wh = tally.register_wh if is_last else None
            billed.append(Reading(one.written, register_wh, one.power_w))
            is_new = is_new and not is_last
    if is_new:
        billed.append(Reading(timestamps.render(tally.until_ms), tally.register_wh, None))
    return billed


def beyond_registers(
    known: Transaction, tally: Tally, found: list[Reading]
) -> tuple[list[Reading], Reading | None]:
    """What intervals tell that came after the last register, as a reading besides the others; None
    where an event brought nothing of it."""
    is_new = tally != known.intervals
    if known.is_counted or not is_new or tally.beyond_register_wh is None or _with_register(found):
        return found, None
    return tally.summed_up(found)


def _with_register(found: list[Reading]) -> list[Reading]:
    return [one for one in found if one.register_wh is not None]


def _mwh(reading: Reading) -> int:
    return (reading.register_wh or 0) * 1000 + reading.fraction_mwh


def _at_ms(reading: Reading) -> int:
    return timestamps.parse(reading.written) or 0
