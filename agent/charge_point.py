"""A charge point: what its charger reports becomes events of its sessions.

This is the side that bridges see (`agent.ports.charge_point`).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace

from agent import nameplates, quotes
from agent.commitments import commitments
from agent.commons import Commons
from agent.config.tables import ChargePointConfig
from agent.connectors import POWERED, WITHOUT_POWER, Connectors, presumed_status
from agent.faults import Faults
from agent.journal.journal import Task
from agent.journal.transactions import Transaction
from agent.machine.effects import StopCharging
from agent.machine.events import (
    ChargerBooted,
    ConnectorStatus,
    ConnectorStatusChanged,
    Event,
    MeterSampled,
    Obstacle,
    TransactionShown,
    TransactionStarted,
    TransactionStopped,
)
from agent.machine.model import Session, SessionState
from agent.meter_watch import MeterWatch
from agent.orders import Orders
from agent.owners import Owners
from agent.ports.charge_point import ChargePointView, Commitments
from agent.ports.charger import (
    Charger,
    ChargerCommand,
    Fault,
    MeterReport,
    Nameplate,
    StartReport,
    StartVerdict,
    StopReport,
)
from agent.ports.errors import Refused
from agent.ports.quotes import Quote, QuoteRequest
from agent.sales import Sales
from agent.sessions import Sessions
from agent.signed_values import SignedValue
from agent.stop_times import StopTimes
from agent.strays import Strays
from agent.tariff.model import Tariff
from agent.unsold import Unsold
from agent.views import PublicFace, charge_point_view
from nips.identity import Identity

log = logging.getLogger(__name__)


class ChargePointAgent:
    """One charge point; see `agent.ports.charge_point` for what bridges may ask of it."""

    def __init__(
        self,
        config: ChargePointConfig,
        tariff: Tariff,
        face: PublicFace,
        commons: Commons,
        identity: Identity | None = None,
    ) -> None:
        self.config = config
        self.face = face
        powers = {connector.id: connector.max_power_w for connector in config.connectors}
        self.sessions = Sessions(config.id, commons, powers, check_meter=config.check_meter)
        self._connectors = Connectors(config, self.sessions, commons)
        self.sessions.waits_for_unplug = self._connectors.waits_for_unplug
        self._commons = commons
        self.sales = Sales(config, tariff, face, self.sessions, self._connectors, commons, identity)
        self._orders = Orders(config.id, self.sessions, self._connectors, commons)
        self._strays = Strays(config.id, powers, self.sessions, commons)
        self._owners = Owners(config.id, self._connectors, self.sessions, self._strays, commons)
        self._unsold = Unsold(config.id, commons, self._connectors, self._strays, self._owners)
        self._stop_times = StopTimes(config.id, self.sessions, commons.journal)
        self._meters = MeterWatch(config.id, powers, commons.alerts, check_meter=config.check_meter)
        self._faults = Faults(config.id, commons.alerts, commons.changes)
        self._shown_at_ms: dict[int, int] = {}
        self._telling = asyncio.Lock()
        """One connection may begin while the sessions are told that the one before has ended."""
        self._beginning = asyncio.Lock()
        """A start may come over a new connection while it is stored as it came over the last."""

    @property
    def id(self) -> str:
        """The id in the operator's file."""
        return self.config.id

    @property
    def online(self) -> bool:
        """Whether the charger is connected and answers."""
        return self._connectors.online

    @property
    def silent(self) -> bool:
        """Whether the charger is connected and does not answer."""
        return self._connectors.connected and not self._connectors.answering

    @property
    def busy(self) -> bool:
        """Whether a session is open here, or power may flow."""
        return bool(self.sessions.open()) or self._connectors.in_use

    def resume(self) -> None:
        """Take up what the journal knows of this charge point."""
        self._connectors.resume()
        self._stop_times.resume()
        self._owners.numbering.resume()

    async def resume_sessions(self, sessions: Sequence[Session], alive_ms: int) -> None:
        """Take up live sessions; their charger counts as lost until it connects.

        Args:
            sessions: all of this charge point.
            alive_ms: when Strom was certainly still there, Unix ms; 0 for unknown.
        """
        for session in sessions:
            self.sessions.load(session)
        self._strays.resume()
        await self.sessions.charger_lost(alive_ms)

    async def attach(self, charger: Charger) -> None:
        """The charger connected; the newest connection owns the charge point."""
        self._connectors.attached()
        self._orders.attach(charger)
        async with self._telling:
            if self._orders.charger is charger:
                await self._tell_that_it_is_back()
        self._commons.herald.status_changed(self.id)

    async def _tell_that_it_is_back(self) -> None:
        now_ms = self._commons.clock()
        for session in self.sessions.open():
            if session.offline_since_ms is not None:
                status = presumed_status(session)
                back = ConnectorStatusChanged(f"back:{session.id}:{now_ms}", now_ms, status)
                await self.sessions.submit(session.id, [back])

    async def detach(self, charger: Charger) -> None:
        """The connection ended; nothing happens when a newer one has taken over."""
        if self._orders.charger is not charger:
            return
        self._orders.detach()
        self._connectors.connected = False
        async with self._telling:
            if self._orders.charger is None:
                await self.sessions.charger_lost()
        self._commons.herald.status_changed(self.id)

    async def answering(self, charger: Charger, answers: bool) -> None:
        """A connected charger ceased to answer, or answers again."""
        if self._orders.charger is charger:
            self._connectors.answering = answers
            self._commons.herald.status_changed(self.id)

    async def connector_status(self, connector: int, status: ConnectorStatus, at_ms: int) -> None:
        """A connector reported its state (connector 0: the charge point as a whole)."""
        if connector and connector not in self._connectors.ids:
            log.info("%s: connector %d is not in the configuration: %s", self.id, connector, status)
            return
        await self._connectors.reported(connector, status, at_ms)
        self._faults.showed(connector, status)
        if not connector:
            return
        if status in WITHOUT_POWER:
            self._strays.freed(connector)
        session = self._owners.by_connector(connector)
        if session is None and status in POWERED and self.sessions.on(connector) is None:
            session = self._owners.past_on(connector)
        if session is not None:
            key = f"status:{session.id}:{status}:{at_ms}"
            if status is not session.status and at_ms == self._shown_at_ms.get(connector):
                # Many clocks have whole seconds: this is a change back, and no repetition.
                key += f":{self._commons.clock()}"
            await self.sessions.submit(session.id, [ConnectorStatusChanged(key, at_ms, status)])
        self._shown_at_ms[connector] = at_ms
        if status in POWERED:
            await self._unsold.powered(connector)

    async def connector_fault(
        self, connector: int, fault: Fault | None, status: ConnectorStatus | None = None
    ) -> None:
        """What is wrong with a connector (connector 0: with the charge point as a whole)."""
        if not connector or connector in self._connectors.ids:
            self._faults.said(connector, fault, status)

    async def faults(self) -> Mapping[int, Fault]:
        """What is wrong now, by connector."""
        return self._faults.current()

    @property
    def faulty(self) -> int:
        """How many connectors have something wrong, the charge point as a whole being one."""
        return self._faults.count

    async def may_charge(self, id_tag: str) -> bool:
        """Whether an id tag is that of an open session here (OCPP Authorize)."""
        return self._owners.by_tag(id_tag) is not None

    async def transaction_started(self, report: StartReport) -> StartVerdict:
        """A transaction began; returns once that is stored. Safe to repeat."""
        async with self._beginning:
            return await self._begin(report)

    async def _begin(self, report: StartReport) -> StartVerdict:
        known = self._owners.known_start(report)
        if known is not None:
            open_ids = {session.id for session in self.sessions.open()}
            return StartVerdict(known.id, known.session_id in open_ids)
        transaction_id = self._commons.journal.transactions.next_id()
        session = self._owners.by_tag(report.id_tag) or self._owners.past_by_tag(report.id_tag)
        if session is None:
            await self._end_unheard(report.connector, transaction_id)
            if not report.started_at_ms:
                # Another one in the same words was stored before, it may be.
                report = replace(report, started_at_ms=self._commons.clock())
            await self._commons.journal.transactions.add(self.id, transaction_id, report)
            self._strays.began(report.connector, transaction_id, report.register_wh)
            return StartVerdict(transaction_id, accepted=False)
        if self._owners.is_repeated(session, report):
            return StartVerdict(session.transaction_id or 0, accepted=True)
        known_here = report.connector in self._connectors.ids
        connector = report.connector if known_here else session.connector
        self._connectors.started(connector)
        if session.state is SessionState.CLOSED:
            self._strays.began(connector, transaction_id, report.register_wh)
            self._unsold.begun_in_vain(connector, transaction_id)
        else:
            self._strays.gave_way(connector)
        await self._end_unheard(connector, transaction_id, session)
        began_at_ms = report.started_at_ms if report.began_at_ms is None else report.began_at_ms
        event = TransactionStarted(
            f"started:{transaction_id}",
            began_at_ms,
            transaction_id,
            report.register_wh,
            connector,
            self.sessions.power_of(connector),
            self._commons.clock(),
        )
        after = await self.sessions.submit(session.id, [event], (transaction_id, report))
        self._meters.started(after)
        return StartVerdict(transaction_id, after.state is not SessionState.CLOSED)

    async def _end_unheard(
        self, connector: int, transaction_id: int, beginner: Session | None = None
    ) -> None:
        """A connector has one transaction: one that ran there before this one has ended without
        a word, unless it is of the same session."""
        session = self.sessions.on(connector)
        if session is None or session.transaction_id is None:
            return
        if beginner is None or session.id != beginner.id:
            now_ms = self._commons.clock()
            over = ConnectorStatusChanged(
                f"taken:{session.id}:{transaction_id}", now_ms, ConnectorStatus.FINISHING
            )
            await self.sessions.submit(session.id, [over])

    async def meter_sampled(self, reports: Sequence[MeterReport]) -> None:
        """The meter was read; returns once that is stored. Safe to repeat."""
        samples: dict[str, list[MeterSampled | TransactionShown]] = {}
        known: dict[int, Transaction | None] = {}
        for report in reports:
            session = self._owners.by_sample(report, known)
            if session is None:
                await self._unsold.sampled(report, known.get(report.transaction_id or 0))
            else:
                events = samples.setdefault(session.id, [])
                at_ms, named = report.sampled_at_ms, report.transaction_id
                if named != session.transaction_id and known.get(named or 0) is not None:
                    shown = f"shown:{session.id}:{named}:{at_ms}"
                    events.append(TransactionShown(shown, at_ms, named or 0))
                events.append(_sampled(session.id, report))
        for session_id, events in samples.items():
            self._meters.sampled(await self.sessions.submit(session_id, events))
        if len(self.config.connectors) > 1:
            # With one connector nobody else can be meant.
            await self._owners.numbering.keep()

    async def signed_values(
        self, connector: int, transaction_id: int | None, values: Sequence[SignedValue]
    ) -> None:
        """Signed meter values came; kept with their session. Safe to repeat."""
        session_id = self._owners.by_signed_values(connector, transaction_id)
        if session_id:
            await self._commons.journal.signed.keep(session_id, values)

    async def transaction_stopped(self, report: StopReport) -> None:
        """A transaction ended; returns once that is stored, whatever it says. Safe to repeat."""
        session_id, transaction_id = self._owners.by_stop(report)
        is_stray = transaction_id == report.transaction_id and self._strays.ended(report)
        is_kept = (is_stray or not session_id) and await self._owners.keep(report)
        if is_kept and self.sessions.in_transaction(transaction_id) is None:
            self._unsold.ended(report)
        if not session_id:
            return
        event = TransactionStopped(
            f"stopped:{session_id}:{transaction_id}:{report.stopped_at_ms}:{report.register_wh}",
            report.stopped_at_ms,
            transaction_id,
            report.register_wh,
            report.reason,
            report.presumed,
        )
        before = self.sessions.get(session_id)
        known = before.transaction_ended
        session = await self.sessions.submit(session_id, [event])
        if before.state is SessionState.CLOSED and session.transaction_ended and not known:
            power_w = self.sessions.power_of(before.connector)
            self._unsold.outlived(before, report, power_w)
        running = self.sessions.on(session.connector)
        if not known:
            # A word that is repeated says nothing of what its connector does by now.
            goes_on = running is not None and running.transaction_id is not None
            if not goes_on and self._strays.on(session.connector) is None:
                self._connectors.stopped(session.connector)
            await self._stop_times.note(session, event)
        self._meters.stopped(session)

    async def obstacle(self, connector: int | None) -> Obstacle | None:
        """Why a payment could not start this connector (None: any) now; None when it could."""
        return self._connectors.obstacle(connector)

    async def view(self) -> ChargePointView:
        """What anyone may see."""
        return charge_point_view(
            self.config,
            self.sales.tariff,
            self.face,
            self._commons.sessions,
            online=self.online,
            connectors=self._connectors.views(),
        )

    async def quote(self, request: QuoteRequest) -> Quote:
        """Make an invoice with a frozen price; raises Refused before any invoice exists."""
        return await self.sales.quote(request)

    async def quote_zap(self, raw: str, amount_msat: int, connector: int | None) -> Quote:
        """Make an invoice for a zap request; see `agent.ports.charge_point`."""
        return await self.sales.quote_zap(raw, amount_msat, connector)

    async def set_enabled(self, enabled: bool) -> None:
        """Take new sessions or not, by the operator's word; it survives a restart."""
        await self._connectors.set_enabled(enabled)

    async def command(self, command: ChargerCommand, connector: int) -> bool:
        """Carry out an operator's command.

        Enabling and disabling hold here at once and survive a restart, also while the
        charger is away; everything else needs the charger.

        Args:
            command: what to do.
            connector: which connector; 0: the whole charge point.

        Returns:
            Whether the charger did it.

        Raises:
            Refused: the connector does not exist, or the charger is not connected.
        """
        if connector:
            self._connectors.check(connector)
        switched = command in (ChargerCommand.ENABLE, ChargerCommand.DISABLE)
        if switched and not connector:
            await self.set_enabled(command is ChargerCommand.ENABLE)
        charger = self._orders.charger
        if charger is None:
            if switched and not connector:
                return False
            raise Refused(quotes.OBSTACLES[Obstacle.OFFLINE], Obstacle.OFFLINE)
        done = await charger.command(command, connector)
        log.info("%s: %s of connector %d: %s", self.id, command, connector, done)
        return done

    async def commitments(self) -> Commitments:
        """What is promised here now."""
        view, journal = await self.view(), self._commons.journal
        return commitments(view, self.sessions, journal, self._commons.clock())

    async def introduced(self, nameplate: Nameplate) -> None:
        """The charger started, and said what it is; returns once that is stored."""
        await nameplates.keep(self._commons.journal, self.id, nameplate)
        now_ms = self._commons.clock()
        for session in self.sessions.open():
            booted = ChargerBooted(f"booted:{session.id}:{now_ms}", now_ms)
            await self.sessions.submit(session.id, [booted])

    async def nameplate(self) -> Nameplate:
        """What the charger said of itself when it last booted."""
        return nameplates.kept(self._commons.journal, self.id)

    async def keep_note(self, name: str, text: str) -> None:
        """Keep a bridge's own note; returns once that is stored."""
        await self._commons.journal.set_setting(f"note:{self.id}:{name}", text)

    async def note(self, name: str) -> str:
        """A note that was kept; "" for none."""
        return self._commons.journal.setting(f"note:{self.id}:{name}") or ""

    async def reminded(self, name: str) -> bool:
        """A time has come that is no session's; returns whether it is one of this charge point."""
        return await self._unsold.reminded(name)

    def stop_unstored(self, session_id: str, event: Event) -> bool:
        """Ask the charger for the stop that follows from an event which cannot be stored.

        Returns:
            Whether there was a stop to ask for, and a charger that could be asked.
        """
        asked = False
        for effect in self.sessions.would_follow(session_id, event):
            if isinstance(effect, StopCharging):
                asked |= self._orders.stop_now(effect.transaction_id)
        return asked

    async def deliver(self, task: Task, recovered: bool) -> None:
        """Carry out an effect that is meant for the charger (an outbox handler)."""
        if task.session_id:
            await self._orders.deliver(task, recovered)
        else:
            await self._unsold.deliver(task, self._orders.charger)


def _sampled(session_id: str, report: MeterReport) -> MeterSampled:
    at_ms, register_wh, power_w = report.sampled_at_ms, report.register_wh, report.power_w
    key = f"meter:{session_id}:{at_ms}:{register_wh}:{power_w}"
    return MeterSampled(key, at_ms, register_wh, power_w, report.fraction_mwh, report.source)
