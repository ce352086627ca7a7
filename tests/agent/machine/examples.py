"""Sessions to test with, each brought to its state by the events that bring a real one there."""

from __future__ import annotations

from agent.machine.effects import Effect, SendMessage
from agent.machine.events import (
    ChargerBooted,
    ConnectorStatus,
    ConnectorStatusChanged,
    DeadlineReached,
    Event,
    MeterSampled,
    Obstacle,
    Payer,
    PaymentHeld,
    PaymentSettled,
    RefundClaimed,
    RefundDecided,
    RefundEvent,
    RefundFailed,
    RefundOffered,
    RefundSent,
    RefundSettled,
    RefundUncertain,
    StartRejected,
    StopBy,
    StopRequested,
    TransactionStarted,
    TransactionStopped,
)
from agent.machine.model import Policy, Session
from agent.machine.session import opened, step
from agent.tariff.model import Tariff

T0 = 1_800_000_000_000
"""The payment's time."""
START_DEADLINE_MS = T0 + 120_000
SECOND = 1_000
MINUTE = 60_000
HOUR = 3_600_000
SAT = 1_000

TARIFF = Tariff("day", energy_per_kwh_msat=300 * SAT)
TIMED = Tariff(
    "timed",
    energy_per_kwh_msat=300 * SAT,
    time_per_hour_msat=600 * SAT,
    idle_per_minute_msat=20 * SAT,
    idle_grace_ms=10 * MINUTE,
    flat_msat=50 * SAT,
)
POLICY = Policy()


def paid(
    at_ms: int = T0,
    amount_msat: int = 1_000 * SAT,
    payment_hash: str = "aa",
    tariff: Tariff = TARIFF,
    obstacle: Obstacle | None = None,
) -> PaymentSettled:
    return PaymentSettled(
        f"paid:{payment_hash}",
        at_ms,
        payment_hash,
        amount_msat,
        Payer(pubkey="ab" * 32),
        tariff,
        START_DEADLINE_MS,
        obstacle,
    )


def held(
    at_ms: int = T0, payment_hash: str = "aa", obstacle: Obstacle | None = None
) -> PaymentHeld:
    return PaymentHeld(
        f"held:{payment_hash}",
        at_ms,
        payment_hash,
        1_000 * SAT,
        Payer(pubkey="ab" * 32),
        TARIFF,
        START_DEADLINE_MS,
        obstacle,
    )


def begun(
    at_ms: int = T0 + 10 * SECOND, transaction_id: int = 7, register_wh: int = 40_000
) -> Event:
    return TransactionStarted(f"begun:{transaction_id}", at_ms, transaction_id, register_wh)


def sampled(at_ms: int, register_wh: int | None, power_w: int | None = None) -> Event:
    return MeterSampled(f"sampled:{at_ms}", at_ms, register_wh, power_w)


def showed(at_ms: int, status: ConnectorStatus) -> Event:
    return ConnectorStatusChanged(f"showed:{at_ms}:{status}", at_ms, status)


def booted(at_ms: int) -> Event:
    return ChargerBooted(f"booted:{at_ms}", at_ms)


def asked_to_stop(at_ms: int, by: StopBy = StopBy.DRIVER) -> Event:
    return StopRequested(f"stop:{at_ms}", at_ms, by)


def unplug_wanted(at_ms: int) -> Event:
    return StartRejected(f"rejected:{at_ms}", at_ms, Obstacle.STILL_PLUGGED_IN)


def ended(at_ms: int, register_wh: int | None, transaction_id: int = 7) -> Event:
    return TransactionStopped(f"ended:{transaction_id}", at_ms, transaction_id, register_wh)


def waited(at_ms: int, *, silent: bool = False) -> Event:
    return DeadlineReached(f"waited:{at_ms}", at_ms, silent)


def offered(
    at_ms: int, amount_msat: int, k1: str = "k1", no: int = 1, holds_ms: int = MINUTE
) -> RefundOffered:
    return RefundOffered(f"offered:{k1}", at_ms, no, k1, amount_msat, at_ms + holds_ms)


def claimed(at_ms: int, amount_msat: int, k1: str = "k1", no: int = 1) -> RefundClaimed:
    return RefundClaimed(f"claimed:{k1}", at_ms, no, "lnbc1", "cc", amount_msat, 10 * SAT, k1)


def sent(at_ms: int, no: int = 1) -> RefundEvent:
    return RefundSent(f"sent:{at_ms}", at_ms, no)


def arrived(at_ms: int, no: int = 1, fee_msat: int = 3) -> RefundEvent:
    return RefundSettled(f"arrived:{at_ms}", at_ms, no, fee_msat)


def doubted(at_ms: int, no: int = 1) -> RefundEvent:
    return RefundUncertain(f"doubted:{at_ms}", at_ms, no)


def failed(at_ms: int, no: int = 1) -> RefundEvent:
    return RefundFailed(f"failed:{at_ms}", at_ms, no, "no route")


def decided(at_ms: int, no: int = 1, *, arrived: bool = False) -> RefundEvent:
    return RefundDecided(f"decided:{at_ms}", at_ms, no, arrived, "alice")


def after(session: Session, *events: Event) -> Session:
    """The session after all of these."""
    for event in events:
        session, _ = step(session, event)
    return session


def starting(
    amount_msat: int = 1_000 * SAT, tariff: Tariff = TARIFF, policy: Policy = POLICY
) -> Session:
    """Paid, and waiting for the plug."""
    session, _ = opened("session", "CP001", 1, policy, paid(amount_msat=amount_msat, tariff=tariff))
    return session


def charging(
    amount_msat: int = 1_000 * SAT, tariff: Tariff = TARIFF, policy: Policy = POLICY
) -> Session:
    """Under power since T0 + 10 s; the register stood at 40 kWh."""
    return after(
        starting(amount_msat, tariff, policy),
        begun(),
        showed(T0 + 11 * SECOND, ConnectorStatus.CHARGING),
    )


def named(effects: tuple[Effect, ...]) -> str:
    """Effects in one line: their kinds, and what a message is about."""
    return " ".join(
        f"Say:{effect.topic.name}" if isinstance(effect, SendMessage) else type(effect).__name__
        for effect in effects
    )
