"""The published state of the charge points: profiles, relay lists, statuses, listings.

Everything here is replaceable (NIP-01) and expires (NIP-40): a Strom that died disappears
from the clients' maps within minutes, and one that starts publishes all of it anew.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping

from agent.clock import Clock
from agent.config.tables import ChargePointConfig, Config
from agent.machine.events import ConnectorStatus, Obstacle
from agent.machine.money import MSAT_PER_SAT
from agent.nostr.couriers import Couriers
from agent.ports import ChargePointView, ConnectorView
from agent.tariff.model import MS_PER_MINUTE, Tariff
from nips.event import EventTemplate, Tags, next_created_at
from nips.identity import Identity
from nips.location import geohash_ladder
from nips.profile import Listing, Profile, dm_relays, handler, listing, profile, relay_list
from nips.status import (
    KIND_CONNECTOR_STATUS,
    ConnectorState,
    Price,
    UserStatus,
    connector_status,
    user_status,
)

REFRESH_S = 120
EXPIRES_AFTER_S = 300
LEAST_INTERVAL_S = 1.0

_IN_USE = frozenset({Obstacle.OCCUPIED, Obstacle.RESERVED})

View = Callable[[str], Awaitable[ChargePointView]]


class Press:
    """Publishes what changed, at most once a second for each charge point (a `Herald`).

    Args:
        config: the operator's file.
        identities: of each charge point, by its id.
        couriers: who bring the events to the relays.
        clock: Unix milliseconds.
        relays: where drivers find the charge points.
    """

    def __init__(
        self,
        config: Config,
        identities: Mapping[str, Identity],
        couriers: Couriers,
        clock: Clock,
        relays: tuple[str, ...],
    ) -> None:
        self._config = config
        self._points = {point.id: point for point in config.charge_points}
        self._identities = identities
        self._couriers = couriers
        self._clock = clock
        self._relays = relays
        self._changed: set[str] = set()
        self._wake = asyncio.Event()
        self._last_created_at: dict[str, int] = {}

    def status_changed(self, charge_point_id: str) -> None:
        """Publish the charge point's state soon."""
        if charge_point_id in self._points:
            self._changed.add(charge_point_id)
            self._wake.set()

    async def run(self, view: View) -> None:
        """Publish everything, then what changes, and all states again before they expire."""
        for charge_point_id in self._points:
            self.publish_profile(await view(charge_point_id))
        refresh_at_ms = 0
        while True:
            if self._clock() >= refresh_at_ms:
                self._changed.update(self._points)
                refresh_at_ms = self._clock() + REFRESH_S * 1000
            changed, self._changed = self._changed, set()
            self._wake.clear()
            for charge_point_id in changed:
                self.publish_status(await view(charge_point_id))
                await asyncio.sleep(0)
            await asyncio.sleep(LEAST_INTERVAL_S if changed else 0)
            left_s = max(0.0, (refresh_at_ms - self._clock()) / 1000)
            try:
                async with asyncio.timeout(min(left_s, REFRESH_S)):
                    await self._wake.wait()
            except TimeoutError:
                continue

    def publish_profile(self, view: ChargePointView) -> None:
        """Publish who the charge point is: kinds 0, 10002, 10050 and 31990."""
        shown = Profile(
            name=view.name,
            about="\n\n".join(filter(None, (view.about, _offer(view)))),
            picture=view.picture,
            website=view.website or self._page(view),
            lud16=view.zap_address,
            nip05=view.lightning_address,
            bot=True,
        )
        templates = (
            profile(shown, geohash_tags=self._geohashes(view.id)),
            relay_list(self._relays),
            dm_relays(self._relays),
            handler(
                "strom",
                [KIND_CONNECTOR_STATUS],
                f"{self._config.strom.public_url}/n/<bech32>",
                name="Strom",
                about="EV charge points that take Lightning",
            ),
        )
        self._publish(view.id, templates)

    def publish_status(self, view: ChargePointView) -> None:
        """Publish how the charge point is: kind 30315, and 30716 and 30402 per connector."""
        now_s = self._clock() // 1000
        price = price_line(view.tariff)
        line = f"{_summary(view)} \N{MIDDLE DOT} {price}"
        status = UserStatus(line, self._page(view), now_s + EXPIRES_AFTER_S)
        templates = [user_status(status)]
        for connector in view.connectors:
            templates.append(connector_status(self._state(view, connector, now_s)))
            templates.append(self._listing(view, connector))
        self._publish(view.id, templates)

    def _state(self, view: ChargePointView, connector: ConnectorView, now_s: int) -> ConnectorState:
        configured = self._configured(view.id, connector.id)
        offline = connector.status is ConnectorStatus.OFFLINE
        return ConnectorState(
            charge_point=view.id,
            connector=connector.id,
            status=ConnectorStatus.UNAVAILABLE if offline else connector.status,
            updated_at=now_s,
            expires_at=now_s + EXPIRES_AFTER_S,
            text=f"{view.name}: {_word(connector)}, {price_line(view.tariff)}",
            title=view.name,
            location=view.address,
            connector_type=configured[0],
            max_power_w=configured[1],
            power_w=connector.power_w,
            free_at=None if connector.free_in_s is None else now_s + connector.free_in_s,
            prices=tuple(prices(view.tariff)),
            lud16=view.lightning_address,
            geohashes=tuple(tag[1] for tag in self._geohashes(view.id)),
        )

    def _listing(self, view: ChargePointView, connector: ConnectorView) -> EventTemplate:
        kind, power_w = self._configured(view.id, connector.id)
        per_kwh = next((p for p in prices(view.tariff) if p.component == "energy"), None)
        shown = Listing(
            identifier=f"{view.id}:{connector.id}",
            title=f"{view.name}, connector {connector.id}",
            content="\n\n".join(filter(None, (view.about, _offer(view)))),
            summary=f"{kind}, {power_w / 1000:g} kW, {price_line(view.tariff)}",
            price=per_kwh.amount if per_kwh else "0",
            currency="SAT",
            frequency="kWh",
            location=view.address,
            image=view.picture,
            status="active" if connector.obstacle is None else "sold",
            published_at=self._clock() // 1000,
        )
        return listing(shown, geohash_tags=self._geohashes(view.id))

    def _publish(self, charge_point_id: str, templates: Iterable[EventTemplate]) -> None:
        identity = self._identities[charge_point_id]
        for template in templates:
            identifier = next((tag[1] for tag in template.tags if tag[0] == "d"), "")
            address = f"{template.kind}:{identity.pubkey}:{identifier}"
            created_at = next_created_at(
                self._last_created_at.get(address, 0), self._clock() // 1000
            )
            self._last_created_at[address] = created_at
            self._couriers.replace(address, identity.sign_template(template, created_at))

    def _configured(self, charge_point_id: str, connector: int) -> tuple[str, int]:
        """Type and power of a connector."""
        point: ChargePointConfig = self._points[charge_point_id]
        found = next(c for c in point.connectors if c.id == connector)
        return found.type, found.max_power_w

    def _geohashes(self, charge_point_id: str) -> Tags:
        place = self._points[charge_point_id].location
        if place is None:
            return ()
        return geohash_ladder(place.latitude, place.longitude, place.geohash_length)

    def _page(self, view: ChargePointView) -> str:
        return f"{self._config.strom.public_url}/cp/{view.id}"


def prices(tariff: Tariff) -> Iterable[Price]:
    """The components of a tariff that cost something."""
    components = (
        ("energy", tariff.energy_per_kwh_msat, "kWh"),
        ("time", tariff.time_per_hour_msat, "hour"),
        ("idle", tariff.idle_per_minute_msat, "minute"),
        ("flat", tariff.flat_msat, "session"),
    )
    for component, price_msat, unit in components:
        if price_msat:
            yield Price(component, _sats(price_msat), "SAT", unit)


def price_line(tariff: Tariff) -> str:
    """A tariff in one line for people."""
    parts = [
        f"{price.amount} sat/{price.unit}{' idle' if price.component == 'idle' else ''}"
        for price in prices(tariff)
    ]
    if tariff.idle_per_minute_msat and tariff.idle_grace_ms:
        parts[-1 if not tariff.flat_msat else -2] += (
            f" after {tariff.idle_grace_ms // MS_PER_MINUTE} min"
        )
    return " + ".join(parts) or "free of charge"


def _sats(amount_msat: int) -> str:
    whole, rest = divmod(amount_msat, MSAT_PER_SAT)
    return f"{whole}.{rest:03}".rstrip("0") if rest else str(whole)


def _offer(view: ChargePointView) -> str:
    least = view.min_payment_msat // MSAT_PER_SAT
    return (
        f"Zap me and I charge: {price_line(view.tariff)}, from {least} sat. "
        "What you do not use comes back. Write me: help, price, status, stop."
    )


def _word(connector: ConnectorView) -> str:
    if connector.obstacle is None:
        return "Available"
    if connector.obstacle in _IN_USE:
        return "In use"
    return "Offline" if connector.obstacle is Obstacle.OFFLINE else "Out of order"


def _summary(view: ChargePointView) -> str:
    free = sum(connector.obstacle is None for connector in view.connectors)
    if len(view.connectors) == 1:
        return _word(view.connectors[0])
    if free:
        return f"{free} of {len(view.connectors)} available"
    return _word(view.connectors[0])
