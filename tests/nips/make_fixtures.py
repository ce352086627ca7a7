"""Writes relay-fixtures/*.jsonl: `python -m tests.nips.make_fixtures`.

Keys and times are fixed, but signatures and encryption are random: each case is recorded once
and kept. Run this again when cases are added; to record one anew, remove its line first.
"""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path

from nostr_sdk import Nip44Version, PublicKey, nip44_encrypt

from nips.dms import write_message
from nips.event import Coordinate, NostrEvent
from nips.identity import Identity, encode_naddr, encode_nprofile
from nips.location import geohash_ladder
from nips.private_zaps import private_zap_request
from nips.profile import Listing, Profile, dm_relays, listing, profile, relay_list
from nips.status import ConnectorState, Price, UserStatus, connector_status, user_status
from nips.zaps import zap_receipt, zap_request
from tests.nips.invoices import NODE_PUBKEY, PREIMAGE, make_invoice
from tests.nips.support import NOW_S, key_of

FOLDER = Path(__file__).parents[2] / "relay-fixtures"

CHARGER = key_of("charger")
DRIVER = key_of("driver")
MALLORY = key_of("mallory")
PROVIDER = key_of("provider")
THROWAWAY = key_of("throwaway")
STATUS = Coordinate(30716, CHARGER.pubkey, "CP001:1")
RELAYS = ["wss://relay.example.com"]

Case = dict[str, object]


def case(name: str, rule: str, valid: bool, event: NostrEvent | str, **more: object) -> Case:
    """One line: `event` is the raw text as it came over the wire."""
    text = event if isinstance(event, str) else event.to_json()
    verdict = "valid" if valid else "invalid"
    return {"name": name, "rule": rule, "verdict": verdict, "event": text, **more}


def events() -> list[Case]:
    """NIP-01."""
    good = DRIVER.sign(1, 'Grüße ⚡\n\t"\\\u2028\x01', [["p", CHARGER.pubkey], ["x"]], NOW_S)
    raw = good.to_json()
    rule = "NIP-01 event"
    return [
        case("plain", rule, True, good),
        case("unknown fields", rule, True, raw[:-1] + ',"seen_on":["wss://x.org"]}'),
        case("pretty printed", rule, True, json.dumps(json.loads(raw), indent=2)),
        case("escaped", rule, True, json.dumps(json.loads(raw), ensure_ascii=True)),
        case("content changed", "NIP-01 id", False, replace(good, content="other")),
        case("time changed", "NIP-01 id", False, replace(good, created_at=NOW_S + 1)),
        case("tag added", "NIP-01 id", False, replace(good, tags=(*good.tags, ("e", "x")))),
        case("id of zeros", "NIP-01 id", False, replace(good, id="0" * 64)),
        case(
            "id of another event",
            "NIP-01 id",
            False,
            replace(good, id=DRIVER.sign(1, "other", [], NOW_S).id),
        ),
        case("author changed", "NIP-01 signature", False, replace(good, pubkey=MALLORY.pubkey)),
        case("signature of zeros", "NIP-01 signature", False, replace(good, sig="0" * 128)),
        case(
            "signature of another event",
            "NIP-01 signature",
            False,
            replace(good, sig=DRIVER.sign(1, "other", [], NOW_S).sig),
        ),
        case("kind twice", rule, False, raw.replace('"kind":1', '"kind":1,"kind":1')),
        case("kind as text", rule, False, raw.replace('"kind":1', '"kind":"1"')),
        case("kind too large", rule, False, raw.replace('"kind":1', '"kind":65536')),
        case("kind below zero", rule, False, raw.replace('"kind":1', '"kind":-1')),
        case("time as a fraction", rule, False, raw.replace(f":{NOW_S},", f":{NOW_S}.5,")),
        case(
            "without content",
            rule,
            False,
            json.dumps({key: value for key, value in json.loads(raw).items() if key != "content"}),
        ),
        case("a list", rule, False, f"[{raw}]"),
        case("empty tag", rule, False, raw.replace('["x"]', "[]")),
        case("number in a tag", rule, False, raw.replace('["x"]', '["x",1]')),
        case("cut off", rule, False, raw[:-2]),
        case("nested 10,000 deep", rule, False, "[" * 10_000 + "]" * 10_000),
        case("nothing", rule, False, ""),
    ]


def zap_requests() -> list[Case]:
    """NIP-57, appendix D; `amount_msat` is the callback's query parameter."""

    def request(**changes: object) -> NostrEvent:
        arguments: dict[str, object] = {
            "recipient_pubkey": CHARGER.pubkey,
            "amount_msat": 21_000,
            "relays": RELAYS,
            "comment": "connector 2",
            "created_at": NOW_S,
        }
        return zap_request(DRIVER, **(arguments | changes))  # pyright: ignore[reportArgumentType]

    base = request()

    def tags(name: str, *instead: list[str]) -> NostrEvent:
        kept = [tag for tag in base.tags if tag[0] != name]
        return DRIVER.sign(9734, "", [*kept, *instead], NOW_S)

    def zap(name: str, rule: str, valid: bool, event: NostrEvent | str, **more: object) -> Case:
        return case(name, rule, valid, event, **({"amount_msat": 21_000} | more))

    d = "NIP-57 D."
    private = private_zap_request(
        DRIVER,
        recipient_pubkey=CHARGER.pubkey,
        amount_msat=21_000,
        relays=RELAYS,
        comment="for your eyes only",
        created_at=NOW_S,
    )
    anonymous = zap_request(
        THROWAWAY,
        recipient_pubkey=CHARGER.pubkey,
        amount_msat=21_000,
        relays=RELAYS,
        comment="",
        created_at=NOW_S,
        anonymous=True,
    )
    return [
        zap("profile", d, True, base, sender=DRIVER.pubkey),
        zap("status", d, True, request(coordinate=STATUS, event="ab" * 32), sender=DRIVER.pubkey),
        zap("anonymous", "NIP-57 anon tag", True, anonymous, sender=None),
        zap("private", "NIP-57 anon tag", True, private, sender=None),
        zap("no amount", d + "6", True, tags("amount"), sender=DRIVER.pubkey),
        zap("no relays", d + "5", True, tags("relays"), sender=DRIVER.pubkey),
        zap("forged", d + "1", False, replace(base, content="connector 1")),
        zap("wrong kind", d + "1", False, DRIVER.sign(1, "", base.tags, NOW_S)),
        zap("no tags", d + "2", False, DRIVER.sign(9734, "", [], NOW_S)),
        zap("no recipient", d + "3", False, tags("p")),
        zap(
            "two recipients",
            d + "3",
            False,
            tags("p", ["p", CHARGER.pubkey], ["p", DRIVER.pubkey]),
        ),
        zap("another recipient", d + "3", False, tags("p", ["p", MALLORY.pubkey])),
        zap("recipient that is no key", d + "3", False, tags("p", ["p", "charger"])),
        zap("signature of another", d + "1", False, replace(base, pubkey=MALLORY.pubkey)),
        zap("id of zeros", d + "1", False, replace(base, id="0" * 64)),
        zap(
            "receipt instead of a request", d + "1", False, DRIVER.sign(9735, "", base.tags, NOW_S)
        ),
        zap("amount below zero", d + "6", False, tags("amount", ["amount", "-21000"])),
        zap("nested 10,000 deep", d + "1", False, "[" * 10_000 + "]" * 10_000),
        zap("two events", d + "4", False, tags("e", ["e", "ab" * 32], ["e", "cd" * 32])),
        zap("another amount", d + "6", False, base, amount_msat=22_000),
        zap("amount with a comma", d + "6", False, tags("amount", ["amount", "21,000"])),
        zap("broken address", d + "7", False, tags("a", ["a", "30716:xyz"])),
        zap(
            "address of another",
            d + "7",
            False,
            tags("a", ["a", f"30716:{MALLORY.pubkey}:CP001:1"]),
        ),
        zap("another issuer", d + "8", False, tags("P", ["P", MALLORY.pubkey])),
        zap("two issuers", d + "8", False, tags("P", ["P", CHARGER.pubkey], ["P", CHARGER.pubkey])),
    ]


def zap_receipts() -> list[Case]:
    """NIP-57, appendix E and F: receipts of a third party's LNURL server."""
    raw = zap_request(
        DRIVER,
        recipient_pubkey=CHARGER.pubkey,
        amount_msat=21_000,
        relays=RELAYS,
        comment="",
        created_at=NOW_S,
    ).to_json()
    victim = zap_request(
        MALLORY,
        recipient_pubkey=MALLORY.pubkey,
        amount_msat=21_000,
        relays=RELAYS,
        comment="",
        created_at=NOW_S,
    ).to_json()

    def receipt(request: str = raw, issuer: Identity = PROVIDER, **invoice: object) -> NostrEvent:
        arguments: dict[str, object] = {
            "amount_msat": 21_000,
            "description": request,
            "date": NOW_S,
        }
        bolt11 = make_invoice(**(arguments | invoice))  # pyright: ignore[reportArgumentType]
        return zap_receipt(issuer, request, bolt11, NOW_S + 5, PREIMAGE)

    good = receipt()

    def tags(name: str, *instead: tuple[str, ...]) -> NostrEvent:
        kept = [tag for tag in good.tags if tag[0] != name]
        return PROVIDER.sign(9735, "", [*kept, *instead], good.created_at)

    asked: list[list[str]] = json.loads(raw)["tags"]

    def holding(request: str) -> NostrEvent:
        """A receipt whose request no honest provider would take."""
        bolt11 = make_invoice(amount_msat=21_000, description=request, date=NOW_S)
        instead = {"description": request, "bolt11": bolt11}
        changed = [(tag[0], instead.get(tag[0], tag[1])) for tag in good.tags]
        return PROVIDER.sign(9735, "", changed, good.created_at)

    relabelled = [("p", CHARGER.pubkey) if tag[0] == "p" else tag for tag in receipt(victim).tags]
    f = "NIP-57 F"
    cases = [
        case("sound", f, True, good),
        case("without preimage", f, True, tags("preimage")),
        case("another issuer", f, False, receipt(issuer=MALLORY)),
        case("forged", f, False, replace(good, content="x")),
        case("signature of another", f, False,
             replace(receipt(issuer=MALLORY), pubkey=PROVIDER.pubkey)),
        case("another kind", f, False, PROVIDER.sign(1, "", good.tags, good.created_at)),
        case("request forged", "NIP-57 D.1", False,
             holding(raw.replace('["amount","21000"]', '["amount","1000"]'))),
        case("request signed by another", "NIP-57 D.1", False,
             holding(raw.replace(DRIVER.pubkey, MALLORY.pubkey))),
        case("request of another kind", "NIP-57 D.1", False,
             holding(DRIVER.sign(1, "", asked, NOW_S).to_json())),
        case("request for two recipients", "NIP-57 D.3", False,
             holding(DRIVER.sign(9734, "", [*asked, ["p", MALLORY.pubkey]], NOW_S).to_json())),
        case("request that is a bomb", "NIP-57 D.1", False, holding("[" * 10_000)),
        case("shared provider: own payment, our p tag", "facts: shared providers", False,
             PROVIDER.sign(9735, "", relabelled, NOW_S + 5)),
        case("another recipient", f, False, tags("p", ("p", MALLORY.pubkey))),
        case("two recipients", f, False, tags("p", ("p", CHARGER.pubkey), ("p", MALLORY.pubkey))),
        case("another payer", f, False, tags("P", ("P", MALLORY.pubkey))),
        case("an event the request does not name", f, False, tags("e", ("e", "ab" * 32))),
        case("an address the request does not name", f, False, tags("a", ("a", str(STATUS)))),
        case("no invoice", f, False, tags("bolt11")),
        case("broken invoice", f, False, tags("bolt11", ("bolt11", "lnbcrt210n1x"))),
        case("no request", f, False, tags("description")),
        case("request changed", f, False, tags("description", ("description", raw + " "))),
        case("invoice over less", f, False, receipt(amount_msat=1_000)),
        case("invoice of another network", f, False, receipt(network="bc")),
        case("invoice of another node", f, False, receipt(node="another")),
        case("invoice for another request", f, False, receipt(description="another")),
        case("invoice without description hash", f, False, receipt(description=None)),
        case("paid after expiry", f, False, receipt(date=NOW_S - 3600)),
        case("preimage of another payment", f, False, tags("preimage", ("preimage", "00" * 32))),
    ]  # fmt: skip
    facts = {
        "recipient": CHARGER.pubkey,
        "issuer": PROVIDER.pubkey,
        "network": "bcrt",
        "payee": NODE_PUBKEY,
    }
    return [line | facts for line in cases]


def messages() -> list[Case]:
    """NIP-04, NIP-17, NIP-44, NIP-59: to the identity whose key is `nsec`."""

    def encrypted(sender: Identity, text: str) -> str:
        return nip44_encrypt(
            sender.keys.secret_key(), PublicKey.parse(CHARGER.pubkey), text, Nip44Version.V2
        )

    def wrapped(inside: str) -> NostrEvent:
        content = encrypted(THROWAWAY, inside)
        return THROWAWAY.sign(1059, content, [["p", CHARGER.pubkey]], NOW_S)

    def sealed(sealer: Identity = DRIVER, **changes: object) -> str:
        rumor: dict[str, object] = {
            "pubkey": DRIVER.pubkey,
            "created_at": NOW_S,
            "kind": 14,
            "tags": [["p", CHARGER.pubkey]],
            "content": "stop",
        }
        return sealer.sign(13, encrypted(sealer, json.dumps(rumor | changes)), [], NOW_S).to_json()

    def read(protocol: str, text: str = "stop") -> dict[str, str]:
        return {"sender": DRIVER.pubkey, "text": text, "protocol": protocol}

    nip04 = write_message(DRIVER, CHARGER.pubkey, "stop", "nip04", NOW_S)
    marked = write_message(DRIVER, CHARGER.pubkey, "stop\n\n[//]: # (nip18)", "nip04", NOW_S)
    nested = wrapped(wrapped(sealed()).to_json())
    cases = [
        case("nip04", "NIP-04", True, nip04, **read("nip04")),
        case("nip04 with a mark", "NIP-18 mark", True, marked, **read("nip04")),
        case("nip17", "NIP-17", True, wrapped(sealed()), **read("nip17")),
        case("spoofed rumor author", "NIP-17 author", False, wrapped(sealed(MALLORY))),
        case("rumor of another kind", "NIP-17 kind 14", False, wrapped(sealed(kind=1))),
        case("rumor with a wrong id", "NIP-01 id", False, wrapped(sealed(id="0" * 64))),
        case("rumor for another", "NIP-17 p tag", False,
             wrapped(sealed(tags=[["p", MALLORY.pubkey]]))),
        case("forged seal", "NIP-59 seal", False,
             wrapped(sealed().replace('"kind":13', '"kind":14'))),
        case("wrap in a wrap", "NIP-59 nesting", False, nested),
        case("nesting inside", "NIP-59 nesting", False, wrapped("[" * 30_000)),
        case("spoofed seal author", "NIP-59 seal", False,
             wrapped(sealed(MALLORY, pubkey=DRIVER.pubkey).replace(MALLORY.pubkey, DRIVER.pubkey))),
        case("rumor of an author that is no key", "NIP-17 author", False,
             wrapped(sealed(pubkey="x"))),
        case("rumor without a time", "NIP-01 event", False, wrapped(sealed(created_at=None))),
        case("rumor with a time as text", "NIP-01 event", False,
             wrapped(sealed(created_at=str(NOW_S)))),
        case("rumor with broken tags", "NIP-01 event", False, wrapped(sealed(tags=[["p", 1]]))),
        case("seal in plain words", "NIP-44", False,
             wrapped(DRIVER.sign(13, "stop", [], NOW_S).to_json())),
        case("rumor in the wrap without a seal", "NIP-59 seal", False,
             wrapped(DRIVER.sign(14, "stop", [["p", CHARGER.pubkey]], NOW_S).to_json())),
        case("objects nested inside", "NIP-59 nesting", False, wrapped('{"a":' * 4_000)),
        case("nesting inside the seal", "NIP-59 nesting", False,
             wrapped(DRIVER.sign(13, encrypted(DRIVER, "[" * 20_000), [], NOW_S).to_json())),
        case("wrap in plain words", "NIP-44", False,
             THROWAWAY.sign(1059, "stop", [["p", CHARGER.pubkey]], NOW_S)),
        case("wrap for another", "NIP-59 p tag", False,
             write_message(DRIVER, MALLORY.pubkey, "stop", "nip17", NOW_S)),
        case("wrap without a recipient", "NIP-59 p tag", False,
             THROWAWAY.sign(1059, encrypted(THROWAWAY, sealed()), [], NOW_S)),
        case("wrap forged", "NIP-01 signature", False, replace(wrapped(sealed()), sig="0" * 128)),
        case("words too long", "facts: large messages", False,
             wrapped(sealed(content="x" * 10_001))),
        case("nip04 forged", "NIP-01 signature", False, replace(nip04, pubkey=MALLORY.pubkey)),
        case("nip04 too long", "facts: large messages", False,
             write_message(DRIVER, CHARGER.pubkey, "x" * 45_000, "nip04", NOW_S)),
        case("another kind", "NIP-17", False,
             DRIVER.sign(1, "stop", [["p", CHARGER.pubkey]], NOW_S)),
        case("nip04 in plain words", "NIP-04", False,
             DRIVER.sign(4, "stop", [["p", CHARGER.pubkey]], NOW_S)),
        case("nip04 for another", "NIP-04", False,
             write_message(DRIVER, MALLORY.pubkey, "stop", "nip04", NOW_S)),
    ]  # fmt: skip
    return [line | {"nsec": CHARGER.nsec} for line in cases]


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


def entities() -> list[Case]:
    """NIP-19: `event` is a code, `hex` what it stands for."""
    npub, nsec = CHARGER.npub, CHARGER.nsec
    profile_code = encode_nprofile(CHARGER.pubkey, RELAYS)
    address_code = encode_naddr(STATUS, RELAYS)
    return [
        case("npub", "NIP-19 npub", True, npub, hex=CHARGER.pubkey),
        case("nprofile", "NIP-19 nprofile", True, profile_code, hex=CHARGER.pubkey),
        case("naddr", "NIP-19 naddr", True, address_code, hex=CHARGER.pubkey),
        case("checksum", "NIP-19 bech32", False, npub[:-1] + ("q" if npub[-1] != "q" else "p")),
        case("cut off", "NIP-19 bech32", False, profile_code[:-8]),
        case("mixed case", "NIP-19 bech32", False, npub[:20] + npub[20:].upper()),
        case("a secret key", "NIP-19 npub", False, nsec),
        case("nothing", "NIP-19 bech32", False, ""),
    ]


FILES = {
    "entities": entities,
    "expirations": expirations,
    "events": events,
    "zap-requests": zap_requests,
    "zap-receipts": zap_receipts,
    "messages": messages,
    "published": published,
}


def main() -> None:
    """Write all files; what is recorded under a name stays."""
    FOLDER.mkdir(exist_ok=True)
    for name, make in FILES.items():
        file = FOLDER / f"{name}.jsonl"
        text = file.read_text(encoding="utf-8").rstrip("\n") if file.exists() else ""
        recorded = {json.loads(line)["name"]: line for line in text.split("\n") if line}
        lines = [
            recorded.get(str(line["name"]), json.dumps(line, ensure_ascii=False)) for line in make()
        ]
        file.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
