"""What the operator sees of his chargers, gathered from where it is known.

The command line gets it through the control socket, the console by a call: both the same.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from agent.config.ocpp import MUTUAL_TLS
from agent.config.tables import Config
from agent.ports.charger import Nameplate
from agent.ports.site import Site
from agent.talk.wording import ended
from bridge.charger_security import EVENTS_FOLDER
from bridge.charger_sheet import (
    ChargerSheet,
    LogQuery,
    Presence,
    Setting,
    SettingsSheet,
    ShownFault,
)
from bridge.ocpp.actions import Version
from bridge.ocpp.configuration.billing import Consequence, between_readings_wh, consequence
from bridge.ocpp.configuration.upkeep import KeyReport, Upkeep
from bridge.ocpp.links import CERTIFICATE, PASSWORD, LinkState, profile_of
from bridge.ocpp.message_log import MESSAGE_LOG_FOLDER, last_heard_ms, read
from bridge.ocpp.security.events import SecurityEvent, reported
from bridge.ocpp.spoken import Listener, Spoken, printable


class Lines(Protocol):
    """The connected chargers."""

    def version(self, charge_point_id: str) -> Version | None:
        """The version of OCPP that a charger speaks; None while it is not connected."""
        ...


class Links(Protocol):
    """Their connections."""

    def state(self, charge_point_id: str) -> LinkState:
        """How the connection of a charge point's charger is now."""
        ...


class Security(Protocol):
    """Their certificates."""

    def expiries(self) -> Mapping[str, int]:
        """When certificates expire, in Unix ms, by whose they are."""
        ...


class Troubles(Protocol):
    """What operators were told of."""

    def current(self) -> Mapping[str, str]:
        """What is wrong now, by name."""
        ...


class Overview:
    """Implements `bridge.charger_sheet.Chargers`.

    Args:
        config: the operator's file.
        site: the charge points.
        lines: the connected chargers.
        links: their connections.
        upkeep: knows how their configuration is; None where it stays as it is.
        security: their certificates.
        troubles: what operators were told of.
    """

    def __init__(
        self,
        config: Config,
        site: Site,
        *,
        lines: Lines,
        links: Links,
        upkeep: Upkeep | None,
        security: Security,
        troubles: Troubles,
    ) -> None:
        self._points = {point.id: point for point in config.charge_points}
        self._data_dir = config.strom.data_dir
        self._site = site
        self._lines = lines
        self._links = links
        self._upkeep = upkeep
        self._security = security
        self._troubles = troubles

    def presence(self, charge_point_id: str) -> Presence:
        """Whether a charger is there; raises UnknownChargePoint."""
        link = self._links.state(self._site.charge_point(charge_point_id).id)
        if link.since_ms is None:
            return "away"
        return "answers" if link.answers else "silent"

    async def sheet(self, charge_point_id: str) -> ChargerSheet:
        """How a charger is; raises UnknownChargePoint."""
        charge_point = self._site.charge_point(charge_point_id)
        known = charge_point.id
        nameplate: Nameplate = await charge_point.nameplate()
        view = await charge_point.view()
        version, link = self._lines.version(known), self._links.state(known)
        connected = version is not None
        showed = self._counting(known, link.showed)
        heard_at_ms = link.heard_at_ms
        if heard_at_ms is None:
            # Strom was started since.
            folder = self._data_dir / MESSAGE_LOG_FOLDER
            heard_at_ms = await asyncio.to_thread(last_heard_ms, folder, known)
        return ChargerSheet(
            id=known,
            connected=connected,
            version="" if version is None else version.name,
            vendor=printable(nameplate.vendor),
            model=printable(nameplate.model),
            serial=printable(nameplate.serial),
            firmware=printable(nameplate.firmware),
            connectors={str(item.id): item.status for item in view.connectors},
            faults=tuple(
                ShownFault(connector, fault.reason, fault.since_ms)
                for connector, fault in (await charge_point.faults()).items()
            ),
            answers=link.answers,
            since_ms=link.since_ms,
            heard_at_ms=heard_at_ms,
            ping_ms=link.ping_ms,
            clock_behind_ms=link.clock_behind_ms,
            wanted_profile=self._points[known].least_profile,
            profile=profile_of(showed) if connected else None,
            showed=showed,
            certificate_expires_at_ms=self._security.expiries().get(known),
            troubles=tuple(
                ended(sentence)
                for name, sentence in self._troubles.current().items()
                if name.split(" ")[-1].partition("/")[0] == known
            ),
        )

    def _counting(self, charge_point_id: str, showed: Collection[str]) -> tuple[str, ...]:
        """What a charger showed and was asked for: anything else was not looked at."""
        point = self._points[charge_point_id]
        ignored = {PASSWORD} if point.password_file is None else set[str]()
        ignored |= {CERTIFICATE} if point.least_profile < MUTUAL_TLS else set[str]()
        return tuple(way for way in showed if way not in ignored)

    async def settings(self, charge_point_id: str) -> SettingsSheet:
        """How a charger's configuration is; raises UnknownChargePoint."""
        charge_point = self._site.charge_point(charge_point_id)
        if self._upkeep is None:
            return SettingsSheet(charge_point.id)
        report = await self._upkeep.report(charge_point)
        powers_w = [item.max_power_w for item in self._points[charge_point.id].connectors]
        keys = tuple(_setting(key, max(powers_w)) for key in report.keys)
        trouble = printable(report.trouble)
        return SettingsSheet(charge_point.id, report.checked_at_ms, keys, trouble)

    async def events(self, charge_point_id: str) -> Sequence[SecurityEvent]:
        """The security events that a charger reported, the latest first."""
        known = self._site.charge_point(charge_point_id).id
        found = await asyncio.to_thread(reported, self._data_dir / EVENTS_FOLDER, known)
        return found[::-1]

    async def log(self, charge_point_id: str, query: LogQuery) -> Sequence[Spoken]:
        """What a charger and Strom said to each other, the latest first."""
        known = self._site.charge_point(charge_point_id).id
        return await asyncio.to_thread(spoken, self._data_dir / MESSAGE_LOG_FOLDER, known, query)


_BESIDES = 100


def _setting(key: KeyReport, max_power_w: int) -> Setting:
    means = consequence(key.key, key.present)
    return Setting(
        key.key,
        key.wanted,
        printable(key.present),
        key.state,
        key.here,
        key.matters,
        means,
        between_readings_wh(key.present, max_power_w) if means is Consequence.SLOW_SAMPLES else 0,
    )


def spoken(folder: Path, charge_point_id: str, query: LogQuery) -> list[Spoken]:
    """The messages of a log that are wanted, the latest first.

    Args:
        folder: where the log is.
        charge_point_id: whose.
        query: which messages.
    """
    listener, text = Listener(), query.text.lower()
    found: list[Spoken] = []
    entries = read(folder, charge_point_id)
    if query == LogQuery(query.most):
        # The requests before the answers among them are read besides.
        entries = entries[-query.most - _BESIDES :]
    for entry in entries:
        heard = listener.heard(entry)
        wanted = query.incoming in (None, heard.incoming)
        if wanted and query.before_ms is not None:
            wanted = heard.at_ms < query.before_ms
        if wanted and text:
            wanted = text in heard.action.lower() or text in heard.said.lower()
        if wanted:
            found.append(heard)
    return found[: -query.most - 1 : -1]
