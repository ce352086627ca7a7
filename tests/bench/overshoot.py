"""How near to the credit a charge is stopped: energy beyond it, and credit left, simulated.

The session machine and a charger of ticks of a tenth of a second; no time passes. The car ramps
up, takes between half of what the connector gives and all of it, and changes that now and then;
the charger samples by itself, obeys late, and either answers triggers or not. All of that is
drawn with a fixed seed.
"""

from __future__ import annotations

import random
import statistics
import sys
from collections.abc import Iterator
from dataclasses import dataclass

from agent.machine.deadlines import deadline
from agent.machine.effects import Effect, StopCharging, WatchClosely
from agent.machine.events import (
    DeadlineReached,
    MeterSampled,
    Payer,
    PaymentSettled,
    TransactionStarted,
    TransactionStopped,
)
from agent.machine.model import Policy, SessionState
from agent.machine.session import opened, step
from agent.tariff.model import Tariff

POWERS_W = (3_700, 11_000, 22_000, 150_000)
INTERVALS_S = (1, 10, 60, 300)
LATENCIES_S = (0, 2, 10)
SESSIONS = 10
TICK_MS = 100
ANSWER_MS = 500
"""A triggered reading comes so long after it was asked for."""
T0 = 1_800_000_000_000
TARIFF = Tariff("day", energy_per_kwh_msat=300_000)


@dataclass(frozen=True)
class Outcome:
    """What became of one session: energy beyond the credit and left of it, in Wh and msat."""

    over_wh: int
    over_msat: int
    left_msat: int
    paid_msat: int
    asked: int


@dataclass
class Car:
    """A car at a connector: what it takes changes, sometimes."""

    chance: random.Random
    max_power_w: int
    share: float = 0.0
    wh: float = 0.0

    def __post_init__(self) -> None:
        self.share = self.chance.uniform(0.5, 1.0)

    def tick(self, since_start_ms: int) -> float:
        """Let a tick pass; returns the power in W."""
        if self.chance.random() < TICK_MS / 300_000:
            self.share = self.chance.uniform(0.5, 1.0)
        ramp = min(1.0, since_start_ms / 15_000)
        power_w = self.max_power_w * self.share * ramp
        self.wh += power_w * TICK_MS / 3_600_000
        return power_w


def charge(
    chance: random.Random, max_power_w: int, interval_s: int, latency_s: int, *, answers: bool
) -> Outcome:
    """One session of between 5 and 40 minutes at full power."""
    minutes = chance.uniform(5, 40)
    paid_msat = max(100_000, int(max_power_w * minutes / 60 * 300))
    # The latency has been learned from earlier stops.
    policy = Policy(stop_lead_ms=latency_s * 1000, no_energy_timeout_ms=0)
    paid = PaymentSettled("p", T0, "aa", paid_msat, Payer(), TARIFF, T0 + 120_000)
    session, _ = opened("s", "CP001", 1, policy, paid, max_power_w)
    session, _ = step(session, TransactionStarted("b", T0, 1, 40_000))
    car = Car(chance, max_power_w)
    due_ms: list[int] = []
    now_ms, stop_ms, asked = T0, 0, 0
    ring_ms = deadline(session) or 0
    while not stop_ms or now_ms < stop_ms:
        now_ms += TICK_MS
        power_w = car.tick(now_ms - T0)
        sampled = (now_ms - T0) % (interval_s * 1000) == 0
        if due_ms and due_ms[0] <= now_ms:
            due_ms.pop(0)
            sampled = True
        if sampled:
            event = MeterSampled("m", now_ms, 40_000 + int(car.wh), round(power_w))
            session, _ = step(session, event)
            ring_ms = deadline(session) or 0
        effects: tuple[Effect, ...] = ()
        if 0 < ring_ms <= now_ms and session.state is not SessionState.STOPPING:
            session, effects = step(session, DeadlineReached("d", now_ms))
            ring_ms = deadline(session) or 0
        for effect in effects:
            if isinstance(effect, StopCharging) and not stop_ms:
                stop_ms = now_ms + latency_s * 1000
            if isinstance(effect, WatchClosely):
                asked += 1
                due_ms += [now_ms + ANSWER_MS] if answers else []
    session, _ = step(session, TransactionStopped("e", now_ms, 1, 40_000 + int(car.wh)))
    credit_wh = paid_msat * 1000 // TARIFF.energy_per_kwh_msat
    left_msat = session.paid_msat - session.cost_msat
    over_wh = max(0, session.energy_wh - credit_wh)
    return Outcome(over_wh, session.overshoot_msat, left_msat, paid_msat, asked)


def rows(*, answers: bool, sessions: int = SESSIONS) -> Iterator[tuple[int, int, int, str]]:
    """Power, interval and latency with their figures in words."""
    for power_w in POWERS_W:
        for interval_s in INTERVALS_S:
            for latency_s in LATENCIES_S:
                chance = random.Random(f"{power_w} {interval_s} {latency_s}")  # noqa: S311  no secret
                outcomes = [
                    charge(chance, power_w, interval_s, latency_s, answers=answers)
                    for _ in range(sessions)
                ]
                over_wh = [outcome.over_wh for outcome in outcomes]
                worst = max(outcomes, key=lambda outcome: outcome.over_msat)
                left = statistics.median(o.left_msat / 1000 for o in outcomes)
                share = statistics.median(o.left_msat / o.paid_msat for o in outcomes)
                asked = statistics.mean(o.asked for o in outcomes)
                yield (
                    power_w,
                    interval_s,
                    latency_s,
                    f"{statistics.mean(over_wh):9.1f} {max(over_wh):7,}"
                    f" {worst.over_msat / 1000:8.1f} {left:10.1f} {share:7.2%} {asked:6.1f}",
                )


def main() -> None:
    """Print a table for chargers that answer triggers, and one for chargers that do not."""
    for answers in (True, False):
        kind = "answers TriggerMessage" if answers else "is only listened to"
        sys.stdout.write(
            f"stop at the credit, the charger {kind}; {SESSIONS} sessions each, 300 sat/kWh\n"
            "   kW  sampled  stops in   beyond the credit: mean Wh     max  max sat"
            "   left: sat   share  asked\n"
        )
        for power_w, interval_s, latency_s, figures in rows(answers=answers):
            sys.stdout.write(
                f"{power_w / 1000:5.1f} {interval_s:6} s {latency_s:7} s {'':20}{figures}\n"
            )


if __name__ == "__main__":
    main()
