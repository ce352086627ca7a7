"""A site that writes down what it is told: for tests of the wire, where no money is at stake."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import anyio

from agent.machine.events import ConnectorStatus, Obstacle
from agent.ports.charge_point import ChargePointView, Commitments, ConnectorView
from agent.ports.charger import (
    Charger,
    Fault,
    MeterReport,
    Nameplate,
    StartReport,
    StartVerdict,
    StopReport,
)
from agent.ports.errors import Refused, UnknownChargePoint
from agent.ports.quotes import Quote, QuoteRequest
from agent.signed_values import SignedValue
from agent.tariff.model import Tariff

T = TypeVar("T")


@dataclass(frozen=True)
class StatusReport:
    """A call of `connector_status`."""

    connector: int
    status: ConnectorStatus
    at_ms: int


Report = StatusReport | StartReport | MeterReport | StopReport


class RecordingChargePoint:
    """Accepts every id tag but "BAD"."""

    def __init__(self, charge_point_id: str) -> None:
        self._id = charge_point_id
        self.chargers: list[Charger] = []
        self.reports: list[Report] = []
        self.batches: list[int] = []
        self.signed: list[SignedValue] = []
        self.connectors: tuple[int, ...] = (1,)
        self.failing = False
        self.silent = False
        self.notes: dict[str, str] = {}
        self.promised = Commitments(frozenset(), frozenset(), idle=True)
        self._nameplate = Nameplate()
        self._faults: dict[int, Fault] = {}
        self._starts: dict[StartReport, int] = {}
        self._changed = anyio.Event()

    @property
    def id(self) -> str:
        return self._id

    @property
    def charger(self) -> Charger:
        return self.chargers[-1]

    def of(self, kind: type[T]) -> list[T]:
        return [report for report in self.reports if isinstance(report, kind)]

    async def until(self, condition: Callable[[], bool]) -> None:
        with anyio.fail_after(20):
            while not condition():
                await self._changed.wait()

    def _told(self, *reports: Report) -> None:
        if self.failing:
            raise Refused("the journal cannot be written")
        self.reports.extend(reports)
        self._notify()

    def _notify(self) -> None:
        changed, self._changed = self._changed, anyio.Event()
        changed.set()

    async def attach(self, charger: Charger) -> None:
        self.chargers.append(charger)
        self._notify()

    async def detach(self, charger: Charger) -> None:
        if charger in self.chargers:
            self.chargers.remove(charger)
        self._notify()

    async def answering(self, charger: Charger, answers: bool) -> None:
        self.silent = not answers
        self._notify()

    async def connector_status(self, connector: int, status: ConnectorStatus, at_ms: int) -> None:
        self._told(StatusReport(connector, status, at_ms))

    async def connector_fault(
        self, connector: int, fault: Fault | None, status: ConnectorStatus | None = None
    ) -> None:
        self._faults.pop(connector, None)
        if fault is not None:
            self._faults[connector] = fault

    async def faults(self) -> Mapping[int, Fault]:
        return self._faults

    async def may_charge(self, id_tag: str) -> bool:
        return id_tag != "BAD"

    async def transaction_started(self, report: StartReport) -> StartVerdict:
        self._told(report)
        number = self._starts.setdefault(report, len(self._starts) + 1)
        return StartVerdict(number, report.id_tag != "BAD")

    async def meter_sampled(self, reports: Sequence[MeterReport]) -> None:
        self.batches.append(len(reports))
        self._told(*reports)

    async def signed_values(
        self, connector: int, transaction_id: int | None, values: Sequence[SignedValue]
    ) -> None:
        self.signed.extend(values)

    async def transaction_stopped(self, report: StopReport) -> None:
        self._told(report)

    async def view(self) -> ChargePointView:
        return ChargePointView(
            id=self._id,
            name=self._id,
            about="",
            picture="",
            website="",
            npub="",
            nprofile="",
            pubkey="",
            lightning_address="",
            tariff=Tariff("day", 0),
            min_payment_msat=1,
            max_payment_msat=1,
            online=True,
            connectors=tuple(
                ConnectorView(one, ConnectorStatus.AVAILABLE, None) for one in self.connectors
            ),
        )

    async def obstacle(self, connector: int | None) -> Obstacle | None:
        return None

    async def commitments(self) -> Commitments:
        return self.promised

    async def introduced(self, nameplate: Nameplate) -> None:
        self._nameplate = nameplate

    async def nameplate(self) -> Nameplate:
        return self._nameplate

    async def keep_note(self, name: str, text: str) -> None:
        self.notes[name] = text
        self._notify()

    async def note(self, name: str) -> str:
        return self.notes.get(name, "")

    async def quote(self, request: QuoteRequest) -> Quote:
        raise Refused("not here")

    async def quote_zap(self, raw: str, amount_msat: int, connector: int | None) -> Quote:
        raise Refused("nothing is sold here")


class RecordingSite:
    """A site of recording charge points."""

    def __init__(self, *charge_point_ids: str) -> None:
        self.points = {name: RecordingChargePoint(name) for name in charge_point_ids}

    def charge_point(self, charge_point_id: str) -> RecordingChargePoint:
        for name, point in self.points.items():
            if name.lower() == charge_point_id.lower():
                return point
        raise UnknownChargePoint("there is no such charge point")

    def charge_point_ids(self) -> Sequence[str]:
        return tuple(self.points)
