"""What is known of a station's transactions, over its connections and Strom's restarts.

OCPP 2.0.1 names transactions by the station's text, Strom by a number, and a station tells once
what later events leave out: for whom (the id token, or the number of a remote start), and at
which EVSE (requirements E01.FR.16 and F01). All of it is a note of the charge point.
"""

from __future__ import annotations

import logging
from pathlib import Path

import msgspec

from agent.ports.charge_point import ChargePoint
from bridge.ocpp.meters.intervals import Tally
from bridge.ocpp.v201.evses import Evses
from bridge.ocpp.v201.faults import Faults201
from bridge.ocpp.v201.values import State

logger = logging.getLogger(__name__)

_NOTE = "ocpp2.0.1"
_MOST_TRANSACTIONS = 40
_MOST_STARTS = 20
LARGEST_START_ID = 999_999
"""Ids above are the operator's, see `bridge.ocpp.guards`."""


class RemoteStart(msgspec.Struct):
    """A remote start of ours.

    Attributes:
        id: its remoteStartId.
        tag: for whom.
        evse: where.
        transaction: the station's name of what it became; "" while that is not known.
    """

    id: int
    tag: str
    evse: int
    transaction: str = ""


class EarlyEnd(msgspec.Struct, frozen=True):
    """The end of a transaction whose beginning is still on its way.

    Attributes:
        at_ms: when it was, by the station's clock.
        register_wh: the last register; None for none.
        reason: why it ended.
    """

    at_ms: int
    register_wh: int | None
    reason: str


class Transaction(msgspec.Struct):
    """A transaction as the station told of it.

    Where a further driver is let in while the cable stays plugged, it is what runs for him.

    Attributes:
        name: the station's.
        evse: where; 0 while that is not known.
        started_ms: when the station says that it started, by its clock; 0 where it did not.
        tag: for whom; "" while that is not known.
        supposed: whether that is known by the answer to a remote start alone.
        told_ms: when that was told and a car was there, by the station's clock; 0 before.
        register_wh: the register as it was then, or as it was last read before.
        number: Strom's number of it; None until it has begun.
        sold: whether it may go on.
        state: what flows, as it was said last.
        stopping: whether the station said that it is being stopped.
        asked_to_stop: whether we asked for that, and it did not say no.
        stopped_ms: when the charge in it ended, where its register is still to come, by our clock;
            0 while it goes on.
        left: whether its connector looked free since.
        ended: whether it is over.
        asked: whether its register was asked for.
        is_counted: whether it has no register, and is billed by its intervals.
        intervals: what was counted of them.
        early_end: its end, where that was told before it began.
    """

    name: str
    evse: int = 0
    started_ms: int = 0
    tag: str = ""
    supposed: bool = False
    told_ms: int = 0
    register_wh: int | None = None
    number: int | None = None
    sold: bool = False
    state: State = State.NONE
    stopping: bool = False
    asked_to_stop: bool = False
    stopped_ms: int = 0
    left: bool = False
    ended: bool = False
    asked: bool = False
    is_counted: bool = False
    intervals: Tally = Tally()
    early_end: EarlyEnd | None = None

    @property
    def is_vacant(self) -> bool:
        """Whether the charge in it was stopped, and the cable stays plugged in."""
        return self.stopping and self.number is not None and not self.sold

    def begins_anew(self) -> None:
        """It goes on for somebody else from now on."""
        self.tag, self.number, self.sold = "", None, False
        self.told_ms, self.stopped_ms, self.register_wh = 0, 0, None
        self.stopping = self.left = self.ended = self.asked = False
        self.is_counted = self.asked_to_stop = self.supposed = False


class _Kept(msgspec.Struct):
    last_start: int = 0
    denies: bool = False
    starts: list[RemoteStart] = []
    transactions: list[Transaction] = []


class Station:
    """The transactions and EVSEs of one charge point's station.

    Attributes:
        evses: what its EVSEs show.
        faults: what is wrong with its components.
    """

    def __init__(self, charge_point: ChargePoint, kept: str) -> None:
        self._charge_point = charge_point
        self._kept = _decoded(kept)
        self._stored = kept
        self._transactions = {one.name: one for one in self._kept.transactions}
        self._seq_nos: dict[str, int] = {}
        self._heard_ms: dict[str, int] = {}
        self._told_ms: dict[str, int] = {}
        self._denied: dict[str, bool] = {}
        self.evses = Evses(charge_point)
        self.faults = Faults201()

    def get(self, name: str) -> Transaction | None:
        """A transaction by its name."""
        return self._transactions.get(name)

    def add(self, name: str) -> Transaction:
        """A transaction that is new, also where another one had its name before."""
        self._transactions.pop(name, None)
        added = self._transactions[name] = Transaction(name)
        if len(self._transactions) > _MOST_TRANSACTIONS:
            over = (one.name for one in self._transactions.values() if one.ended)
            del self._transactions[next(over, next(iter(self._transactions)))]
        return added

    def stop_asked(self, name: str, *, asked: bool) -> None:
        """A transaction is asked to stop; or, not `asked`, the station said no to that."""
        known = self._transactions.get(name)
        if known is not None:
            known.asked_to_stop = asked

    def gives_nothing_since(self, name: str) -> bool:
        """Whether a transaction was asked to stop before, and the station says that a car is
        plugged in and nothing flows: a question for its end would be repeated for nothing."""
        known = self._transactions.get(name)
        return (
            known is not None
            and known.asked_to_stop
            and known.sold
            and known.state is State.EV_CONNECTED
        )

    def name(self, number: int) -> str | None:
        """The name of a transaction by Strom's number."""
        found = (one.name for one in self._transactions.values() if one.number == number)
        return next(found, None)

    def counted_wh(self) -> int:
        """What the transactions that were billed by intervals came to: the next one goes on from
        there, as it would with a meter."""
        tallies = (one.intervals for one in self._transactions.values())
        return max((one.register_wh for one in tallies if one.shown_mwh is None), default=0)

    def heard(self, name: str, arrived_ms: int, at_ms: int) -> None:
        """An event of a transaction came.

        Args:
            name: the station's name of it.
            arrived_ms: when, Unix ms.
            at_ms: when it was written, by our clock.
        """
        self._heard_ms.pop(name, None)
        self._heard_ms[name] = arrived_ms
        self._told_ms[name] = max(at_ms, self._told_ms.get(name, 0))
        if len(self._heard_ms) > _MOST_TRANSACTIONS:
            oldest = next(iter(self._heard_ms))
            del self._heard_ms[oldest], self._told_ms[oldest]

    @property
    def denies(self) -> bool:
        """Whether the station said of a transaction that it was over which was not."""
        return self._kept.denies

    def denied(self, name: str, *, stops: bool = False) -> None:
        """The station said that a transaction is over and that nothing of it waits in it.

        Args:
            name: the station's name of it.
            stops: whether it takes a stop of it all the same.
        """
        self._denied[name] = stops
        if len(self._denied) > _MOST_TRANSACTIONS:
            del self._denied[next(iter(self._denied))]

    def stops_what_it_denied(self, name: str) -> bool:
        """Whether it did so, and has said nothing of the transaction since."""
        return self._denied.get(name, False)

    def contradicts(self, name: str, *, is_end: bool) -> bool:
        """The station speaks of a transaction; whether that gives the lie to what it said before.

        An end alone may have been on its way when it was asked, unless it took a stop then.
        """
        stops = self._denied.pop(name, None)
        if stops is None or (is_end and not stops):
            return False
        self._kept.denies = True
        return True

    def heard_ms(self, name: str) -> int:
        """When an event of a transaction last came, Unix ms; 0 where none did to this process."""
        return self._heard_ms.get(name, 0)

    def told_ms(self, name: str) -> int:
        """Up to when a transaction is known to have gone on; 0 where that is for others to say."""
        return self._told_ms.get(name, 0)

    def all_sold(self) -> list[Transaction]:
        """The transactions that somebody pays for, as far as the station told."""
        known = self._transactions.values()
        return [one for one in known if one.sold and one.number is not None and not one.ended]

    async def gone(self, name: str) -> None:
        """The station says that a transaction is over of which it never told the end."""
        known = self._transactions.get(name)
        if known is not None:
            known.sold, known.left = False, True
            self.evses.begun(known.evse)
            await self.save()

    def all_running(self, evse: int) -> list[Transaction]:
        """The transactions at an EVSE that are not over, the newest first."""
        known = reversed(self._transactions.values())
        return [one for one in known if one.evse == evse and not one.ended]

    def running(self, evse: int) -> Transaction | None:
        """The newest of them."""
        return next(iter(self.all_running(evse)), None)

    def is_behind(self, name: str, seq_no: int | None) -> bool:
        """Whether a later event of a transaction than the one of this number was told before."""
        return seq_no is not None and seq_no < self._seq_nos.get(name, seq_no)

    def missing(self, name: str, seq_no: int | None) -> int:
        """How many events of a transaction were not told before the one of this number."""
        if seq_no is None:
            return 0
        before = self._seq_nos.pop(name, seq_no)
        self._seq_nos[name] = max(seq_no, before)
        if len(self._seq_nos) > _MOST_TRANSACTIONS:
            del self._seq_nos[next(iter(self._seq_nos))]
        return max(0, seq_no - before - 1)

    async def new_start(self, tag: str, evse: int) -> RemoteStart:
        """A remote start that is to be sent; returns once it is stored.

        Ids are not used again soon: events may wait in the station for days.
        """
        kept = self._kept
        kept.last_start = kept.last_start % LARGEST_START_ID + 1
        start = RemoteStart(kept.last_start, tag, evse)
        kept.starts = [*kept.starts, start][-_MOST_STARTS:]
        await self.save()
        return start

    async def refused(self, start: RemoteStart) -> None:
        """The station refused a remote start."""
        self._kept.starts = [one for one in self._kept.starts if one is not start]
        await self.save()

    async def became(self, start: RemoteStart, name: str) -> None:
        """The station told which transaction a remote start is about."""
        start.transaction = name
        await self.save()

    def start_of(self, remote_start_id: int | None) -> RemoteStart | None:
        """A remote start by its id; None for one that is not ours."""
        return next((one for one in self._kept.starts if one.id == remote_start_id), None)

    def evse_for(self, tag: str) -> int:
        """Where a remote start for a tag was to be; 0 where there was none."""
        return next((one.evse for one in self._kept.starts if one.tag == tag), 0)

    def start_for(self, name: str) -> RemoteStart | None:
        """The newest remote start that became a transaction of this name."""
        found = (one for one in reversed(self._kept.starts) if one.transaction == name)
        return next(found, None)

    def start_at(self, evse: int) -> RemoteStart | None:
        """The newest remote start at an EVSE, unless its transaction is known."""
        found = next((one for one in reversed(self._kept.starts) if one.evse == evse), None)
        return None if found is None or found.transaction else found

    def matched(self, tag: str, name: str) -> None:
        """A transaction turned out to be for a tag."""
        for start in self._kept.starts:
            if start.tag == tag:
                start.transaction = name

    async def save(self) -> None:
        """Store what is known; returns once it is. Raises AgentError."""
        self._kept.transactions = list(self._transactions.values())
        text = msgspec.json.encode(self._kept).decode()
        if text != self._stored:
            await self._charge_point.keep_note(_NOTE, text)
            self._stored = text


class Stations:
    """The stations of all charge points that ever spoke OCPP 2.0.1 to this process.

    Args:
        names_file: where an earlier version kept names and numbers; None for nowhere.
    """

    def __init__(self, names_file: Path | None = None) -> None:
        self._names_file = names_file
        self._stations: dict[str, Station] = {}

    async def of(self, charge_point: ChargePoint) -> Station:
        """The station of a charge point; raises AgentError."""
        known = self._stations.get(charge_point.id)
        if known is None:
            text = await charge_point.note(_NOTE)
            known = self._stations.setdefault(charge_point.id, Station(charge_point, text))
            if not text:
                self._import(charge_point.id, known)
        return known

    def name(self, charge_point_id: str, number: int) -> str | None:
        """The station's name of a transaction by Strom's number."""
        station = self._stations.get(charge_point_id)
        return None if station is None else station.name(number)

    def _import(self, charge_point_id: str, station: Station) -> None:
        if self._names_file is None or not self._names_file.exists():
            return
        for line in self._names_file.read_text(encoding="utf-8").splitlines():
            owner, _, rest = line.partition("\t")
            number, tab, name = rest.partition("\t")
            if owner == charge_point_id and tab and number.isdecimal():
                imported = station.add(name)
                imported.number, imported.sold = int(number), True


def _decoded(text: str) -> _Kept:
    try:
        return msgspec.json.decode(text, type=_Kept) if text else _Kept()
    except msgspec.MsgspecError:
        logger.error("what was known of a station's transactions cannot be read")
        return _Kept()
