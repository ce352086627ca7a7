"""The lines of what charge points publish in relay-fixtures/."""

from __future__ import annotations

from dataclasses import asdict, replace

from nips.event import NostrEvent
from nips.location import geohash_ladder
from nips.profile import Listing, Profile, dm_relays, listing, profile, relay_list
from nips.status import ConnectorState, Price, UserStatus, connector_status, user_status
from tests.nips.fixture_lines import CHARGER, MALLORY, RELAYS, Case, case
from tests.nips.support import NOW_S


def published() -> list[Case]:
    """Kinds 0, 10002, 10050, 30315, 30402 and 30716."""
    ladder = geohash_ladder(52.5, 13.4, 5)
    shown = Profile(name="Old Mill", lud16="cp001@x.org", bot=True)
    state = ConnectorState(
        "CP001",
        1,
        "Available",
        NOW_S,
        NOW_S + 900,
        text="Available",
        connector_type="IEC_62196_T2",
        max_power_w=22_000,
        prices=(Price("energy", "300", "SAT", "kWh"),),
        geohashes=tuple(tag[1] for tag in ladder),
    )
    offline = replace(state, status="Unavailable", text="Offline")
    offer = Listing("CP001:1", "Old Mill", "22 kW", price="300", currency="SAT", frequency="kWh")
    signed = CHARGER.sign_template
    status = signed(connector_status(state), NOW_S)

    def tags(name: str, *instead: tuple[str, ...]) -> NostrEvent:
        kept = [tag for tag in status.tags if tag[0] != name]
        return CHARGER.sign(30716, status.content, [*kept, *instead], NOW_S)

    return [
        case("profile", "NIP-01 kind 0", True, signed(profile(shown, geohash_tags=ladder), NOW_S)),
        case("profile of nothing", "NIP-01 kind 0", False, CHARGER.sign(0, "", [], NOW_S)),
        case("profile as a list", "NIP-01 kind 0", False, CHARGER.sign(0, "[]", [], NOW_S)),
        case("relay list", "NIP-65", True, signed(relay_list(RELAYS), NOW_S)),
        case("message relays", "NIP-17 10050", True, signed(dm_relays(RELAYS), NOW_S)),
        case("status line", "NIP-38", True, signed(user_status(UserStatus("Hi")), NOW_S)),
        case("listing", "NIP-99", True, signed(listing(offer), NOW_S)),
        case("listing without identifier", "NIP-99 d tag", False,
             CHARGER.sign(30402, "", [], NOW_S)),
        case("connector", "kind 30716", True, status, fields=asdict(state)),
        case("connector offline", "kind 30716 status", True,
             signed(connector_status(offline), NOW_S), fields=asdict(offline)),
        case("connector with unknown tags", "kind 30716", True,
             CHARGER.sign(30716, status.content, [*status.tags, ("evse", "DE*1")], NOW_S),
             fields=asdict(state)),
        case("connector forged", "NIP-01 id", False, replace(status, content="free!")),
        case("connector of another author", "NIP-01 signature", False,
             replace(status, pubkey=MALLORY.pubkey)),
        case("connector with two identifiers", "kind 30716 d tag", False,
             CHARGER.sign(30716, "", [*status.tags, ("d", "CP001:2")], NOW_S)),
        case("connector with two states", "kind 30716 status", False,
             CHARGER.sign(30716, "", [*status.tags, ("status", "Charging")], NOW_S)),
        case("connector with a price with a comma", "kind 30716 price", False,
             tags("price", ("price", "energy", "0,45", "EUR", "kWh"))),
        case("connector with a price without unit", "kind 30716 price", False,
             tags("price", ("price", "energy", "0.45", "EUR"))),
        case("connector with a power in words", "kind 30716 power", False,
             tags("power", ("power", "11 kW"))),
        case("connector with a place that is none", "kind 30716 g", False,
             tags("g", ("g", "Berlin"))),
        case("relay list with markers", "NIP-65", True,
             CHARGER.sign(10002, "", [["r", RELAYS[0], "read"], ["r", RELAYS[0], "write"]], NOW_S)),
        case("connector without expiration", "kind 30716 expiration", False, tags("expiration")),
        case("connector without updated_at", "kind 30716 updated_at", False, tags("updated_at")),
        case("connector with a word of its own", "kind 30716 status", False,
             tags("status", ("status", "Sleeping"))),
        case("connector without number", "kind 30716 d tag", False, tags("d", ("d", "CP001"))),
    ]  # fmt: skip


def expirations() -> list[Case]:
    """NIP-40: valid is what still holds at `now`."""
    held = CHARGER.sign_template(user_status(UserStatus("Hi", expires_at=NOW_S + 300)), NOW_S)
    for_ever = CHARGER.sign_template(user_status(UserStatus("Hi")), NOW_S)
    rule = "NIP-40"
    return [
        case("before", rule, True, held, now=NOW_S + 299),
        case("without expiration", rule, True, for_ever, now=NOW_S + 10**9),
        case("at the moment", rule, False, held, now=NOW_S + 300),
        case("long after", rule, False, held, now=NOW_S + 10**6),
    ]
