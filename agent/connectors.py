"""The connectors of a charge point: how they are, and why a payment could not start one now."""

from __future__ import annotations

from agent import quotes
from agent.commons import Commons
from agent.config.tables import ChargePointConfig
from agent.machine.events import ConnectorStatus, Obstacle
from agent.machine.forecast import credit_ends_at
from agent.machine.model import Session
from agent.ports.charge_point import ConnectorView
from agent.ports.errors import NotThePayer, Refused
from agent.sessions import Sessions

_BLOCKING: dict[ConnectorStatus, Obstacle] = {
    ConnectorStatus.CHARGING: Obstacle.OCCUPIED,
    ConnectorStatus.SUSPENDED_EV: Obstacle.OCCUPIED,
    ConnectorStatus.SUSPENDED_EVSE: Obstacle.OCCUPIED,
    ConnectorStatus.RESERVED: Obstacle.RESERVED,
    ConnectorStatus.UNAVAILABLE: Obstacle.UNAVAILABLE,
    ConnectorStatus.FAULTED: Obstacle.FAULTED,
}
WITHOUT_POWER = frozenset(
    {ConnectorStatus.AVAILABLE, ConnectorStatus.PREPARING, ConnectorStatus.FINISHING}
)
"""States in which no transaction runs."""
POWERED = frozenset(
    {ConnectorStatus.CHARGING, ConnectorStatus.SUSPENDED_EV, ConnectorStatus.SUSPENDED_EVSE}
)
"""States in which a transaction runs."""


class Connectors:
    """The connectors of one charge point.

    Attributes:
        connected: whether the charger is connected.
        answering: whether it answers while it is.
        enabled: whether the operator lets it take new sessions.
    """

    def __init__(self, config: ChargePointConfig, sessions: Sessions, commons: Commons) -> None:
        self._config = config
        self._sessions = sessions
        self._commons = commons
        self._statuses: dict[int, ConnectorStatus] = {}
        self._reported: dict[int, ConnectorStatus] = {}
        self._was_here = False
        self.connected = False
        self.answering = True
        self.enabled = True

    @property
    def online(self) -> bool:
        """Whether the charger is connected and answers."""
        return self.connected and self.answering

    @property
    def ids(self) -> list[int]:
        """The connectors in the operator's file."""
        return [connector.id for connector in self._config.connectors]

    def resume(self) -> None:
        """Take up what the journal knows of them."""
        journal = self._commons.journal
        self._reported = journal.connectors(self._config.id)
        self._statuses = dict(self._reported)
        self.enabled = journal.setting(f"disabled:{self._config.id}") != "yes"

    def attached(self) -> None:
        """The charger connected, and answers."""
        self.connected = self.answering = self._was_here = True

    async def reported(self, connector: int, status: ConnectorStatus, at_ms: int) -> None:
        """The charger reported a state (connector 0: the charge point as a whole)."""
        known = self._statuses.get(connector)
        self._statuses[connector] = status
        if self._reported.get(connector) is not status:
            await self._commons.journal.set_connector(self._config.id, connector, status, at_ms)
            self._reported[connector] = status
        if known is not status:
            self._commons.herald.status_changed(self._config.id)
        if status in WITHOUT_POWER:
            self._has_stopped(connector)

    @property
    def in_use(self) -> bool:
        """Whether a transaction runs on any of them, as far as is known."""
        return any(status in POWERED for status in self._statuses.values())

    def waits_for_unplug(self, connector: int) -> bool:
        """Whether the cable of the charge before is still plugged in: many chargers start no
        other one before it was unplugged (OCPP 1.6 section 4.9, Finishing)."""
        return self._statuses.get(connector) is ConnectorStatus.FINISHING

    def shows_power(self, connector: int) -> bool:
        """Whether the charger's last word on a connector was that it gives power."""
        return self._reported.get(connector) in POWERED

    def started(self, connector: int) -> None:
        """A paid transaction began: it charges, whether the charger has said so or not."""
        self._statuses[connector] = ConnectorStatus.CHARGING

    def stopped(self, connector: int) -> None:
        """A transaction ended: it charges no longer."""
        self._has_stopped(connector)
        if self._statuses.get(connector) in POWERED:
            self._statuses[connector] = ConnectorStatus.FINISHING
            self._commons.herald.status_changed(self._config.id)

    def ignores_stop(self, connector: int) -> None:
        """Stops had no effect on it: the operators hear of it."""
        self._commons.alerts.raised(
            self._trouble(connector),
            f"{self._config.id}: connector {connector} ignores that it shall stop: power may be "
            "flowing that nobody pays for. Write unlock or reset to it, or switch it off.",
        )

    def charges_unknown(self, connector: int, transaction_id: int) -> None:
        """It charges in a transaction that the journal does not know: the operators hear of it."""
        self._commons.alerts.raised(
            self._unknown(connector),
            f"{self._config.id}: connector {connector} charges in transaction {transaction_id}, "
            "which Strom does not know: it is older than Strom's journal. Nobody pays for it here; "
            f"strom ocpp {self._config.id} RemoteStopTransaction "
            f"'{{\"transactionId\": {transaction_id}}}' ends it.",
        )

    def _has_stopped(self, connector: int) -> None:
        for trouble in (self._trouble(connector), self._unknown(connector)):
            sentence = f"{self._config.id}: connector {connector} has stopped."
            self._commons.alerts.cleared(trouble, sentence)

    def _unknown(self, connector: int) -> str:
        return f"unknown transaction {self._config.id}/{connector}"

    def _trouble(self, connector: int) -> str:
        return f"stop ignored {self._config.id}/{connector}"

    async def set_enabled(self, enabled: bool) -> None:
        """Take new sessions or not, by the operator's word; it survives a restart."""
        self.enabled = enabled
        name = f"disabled:{self._config.id}"
        await self._commons.journal.set_setting(name, "" if enabled else "yes")
        self._commons.herald.status_changed(self._config.id)

    def obstacle(self, connector: int | None) -> Obstacle | None:
        """Why a payment could not start this connector (None: any) now; None when it could."""
        if connector is None:
            obstacles = [self.obstacle(known) for known in self.ids]
            return None if None in obstacles else obstacles[0]
        if connector not in self.ids:
            return Obstacle.UNAVAILABLE
        if not self.enabled:
            return Obstacle.DISABLED
        if self._sessions.takes(connector):
            return Obstacle.OCCUPIED
        if not self.connected:
            return Obstacle.OFFLINE
        if not self.answering:
            return Obstacle.NOT_ANSWERING
        whole = self._statuses.get(0, ConnectorStatus.AVAILABLE)
        if whole in (ConnectorStatus.FAULTED, ConnectorStatus.UNAVAILABLE):
            return _BLOCKING[whole]
        return _BLOCKING.get(self._statuses.get(connector, ConnectorStatus.AVAILABLE))

    def obstacle_to_paid(self, connector: int) -> Obstacle | None:
        """Why what was paid could not start now; a charger may yet come back after a start of
        Strom."""
        obstacle = self.obstacle(connector)
        just_started = self._commons.clock() < self._commons.start_up_ends_at_ms
        if obstacle is Obstacle.OFFLINE and just_started and not self._was_here:
            return None
        return obstacle

    def for_payment(self, named: int | None) -> int:
        """The connector that a payment is for: the one named, else one that is free."""
        free = (connector for connector in self.ids if self.obstacle(connector) is None)
        return next(free, self.ids[0]) if named is None else named

    def free(self, named: int | None) -> int:
        """The connector that a payment could start now.

        Args:
            named: the one that is asked for; None for any.

        Raises:
            Refused: there is none; says why.
        """
        if named is not None:
            self.check(named)
        connector = self.for_payment(named)
        obstacle = self.obstacle(connector)
        if obstacle is None:
            return connector
        refusal = NotThePayer if obstacle is Obstacle.OCCUPIED else Refused
        raise refusal(quotes.OBSTACLES[obstacle], obstacle)

    def check(self, connector: int) -> None:
        """Raises Refused when there is no such connector here."""
        if connector not in self.ids:
            names = ", ".join(str(known) for known in self.ids)
            raise Refused(
                f"there is no connector {connector} here, only {names}",
                word="no_connector",
                connector=connector,
                here=names,
            )

    def views(self) -> list[ConnectorView]:
        """What anyone may see of them."""
        return [self._view(connector) for connector in self.ids]

    def _view(self, connector: int) -> ConnectorView:
        status = self._statuses.get(connector, ConnectorStatus.AVAILABLE)
        session = self._sessions.on(connector)
        ends_at_ms = None if session is None else credit_ends_at(session)
        left_ms = None if ends_at_ms is None else max(0, ends_at_ms - self._commons.clock())
        return ConnectorView(
            id=connector,
            status=status if self.online else ConnectorStatus.OFFLINE,
            obstacle=self.obstacle(connector),
            power_w=session.power_w if session else 0,
            energy_wh=session.energy_wh if session else 0,
            free_in_s=None if left_ms is None else left_ms // 1000,
        )


def presumed_status(session: Session) -> ConnectorStatus:
    """What a connector does whose charger came back and has not said it yet: it goes on.

    Many chargers report no status when only the connection was lost, some never do.
    """
    looks_free = session.vanished_since_ms is not None
    busy = session.status in _BLOCKING and session.status is not ConnectorStatus.RESERVED
    return session.status if looks_free or busy else ConnectorStatus.CHARGING
