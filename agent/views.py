"""Charge points as anyone may see them, and sessions as their owners may."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from msgspec.structs import asdict

from agent.config.tables import ChargePointConfig, SessionsConfig
from agent.machine.events import ConnectorStatus, Event, MeterSampled
from agent.machine.forecast import credit_ends_at
from agent.machine.model import Session, SessionState
from agent.machine.money import MSAT_PER_SAT
from agent.machine.planning import claimable_at
from agent.machine.refund import ASKED, COMMITTED, RefundState
from agent.ports.charge_point import ChargePointView, ConnectorView
from agent.ports.office import OwedRefund
from agent.ports.site import RefundView, SessionView, TimelineEntry
from agent.tariff.model import Tariff

_SECRET_FIELDS = frozenset(
    {"key", "at_ms", "k1", "payer", "tariff", "bolt11", "refund_no", "operator", "wallet"}
)


@dataclass(frozen=True, slots=True)
class PublicFace:
    """What a charge point shows of itself on nostr and in wallets."""

    pubkey: str
    npub: str
    nprofile: str
    lightning_address: str


def charge_point_view(
    config: ChargePointConfig,
    tariff: Tariff,
    face: PublicFace,
    sessions: SessionsConfig,
    *,
    online: bool = False,
    connectors: Sequence[ConnectorView] = (),
) -> ChargePointView:
    """A charge point as plain data.

    Args:
        config: what the operator's file says of it.
        tariff: the price of now.
        face: what it shows of itself on nostr and in wallets.
        sessions: what may be paid.
        online: whether its charger is connected.
        connectors: how each of them is.
    """
    place = config.location
    return ChargePointView(
        id=config.id,
        name=config.name,
        about=config.about,
        picture=config.picture,
        website=config.website,
        npub=face.npub,
        nprofile=face.nprofile,
        pubkey=face.pubkey,
        lightning_address=face.lightning_address,
        tariff=tariff,
        min_payment_msat=sessions.min_payment_sat * MSAT_PER_SAT,
        max_payment_msat=sessions.max_payment_sat * MSAT_PER_SAT,
        online=online,
        connectors=tuple(connectors),
        latitude=place.latitude if place else None,
        longitude=place.longitude if place else None,
        address=place.address if place else "",
        zap_address=config.lud16 or face.lightning_address,
    )


def timeline(events: Iterable[Event]) -> tuple[TimelineEntry, ...]:
    """What happened in a session, without keys and without what only machines read."""
    return tuple(
        TimelineEntry(
            at_ms=event.at_ms,
            kind=type(event).__name__,
            detail={
                name: value for name, value in asdict(event).items() if name not in _SECRET_FIELDS
            },
        )
        for event in events
    )


def session_view(
    session: Session, secret: str, events: Iterable[Event] = (), now_ms: int = 0
) -> SessionView:
    """A session as plain data.

    Args:
        session: open or closed.
        secret: its payer's; "" for who has none.
        events: what happened in it, as far as that is told.
        now_ms: by when what can be claimed is reckoned, Unix ms; 0 for its last reading.
    """
    closed = session.state is SessionState.CLOSED
    return SessionView(
        id=session.id,
        secret=secret,
        state=session.state,
        charge_point=session.charge_point,
        connector=session.connector,
        energy_wh=session.energy_wh,
        power_w=session.power_w,
        paid_msat=session.paid_msat,
        held_msat=session.held_msat,
        cost_msat=session.cost_now_msat,
        credit_msat=session.credit_msat - session.cost_now_msat,
        owed_msat=session.owed_msat,
        refunded_msat=session.refunded_msat,
        rounding_msat=session.rounding_msat,
        refunds=tuple(
            RefundView(r.no, r.state, r.amount_msat, r.fee_msat) for r in session.refunds
        ),
        bill=session.bill.lines,
        tariff=session.tariff,
        opened_at_ms=session.opened_at_ms,
        start_deadline_ms=session.start_deadline_ms,
        started_at_ms=session.started_at_ms,
        closed_at_ms=session.closed_at_ms,
        credit_ends_at_ms=None if closed else credit_ends_at(session),
        obstacle=session.obstacle,
        payment_hashes=tuple(payment.payment_hash for payment in session.payments),
        events=timeline(event for event in events if not isinstance(event, MeterSampled)),
        status=None if closed else _status(session),
        unplug_first=session.state is SessionState.STARTING and session.unplug_first,
        claimable_msat=0 if closed else claimable_at(session, max(now_ms, session.metered_at_ms)),
    )


def _status(session: Session) -> ConnectorStatus:
    """A charger that is back and has said nothing yet goes on."""
    if session.offline_since_ms is not None:
        return ConnectorStatus.OFFLINE
    silent = session.started_at_ms is not None and session.status is ConnectorStatus.OFFLINE
    return ConnectorStatus.CHARGING if silent else session.status


def owed_refunds(
    sessions: Iterable[Session], doubts: Mapping[str, str] | None = None
) -> list[OwedRefund]:
    """What the closed ones among sessions still owe, the oldest first.

    Args:
        sessions: of any state.
        doubts: why those of a session wait for the operator, by its id.
    """
    doubts = doubts or {}
    owed = [
        OwedRefund(
            charge_point=session.charge_point,
            session_id=session.id,
            refund_no=refund.no,
            amount_msat=refund.amount_msat,
            state=refund.state,
            since_ms=session.closed_at_ms,
            failure=refund.failure,
            payment_hash=refund.payment_hash if refund.state in ASKED else "",
            doubted=bool(doubts.get(session.id)) and refund.state not in COMMITTED,
        )
        for session in sessions
        for refund in session.refunds
        if session.closed_at_ms is not None and refund.state is not RefundState.PAID
    ]
    return sorted(owed, key=lambda one: one.since_ms)
