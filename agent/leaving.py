"""Charge points that have left the operator's file while something was open there.

Their chargers are still let in, as they were before, until that is over: what runs is asked to
stop, the rest goes back, and nothing is sold there any more.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import anyio

from agent.charge_point import ChargePointAgent
from agent.commons import ANYTHING, Commons
from agent.config.secret_files import secret_file_problem
from agent.config.tables import ChargePointConfig, Config
from agent.journal.errors import JournalUnusable
from agent.journal.journal import Journal
from agent.machine.events import StopBy
from agent.machine.model import Session, SessionState
from agent.tariff.model import Tariff
from agent.views import PublicFace

_KEPT = "point:"
_PUBLIC = frozenset({"about", "picture", "website", "location", "lud16", "ocpp_settings"})
_NO_FACE = PublicFace("", "", "", "")

Stop = Callable[[Session, StopBy], Awaitable[None]]
"""Ends a session; who does."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class LeftBehind:
    """Charge points that are not in the file, and at which a session is open.

    Attributes:
        points: those whose chargers can be let in, as the file once described them.
        shut_out: why the others' cannot, by their ids.
    """

    points: tuple[ChargePointConfig, ...] = ()
    shut_out: Mapping[str, str] = field(default_factory=dict[str, str])


def left_behind(config: Config, journal: Journal) -> LeftBehind:
    """The charge points that a file lacks and at which a session is open.

    Args:
        config: the operator's file.
        journal: knows the sessions, and how the charge points were described.
    """
    present = {point.id for point in config.charge_points}
    open_at = {
        s.charge_point for s in journal.sessions.live() if s.state is not SessionState.CLOSED
    }
    points: list[ChargePointConfig] = []
    shut_out: dict[str, str] = {}
    for charge_point_id in sorted(open_at - present):
        kept = journal.setting(_KEPT + charge_point_id)
        try:
            point = None if kept is None else ChargePointConfig.model_validate(json.loads(kept))
        except ValueError:
            point = None
        if point is None:
            shut_out[charge_point_id] = "how it was let in is not known any more"
        elif problem := _missing(point.password_file):
            shut_out[charge_point_id] = f"{point.password_file} {problem}"
        else:
            points.append(point)
    return LeftBehind(tuple(points), shut_out)


def _missing(file: Path | None) -> str | None:
    return None if file is None else secret_file_problem(file)


async def remember(config: Config, journal: Journal) -> None:
    """Keep how the charge points of a file are let in, for when they have left it.

    Of their secrets only the files' names are kept: who deletes one shuts its charger out.
    """
    changed = {
        _KEPT + point.id: kept
        for point in config.charge_points
        if (kept := point.model_dump_json(exclude=set(_PUBLIC), exclude_defaults=True))
        != journal.setting(_KEPT + point.id)
    }
    try:
        await asyncio.gather(*(journal.set_setting(name, kept) for name, kept in changed.items()))
    except JournalUnusable as error:
        log.error("how the charge points are let in is not kept: %s", error)


class Leaving:
    """Sees the charge points off that have left the file.

    Args:
        left: which.
        commons: what all charge points share.

    Attributes:
        agents: those whose chargers are let in, by their ids.
    """

    def __init__(self, left: LeftBehind, commons: Commons) -> None:
        self._shut_out = left.shut_out
        self._commons = commons
        self.agents = {
            point.id: ChargePointAgent(point, Tariff(point.tariff, 0), _NO_FACE, commons)
            for point in left.points
        }
        self._staying = set(self.agents)
        self._waits_for_starts = False
        self._on_gone: Callable[[str], None] = lambda _: None

    def on_gone(self, call: Callable[[str], None]) -> None:
        """Call this with the id of each whose charger is not let in any more."""
        self._on_gone = call

    def by_charger(self, name: str) -> ChargePointAgent | None:
        """The one whose charger calls itself so, while it is let in."""
        for charge_point_id in self._staying:
            agent = self.agents[charge_point_id]
            if agent.config.called.lower() == name.lower():
                return agent
        return None

    async def resume(
        self,
        sessions: Mapping[str, Sequence[Session]],
        alive_ms: int,
        stop: Stop,
    ) -> None:
        """Take up what is open there, and have it end.

        Args:
            sessions: the live ones, by the charge points' ids.
            alive_ms: when Strom was certainly still there, Unix ms; 0 for unknown.
            stop: ends a session; who does.
        """
        alerts = self._commons.alerts
        for agent in self.agents.values():
            agent.resume()
            await agent.resume_sessions(sessions.get(agent.id, []), alive_ms)
            alerts.raised(
                _trouble(agent.id),
                f"{agent.id} has left the file while a charge was open there: it is asked to stop, "
                "and until then the charger is let in as before; nothing is sold there any more",
            )
            for session in agent.sessions.open():
                # What was accepted may begin all the same: its charger must come to be stopped.
                starts = session.state is SessionState.STARTING
                self._waits_for_starts = self._waits_for_starts or starts
                await stop(session, StopBy.OPERATOR)
        for charge_point_id, reason in self._shut_out.items():
            sentence = (
                f"{charge_point_id} has left the file while a charge was open there, and its "
                f"charger cannot be let in: {reason}. Nobody stops it, and what it gives now is on "
                "nobody's bill; put it back into the file, end the charge, and take it out then"
            )
            log.warning("%s", sentence)
            alerts.happened(_trouble(charge_point_id), sentence)

    async def part_with(
        self, agents: Sequence[ChargePointAgent], stop: Stop, within_s: float
    ) -> None:
        """Ask what is open at charge points that are about to leave to end, and wait for that.

        Args:
            agents: theirs.
            stop: ends a session; who does.
            within_s: how long they have for it.
        """
        changes = self._commons.changes
        watcher = changes.watch(ANYTHING)
        try:
            with anyio.move_on_after(within_s):
                for session in [s for agent in agents for s in agent.sessions.open()]:
                    await stop(session, StopBy.OPERATOR)
                while any(agent.sessions.open() for agent in agents):
                    watcher.clear()
                    await watcher.wait()
        except JournalUnusable as error:
            log.error("a charge is not ended before its charge point leaves: %s", error)
        finally:
            changes.unwatch(ANYTHING, watcher)

    async def run(self) -> None:
        """Let each go once all is over there; until cancelled, or all are gone."""
        watcher = self._commons.changes.watch(ANYTHING)
        try:
            while self._staying:
                watcher.clear()
                self._let_go()
                with anyio.move_on_after(self._starts_come_for_s()):
                    await watcher.wait()
        finally:
            self._commons.changes.unwatch(ANYTHING, watcher)

    def _starts_come_for_s(self) -> float | None:
        """How long a start may still come that was asked for before; None for not at all."""
        left_ms = self._commons.start_up_ends_at_ms - self._commons.clock()
        return max(1, left_ms) / 1000 if self._waits_for_starts and left_ms > 0 else None

    def _let_go(self) -> None:
        if self._starts_come_for_s() is not None:
            return
        for charge_point_id in sorted(self._staying):
            if not self.agents[charge_point_id].busy:
                self._staying.discard(charge_point_id)
                self._commons.alerts.cleared(
                    _trouble(charge_point_id),
                    f"{charge_point_id}, which has left the file: no charge is open there any more",
                )
                self._on_gone(charge_point_id)


def _trouble(charge_point_id: str) -> str:
    return f"left the file {charge_point_id}"
