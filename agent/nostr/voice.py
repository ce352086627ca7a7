"""What a charge point says to its drivers on nostr: zap receipts and direct messages."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping

from agent.clock import Clock
from agent.journal.journal import Journal, Task
from agent.journal.nostr_book import Handled
from agent.machine.effects import PublishZapReceipt, SendMessage
from agent.machine.model import Session
from agent.nostr.couriers import Couriers
from agent.nostr.directory import Directory
from agent.ports.quotes import Quote
from agent.zaps import relays_named
from nips.dms import DmProtocol, write_message
from nips.errors import NostrError
from nips.identity import Identity
from nips.zaps import parse_zap_request, receipt_relays, zap_receipt

log = logging.getLogger(__name__)

Announce = Callable[[Session, SendMessage, Quote], Awaitable[str]]
"""The words of a message that nobody asked for; "" for none."""


class Voice:
    """Words effects as signed events, each exactly once, and stores them for the couriers.

    Args:
        journal: where the quotes and sessions are.
        identities: of each charge point, by its id.
        couriers: who bring the events to the relays.
        directory: how drivers read.
        clock: Unix milliseconds.
        announce: the words.
        allow_loopback: whether relays on this machine that a zap names may be used.
    """

    def __init__(
        self,
        journal: Journal,
        identities: Mapping[str, Identity],
        couriers: Couriers,
        directory: Directory,
        clock: Clock,
        announce: Announce,
        *,
        allow_loopback: bool = False,
    ) -> None:
        self._journal = journal
        self._identities = identities
        self._couriers = couriers
        self._directory = directory
        self._clock = clock
        self._announce = announce
        self._allow_loopback = allow_loopback

    async def deliver(self, task: Task, recovered: bool) -> None:
        """Say what an effect asks for (an outbox handler)."""
        del recovered
        charge_point_id = task.target.partition(":")[2]
        identity = self._identities.get(charge_point_id)
        if identity is None:
            return
        match task.effect:
            case PublishZapReceipt(payment_hash):
                await self._publish_receipt(identity, payment_hash, task.seq)
            case SendMessage():
                await self._send_message(identity, task.session_id, task.effect, task.seq)
            case other:
                raise TypeError(f"not to be said: {other}")

    async def _publish_receipt(self, identity: Identity, payment_hash: str, seq: int) -> None:
        quote = self._journal.quotes.get(payment_hash)
        if quote is None or quote.zap_request is None or quote.settled_at_ms is None:
            return
        try:
            request = parse_zap_request(
                quote.zap_request,
                recipient_pubkey=identity.pubkey,
                amount_msat=None,
                own_relays=self._couriers.relays,
            )
            receipt = zap_receipt(
                identity, quote.zap_request, quote.bolt11, quote.settled_at_ms // 1000
            )
        except NostrError as error:
            log.error("no receipt for payment %s: %s", payment_hash, error)
            return
        relays = receipt_relays(request, self._couriers.relays, allow_loopback=self._allow_loopback)
        # The request is used up: nobody is given an invoice for it again.
        used_up = Handled(request.event_id, self._clock(), guards_money=True)
        await self._couriers.send([receipt], relays, delivered=seq, handled=[used_up])

    async def _send_message(
        self, identity: Identity, session_id: str, effect: SendMessage, seq: int
    ) -> None:
        session = self._journal.sessions.get(session_id)
        quotes = self._journal.quotes.of_session(session_id)
        if session is None or session.payer.pubkey is None or not quotes:
            return
        self._directory.is_found_at(session.payer.pubkey, relays_named(quotes))
        text = await self._announce(session, effect, quotes[0])
        if text:
            await self.tell(identity, session.payer.pubkey, text, quotes[-1].reply, seq)

    async def tell(
        self, identity: Identity, pubkey: str, text: str, reply: str, delivered: int | None = None
    ) -> None:
        """Write to somebody who did not ask.

        Args:
            identity: who writes.
            pubkey: hex.
            text: the words.
            reply: the protocol he asked for the charge in; "" when he did not write. What he
                wrote since in another one counts more.
            delivered: the stored effect that this carries out.
        """
        peer = await self._directory.peer(pubkey)
        protocol: DmProtocol = self._directory.last_used(pubkey) or peer.protocol
        if self._directory.last_used(pubkey) is None and reply in ("nip04", "nip17"):
            protocol = "nip17" if reply == "nip17" else "nip04"
        try:
            event = write_message(identity, pubkey, text, protocol, self._clock() // 1000)
        except NostrError as error:
            log.warning("a message to %s cannot be written: %s", pubkey[:8], error)
            return
        await self._couriers.send([event], peer.relays, delivered=delivered)
