"""What the operator may ask of a running Strom through its control socket."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from functools import wraps
from typing import Any, Protocol, TypeVar

import msgspec

from agent.ports.charger import Nameplate
from agent.ports.errors import AgentError
from agent.ports.site import Site
from bridge.control.errors import ControlRefused
from bridge.control.server import Arguments, Command
from bridge.ocpp.actions import Version
from bridge.ocpp.desk import Answered
from bridge.ocpp.errors import OcppError
from bridge.ocpp.upkeep import Upkeep

T = TypeVar("T", bound=msgspec.Struct)

MOST_TIMEOUT_S = 600.0


class Chargers(Protocol):
    """The connected chargers."""

    def version(self, charge_point_id: str) -> Version | None:
        """The version of OCPP that a charger speaks; None while it is not connected."""
        ...

    async def ask(
        self,
        charge_point_id: str,
        action: str,
        payload: dict[str, Any],
        *,
        force: bool = False,
        timeout_s: float | None = None,
    ) -> Answered:
        """Send a request and wait for the answer; raises OcppError."""
        ...


class _Ask(msgspec.Struct):
    charge_point: str
    action: str
    payload: dict[str, Any] = {}
    force: bool = False
    timeout_s: float | None = None


class _About(msgspec.Struct):
    charge_point: str = ""


def commands(site: Site, chargers: Chargers, upkeep: Upkeep | None) -> Mapping[str, Command]:
    """The commands, by the name that they have on the socket.

    Args:
        site: the charge points.
        chargers: those that are connected.
        upkeep: knows how their configuration is.
    """

    async def ask(arguments: Arguments) -> object:
        asked = _read(arguments, _Ask)
        timeout_s = asked.timeout_s
        if timeout_s is not None and not 0 < timeout_s <= MOST_TIMEOUT_S:
            raise ControlRefused(f"the timeout is more than 0 and at most {MOST_TIMEOUT_S:g} s")
        charge_point = site.charge_point(asked.charge_point)
        answered = await chargers.ask(
            charge_point.id,
            asked.action,
            asked.payload,
            force=asked.force,
            timeout_s=timeout_s,
        )
        return asdict(answered)

    async def about(arguments: Arguments) -> object:
        """What is known of one charger, or of all."""
        wanted = _read(arguments, _About).charge_point
        ids = [site.charge_point(wanted).id] if wanted else site.charge_point_ids()
        return [await _about(site, chargers, charge_point_id) for charge_point_id in ids]

    async def settings(arguments: Arguments) -> object:
        """The configuration of one charger, or of all."""
        wanted = _read(arguments, _About).charge_point
        ids = [site.charge_point(wanted).id] if wanted else site.charge_point_ids()
        reports: list[dict[str, object]] = []
        if upkeep is None:
            return reports
        for charge_point_id in ids:
            report = await upkeep.report(site.charge_point(charge_point_id))
            known: dict[str, object] = msgspec.to_builtins(report)
            reports.append({"id": charge_point_id, **known})
        return reports

    return {"ocpp": _told(ask), "chargers": _told(about), "settings": _told(settings)}


async def _about(site: Site, chargers: Chargers, charge_point_id: str) -> dict[str, object]:
    charge_point = site.charge_point(charge_point_id)
    nameplate: Nameplate = await charge_point.nameplate()
    version = chargers.version(charge_point.id)
    view = await charge_point.view()
    return {
        "id": charge_point.id,
        "connected": version is not None,
        "version": "" if version is None else version.name,
        **asdict(nameplate),
        "connectors": {str(connector.id): connector.status for connector in view.connectors},
    }


def _told(command: Command) -> Command:
    """The same, where errors that are meant for the operator reach him."""

    @wraps(command)
    async def run(arguments: Arguments) -> object:
        try:
            return await command(arguments)
        except (AgentError, OcppError) as error:
            raise ControlRefused(str(error)) from None

    return run


def _read(arguments: Arguments, kind: type[T]) -> T:
    try:
        return msgspec.convert(dict(arguments), kind)
    except msgspec.ValidationError as error:
        raise ControlRefused(f"this was not understood: {error}") from None
