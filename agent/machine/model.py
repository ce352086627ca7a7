"""A session: one payer's use of one connector, and what follows from its figures. Pure data."""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct

from agent.machine.events import ConnectorStatus, Obstacle, Payer, StopBy
from agent.machine.meter import Meter
from agent.machine.money import whole_sats_msat
from agent.machine.refund import Refund, RefundState
from agent.tariff.model import WH_PER_KWH, Bill, Tariff, Usage, bill, total_msat


class SessionState(StrEnum):
    """Where a session stands."""

    STARTING = "STARTING"
    CHARGING = "CHARGING"
    SUSPENDED = "SUSPENDED"
    STOPPING = "STOPPING"
    CLOSED = "CLOSED"


STARTING = SessionState.STARTING
CHARGING = SessionState.CHARGING
SUSPENDED = SessionState.SUSPENDED
STOPPING = SessionState.STOPPING
CLOSED = SessionState.CLOSED
"""Each look at an enumeration's member takes a third of a microsecond (Python 3.11), and each
reading of a meter asks for a state a dozen times: so they have names of their own here."""


class Ending(StrEnum):
    """How the charger's transaction ended, as far as it said, and with it what was billed.

    STOPPED: its last word decided. NO_REGISTER: it said no register with it. NOT_BELIEVED: that
    register cannot be true. LOST, VANISHED, WOULD_NOT_STOP: it never said so; the last reading
    that was believed decided.
    """

    STOPPED = "stopped"
    NO_REGISTER = "no_register"
    NOT_BELIEVED = "not_believed"
    LOST = "lost"
    VANISHED = "vanished"
    WOULD_NOT_STOP = "would_not_stop"


class Policy(Struct, frozen=True):
    """The operator's patience, frozen into each session.

    Attributes:
        offline_timeout_ms: a charger silent for so long in a session is settled by its
            last reading.
        vanished_timeout_ms: how long a connector may look free before the missing
            StopTransaction is given up.
        stop_repeat_ms: a stop that had no effect is asked for again after this, and then
            after growing pauses.
        stop_give_up_ms: after this a charger that will not stop is settled by its last
            reading.
        no_energy_timeout_ms: a session in which nothing flows for so long from its start, or
            from a fault of its connector on, is ended; 0 never ends it.
        stop_lead_ms: how long before the credit ends the stop is asked for.
        progress_ms: how often the driver is told how far it is; 0 for never.
    """

    offline_timeout_ms: int = 3_600_000
    vanished_timeout_ms: int = 60_000
    stop_repeat_ms: int = 15_000
    stop_give_up_ms: int = 900_000
    no_energy_timeout_ms: int = 900_000
    stop_lead_ms: int = 1_000
    progress_ms: int = 0


class Payment(Struct, frozen=True):
    """A settled payment."""

    payment_hash: str
    amount_msat: int
    at_ms: int


class EarlyStop(Struct, frozen=True):
    """The charger's word that a transaction ended of whose beginning it has not told yet."""

    at_ms: int
    register_wh: int | None
    reason: str


class Session(Struct, frozen=True):
    """One payer's use of one connector.

    Attributes:
        id: unique; names the session in the journal.
        max_power_w: what the connector gives at most; 0 for unknown.
        check_meter: whether energy beyond what that can give is taken for a fault of the meter.
        payments: what was settled; a hash stands here once.
        held: what the wallet holds for this session until charging begins: credit for it,
            but not ours yet.
        status: the connector's last reported state.
        start_sent_at_ms: when the charger was last asked to start; 0 once it said no.
        unplug_first: whether the cable of the charge before is still plugged in, as far as known.
        transaction_id: of the running transaction.
        transaction_ended: whether the charger said that this transaction has ended.
        early_stop: its word on the end, where that came before the one on the beginning.
        energy_wh: energy of the session; it never falls but as that of its meter does.
        power_w: power at the last sample.
        plan_power_w: the power with which the stop is planned.
        peak_power_w: the most that it was planned with after a reading.
        paced_wh: the energy at the reading from which on the power is measured.
        paced_at_ms: when that was.
        interval_ms: time between the last two readings of the register, before it was
            watched closely.
        watched: whether the charger was asked for readings.
        asked_at_ms: when it last was.
        asks_unanswered: how often since the last reading.
        sampled_at_ms: when the meter was last sampled.
        metered_at_ms: when its energy register was last read.
        charging_ms: time under power.
        idle_ms: time in which the car drew nothing of its own accord.
        counted_until_ms: up to when the two times are counted.
        claimed_msat: credit that the payer claimed back while charging: no cost reaches it.
        progress_told_at_ms: when the driver was last told how far it is.
        offline_since_ms: since when the charger has been lost.
        vanished_since_ms: since when the connector looks free although nothing stopped.
        faulted_since_ms: since when the connector has been faulted.
        unheard_since_ms: since when it is only presumed that charging goes on: the charger was
            lost then, and has not shown it since.
        back_at_ms: when a charger that was lost was last back: what it wrote before says nothing
            of the time after it.
        booted_at_ms: when it last started anew: nothing flowed in a silence before that, but for
            what it tells itself.
        stop_sent_at_ms: when the stop was last asked for.
        stop_attempts: how often it was asked for.
        stopping_since_ms: when it was first asked for.
        cost_msat: what the session cost; set when it closes, never above the credit.
        overshoot_msat: what the bill passed the credit by: the operator bears it.
        ending: how the transaction ended; None while it runs, and where none was.
    """

    id: str
    charge_point: str
    connector: int
    payer: Payer
    tariff: Tariff
    policy: Policy
    opened_at_ms: int
    start_deadline_ms: int
    state: SessionState = STARTING
    payments: tuple[Payment, ...] = ()
    held: tuple[Payment, ...] = ()
    status: ConnectorStatus = ConnectorStatus.AVAILABLE
    start_attempts: int = 0
    start_sent_at_ms: int = 0
    unplug_first: bool = False
    transaction_id: int | None = None
    transaction_ended: bool = False
    started_at_ms: int | None = None
    meter: Meter | None = None
    energy_wh: int = 0
    power_w: int = 0
    plan_power_w: int = 0
    peak_power_w: int = 0
    paced_wh: int = 0
    paced_at_ms: int = 0
    interval_ms: int = 0
    watched: bool = False
    asked_at_ms: int = 0
    asks_unanswered: int = 0
    sampled_at_ms: int = 0
    metered_at_ms: int = 0
    charging_ms: int = 0
    idle_ms: int = 0
    counted_until_ms: int = 0
    claimed_msat: int = 0
    credit_low_told: bool = False
    progress_told_at_ms: int = 0
    offline_since_ms: int | None = None
    vanished_since_ms: int | None = None
    faulted_since_ms: int | None = None
    unheard_since_ms: int | None = None
    back_at_ms: int = 0
    booted_at_ms: int = 0
    stop_by: StopBy | None = None
    stop_sent_at_ms: int = 0
    stop_attempts: int = 0
    stopping_since_ms: int = 0
    closed_at_ms: int | None = None
    obstacle: Obstacle | None = None
    cost_msat: int = 0
    overshoot_msat: int = 0
    max_power_w: int = 0
    check_meter: bool = True
    ending: Ending | None = None
    early_stop: EarlyStop | None = None
    refunds: tuple[Refund, ...] = ()

    @property
    def paid_msat(self) -> int:
        """All that was settled."""
        return sum(payment.amount_msat for payment in self.payments)

    @property
    def held_msat(self) -> int:
        """What is held and not settled yet."""
        return sum(payment.amount_msat for payment in self.held)

    @property
    def taken_msat(self) -> int:
        """What was settled and not claimed back: a closed session costs this at most."""
        return self.paid_msat - self.claimed_msat

    @property
    def credit_msat(self) -> int:
        """What the session may cost at most while it is open."""
        # Asked for at each sample: plain loops take a third of the time of generators.
        credit_msat = -self.claimed_msat
        for payment in self.payments:
            credit_msat += payment.amount_msat
        for payment in self.held:
            credit_msat += payment.amount_msat
        return credit_msat

    @property
    def usage(self) -> Usage:
        """What was used so far."""
        return Usage(self.energy_wh, self.charging_ms, self.idle_ms)

    @property
    def bill(self) -> Bill:
        """The bill of what was used so far; its total may pass the credit."""
        return bill(self.tariff, self.usage)

    @property
    def cost_now_msat(self) -> int:
        """What the session costs so far, or did cost when it is closed."""
        if self.state is CLOSED:
            return self.cost_msat
        cost_msat, credit_msat = total_msat(self.tariff, self.usage), self.credit_msat
        return cost_msat if cost_msat < credit_msat else credit_msat

    @property
    def overshoot_wh(self) -> int:
        """The energy that `overshoot_msat` would have paid for; 0 where energy has no price."""
        price_msat = self.tariff.energy_per_kwh_msat
        if not price_msat:
            return 0
        return min(self.energy_wh, self.overshoot_msat * WH_PER_KWH // price_msat)

    @property
    def refunded_msat(self) -> int:
        """What went back."""
        return sum(r.amount_msat for r in self.refunds if r.state is RefundState.PAID)

    @property
    def owed_msat(self) -> int:
        """What still has to go back; 0 while the session is open."""
        if self.state is not CLOSED:
            return 0
        return sum(r.amount_msat for r in self.refunds if r.state is not RefundState.PAID)

    @property
    def rounding_msat(self) -> int:
        """The fraction of a satoshi that no wallet can be paid; 0 while the session is open."""
        if self.state is not CLOSED:
            return 0
        return self.paid_msat - self.cost_msat - self.refunded_msat - self.owed_msat

    @property
    def left_msat(self) -> int:
        """What the payer would get back if the session ended now, in whole satoshi: of what
        was settled; what is only held goes back by being let go."""
        return whole_sats_msat(max(0, self.taken_msat - self.cost_now_msat))
