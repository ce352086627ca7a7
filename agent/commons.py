"""What all charge points of a Strom share, handed to each of them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from typing import Protocol

from agent.alerts import Alerts
from agent.clock import Clock
from agent.clock_watch import ClockWatch
from agent.config.tables import SessionsConfig
from agent.journal.journal import Journal, Task
from agent.machine.model import Policy
from agent.ports.quotes import Quote
from agent.tally import Tally
from agent.tariff.model import MS_PER_MINUTE
from agent.tariff.rate import ExchangeRate
from wallet.base import HoldWallet, Wallet

START_UP_MS = 60_000
"""After a start of Strom its chargers need a moment to come back: until then a paid session
waits for its charger instead of being paid back at once."""


class Herald(Protocol):
    """Tells the world that the public state of a charge point changed; never blocks."""

    def status_changed(self, charge_point_id: str) -> None:
        """Publish the charge point's state soon."""
        ...


class Timers(Protocol):
    """Sends sessions their DeadlineReached."""

    def set(self, session_id: str, charge_point_id: str, at_ms: int | None) -> None:
        """Name the session's next deadline; None for no deadline."""
        ...

    def set_soon(
        self, session_id: str, charge_point_id: str, find: Callable[[str], int | None]
    ) -> None:
        """Have the session's next deadline found a moment later, and before any rings."""
        ...


ANYTHING = ""
"""Watched in place of a session: all that the operator sees."""


class Changes:
    """Wakes who watches a session, or anything."""

    def __init__(self) -> None:
        self._watchers: dict[str, set[asyncio.Event]] = {}

    def watch(self, session_id: str) -> asyncio.Event:
        """An event that is set at each change of the session; give it back to `unwatch`."""
        watcher = asyncio.Event()
        self._watchers.setdefault(session_id, set()).add(watcher)
        return watcher

    def unwatch(self, session_id: str, watcher: asyncio.Event) -> None:
        """No longer set this event."""
        watchers = self._watchers.get(session_id, set())
        watchers.discard(watcher)
        if not watchers:
            self._watchers.pop(session_id, None)

    def tell(self, session_id: str = ANYTHING) -> None:
        """The session changed, or something else that the operator sees."""
        if not self._watchers:
            return
        for watched in {session_id, ANYTHING}:
            for watcher in self._watchers.get(watched, ()):
                watcher.set()


@dataclass(frozen=True, slots=True)
class WatchedHerald:
    """A herald whose news also wake who watches anything."""

    herald: Herald
    changes: Changes

    def status_changed(self, charge_point_id: str) -> None:
        """See `Herald`."""
        self.herald.status_changed(charge_point_id)
        self.changes.tell()


class HoldInvoices(Protocol):
    """Hold invoices, where the wallet has them and the operator wants them."""

    async def wallet(self) -> HoldWallet | None:
        """Who makes them; None for ordinary invoices."""
        ...

    def watch(self, quote: Quote) -> None:
        """Notice when a payment for this quote is held."""
        ...


class _PlainInvoices:
    """No payment is held."""

    async def wallet(self) -> HoldWallet | None:
        return None

    def watch(self, quote: Quote) -> None:
        del quote


def _no_rate() -> ExchangeRate | None:
    return None


@dataclass
class Commons:
    """The shared parts; built by the site before its charge points.

    Attributes:
        alerts: what the operators must know of.
        admit: called with an amount in msat before an invoice is made; raises Refused when
            such a payment cannot be taken now.
        holds: where payments are held until charging begins.
        rate: the exchange rate to show amounts with; None shows none.
        clock_watch: sees that the clock was set; None where nobody does.
    """

    journal: Journal
    wallet: Wallet
    clock: Clock
    sessions: SessionsConfig
    herald: Herald
    timers: Timers
    post: Callable[[Iterable[Task]], None]
    started_at_ms: int
    alerts: Alerts
    admit: Callable[[int], Awaitable[None]]
    holds: HoldInvoices = field(default_factory=_PlainInvoices)
    rate: Callable[[], ExchangeRate | None] = _no_rate
    changes: Changes = field(default_factory=Changes)
    tally: Tally = field(default_factory=Tally)
    clock_watch: ClockWatch | None = None

    @property
    def start_up_ends_at_ms(self) -> int:
        """Until when chargers may be expected to come back after the start of Strom, Unix ms."""
        return self.started_at_ms + START_UP_MS

    @property
    def policy(self) -> Policy:
        """The patience that a new session gets."""
        return Policy(
            offline_timeout_ms=self.sessions.offline_timeout_s * 1000,
            no_energy_timeout_ms=self.sessions.no_energy_timeout_s * 1000,
            progress_ms=self.sessions.progress_minutes * MS_PER_MINUTE,
        )
