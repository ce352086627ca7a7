"""A session as its driver is told of it: while it goes on, and when it is over."""

from __future__ import annotations

from dataclasses import replace

from agent.links import links_of
from agent.machine.refund import RefundState
from agent.ports.site import RefundView, SessionView
from agent.tariff.model import Tariff, Usage, bill

LINKS = links_of("https://charge.example.com", "CP001", "s3cr3t-s3cr3t-s3cr3t")
TARIFF = Tariff("day", 300_000, idle_per_minute_msat=10_000, idle_grace_ms=600_000)
OPEN = SessionView(
    id="3f9ac1d200b47e11",
    secret="s3cr3t-s3cr3t-s3cr3t",
    state="CHARGING",
    charge_point="CP001",
    connector=2,
    energy_wh=6_120,
    power_w=11_000,
    held_msat=0,
    paid_msat=5_000_000,
    cost_msat=1_836_000,
    credit_msat=3_164_000,
    owed_msat=0,
    refunded_msat=0,
    rounding_msat=0,
    refunds=(),
    bill=bill(TARIFF, Usage(6_120, 2_000_000, 900_000)).lines,
    tariff=TARIFF,
    opened_at_ms=1_800_000_000_000,
    start_deadline_ms=1_800_000_120_000,
    started_at_ms=1_800_000_030_000,
    closed_at_ms=None,
    credit_ends_at_ms=1_800_003_600_000,
    obstacle=None,
    payment_hashes=("ab" * 32,),
    events=(),
)
CLOSED = replace(
    OPEN,
    state="CLOSED",
    closed_at_ms=1_800_002_000_000,
    owed_msat=3_164_000,
    refunds=(RefundView(1, RefundState.DUE, 3_164_000),),
)
