"""The versions of OCPP that are spoken here, each with its two sides and what it asks at first."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from contextlib import suppress
from typing import Any

from agent.ports.charge_point import ChargePoint
from agent.ports.errors import AgentError
from bridge.ocpp import frames, timestamps
from bridge.ocpp.actions import V16, V201
from bridge.ocpp.calls import Calls
from bridge.ocpp.configuration.billing import NEEDS_16, NEEDS_201
from bridge.ocpp.configuration.keys import Keys16, Keys201
from bridge.ocpp.configuration.upkeep import Tended, Upkeep
from bridge.ocpp.desk import Reports
from bridge.ocpp.errors import CallFailed
from bridge.ocpp.limits import Limits
from bridge.ocpp.meters import plain_samples
from bridge.ocpp.meters.asked_meters import AskedMeters
from bridge.ocpp.schemas import Payload
from bridge.ocpp.v16.charger import OcppCharger
from bridge.ocpp.v16.inbound import Inbound
from bridge.ocpp.v16.settings import ask_for_heartbeat, ask_for_status
from bridge.ocpp.v201.charger import Ocpp201Charger
from bridge.ocpp.v201.inbound import Inbound201
from bridge.ocpp.v201.transactions import Station
from bridge.ocpp.v201.whereabouts import Whereabouts
from bridge.ocpp.watching import Abilities

Clock = Callable[[], int]
Spawn = Callable[[Coroutine[Any, Any, None]], None]


class Dialect16:
    """OCPP 1.6 on one connection; without `upkeep` its configuration stays as it is.

    `charger_clock` and `abilities` are what was found out of this charger.
    """

    version = V16
    error_codes: Mapping[str, str] = {frames.MESSAGE_TYPE_NOT_SUPPORTED: frames.FORMATION_VIOLATION}
    nameless: str | None = None

    def __init__(
        self,
        charge_point: ChargePoint,
        clock: Clock,
        limits: Limits,
        upkeep: Upkeep | None,
        charger_clock: timestamps.Clock,
        abilities: Abilities,
    ) -> None:
        self._charge_point = charge_point
        self._limits = limits
        self._upkeep = upkeep
        self._abilities = abilities
        self._inbound = Inbound(charge_point, clock, limits.heartbeat_s, charger_clock)
        self.reports = Reports()
        self.tended: Tended | None = None
        self._charger: OcppCharger | None = None

    @property
    def clock_behind_ms(self) -> int | None:
        """How far the charger's clock is behind ours; None while that was not measured."""
        return self._inbound.clock_behind_ms

    def decode(self, frame: bytes) -> frames.Message:
        """Read a frame; raises InvalidFrame for one that is no message."""
        return plain_samples.decode(frame) or frames.decode(frame)

    def answer(self, action: str, payload: Payload) -> Awaitable[bytes] | None:
        """The answer to a call, as JSON; None where there is none to such an action."""
        if action == "BootNotification" and self.tended is not None:
            self.tended.booted = True
        return self._inbound.answer(action, payload)

    def noted(self, calls: Calls) -> Calls:
        """The calls of a connection, of which those that matter for what is heard are noted."""
        return AskedMeters(calls, self._inbound.meter_asked)

    def charger(self, calls: Calls, spawn: Spawn) -> OcppCharger:
        """The other side, once there is a connection for its calls."""
        del spawn
        self._charger = OcppCharger(calls, self._abilities)
        if self._upkeep is not None:
            self.tended = Tended(self._charge_point, Keys16(calls), NEEDS_16, "NumberOfConnectors")
        return self._charger

    async def prepare(self) -> None:
        """What a charger is asked for once it may be called."""
        charger = self._charger
        if charger is None:
            return
        if not self._inbound.booted:
            await asyncio.sleep(self._limits.silence_s)
            await self._ask_for_statuses(charger)
        await _tend(self._upkeep, self.tended)

    async def _ask_for_statuses(self, charger: OcppCharger) -> None:
        """Have a charger that came back without a boot show the connectors that it did not."""
        view = await self._charge_point.view()
        with suppress(CallFailed):
            for connector in view.connectors:
                if connector.id not in self._inbound.shown:
                    await ask_for_status(charger, connector.id)

    async def probe(self) -> None:
        """Ask a charger for a sign of life."""
        if self._charger is not None:
            with suppress(CallFailed):
                await ask_for_heartbeat(self._charger)


class Dialect201:
    """OCPP 2.0.1 on one connection; the parameters are those of 1.6.

    Errors: OCPP-J 2.0.1, part 4, section 4.2.3.
    """

    version = V201
    error_codes: Mapping[str, str] = {frames.FORMATION_VIOLATION: "FormatViolation"}
    nameless: str | None = "-1"

    def __init__(
        self,
        charge_point: ChargePoint,
        clock: Clock,
        limits: Limits,
        upkeep: Upkeep | None,
        charger_clock: timestamps.Clock,
        abilities: Abilities,
        station: Station,
    ) -> None:
        self._charge_point = charge_point
        self._clock = clock
        self._upkeep = upkeep
        self._limits = limits
        self._abilities = abilities
        self._station = station
        self.reports = Reports()
        self.tended: Tended | None = None
        self._inbound = Inbound201(
            charge_point, clock, limits.heartbeat_s, station, charger_clock, self._want_register
        )
        self._charger: Ocpp201Charger | None = None
        self._whereabouts: Whereabouts | None = None
        self._spawn: Spawn | None = None

    @property
    def clock_behind_ms(self) -> int | None:
        """How far the charger's clock is behind ours; None while that was not measured."""
        return self._inbound.clock_behind_ms

    def decode(self, frame: bytes) -> frames.Message:
        """Read a frame; raises InvalidFrame for one that is no message."""
        return frames.decode(frame)

    def answer(self, action: str, payload: Payload) -> Awaitable[bytes] | None:
        """The answer to a call, as JSON; None where there is none to such an action."""
        if action == "NotifyReport":
            self.reports.take(payload)
        elif action == "BootNotification" and self.tended is not None:
            self.tended.booted = True
        whereabouts = self._whereabouts
        if whereabouts is not None and self._spawn is not None and whereabouts.is_due():
            self._spawn(whereabouts.after_silence())
        return self._inbound.answer(action, payload)

    def noted(self, calls: Calls) -> Calls:
        """The same as of 1.6: none is."""
        return calls

    def charger(self, calls: Calls, spawn: Spawn) -> Ocpp201Charger:
        """The other side, once there is a connection for its calls."""
        self._spawn = spawn
        gone = self._inbound.events.forgotten
        stopped = self._inbound.events.stopped_silently
        charger = Ocpp201Charger(calls, self._station, self._abilities, gone, stopped)
        self._charger = charger
        self._whereabouts = Whereabouts(
            self._charge_point, self._station, charger, self._clock, gone
        )
        if self._upkeep is not None:
            self.tended = Tended(self._charge_point, Keys201(calls), NEEDS_201)
        return self._charger

    def _want_register(self, evse: int) -> None:
        if self._charger is not None and self._spawn is not None:
            self._spawn(self._ask_for_register(self._charger, evse))

    async def _ask_for_register(self, charger: Ocpp201Charger, evse: int) -> None:
        """Ask a station for a transaction's register; one that will not tell it may be about to
        tell the transaction's end."""
        if not await charger.ask_for_transaction(evse):
            await asyncio.sleep(self._limits.silence_s)
            with suppress(AgentError):
                await self._inbound.events.without_register(evse)

    async def prepare(self) -> None:
        """What a station is asked for once it may be called."""
        if self._charger is None:
            return
        if not self._inbound.booted:
            await asyncio.sleep(self._limits.silence_s)
            if not self._inbound.showed_status:
                with suppress(CallFailed, AgentError):
                    connectors = (await self._charge_point.view()).connectors
                    await self._charger.ask_for_statuses([one.id for one in connectors])
        if self._inbound.booted and self._whereabouts is not None and self._spawn is not None:
            self._spawn(self._ask_once_back(self._whereabouts))
        await _tend(self._upkeep, self.tended)

    async def _ask_once_back(self, whereabouts: Whereabouts) -> None:
        """What waits in a station that was away comes first."""
        await asyncio.sleep(self._limits.silence_s)
        await whereabouts.after_booting()

    async def probe(self) -> None:
        """Ask a station for a sign of life."""
        if self._charger is not None:
            with suppress(CallFailed):
                await self._charger.ask_for_heartbeat()


async def _tend(upkeep: Upkeep | None, tended: Tended | None) -> None:
    """See to the configuration of a charger that may be called from now on."""
    if upkeep is not None and tended is not None:
        tended.ready = True
        await upkeep.tend(tended)
