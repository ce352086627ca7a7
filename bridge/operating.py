"""What the operator may ask of a running Strom through its control socket."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import wraps
from typing import Any, Protocol, TypeVar

import msgspec

from agent.ports.errors import AgentError
from agent.ports.office import Office
from agent.ports.site import Site
from bridge.charger_sheet import Chargers
from bridge.control.errors import ControlRefused
from bridge.control.server import Arguments, Command
from bridge.ocpp.desk import Answered
from bridge.ocpp.errors import OcppError

T = TypeVar("T", bound=msgspec.Struct)

MOST_TIMEOUT_S = 600.0
MOST_NAME = 100


class Desk(Protocol):
    """Asks the connected chargers."""

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


class _Refund(msgspec.Struct):
    session: str
    arrived: bool
    operator: str
    refund_no: int | None = None


class _About(msgspec.Struct):
    charge_point: str = ""


def commands(site: Site, office: Office, desk: Desk, chargers: Chargers) -> Mapping[str, Command]:
    """The commands, by the name that they have on the socket.

    Args:
        site: the charge points.
        office: what is owed.
        desk: asks the chargers that are connected.
        chargers: what is known of all of them.
    """

    async def ask(arguments: Arguments) -> object:
        asked = _read(arguments, _Ask)
        timeout_s = asked.timeout_s
        if timeout_s is not None and not 0 < timeout_s <= MOST_TIMEOUT_S:
            raise ControlRefused(f"the timeout is more than 0 and at most {MOST_TIMEOUT_S:g} s")
        charge_point = site.charge_point(asked.charge_point)
        answered = await desk.ask(
            charge_point.id,
            asked.action,
            asked.payload,
            force=asked.force,
            timeout_s=timeout_s,
        )
        return asdict(answered)

    def wanted(arguments: Arguments) -> Sequence[str]:
        """The charge point that was named, or all."""
        name = _read(arguments, _About).charge_point
        return [site.charge_point(name).id] if name else site.charge_point_ids()

    async def about(arguments: Arguments) -> object:
        """What is known of one charger, or of all."""
        return [asdict(await chargers.sheet(name)) for name in wanted(arguments)]

    async def settings(arguments: Arguments) -> object:
        """The configuration of one charger, or of all."""
        return [asdict(await chargers.settings(name)) for name in wanted(arguments)]

    async def refund(arguments: Arguments) -> object:
        """What became of a refund, by the operator's word."""
        word = _read(arguments, _Refund)
        operator = word.operator.strip()[:MOST_NAME]
        if not operator:
            raise ControlRefused("it has to be known who says so")
        verdict = await office.decide_refund(
            word.session, word.refund_no, arrived=word.arrived, operator=operator
        )
        return asdict(verdict)

    return {
        "ocpp": _told(ask),
        "chargers": _told(about),
        "settings": _told(settings),
        "refund": _told(refund),
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
