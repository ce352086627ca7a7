"""Hands a charger a password that nobody has seen, once it came in with its first one."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Sequence
from typing import Protocol

from agent.alerts import Alerts
from agent.machine.events import ConnectorStatus
from agent.ports.charge_point import ChargePoint
from agent.ports.charger import ChargerCommand
from bridge.ocpp.security.admission import AuthPolicy, may_enter
from bridge.ocpp.security.passwords import PasswordOutcome, Passwords, PasswordUnreadable

logger = logging.getLogger(__name__)

_TRIES = 3
_CHARGING = frozenset(
    {ConnectorStatus.CHARGING, ConnectorStatus.SUSPENDED_EV, ConnectorStatus.SUSPENDED_EVSE}
)


class Rekeyable(Protocol):
    """A connected charger."""

    async def set_password(self, password: str) -> PasswordOutcome:
        """Have it show another password from its next connection on."""
        ...

    async def command(self, command: ChargerCommand, connector: int) -> bool:
        """Carry out a command."""
        ...


class Rotation:
    """Which passwords are accepted, and how the first one is replaced.

    Args:
        passwords: the new ones.
        alerts: who tells the operators.
    """

    def __init__(self, passwords: Passwords, alerts: Alerts) -> None:
        self._passwords = passwords
        self._alerts = alerts
        self._refused: set[str] = set()
        self._taken = Counter[str]()

    def accepted(self, charge_point_id: str, first: str, *, rotates: bool) -> AuthPolicy:
        """The passwords in an AuthPolicy, all else in it by default.

        Args:
            charge_point_id: whose.
            first: the password in the operator's file.
            rotates: whether it is to be replaced. Where that is no longer wanted, both count.

        Raises:
            PasswordUnreadable: the new one cannot be read.
        """
        known = self._passwords.replacement(charge_point_id)
        if known is None:
            return AuthPolicy(first)
        if known.confirmed and rotates and known.replaces(first):
            return AuthPolicy(known.password, retired=first)
        return AuthPolicy(first, besides=known.password)

    async def entered(self, charge_point_id: str, authorization: Sequence[str]) -> None:
        """A charger was let in; one that has its new password loses its first one here."""
        self._alerts.cleared(f"password {charge_point_id}", f"{charge_point_id} was let in again")
        try:
            known = self._passwords.replacement(charge_point_id)
            if known is None or known.confirmed or not may_enter(known.password, authorization):
                return
            await asyncio.to_thread(self._passwords.confirm, charge_point_id)
        except PasswordUnreadable as error:
            logger.error("%s: its first password stays accepted: %s", charge_point_id, error)
            return
        logger.info("%s has its new password: the first one is void", charge_point_id)

    def locked_out(self, charge_point_id: str) -> None:
        """A charger showed the first password after it was replaced."""
        self._alerts.raised(
            f"password {charge_point_id}",
            f"{charge_point_id} is refused: it shows its first password again, which was replaced. "
            "If it was set back to its factory settings, delete "
            f"{self._passwords.file(charge_point_id)}",
        )

    async def prepared(
        self,
        charge_point: ChargePoint,
        charger: Rekeyable,
        authorization: Sequence[str],
        first: str,
    ) -> None:
        """Send a charger that came in with its first password the new one.

        Not while it charges: some restart for it. A charger that refuses keeps what it has.
        """
        name = charge_point.id
        if name in self._refused or not may_enter(first, authorization):
            return
        connectors = (await charge_point.view()).connectors
        if any(connector.status in _CHARGING for connector in connectors):
            logger.info("%s gets its new password once it does not charge", name)
            return
        if self._taken[name] >= _TRIES:
            self._give_up(name, "it said that it took a new one, and comes with the first")
            return
        try:
            proposed = await asyncio.to_thread(self._passwords.propose, name, first)
        except PasswordUnreadable as error:
            logger.error("%s keeps its password: %s", name, error)
            return
        outcome = await charger.set_password(proposed.password)
        match outcome:
            case PasswordOutcome.TAKEN | PasswordOutcome.NEEDS_RESTART:
                self._taken[name] += 1
                logger.info("%s takes a new password with its next connection", name)
                idle = all(one.status is ConnectorStatus.AVAILABLE for one in connectors)
                if outcome is PasswordOutcome.NEEDS_RESTART and idle and self._taken[name] == 1:
                    await charger.command(ChargerCommand.RESET, 0)
            case PasswordOutcome.REFUSED:
                self._give_up(name, "the charger refused another one")
            case PasswordOutcome.UNKNOWN:
                logger.info("%s did not say whether it took a new password: both count", name)

    def _give_up(self, charge_point_id: str, why: str) -> None:
        self._refused.add(charge_point_id)
        logger.warning("%s keeps its first password: %s", charge_point_id, why)
