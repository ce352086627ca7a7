"""The operator's hand on the chargers: every request that OCPP has for them, with its answer."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass

from agent.config.models import Wishes
from agent.ports.charge_point import ChargePoint
from agent.ports.charger import Nameplate
from bridge.ocpp.actions import Version
from bridge.ocpp.calls import Calls
from bridge.ocpp.configuration import hand_changes
from bridge.ocpp.errors import CallFailed, CallRefused
from bridge.ocpp.guards import Situation, check
from bridge.ocpp.masking import without_secrets
from bridge.ocpp.meters.readings import as_int, as_text, objects
from bridge.ocpp.schemas import Payload, check_call, is_valid_result
from bridge.ocpp.spoken import printable
from bridge.ocpp.v201.transactions import Stations

logger = logging.getLogger(__name__)

_MOST_PARTS = 1000
_REPORTS = frozenset({"GetBaseReport", "GetReport"})


class NotConnected(CallFailed):
    """The charger is not connected."""


class Reports:
    """The NotifyReports of one connection that somebody waits for (OCPP 2.0.1, use case B07)."""

    def __init__(self) -> None:
        self._parts: dict[int, list[Payload]] = {}
        self._whole: dict[int, asyncio.Event] = {}

    def take(self, payload: Payload) -> None:
        """A part of a report came."""
        request_id = as_int(payload.get("requestId"))
        if request_id is None or request_id not in self._parts:
            return
        parts = self._parts[request_id]
        parts.append(payload)
        if payload.get("tbc") is not True or len(parts) >= _MOST_PARTS:
            self._whole[request_id].set()

    def expect(self, request_id: int) -> None:
        """Keep the parts of this report from now on."""
        self._parts[request_id] = []
        self._whole[request_id] = asyncio.Event()

    async def whole(self, request_id: int, timeout_s: float) -> list[Payload]:
        """The parts of a report that was expected, in the order they came; all, or those until
        the time was up."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._whole[request_id].wait()
        except TimeoutError:
            logger.info("a report did not come whole within %g s", timeout_s)
        return list(self._parts[request_id])

    def forget(self, request_id: int) -> None:
        """Nobody waits for this report any more."""
        self._parts.pop(request_id, None)
        self._whole.pop(request_id, None)


@dataclass(frozen=True, slots=True)
class Line:
    """A connected charger.

    Attributes:
        charge_point: whose it is.
        calls: asks it.
        version: of OCPP.
        reports: what it reports in pieces; empty for 1.6.
    """

    charge_point: ChargePoint
    calls: Calls
    version: Version
    reports: Reports


@dataclass(frozen=True, slots=True)
class Answered:
    """A charger's answer to the operator.

    Attributes:
        action: what was asked, as OCPP spells it.
        payload: the answer, without secrets.
        warnings: what the operator should know of what he asked.
        report: the entries of a report that came with it, in 2.0.1.
    """

    action: str
    payload: object
    warnings: tuple[str, ...] = ()
    report: tuple[object, ...] = ()


class Desk:
    """Sends what the operator asks for.

    Args:
        clock: our time in Unix ms.
        stations: the transactions of 2.0.1.
        wanted: the configuration keys of the operator's file, for a charge point and what its
            charger is.
    """

    def __init__(
        self,
        clock: Callable[[], int],
        stations: Stations,
        wanted: Callable[[str, Nameplate], Wishes],
    ) -> None:
        self._clock = clock
        self._stations = stations
        self._wanted = wanted
        self._lines: dict[str, Line] = {}

    def opened(self, line: Line) -> None:
        """A charger connected; the newest connection is the one that is asked."""
        self._lines[line.charge_point.id] = line

    def closed(self, line: Line) -> None:
        """A connection ended."""
        if self._lines.get(line.charge_point.id) is line:
            del self._lines[line.charge_point.id]

    def version(self, charge_point_id: str) -> Version | None:
        """The version that a charger speaks; None while it is not connected."""
        line = self._lines.get(charge_point_id)
        return None if line is None else line.version

    async def ask(
        self,
        charge_point_id: str,
        action: str,
        payload: Payload,
        *,
        force: bool = False,
        timeout_s: float | None = None,
    ) -> Answered:
        """Send a request and wait for the answer.

        Args:
            charge_point_id: whose charger.
            action: as OCPP calls it, in any case.
            payload: the request.
            force: send also what may be sent on demand only.
            timeout_s: how long the answer may take; None for the usual time.

        Raises:
            InvalidCall: there is no such action, or the payload does not fit its schema.
            Guarded: money or security would suffer.
            CallFailed: the charger is not connected, did not answer, or answered with an error.
        """
        line = self._lines.get(charge_point_id)
        if line is None:
            raise NotConnected(f"{charge_point_id} is not connected")
        action = line.version.action(action)
        check_call(action, payload, line.version.package)
        warnings = check(action, payload, await self._situation(line), force=force)
        logger.info("%s: the operator sends %s", charge_point_id, action)
        await hand_changes.sent(line.charge_point, action, payload)
        try:
            if action in _REPORTS:
                return await self._reported(line, action, payload, warnings, timeout_s)
            answer = await line.calls.call(action, payload, timeout_s)
        except CallRefused as refused:
            why = printable(as_text(without_secrets(refused.description), 255)).strip()
            sentence = f"{refused}: {why}" if why else str(refused)
            raise CallRefused(sentence, refused.code) from None
        return self._answered(line, action, answer, warnings)

    async def _reported(
        self,
        line: Line,
        action: str,
        payload: Payload,
        warnings: list[str],
        timeout_s: float | None,
    ) -> Answered:
        """The same for a request whose answer is followed by a report."""
        request_id = as_int(payload.get("requestId")) or 0
        line.reports.expect(request_id)
        try:
            answer = await line.calls.call(action, payload, timeout_s)
            parts: list[Payload] = []
            if answer.get("status") == "Accepted":
                parts = await line.reports.whole(request_id, timeout_s or 30.0)
        finally:
            line.reports.forget(request_id)
        entries = [entry for part in parts for entry in objects(part.get("reportData"))]
        return self._answered(line, action, answer, warnings, entries)

    def _answered(
        self,
        line: Line,
        action: str,
        answer: Payload,
        warnings: list[str],
        report: list[Payload] | None = None,
    ) -> Answered:
        if not is_valid_result(action, answer, line.version.package):
            warnings = [*warnings, "the charger's answer does not keep to its schema"]
        shown = [without_secrets(entry) for entry in report or ()]
        return Answered(action, without_secrets(answer), tuple(warnings), tuple(shown))

    async def _situation(self, line: Line) -> Situation:
        charge_point = line.charge_point
        commitments = await charge_point.commitments()
        transactions = {str(number) for number in commitments.transactions}
        for number in commitments.transactions:
            transactions.add(as_text(self._stations.name(charge_point.id, number), 100))
        nameplate = await charge_point.nameplate()
        return Situation(
            now_ms=self._clock(),
            commitments=commitments,
            transactions=frozenset(transactions - {""}),
            wanted=self._wanted(charge_point.id, nameplate).settings,
        )
