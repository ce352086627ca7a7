"""`/metrics` in the text format of Prometheus: how this Strom does, and nothing about a driver.

https://prometheus.io/docs/instrumenting/exposition_formats/
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Protocol

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from agent.machine.model import SessionState
from agent.nostr.watch import Relays
from agent.ports.office import OwedRefund
from agent.ports.site import SessionView
from agent.tally import Tally
from nips.relays import RelayHealth

JOULES_PER_WH = 3600
"""Prometheus has its energies in joules: https://prometheus.io/docs/practices/naming/"""


class Works(Protocol):
    """What is measured of the charge points; the operator's office has it."""

    async def open_sessions(self) -> Sequence[SessionView]:
        """Every session that has not ended."""
        ...

    def owed(self) -> Sequence[OwedRefund]:
        """Every refund that has not arrived yet."""
        ...

    def troubles(self) -> Mapping[str, str]:
        """What is wrong now, by name."""
        ...

    @property
    def faulty(self) -> int:
        """How many connectors have something wrong, a charger as a whole counted as one."""
        ...

    @property
    def waiting_effects(self) -> int:
        """How many stored effects wait to be carried out."""
        ...

    @property
    def tally(self) -> Tally:
        """What closed since the start came to."""
        ...

    @property
    def commits(self) -> int:
        """How many groups the journal has committed."""
        ...


class Chargers(Protocol):
    """Where chargers connect."""

    def connected(self) -> Sequence[str]:
        """The charge points whose chargers are connected."""
        ...

    def silent(self) -> Sequence[str]:
        """Those of them whose chargers do not answer."""
        ...

    def differing(self) -> int:
        """How many keys of chargers are not as the operator's file wants them."""
        ...


class _Snapshot(Collector):
    """The figures of one moment; made for each request, and kept by nobody."""

    def __init__(
        self,
        works: Works,
        sessions: Sequence[SessionView],
        health: Mapping[str, RelayHealth],
        depths: Mapping[str, int],
        chargers: Chargers,
        now_ms: int,
        certificates: Mapping[str, int],
    ) -> None:
        self._works = works
        self._sessions = sessions
        self._health = health
        self._depths = depths
        self._chargers = chargers
        self._now_ms = now_ms
        self._certificates = certificates

    def collect(self) -> Iterable[Metric]:
        """The figures, in the order in which they are read."""
        troubles = self._works.troubles()
        owed = self._works.owed()
        yield _gauge("strom_troubles", "Troubles that operators were told of.", len(troubles))
        yield _gauge(
            "strom_wallet_up", "Whether the wallet answers.", int("wallet" not in troubles)
        )
        connected, silent = len(self._chargers.connected()), len(self._chargers.silent())
        yield _gauge("strom_chargers_connected", "Chargers connected.", connected)
        yield _gauge("strom_chargers_silent", "Chargers connected that do not answer.", silent)
        text = "Connectors that are Faulted or report an error, and chargers that do as a whole."
        yield _gauge("strom_connectors_faulty", text, self._works.faulty)
        text = "Keys of chargers that are not as the operator's file wants them."
        yield _gauge("strom_settings_differing", text, self._chargers.differing())
        states = Counter(view.state for view in self._sessions)
        sessions = GaugeMetricFamily("strom_sessions", "Open sessions.", labels=["state"])
        for state in SessionState:
            if state is not SessionState.CLOSED:
                sessions.add_metric([state.lower()], states[state])
        yield sessions
        power_w = sum(view.power_w for view in self._sessions)
        yield _gauge("strom_power_watts", "Power that flows into cars.", power_w)
        owed_msat = sum(refund.amount_msat for refund in owed)
        yield _gauge("strom_owed_msat", "Owed to drivers, in msat.", owed_msat)
        yield _gauge("strom_refunds_waiting", "Refunds that have not arrived yet.", len(owed))
        oldest_ms = min((refund.since_ms for refund in owed), default=self._now_ms)
        age_s = (self._now_ms - oldest_ms) / 1000
        yield _gauge(
            "strom_oldest_refund_seconds",
            "Age of the oldest refund that has not arrived yet.",
            age_s,
        )
        waiting = self._works.waiting_effects
        yield _gauge("strom_effects_waiting", "Stored effects not carried out yet.", waiting)
        yield CounterMetricFamily(
            "strom_journal_commits", "Groups the journal committed.", value=self._works.commits
        )
        expiries = GaugeMetricFamily(
            "strom_certificate_expiry_timestamp_seconds",
            "When a certificate of chargers' connections expires.",
            labels=["certificate"],
        )
        for name, at_ms in self._certificates.items():
            expiries.add_metric([name], at_ms / 1000)
        yield expiries
        yield from _charges(self._works.tally)
        yield from self._relays()

    def _relays(self) -> Iterable[GaugeMetricFamily]:
        up = GaugeMetricFamily("strom_relay_up", "Whether a relay is connected.", labels=["relay"])
        silence = GaugeMetricFamily(
            "strom_relay_silence_seconds",
            "Seconds since the last event of a relay.",
            labels=["relay"],
        )
        waiting = GaugeMetricFamily(
            "strom_relay_events_waiting", "Events that a relay has not got yet.", labels=["relay"]
        )
        for url, health in self._health.items():
            up.add_metric([url], int(health.connected))
            if health.last_event_at_ms is not None:
                silence.add_metric([url], (self._now_ms - health.last_event_at_ms) / 1000)
            waiting.add_metric([url], self._depths.get(url, 0))
        yield from (up, silence, waiting)


def _charges(tally: Tally) -> Iterable[Metric]:
    """How near to their credits charges ended, and how often a meter was not to be believed."""
    buckets = [
        (str(float(bound_wh * JOULES_PER_WH)), float(count))
        for bound_wh, count in tally.overshoots.items()
    ]
    yield HistogramMetricFamily(
        "strom_overshoot_joules",
        "Energy that a charge took beyond its credit, which the operator bears; 3600 J are 1 Wh.",
        buckets=[*buckets, ("+Inf", float(tally.charges))],
        sum_value=tally.overshoot_wh * JOULES_PER_WH,
    )
    yield CounterMetricFamily(
        "strom_overshoot_msat",
        "What energy beyond credits would have cost, in msat.",
        value=tally.overshoot_msat,
    )
    yield CounterMetricFamily(
        "strom_unused_msat",
        "Left of credits whose end ended the charge, in msat.",
        value=tally.unused_msat,
    )
    endings = CounterMetricFamily(
        "strom_charges", "Charges that closed, by what decided their energy.", labels=["ending"]
    )
    for ending, count in tally.endings.items():
        endings.add_metric([ending], count)
    fixes = CounterMetricFamily(
        "strom_meter_corrections",
        "Readings of meters that cannot be true, by how they were set right.",
        labels=["fix"],
    )
    for fix, count in tally.corrections.items():
        fixes.add_metric([fix], count)
    yield from (endings, fixes)


def _gauge(name: str, text: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, text, value=value)


def routes(
    works: Works,
    relays: Relays,
    chargers: Chargers,
    clock: Callable[[], int],
    certificates: Callable[[], Mapping[str, int]],
    *,
    charge_points: int,
) -> list[Route]:
    """`/metrics`, and `/healthz` with what is wrong.

    Args:
        works: the operator's office.
        relays: the relays of ours.
        chargers: where chargers connect.
        clock: Unix milliseconds.
        certificates: when each expires, in Unix ms.
        charge_points: how many there are.
    """

    async def metrics(_: Request) -> Response:
        sessions = await works.open_sessions()
        health, depths = relays.health(), relays.depths()
        snapshot = _Snapshot(works, sessions, health, depths, chargers, clock(), certificates())
        return Response(generate_latest(snapshot), media_type=CONTENT_TYPE_LATEST)

    async def healthz(_: Request) -> Response:
        """200 while payments can be taken, 503 while the wallet is away."""
        troubles = works.troubles()
        status = "ok" if not troubles else "degraded" if "wallet" not in troubles else "failing"
        body = {
            "status": status,
            "charge_points": charge_points,
            "online": len(chargers.connected()) - len(chargers.silent()),
            "troubles": sorted(troubles.values()),
        }
        return JSONResponse(body, 503 if status == "failing" else 200)

    return [
        Route("/metrics", metrics, methods=["GET"], include_in_schema=False),
        Route("/healthz", healthz, methods=["GET"], include_in_schema=False),
    ]
