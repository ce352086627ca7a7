"""A charge point: what its charger reports becomes events, what its sessions want, commands.

This is the side that bridges see (`agent.ports.ChargePoint`), and the delivery of the effects
that are meant for the charger.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence

from agent import quotes
from agent.commons import Commons
from agent.config.tables import ChargePointConfig
from agent.journal.journal import Task
from agent.machine.effects import (
    CutPower,
    StartCharging,
    StopCharging,
    WatchAsUsual,
    WatchClosely,
)
from agent.machine.events import (
    ConnectorStatus,
    ConnectorStatusChanged,
    MeterSampled,
    Obstacle,
    Payer,
    StartRejected,
    TransactionStarted,
    TransactionStopped,
)
from agent.machine.forecast import credit_ends_at
from agent.machine.frozen import replace
from agent.machine.model import Ending, Session, SessionState
from agent.outbox import Retry
from agent.ports import (
    ChargePointView,
    Charger,
    ChargerCommand,
    ConnectorView,
    MeterReport,
    NotThePayer,
    Origin,
    Quote,
    QuoteRequest,
    Refused,
    StartOutcome,
    StartReport,
    StartVerdict,
    StopOutcome,
    StopReport,
)
from agent.sessions import Sessions
from agent.signed_values import SignedValue
from agent.tariff.model import Tariff
from agent.views import PublicFace, charge_point_view
from agent.zaps import Zap, read_zap
from nips.identity import Identity
from nips.zaps import ZapRequest, parse_zap_request
from wallet.base import Settlement

START_UP_MS = 60_000
"""After a start of Strom its chargers need a moment to come back: until then a paid session
waits for its charger instead of being paid back at once."""

STOP_ATTEMPTS = 5

STOPS_KEPT = 3
"""Of so many stops the slowest says how early the next one is asked for."""
MOST_STOP_MS = 20_000
"""A stop that took longer was not obeyed at first: such a one is cut off and not planned for."""

log = logging.getLogger(__name__)

_BLOCKING: dict[ConnectorStatus, Obstacle] = {
    ConnectorStatus.CHARGING: Obstacle.OCCUPIED,
    ConnectorStatus.SUSPENDED_EV: Obstacle.OCCUPIED,
    ConnectorStatus.SUSPENDED_EVSE: Obstacle.OCCUPIED,
    ConnectorStatus.RESERVED: Obstacle.RESERVED,
    ConnectorStatus.UNAVAILABLE: Obstacle.UNAVAILABLE,
    ConnectorStatus.FAULTED: Obstacle.FAULTED,
}


class ChargePointAgent:
    """One charge point; see `agent.ports.ChargePoint` for what bridges may ask of it."""

    def __init__(
        self,
        config: ChargePointConfig,
        tariff: Tariff,
        face: PublicFace,
        commons: Commons,
        identity: Identity | None = None,
    ) -> None:
        self.config = config
        self._tariff = tariff
        self.face = face
        checked = config.connectors if config.check_meter else ()
        powers = {connector.id: connector.max_power_w for connector in checked}
        self.sessions = Sessions(config.id, commons, powers)
        self._commons = commons
        self._identity = identity
        self._charger: Charger | None = None
        self._attached = asyncio.Event()
        self._seen = False
        self._statuses: dict[int, ConnectorStatus] = {}
        self._enabled = True
        self._stops_ms: list[int] = []

    @property
    def id(self) -> str:
        """The id in the operator's file."""
        return self.config.id

    @property
    def tariff(self) -> Tariff:
        """The price that a quote would freeze now, with the exchange rate of now."""
        rate = self._commons.rate()
        return self._tariff if rate is self._tariff.rate else replace(self._tariff, rate=rate)

    @property
    def base_tariff(self) -> Tariff:
        """The tariff without the exchange rate of now."""
        return self._tariff

    @property
    def online(self) -> bool:
        """Whether the charger is connected."""
        return self._charger is not None

    def resume(self) -> None:
        """Take up what the journal knows of this charge point."""
        self._statuses = self._commons.journal.connectors(self.id)
        self._enabled = self._commons.journal.setting(f"disabled:{self.id}") != "yes"
        stops = self._commons.journal.setting(f"stops:{self.id}") or ""
        self._stops_ms = [int(value) for value in stops.split(",") if value]
        self.sessions.stop_lead_ms = max(self._stops_ms, default=None)

    async def resume_sessions(self, sessions: Sequence[Session]) -> None:
        """Take up live sessions; their charger counts as lost until it connects."""
        for session in sessions:
            self.sessions.load(session)
        await self._tell_open_sessions(ConnectorStatus.OFFLINE)

    async def attach(self, charger: Charger) -> None:
        """The charger connected; the newest connection owns the charge point."""
        self._charger = charger
        self._seen = True
        self._attached.set()
        now_ms = self._commons.clock()
        for session in self.sessions.open():
            if session.offline_since_ms is not None:
                status = _presumed_status(session)
                back = ConnectorStatusChanged(f"back:{session.id}:{now_ms}", now_ms, status)
                await self.sessions.submit(session.id, [back])
        self._commons.herald.status_changed(self.id)

    async def detach(self, charger: Charger) -> None:
        """The connection ended; nothing happens when a newer one has taken over."""
        if self._charger is not charger:
            return
        self._charger = None
        self._attached.clear()
        await self._tell_open_sessions(ConnectorStatus.OFFLINE)
        self._commons.herald.status_changed(self.id)

    async def _tell_open_sessions(self, status: ConnectorStatus) -> None:
        now_ms = self._commons.clock()
        for session in self.sessions.open():
            event = ConnectorStatusChanged(f"{status}:{session.id}:{now_ms}", now_ms, status)
            await self.sessions.submit(session.id, [event])

    async def connector_status(self, connector: int, status: ConnectorStatus, at_ms: int) -> None:
        """A connector reported its state (connector 0: the charge point as a whole)."""
        if self._statuses.get(connector) is not status:
            self._statuses[connector] = status
            await self._commons.journal.set_connector(self.id, connector, status, at_ms)
            self._commons.herald.status_changed(self.id)
        session = self.sessions.on(connector)
        if session is not None:
            event = ConnectorStatusChanged(f"status:{session.id}:{status}:{at_ms}", at_ms, status)
            await self.sessions.submit(session.id, [event])

    async def may_charge(self, id_tag: str) -> bool:
        """Whether an id tag is that of an open session here (OCPP Authorize)."""
        return self._session_of_tag(id_tag) is not None

    def _session_of_tag(self, id_tag: str) -> Session | None:
        """The open session that was started under a tag; some chargers pad it with junk."""
        tag = id_tag.strip().lower()
        return next((s for s in self.sessions.open() if tag.startswith(s.id)), None)

    async def transaction_started(self, report: StartReport) -> StartVerdict:
        """A transaction began; returns once that is stored. Safe to repeat."""
        known = self._commons.journal.find_transaction(self.id, report)
        if known is not None:
            open_ids = {session.id for session in self.sessions.open()}
            return StartVerdict(known.id, known.session_id in open_ids)
        transaction_id = self._commons.journal.next_transaction_id()
        session = self._session_of_tag(report.id_tag) or self._past_session_of_tag(report.id_tag)
        if session is None:
            await self._commons.journal.add_transaction(self.id, transaction_id, report)
            return StartVerdict(transaction_id, accepted=False)
        self._statuses[report.connector] = ConnectorStatus.CHARGING
        began_at_ms = report.started_at_ms if report.began_at_ms is None else report.began_at_ms
        event = TransactionStarted(
            f"started:{transaction_id}", began_at_ms, transaction_id, report.register_wh
        )
        after = await self.sessions.submit(session.id, [event], (transaction_id, report))
        return StartVerdict(transaction_id, after.state is not SessionState.CLOSED)

    def _past_session_of_tag(self, id_tag: str) -> Session | None:
        session = self._commons.journal.session(id_tag.strip().lower()[:16])
        return session if session and session.charge_point == self.id else None

    async def meter_sampled(self, reports: Sequence[MeterReport]) -> None:
        """The meter was read; returns once that is stored. Safe to repeat."""
        samples: dict[str, list[MeterSampled]] = {}
        for report in reports:
            session = self._session_of_sample(report)
            if session is not None:
                at_ms, register_wh, power_w = (
                    report.sampled_at_ms,
                    report.register_wh,
                    report.power_w,
                )
                key = f"meter:{session.id}:{at_ms}:{register_wh}:{power_w}"
                samples.setdefault(session.id, []).append(
                    MeterSampled(
                        key, at_ms, register_wh, power_w, report.fraction_mwh, report.source
                    )
                )
        for session_id, events in samples.items():
            await self.sessions.submit(session_id, events)

    def _session_of_sample(self, report: MeterReport) -> Session | None:
        """By the transaction it names, else by the connector: chargers often name none, or 0."""
        for session in self.sessions.open():
            if (
                session.transaction_id is not None
                and session.transaction_id == report.transaction_id
            ):
                return session
        session = self.sessions.on(report.connector)
        if session is None or session.started_at_ms is None:
            return None
        named = report.transaction_id
        stranger = named is not None and self._commons.journal.transaction(named) is not None
        return None if stranger or report.sampled_at_ms < session.started_at_ms else session

    async def signed_values(
        self, connector: int, transaction_id: int | None, values: Sequence[SignedValue]
    ) -> None:
        """Signed meter values came; kept with their session. Safe to repeat."""
        journal = self._commons.journal
        known = None if transaction_id is None else journal.transaction(transaction_id)
        session_id = known.session_id if known and known.charge_point == self.id else ""
        if known is None and (session := self.sessions.on(connector)):
            session_id = session.id
        if session_id:
            await journal.signed.keep(session_id, values)

    async def transaction_stopped(self, report: StopReport) -> None:
        """A transaction ended; returns once that is stored, whatever it says. Safe to repeat."""
        transaction = self._commons.journal.transaction(report.transaction_id)
        session_id, transaction_id = "", report.transaction_id
        if transaction is not None and transaction.charge_point == self.id:
            session_id = transaction.session_id
        elif session := self._session_of_tag(report.id_tag):
            session_id, transaction_id = session.id, session.transaction_id or 0
        if not session_id:
            await self._commons.journal.keep(self.id, self._commons.clock(), report)
            return
        event = TransactionStopped(
            f"stopped:{transaction_id}:{report.stopped_at_ms}:{report.register_wh}",
            report.stopped_at_ms,
            transaction_id,
            report.register_wh,
            report.reason,
        )
        session = await self.sessions.submit(session_id, [event])
        await self._note_stop(session, event)
        if self._statuses.get(session.connector) in _BLOCKING:
            self._statuses[session.connector] = ConnectorStatus.FINISHING
            self._commons.herald.status_changed(self.id)

    async def _note_stop(self, session: Session, event: TransactionStopped) -> None:
        """Learn how long the charger takes from being asked to stop until it has."""
        mine = session.transaction_id == event.transaction_id and session.stop_by is not None
        obeyed = session.stop_sent_at_ms == session.stopping_since_ms > 0
        if not mine or not obeyed or session.ending is not Ending.STOPPED:
            return
        took_ms = event.at_ms - session.stopping_since_ms
        if 0 <= took_ms <= MOST_STOP_MS:
            self._stops_ms = [*self._stops_ms, took_ms][-STOPS_KEPT:]
            self.sessions.stop_lead_ms = max(self._stops_ms)
            values = ",".join(str(value) for value in self._stops_ms)
            await self._commons.journal.set_setting(f"stops:{self.id}", values)

    def obstacle(self, connector: int | None) -> Obstacle | None:
        """Why a payment could not start this connector (None: any) now; None when it could."""
        if connector is None:
            obstacles = [self.obstacle(c.id) for c in self.config.connectors]
            return None if None in obstacles else obstacles[0]
        if all(c.id != connector for c in self.config.connectors):
            return Obstacle.UNAVAILABLE
        if not self._enabled:
            return Obstacle.DISABLED
        if self.sessions.on(connector) is not None:
            return Obstacle.OCCUPIED
        if not self.online:
            return Obstacle.OFFLINE
        whole = self._statuses.get(0, ConnectorStatus.AVAILABLE)
        if whole in (ConnectorStatus.FAULTED, ConnectorStatus.UNAVAILABLE):
            return _BLOCKING[whole]
        return _BLOCKING.get(self._statuses.get(connector, ConnectorStatus.AVAILABLE))

    async def view(self) -> ChargePointView:
        """What anyone may see."""
        return charge_point_view(
            self.config,
            self.tariff,
            self.face,
            self._commons.sessions,
            online=self.online,
            connectors=[self._connector_view(c.id) for c in self.config.connectors],
        )

    def _connector_view(self, connector: int) -> ConnectorView:
        status = self._statuses.get(connector, ConnectorStatus.AVAILABLE)
        session = self.sessions.on(connector)
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

    async def quote(self, request: QuoteRequest) -> Quote:
        """Make an invoice with a frozen price; raises Refused before any invoice exists."""
        quotes.check_amount(request.amount_msat, self._commons)
        session, secret = self._topped_up(request)
        connector = session.connector if session else self._free_connector(request)
        await self._commons.admit(request.amount_msat)
        holds = self._commons.holds
        quote = await quotes.make(
            self._commons,
            request,
            charge_point_id=self.id,
            name=self.config.name,
            connector=connector,
            tariff=self.tariff,
            topping_up=session,
            secret=secret,
            holder=None if session else await holds.wallet(),
        )
        holds.watch(quote)
        return quote

    async def quote_zap(self, raw: str, amount_msat: int, connector: int | None) -> Quote:
        """Make an invoice for a zap request; see `agent.ports.ChargePoint`."""
        request = parse_zap_request(
            raw, recipient_pubkey=self.face.pubkey, amount_msat=amount_msat, own_relays=()
        )
        zap = self.read_zap(request, connector)
        if self._commons.journal.is_handled(request.event_id):
            raise Refused("this zap was paid before; zap again", word="zap_used")
        return await self.quote(
            QuoteRequest(
                amount_msat=amount_msat,
                origin=Origin.ZAP,
                connector=zap.connector,
                payer=Payer(pubkey=zap.payer),
                description=raw,
                zap_request=raw,
                comment=zap.comment,
                language=zap.language,
            )
        )

    def read_zap(self, request: ZapRequest, addressed: int | None = None) -> Zap:
        """What a zap request asks of this charge point; raises InvalidZapRequest."""
        return read_zap(
            request,
            charge_point=self.id,
            connectors=[c.id for c in self.config.connectors],
            addressed=addressed,
            identity=self._identity,
        )

    def _topped_up(self, request: QuoteRequest) -> tuple[Session | None, str]:
        """The open session that the money would be added to, and its secret."""
        if request.topup_secret is not None:
            for quote in self._commons.journal.quotes_by_secret(request.topup_secret)[:1]:
                session = self.sessions.get(quote.session_id)
                return session, quote.secret
            raise Refused("this session does not exist")
        if request.payer.pubkey is not None:
            for session in self.sessions.open():
                wanted = request.connector in (None, session.connector)
                if wanted and session.payer.pubkey == request.payer.pubkey:
                    return session, self._commons.journal.quotes_of(session.id)[0].secret
        return None, ""

    def connector_for(self, named: int | None) -> int:
        """The connector that a payment is for: the one named, else one that is free."""
        known = [c.id for c in self.config.connectors]
        free = (connector for connector in known if self.obstacle(connector) is None)
        return next(free, known[0]) if named is None else named

    def _free_connector(self, request: QuoteRequest) -> int:
        known = [c.id for c in self.config.connectors]
        if request.connector is not None and request.connector not in known:
            raise self._no_connector(request.connector)
        asked = known if request.connector is None else [request.connector]
        for connector in asked:
            if self.obstacle(connector) is None:
                return connector
        obstacle = self.obstacle(asked[0]) or Obstacle.UNAVAILABLE
        refusal = NotThePayer if obstacle is Obstacle.OCCUPIED else Refused
        raise refusal(quotes.OBSTACLES[obstacle], obstacle)

    def _no_connector(self, connector: int) -> Refused:
        names = ", ".join(str(c.id) for c in self.config.connectors)
        return Refused(
            f"there is no connector {connector} here, only {names}",
            word="no_connector",
            connector=connector,
            here=names,
        )

    async def credit(self, quote: Quote, settlement: Settlement) -> Session:
        """Credit a settled payment, once."""

        def obstacle(connector: int) -> Obstacle | None:
            if quote.origin is Origin.OUTSIDE and not quotes.is_taken(
                settlement.amount_msat, self._commons
            ):
                return Obstacle.AMOUNT
            return self._obstacle_to_paid(connector)

        return await self.sessions.credit(quote, settlement, obstacle)

    async def hold(self, quote: Quote) -> Session:
        """Open a session for a payment that is held, once."""
        return await self.sessions.hold(quote, self._obstacle_to_paid)

    def _obstacle_to_paid(self, connector: int) -> Obstacle | None:
        obstacle = self.obstacle(connector)
        just_started = self._commons.clock() < self._commons.started_at_ms + START_UP_MS
        if obstacle is Obstacle.OFFLINE and just_started and not self._seen:
            return None
        return obstacle

    async def set_enabled(self, enabled: bool) -> None:
        """Take new sessions or not, by the operator's word; it survives a restart."""
        self._enabled = enabled
        await self._commons.journal.set_setting(f"disabled:{self.id}", "" if enabled else "yes")
        self._commons.herald.status_changed(self.id)

    def set_tariff(self, tariff: Tariff) -> None:
        """Sell by another tariff from now on; what was quoted before keeps its price."""
        self._tariff = tariff
        self._commons.herald.status_changed(self.id)

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
        if connector and all(c.id != connector for c in self.config.connectors):
            raise self._no_connector(connector)
        switched = command in (ChargerCommand.ENABLE, ChargerCommand.DISABLE)
        if switched and not connector:
            await self.set_enabled(command is ChargerCommand.ENABLE)
        charger = self._charger
        if charger is None:
            if switched and not connector:
                return False
            raise Refused(quotes.OBSTACLES[Obstacle.OFFLINE], Obstacle.OFFLINE)
        done = await charger.command(command, connector)
        log.info("%s: %s of connector %d: %s", self.id, command, connector, done)
        return done

    async def deliver(self, task: Task, recovered: bool) -> None:
        """Carry out an effect that is meant for the charger (an outbox handler)."""
        match task.effect:
            case StartCharging(attempt):
                await self._start(task.session_id, attempt, recovered)
            case StopCharging(transaction_id):
                await self._stop(task.session_id, transaction_id)
            case WatchClosely() | WatchAsUsual() | CutPower():
                await self._look(task, recovered)
            case other:
                raise TypeError(f"not for a charger: {other}")

    async def _start(self, session_id: str, attempt: int, recovered: bool) -> None:
        charger = await self._connected()
        session = self.sessions.get(session_id)
        if session.state is not SessionState.STARTING:
            return
        outcome = await charger.start(session.connector, session.id)
        log.info("%s: start of connector %d: %s", self.id, session.connector, outcome)
        if outcome is StartOutcome.UNKNOWN and charger is not self._charger:
            raise Retry("the charger was lost while it was asked to start")
        if outcome is StartOutcome.REJECTED and not recovered:
            now_ms = self._commons.clock()
            event = StartRejected(f"rejected:{session_id}:{attempt}", now_ms)
            await self.sessions.submit(session_id, [event])

    async def _stop(self, session_id: str, transaction_id: int) -> None:
        """Ask for a stop; the session repeats it until the transaction has ended.

        Nobody repeats it for a transaction that began after its session had ended: then the
        charger is asked a few times here, and has been told that its tag is invalid.
        """
        charger = await self._connected()
        session = self.sessions.get(session_id)
        over = session.state is SessionState.CLOSED
        if over and session.transaction_id == transaction_id:
            return
        for attempt in range(STOP_ATTEMPTS if over else 1):
            outcome = await charger.stop(transaction_id)
            log.info("%s: stop of transaction %d: %s", self.id, transaction_id, outcome)
            if outcome is StopOutcome.ACCEPTED:
                return
            if over and attempt + 1 < STOP_ATTEMPTS:
                await asyncio.sleep(2**attempt)

    async def _look(self, task: Task, recovered: bool) -> None:
        """Carry out what helps to stop in time; nothing of it is worth waiting for a charger."""
        charger = self._charger
        if charger is None:
            return
        session = self.sessions.get(task.session_id)
        closed = session.state is SessionState.CLOSED
        match task.effect:
            case WatchClosely() if not (closed or recovered):
                outcome = await charger.watch(session.connector)
                log.debug("%s: watching connector %d: %s", self.id, session.connector, outcome)
            case WatchAsUsual():
                await charger.watch_as_usual(session.connector)
            case CutPower(transaction_id) if not closed:
                done = await charger.cut_power(session.connector, transaction_id)
                log.info("%s: power of transaction %d cut: %s", self.id, transaction_id, done)
            case _:
                return

    async def _connected(self) -> Charger:
        while self._charger is None:
            await self._attached.wait()
        return self._charger


def _presumed_status(session: Session) -> ConnectorStatus:
    """What a connector does whose charger came back and has not said it yet: it goes on.

    Many chargers report no status when only the connection was lost, some never do.
    """
    looks_free = session.vanished_since_ms is not None
    busy = session.status in _BLOCKING and session.status is not ConnectorStatus.RESERVED
    return session.status if looks_free or busy else ConnectorStatus.CHARGING
