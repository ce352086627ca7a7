"""The published state of the charge points: profiles, relay lists, statuses, listings.

Everything here is replaceable (NIP-01) and expires (NIP-40): a Strom that died disappears
from the clients' maps within minutes, and one that starts publishes all of it anew.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence

from agent.clock import Clock
from agent.config.tables import ChargePointConfig, Config
from agent.machine.events import ConnectorStatus, Obstacle
from agent.machine.money import MSAT_PER_SAT
from agent.nostr.couriers import Couriers
from agent.nostr.published import Published
from agent.ports.charge_point import ChargePointView, ConnectorView
from agent.tariff.model import MS_PER_MINUTE, Tariff
from nips.event import Coordinate, EventTemplate, Tags, next_created_at
from nips.identity import Identity
from nips.location import KIND_GEOMETRY, KIND_PLACE, geohash_ladder, geometry
from nips.location import place as place_of
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
AT_ONCE = 50

_OFFLINE = (Obstacle.OFFLINE, Obstacle.NOT_ANSWERING)
_NOT_FREE = {
    Obstacle.OCCUPIED: ConnectorStatus.PREPARING,
    Obstacle.RESERVED: ConnectorStatus.RESERVED,
    Obstacle.FAULTED: ConnectorStatus.FAULTED,
}
_PLUGGED_IN = frozenset({ConnectorStatus.PREPARING, ConnectorStatus.FINISHING})
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
        published: the record of what relays have of us.
    """

    def __init__(
        self,
        config: Config,
        identities: Mapping[str, Identity],
        couriers: Couriers,
        clock: Clock,
        relays: tuple[str, ...],
        published: Published,
    ) -> None:
        self._published = published
        self._config = config
        self._points = {point.id: point for point in config.charge_points}
        self._identities = identities
        self._couriers = couriers
        self._clock = clock
        self._relays = relays
        self._changed: set[str] = set()
        self._wake = asyncio.Event()
        self._last_created_at: dict[str, int] = {}
        self._current: dict[str, set[str]] = {}
        self._random = random.Random(0)  # noqa: S311 - it spreads work, it hides nothing

    def status_changed(self, charge_point_id: str) -> None:
        """Publish the charge point's state soon."""
        if charge_point_id in self._points:
            self._changed.add(charge_point_id)
            self._wake.set()

    async def run(self, view: View) -> None:
        """Publish everything, then what changes, and each state again before it expires."""
        due_at_ms: dict[str, int] = {}
        everyone = list(self._points)
        for start in range(0, len(everyone), AT_ONCE):
            some = everyone[start : start + AT_ONCE]
            # Together, because what is remembered of them is then stored together.
            await asyncio.gather(*[self._publish_all(await view(name)) for name in some])
            due_at_ms |= {name: self._clock() + self._refresh_ms() for name in some}
        kinds = frozenset({KIND_GEOMETRY}) & frozenset(self._config.nostr.place_kinds)
        await self._published.keep_only(self._current, kinds)
        while True:
            now_ms = self._clock()
            changed, self._changed = self._changed, set()
            changed |= {name for name, at_ms in due_at_ms.items() if at_ms <= now_ms}
            self._wake.clear()
            for charge_point_id in changed:
                await self.publish_status(await view(charge_point_id))
                due_at_ms[charge_point_id] = now_ms + self._refresh_ms()
                await asyncio.sleep(0)
            await asyncio.sleep(LEAST_INTERVAL_S if changed else 0)
            left_s = (min(due_at_ms.values(), default=now_ms + REFRESH_S * 1000) - now_ms) / 1000
            try:
                async with asyncio.timeout(max(0.0, left_s)):
                    await self._wake.wait()
            except TimeoutError:
                continue

    async def _publish_all(self, view: ChargePointView) -> None:
        await self.publish_profile(view)
        await self.publish_status(view)

    def _refresh_ms(self) -> int:
        """When to publish a state again: at another time for each, so that relays get them
        one by one."""
        return round(REFRESH_S * 1000 * self._random.uniform(0.5, 1.0))

    async def publish_profile(self, view: ChargePointView) -> None:
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
        await self._publish(view.id, [*templates, *self._place(view)])
        if KIND_GEOMETRY in self._config.nostr.place_kinds:
            await self._publish_geometry(view)

    def _place(self, view: ChargePointView) -> Iterable[EventTemplate]:
        """The place for map clients (kind 37515), where the operator wants it."""
        place = self._points[view.id].location
        if place is not None and KIND_PLACE in self._config.nostr.place_kinds:
            yield place_of(
                view.id,
                view.name,
                place.latitude,
                place.longitude,
                geohash_length=place.geohash_length,
                address=view.address,
                website=view.website or self._page(view),
            )

    async def _publish_geometry(self, view: ChargePointView) -> None:
        """The same as a bare GeoJSON point (kind 4326), of which no newer one replaces it."""
        place = self._points[view.id].location
        if place is None:
            return
        identity = self._identities[view.id]
        template = geometry(
            place.latitude,
            place.longitude,
            geohash_length=place.geohash_length,
            pubkey=identity.pubkey,
        )
        event = await self._published.regular(view.id, identity, template)
        self._couriers.replace(f"{event.kind}:{event.pubkey}", event)

    async def publish_status(self, view: ChargePointView) -> None:
        """Publish how the charge point is: kind 30315, and 30716 and 30402 per connector."""
        now_s = self._clock() // 1000
        price = price_line(view.tariff)
        line = f"{_summary(view)} \N{MIDDLE DOT} {price}"
        status = UserStatus(line, self._page(view), now_s + EXPIRES_AFTER_S)
        templates = [user_status(status)]
        for connector in view.connectors:
            templates.append(connector_status(self._state(view, connector, now_s)))
            templates.append(self._listing(view, connector))
        await self._publish(view.id, templates)

    def _state(self, view: ChargePointView, connector: ConnectorView, now_s: int) -> ConnectorState:
        configured = self._configured(view.id, connector.id)
        return ConnectorState(
            charge_point=view.id,
            connector=connector.id,
            status=published_status(connector),
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

    async def _publish(self, charge_point_id: str, templates: Sequence[EventTemplate]) -> None:
        identity = self._identities[charge_point_id]
        current = self._current.setdefault(charge_point_id, set())
        addresses = [_address(template, identity.pubkey) for template in templates]
        current.update(addresses)
        await self._published.remember(charge_point_id, identity.pubkey, addresses)
        for template, address in zip(templates, addresses, strict=True):
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


def _address(template: EventTemplate, pubkey: str) -> str:
    identifier = next((tag[1] for tag in template.tags if tag[0] == "d"), "")
    return str(Coordinate(template.kind, pubkey, identifier))


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


def published_status(connector: ConnectorView) -> ConnectorStatus:
    """A connector's state in the words of OCPP, as it is for the next driver.

    One that is offline or switched off is not available, and one that somebody has paid for
    and not plugged in yet is no longer.
    """
    if ConnectorStatus.OFFLINE is connector.status or connector.obstacle in _OFFLINE:
        return ConnectorStatus.UNAVAILABLE
    if connector.status is ConnectorStatus.AVAILABLE and connector.obstacle is not None:
        return _NOT_FREE.get(connector.obstacle, ConnectorStatus.UNAVAILABLE)
    return connector.status


def _word(connector: ConnectorView) -> str:
    if connector.obstacle is None:
        return "Plugged in" if connector.status in _PLUGGED_IN else "Available"
    if connector.obstacle in _IN_USE:
        return "In use"
    return "Offline" if connector.obstacle in _OFFLINE else "Out of order"


def _summary(view: ChargePointView) -> str:
    free = sum(connector.obstacle is None for connector in view.connectors)
    if len(view.connectors) == 1:
        return _word(view.connectors[0])
    if free:
        return f"{free} of {len(view.connectors)} available"
    return _word(view.connectors[0])
