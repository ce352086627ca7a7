"""What the operator sees of all his charge points, and what he may do beyond his drivers."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping

import anyio

from agent.charge_point import ChargePointAgent
from agent.charges import Charge, charge_of
from agent.commons import ANYTHING, Commons
from agent.doubts import DOUBT
from agent.machine.events import StopBy
from agent.machine.model import Session
from agent.outbox import Outbox
from agent.paying import Paying
from agent.ports.errors import UnknownSession
from agent.ports.office import OwedRefund, Verdict, WalletState
from agent.ports.site import SessionView
from agent.settlements import Settlements
from agent.tally import Tally
from agent.tariff.model import Tariff
from agent.tariff_choice import TariffChoice
from agent.views import owed_refunds, session_view
from wallet.base import WalletError


class Office:
    """Implements `agent.ports.office.Office`, and has the figures that are measured.

    Args:
        commons: what the charge points share.
        agents: all charge points of the operator's file.
        charge_point: the one of an id in any case; raises UnknownChargePoint.
        stop: ends a session.
        tariffs: by what each charge point sells.
        settlements: knows whether the wallet answers.
        paying: knows what became of refunds.
        outbox: knows what waits to be carried out.
    """

    def __init__(
        self,
        commons: Commons,
        agents: Collection[ChargePointAgent],
        *,
        charge_point: Callable[[str], ChargePointAgent],
        stop: Callable[[Session, StopBy], Awaitable[None]],
        tariffs: TariffChoice,
        settlements: Settlements,
        paying: Paying,
        outbox: Outbox,
    ) -> None:
        self._commons = commons
        self._journal = commons.journal
        self._agents = agents
        self._charge_point = charge_point
        self._stop = stop
        self._tariffs = tariffs
        self._settlements = settlements
        self._paying = paying
        self._outbox = outbox

    async def open_sessions(self) -> list[SessionView]:
        """Every session that has not ended: without their secrets."""
        return [
            session_view(session, secret="")
            for agent in self._agents
            for session in agent.sessions.open()
        ]

    async def stop_by_operator(self, session_id: str) -> None:
        """End a session by its id, which is no secret.

        Raises:
            UnknownSession: no such session.
        """
        session = self._journal.sessions.get(session_id)
        if session is None:
            raise UnknownSession("there is no such session")
        await self._stop(session, StopBy.OPERATOR)

    async def set_tariff(self, charge_point_id: str, name: str) -> Tariff:
        """Sell by another tariff of the operator's file from now on; it survives a restart.

        Args:
            charge_point_id: where.
            name: the tariff's name in the file, in any case.

        Returns:
            The tariff that holds for new quotes.

        Raises:
            UnknownChargePoint: no such charge point.
            Refused: no such tariff; the text names those that there are.
        """
        return await self._tariffs.choose(self._charge_point(charge_point_id), name)

    def owed(self) -> list[OwedRefund]:
        """Every refund that has not arrived yet, the oldest first."""
        return owed_refunds(self._journal.sessions.live(), self._journal.settings(DOUBT))

    async def decide_refund(
        self, session_id: str, refund_no: int | None, *, arrived: bool, operator: str
    ) -> Verdict:
        """Take the operator's word on what became of a refund."""
        verdict = await self._paying.decide(
            session_id, refund_no, arrived=arrived, operator=operator
        )
        # What waits for its next look at the wallet must not stand before a new invoice.
        self._outbox.hurry()
        return verdict

    async def charges(self, charge_point_id: str, most: int) -> list[Charge]:
        """The closed sessions of a charge point, the latest first; raises UnknownChargePoint."""
        known = self._charge_point(charge_point_id).id
        return [charge_of(session) for session in self._journal.sessions.closed(most, known)]

    async def wallet_state(self) -> WalletState:
        """How the wallet is."""
        trouble = self._settlements.trouble or ""
        try:
            info = await self._commons.wallet.info()
        except WalletError as error:
            return WalletState(trouble=trouble or str(error))
        return WalletState(info.name, info.network, info.balance_msat, info.inbound_msat, trouble)

    async def changes(self, at_least_every_s: float) -> AsyncIterator[None]:
        """Once now, then after whatever the operator sees changed, or after so long."""
        watcher = self._commons.changes.watch(ANYTHING)
        try:
            while True:
                watcher.clear()
                yield
                with anyio.move_on_after(at_least_every_s):
                    await watcher.wait()
        finally:
            self._commons.changes.unwatch(ANYTHING, watcher)

    def troubles(self) -> Mapping[str, str]:
        """What is wrong now, by name."""
        return self._commons.alerts.current()

    @property
    def faulty(self) -> int:
        """How many connectors have something wrong, a charger as a whole counted as one."""
        return sum(agent.faulty for agent in self._agents)

    @property
    def waiting_effects(self) -> int:
        """How many stored effects wait to be carried out."""
        return self._outbox.depth

    @property
    def tally(self) -> Tally:
        """What closed since the start came to."""
        return self._commons.tally

    @property
    def commits(self) -> int:
        """How many groups the journal has committed."""
        return self._journal.commits
