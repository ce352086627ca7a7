"""One relay of ours: the connections to it, and how it is doing."""

from __future__ import annotations

from dataclasses import dataclass

from nips.relay_link import RelayLink


@dataclass(frozen=True, slots=True)
class RelayHealth:
    """How a relay is doing.

    Attributes:
        last_event_at_ms: when it last sent any event, Unix milliseconds.
        failures: failed attempts to connect.
        rejected_events: events it sent that were forged or not asked for.
        closed_requests: requests of ours that it ended.
        published: events it accepted.
        refused: events it did not accept, or not in time.
        notice: what it last said to its operator's attention.
        private_links: connections that speak for one identity each.
    """

    url: str
    connected: bool
    last_event_at_ms: int | None
    failures: int
    rejected_events: int
    closed_requests: int
    published: int
    refused: int
    notice: str
    private_links: int


class PooledRelay:
    """One relay: a link shared by all identities, and one for each where it insists."""

    def __init__(self, link: RelayLink) -> None:
        self.link = link
        self.private: dict[str, RelayLink] = {}
        self.is_private = False
        self.published = 0
        self.refused = 0
        self.rejected = 0
        self.closed_requests = 0

    @property
    def is_answering(self) -> bool:
        """Whether it is connected, and answered what it was asked last."""
        return self.link.is_connected and self.link.answers

    @property
    def reading_link(self) -> RelayLink:
        """The connection on which to ask it: where it insists one that has authenticated."""
        known = self.private.values() if self.is_private else ()
        return next((link for link in known if link.authenticated), self.link)

    def links(self) -> list[RelayLink]:
        """All connections to it."""
        return [self.link, *self.private.values()]

    def health(self) -> RelayHealth:
        """How it is doing."""
        heard_at_ms = max((link.last_event_at_ms or 0 for link in self.links()), default=0)
        return RelayHealth(
            url=self.link.url,
            connected=self.link.is_connected,
            last_event_at_ms=heard_at_ms or None,
            failures=self.link.failures,
            rejected_events=self.rejected,
            closed_requests=self.closed_requests,
            published=self.published,
            refused=self.refused,
            notice=self.link.notice,
            private_links=len(self.private),
        )
