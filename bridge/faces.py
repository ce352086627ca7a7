"""What charge points show of themselves: their identity, and their address for payments."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from agent.config.tables import Config
from agent.links import Links
from agent.views import PublicFace
from nips.identity import Identity


def public_faces(
    config: Config, identities: Mapping[str, Identity], relays: Sequence[str]
) -> dict[str, PublicFace]:
    """What each charge point shows of itself, by its id."""
    links = Links(config.strom.public_url)
    return {
        point.id: PublicFace(
            pubkey=identities[point.id].pubkey,
            npub=identities[point.id].npub,
            nprofile=identities[point.id].nprofile(relays),
            lightning_address=links.address(point.id),
        )
        for point in config.charge_points
    }
