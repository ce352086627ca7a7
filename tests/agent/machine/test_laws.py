"""The laws of money, held to whatever chargers, payers and wallets may do in whatever order.

Each step plays one event, often one that fits and sometimes one that lies, and then looks at
everything that must hold. At the end the charger is lost for good and the wallet pays all that
is owed: whatever happened before, the money is all accounted for.
"""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from agent.machine.deadlines import deadline
from agent.machine.effects import CancelPayment, Effect, SettlePayment
from agent.machine.errors import IllegalEvent
from agent.machine.events import (
    ConnectorStatus,
    ConnectorStatusChanged,
    DeadlineReached,
    Event,
    MeterSampled,
    Obstacle,
    Payer,
    PaymentCanceled,
    PaymentHeld,
    PaymentSettled,
    RefundClaimed,
    RefundDecided,
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
from agent.machine.meter import Source
from agent.machine.model import Policy, Session, SessionState
from agent.machine.refund import COMMITTED, RefundState
from agent.machine.session import opened, step
from agent.tariff.model import Tariff
from tests.agent.machine import laws
from tests.agent.machine.examples import HOUR, MINUTE, SECOND, T0

PRICES = st.sampled_from([0, 1, 300, 7_919]) | st.integers(0, 10**6)
TARIFFS = st.builds(
    Tariff, st.just("t"), PRICES, PRICES, PRICES, st.sampled_from([0, MINUTE]), PRICES
)
AMOUNTS = st.sampled_from([1, 999, 1_000, 1_001, 100_000]) | st.integers(1, 10**9)
WAITS = st.sampled_from([0, 1, SECOND, 15 * SECOND, MINUTE, HOUR]) | st.integers(0, 3 * HOUR)
SKEWS = st.just(0) | st.integers(-2 * HOUR, 2 * HOUR) | st.just(-T0)
POLICIES = st.builds(
    Policy,
    st.sampled_from([MINUTE, HOUR]),
    st.sampled_from([SECOND, MINUTE]),
    st.sampled_from([1, 15 * SECOND]),
    st.sampled_from([SECOND, 15 * MINUTE]),
    st.sampled_from([0, 15 * MINUTE]),
    st.sampled_from([0, SECOND]),
)
REGISTERS = st.integers(-100, 100) | st.integers(0, 30_000) | st.sampled_from([-(10**6), 10**7])
HASHES = st.integers(0, 5)
NUMBERS = st.integers(1, 3)


class Money(RuleBasedStateMachine):
    """One session, whatever happens to it."""

    session: Session
    effects: tuple[Effect, ...]

    @initialize(
        amount_msat=AMOUNTS,
        tariff=TARIFFS,
        policy=POLICIES,
        obstacle=st.sampled_from([*[None] * 30, *Obstacle]),
        gained_wh=st.none() | st.integers(0, 50_000),
        held=st.sampled_from([False, False, True]),
        max_power_w=st.sampled_from([0, 11_000, 150_000]),
    )
    def open(
        self,
        amount_msat: int,
        tariff: Tariff,
        policy: Policy,
        obstacle: Obstacle | None,
        gained_wh: int | None,
        held: bool,
        max_power_w: int,
    ) -> None:
        self.at_ms = T0
        self.credited = {} if held else {"h0": amount_msat}
        self.held = {"h0": amount_msat} if held else {}
        self.taken: set[str] = set()
        self.let_go: set[str] = set()
        self.register_wh = 40_000
        self.attempt = 0
        self.begins = 0
        self.tariff = tariff
        payment = self.payment("h0", amount_msat, obstacle, held=held)
        self.session, self.effects = opened("s", "CP001", 1, policy, payment, max_power_w)
        self.note_what_becomes_of_held_money()
        if obstacle is not None:
            assert self.session.state is SessionState.CLOSED
            due_msat = self.session.owed_msat + self.session.rounding_msat
            assert due_msat == (0 if held else amount_msat)
            assert self.let_go == set(self.held)
        elif gained_wh is not None:
            self.begin(0, 1, 0, reads=True, connector=0)
            self.time_passes(MINUTE)
            self.sample(0, gained_wh, None, None, reads=True)

    def payment(
        self,
        payment_hash: str,
        amount_msat: int,
        obstacle: Obstacle | None = None,
        *,
        held: bool = False,
    ) -> PaymentSettled | PaymentHeld:
        kind = PaymentHeld if held else PaymentSettled
        return kind(
            "paid",
            self.at_ms,
            payment_hash,
            amount_msat,
            Payer(),
            self.tariff,
            T0 + 2 * MINUTE,
            obstacle,
        )

    def play(self, event: Event) -> bool:
        """Send an event and hold the step to all laws that are about change."""
        before = self.session
        try:
            self.session, self.effects = step(before, event)
        except IllegalEvent:
            assert not isinstance(event, PaymentSettled | PaymentHeld | PaymentCanceled)
            assert not isinstance(event, MeterSampled | DeadlineReached)
            assert self.session is before
            return False
        assert step(before, event) == (self.session, self.effects)
        self.note_what_becomes_of_held_money()
        laws.what_changes_is_allowed(before, event, self.session, self.effects)
        return True

    def note_what_becomes_of_held_money(self) -> None:
        """What is held is taken only once charging began, or let go, and never both."""
        for effect in self.effects:
            if isinstance(effect, SettlePayment):
                assert self.session.started_at_ms is not None
                assert effect.payment_hash in self.held
                self.taken.add(effect.payment_hash)
            if isinstance(effect, CancelPayment):
                self.let_go.add(effect.payment_hash)
        assert not self.taken & self.let_go

    @rule(ms=WAITS)
    def time_passes(self, ms: int) -> None:
        self.at_ms += ms

    @rule(number=HASHES, amount_msat=AMOUNTS)
    def pay(self, number: int, amount_msat: int) -> None:
        payment_hash = f"h{number}"
        if payment_hash in self.held:
            return
        known = payment_hash in self.credited
        before = self.session
        amount_msat = self.credited.setdefault(payment_hash, amount_msat)
        self.play(self.payment(payment_hash, amount_msat))
        assert not known or self.session is before

    @precondition(lambda self: self.held)
    @rule()
    def take_what_is_held(self) -> None:
        """The wallet took it, whether we asked for that or it raced with our letting go."""
        payment_hash, amount_msat = self.held.popitem()
        self.credited[payment_hash] = amount_msat
        self.play(self.payment(payment_hash, amount_msat))

    @precondition(lambda self: self.held)
    @rule()
    def withdraw_what_is_held(self) -> None:
        payment_hash, _ = self.held.popitem()
        self.play(PaymentCanceled("canceled", self.at_ms, payment_hash))

    @rule(number=HASHES, amount_msat=AMOUNTS)
    def hold_another(self, number: int, amount_msat: int) -> None:
        payment_hash = f"x{number}"
        self.play(self.payment(payment_hash, amount_msat, held=True))
        assert payment_hash in self.let_go

    @rule(
        skew_ms=SKEWS,
        transaction_id=st.integers(0, 2),
        shift_wh=REGISTERS,
        reads=st.booleans(),
        connector=st.integers(0, 2),
    )
    def begin(
        self, skew_ms: int, transaction_id: int, shift_wh: int, reads: bool, connector: int
    ) -> None:
        self.register_wh += shift_wh
        at_ms = self.at_ms + skew_ms
        self.begins += 1
        register_wh = self.register_wh if reads else None
        power_w, told_ms = self.session.max_power_w, self.at_ms
        self.play(
            TransactionStarted(
                "begun", at_ms, transaction_id, register_wh, connector, power_w, told_ms
            )
        )

    @rule(
        skew_ms=SKEWS,
        shift_wh=REGISTERS,
        misread_wh=st.none() | st.just(0) | REGISTERS,
        power_w=st.none() | st.integers(-10, 400_000),
        reads=st.booleans(),
    )
    def sample(
        self, skew_ms: int, shift_wh: int, misread_wh: int | None, power_w: int | None, reads: bool
    ) -> None:
        self.register_wh += shift_wh
        register_wh = self.register_wh if misread_wh is None else misread_wh
        at_ms = self.at_ms + skew_ms
        self.play(MeterSampled("sampled", at_ms, register_wh if reads else None, power_w))

    @rule(skew_ms=SKEWS, gained_wh=st.integers(0, 5_000), strays_wh=st.just(0) | REGISTERS)
    def sum_up(self, skew_ms: int, gained_wh: int, strays_wh: int) -> None:
        """Intervals were told, as they are reported: as a register that counts on."""
        self.register_wh += gained_wh
        at_ms, sum_wh = self.at_ms + skew_ms, self.register_wh + strays_wh
        self.play(MeterSampled("summed", at_ms, sum_wh, source=Source.INTERVALS))

    @rule(status=st.sampled_from(ConnectorStatus), skew_ms=SKEWS)
    def show(self, status: ConnectorStatus, skew_ms: int) -> None:
        self.play(ConnectorStatusChanged("showed", self.at_ms + skew_ms, status))

    @rule(by=st.sampled_from(StopBy))
    def ask_to_stop(self, by: StopBy) -> None:
        self.play(StopRequested("stop", self.at_ms, by))

    @rule(
        skew_ms=SKEWS,
        transaction_id=st.none() | st.integers(-1, 2),
        register_wh=st.none() | REGISTERS,
    )
    def end(self, skew_ms: int, transaction_id: int | None, register_wh: int | None) -> None:
        ours = self.session.transaction_id
        at_ms = self.at_ms + skew_ms
        if transaction_id is None and ours is not None:
            transaction_id = ours
        final_wh = None if register_wh is None else self.register_wh + register_wh
        self.play(TransactionStopped("ended", at_ms, transaction_id or 0, final_wh))

    @rule(reason=st.sampled_from(Obstacle))
    def reject(self, reason: Obstacle) -> None:
        self.play(StartRejected("rejected", self.at_ms, reason))

    @rule()
    def reach_a_deadline_too_soon(self) -> None:
        self.play(DeadlineReached("soon", self.at_ms))

    @rule()
    def reach_the_deadline(self) -> None:
        due_ms = deadline(self.session)
        if due_ms is None:
            return
        self.at_ms = max(self.at_ms, due_ms)
        self.play(DeadlineReached("due", self.at_ms))

    @rule(
        no=NUMBERS,
        shift_msat=st.just(0) | st.integers(-2_000, 2_000),
        holds_ms=st.integers(0, HOUR),
    )
    def offer(self, no: int, shift_msat: int, holds_ms: int) -> None:
        closed = self.session.state is SessionState.CLOSED
        amount_msat = self.session.left_msat
        if closed:
            amount_msat = next((r.amount_msat for r in self.session.refunds if r.no == no), 0)
        self.attempt += 1
        ends_ms = self.at_ms + holds_ms
        k1 = f"k{self.attempt}"
        amount_msat += shift_msat
        self.play(RefundOffered("offered", self.at_ms, no, k1, amount_msat, ends_ms))

    @rule(no=NUMBERS, shift_msat=st.just(0) | st.integers(-2_000, 2_000), stale=st.booleans())
    def claim(self, no: int, shift_msat: int, stale: bool) -> None:
        due = next((r for r in self.session.refunds if r.no == no), None)
        amount_msat = (due.amount_msat if due else 0) + shift_msat
        k1 = "k1" if stale else due.k1 if due else ""
        self.attempt += 1
        invoice = f"ln{self.attempt}"
        played = self.play(
            RefundClaimed("claim", self.at_ms, no, invoice, f"p{invoice}", amount_msat, 1_000, k1)
        )
        if played:
            assert due is not None
            assert due.state not in COMMITTED
            assert due.amount_msat == amount_msat
            assert k1 in ("", due.k1)

    @rule(
        no=NUMBERS,
        kind=st.sampled_from(
            [RefundSent, RefundSettled, RefundUncertain, RefundFailed, RefundDecided]
        ),
        stale=st.booleans(),
        arrived=st.booleans(),
    )
    def hear_of_a_refund(
        self,
        no: int,
        kind: type[RefundSent | RefundSettled | RefundUncertain | RefundFailed | RefundDecided],
        stale: bool,
        arrived: bool = False,
    ) -> None:
        due = next((r for r in self.session.refunds if r.no == no), None)
        payment_hash = "earlier" if stale or due is None else due.payment_hash
        events = {
            RefundSent: RefundSent("sent", self.at_ms, no, payment_hash),
            RefundSettled: RefundSettled("settled", self.at_ms, no, 5, payment_hash),
            RefundUncertain: RefundUncertain("uncertain", self.at_ms, no, payment_hash),
            RefundFailed: RefundFailed("failed", self.at_ms, no, "no route", payment_hash),
            RefundDecided: RefundDecided("word", self.at_ms, no, arrived, "alice", payment_hash),
        }
        assert not (self.play(events[kind]) and payment_hash == "earlier")

    @precondition(lambda self: self.session.state is SessionState.CLOSED)
    @rule()
    def pay_back(self) -> None:
        """The good way, so that refunds are often seen to their end."""
        for due in self.session.refunds:
            if due.state in (RefundState.DUE, RefundState.OFFERED, RefundState.FAILED):
                self.claim(due.no, 0, stale=False)
                self.hear_of_a_refund(due.no, RefundSent, stale=False)
                self.hear_of_a_refund(due.no, RefundSettled, stale=False)

    @invariant()
    def money_is_accounted_for(self) -> None:
        laws.money_is_accounted_for(self.session, self.credited, self.held)

    @invariant()
    def the_evidence_explains_the_energy(self) -> None:
        laws.the_evidence_explains_the_energy(self.session, self.begins)

    @invariant()
    def the_receipt_adds_up(self) -> None:
        laws.the_receipt_adds_up(self.session)

    @invariant()
    def no_deadline_comes_twice(self) -> None:
        laws.no_deadline_comes_twice(self.session)

    def teardown(self) -> None:
        if not hasattr(self, "session"):
            return
        self.play(ConnectorStatusChanged("lost", self.at_ms, ConnectorStatus.OFFLINE))
        for _ in range(3):
            self.reach_the_deadline()
        assert self.session.state is SessionState.CLOSED
        while self.held:
            if len(self.session.payments) % 2:
                self.take_what_is_held()
            else:
                self.withdraw_what_is_held()
        for due in self.session.refunds:
            if due.state is RefundState.CLAIMED:
                self.hear_of_a_refund(due.no, RefundSent, stale=False)
            if due.state in (RefundState.CLAIMED, RefundState.SENDING, RefundState.UNKNOWN):
                self.hear_of_a_refund(due.no, RefundFailed, stale=False)
        self.pay_back()
        self.money_is_accounted_for()
        assert self.session.owed_msat == 0
        assert (
            0
            <= self.session.paid_msat
            - self.session.cost_msat
            - sum(r.amount_msat for r in self.session.refunds)
            < 1_000
        )


TestMoney = Money.TestCase
TestMoney.settings = settings(max_examples=200, stateful_step_count=40, deadline=None)
