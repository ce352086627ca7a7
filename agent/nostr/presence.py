"""The charge points on nostr, as a whole: relays, couriers, press, voice and ears."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial

import anyio.abc

from agent.alerts import Alerts
from agent.clock import Clock
from agent.config.tables import Config
from agent.disk_watch import outlasting
from agent.journal.journal import Journal
from agent.nostr.couriers import Couriers
from agent.nostr.directory import Directory
from agent.nostr.ears import Answer, Ears, ReceiptListener
from agent.nostr.press import Press, View
from agent.nostr.published import IdentityOf, Published
from agent.nostr.voice import Announce, Voice
from agent.nostr.watch import Watch
from nips.identity import Identity
from nips.relays import RelayHealth, RelayPool


class Presence:
    """Everything between the site and the relays; see `run`.

    Args:
        config: the operator's file.
        identities: of each charge point, by its id.
        journal: cursors, the ledger of handled events, and what waits for relays.
        clock: Unix milliseconds.
        relays: where drivers find the charge points.
        announce: the words of messages that nobody asked for.
        operators: hex public keys of those who may command.
        identity_of: the keys, also of charge points that have left the operator's file.
        leaving: the identities of those that left it while something was open there, by their
            ids: they say how it ends.
    """

    def __init__(
        self,
        config: Config,
        identities: Mapping[str, Identity],
        journal: Journal,
        clock: Clock,
        relays: tuple[str, ...],
        announce: Announce,
        operators: Iterable[str] = (),
        identity_of: IdentityOf = lambda _: None,
        leaving: Mapping[str, Identity] | None = None,
    ) -> None:
        local = all(url.startswith("ws://") for url in relays)
        self.relays = relays
        self._operators = operators
        self._identities = identities
        self._pool = RelayPool(clock, allow_loopback=local)
        self.couriers = Couriers(journal, self._pool, clock)
        self.directory = Directory(self._pool, clock)
        published = Published(journal, self.couriers, clock, identity_of, self._pool.fetch)
        self.press = Press(config, identities, self.couriers, clock, relays, published)
        self.voice = Voice(
            journal,
            {**(leaving or {}), **identities},
            self.couriers,
            self.directory,
            clock,
            announce,
            allow_loopback=local,
        )
        self._journal = journal
        self._clock = clock

    async def run(
        self,
        group: anyio.abc.TaskGroup,
        view: View,
        answer: Answer,
        receipts: ReceiptListener | None = None,
        alerts: Alerts | None = None,
    ) -> None:
        """Connect, publish and listen in the background of a task group.

        Args:
            group: what it runs in; call `close` after its end.
            view: the public state of a charge point.
            answer: what to do about a message.
            receipts: who wants zap receipts that others sign.
            alerts: who tells the operators of relays in trouble.
        """
        self._pool.set_identities(self._identities.values())
        await self._pool.open(self.relays)
        self.couriers.start(group, self.relays)
        ears = Ears(
            self._pool,
            self._journal,
            self._identities,
            self.couriers,
            self.directory,
            self._clock,
            answer,
            receipts,
        )
        group.start_soon(ears.run)
        group.start_soon(outlasting, partial(self.press.run, view), "publishing")
        if alerts is not None:
            group.start_soon(Watch(self, alerts, self._clock).run)

    async def tell_operators(self, text: str) -> None:
        """Write to everyone who may command, in the name of the first charge point."""
        identity = next(iter(self._identities.values()), None)
        if identity is not None:
            for pubkey in self._operators:
                await self.voice.tell(identity, pubkey, text, "")

    async def close(self) -> None:
        """Disconnect from all relays."""
        await self._pool.close()

    def depths(self) -> dict[str, int]:
        """How many events each relay still has to get."""
        return self.couriers.depths()

    def health(self) -> dict[str, RelayHealth]:
        """How each relay is doing."""
        return self._pool.health()
