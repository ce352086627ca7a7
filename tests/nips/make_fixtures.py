"""Writes relay-fixtures/*.jsonl: `python -m tests.nips.make_fixtures`.

Keys and times are fixed, but signatures and encryption are random: the files are recorded
once and kept; run this again when cases are added, and look at what changed.
"""

from __future__ import annotations

import base64
import json
from dataclasses import asdict, replace
from pathlib import Path

from nostr_sdk import Nip44Version, PublicKey, nip44_encrypt

from nips.dms import write_message
from nips.event import Coordinate, NostrEvent
from nips.http_auth import authorization
from nips.identity import Identity
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

    relabelled = [("p", CHARGER.pubkey) if tag[0] == "p" else tag for tag in receipt(victim).tags]
    f = "NIP-57 F"
    cases = [
        case("sound", f, True, good),
        case("without preimage", f, True, tags("preimage")),
        case("another issuer", f, False, receipt(issuer=MALLORY)),
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
        case("connector without expiration", "kind 30716 expiration", False, tags("expiration")),
        case("connector without updated_at", "kind 30716 updated_at", False, tags("updated_at")),
        case("connector with a word of its own", "kind 30716 status", False,
             tags("status", ("status", "Sleeping"))),
        case("connector without number", "kind 30716 d tag", False, tags("d", ("d", "CP001"))),
    ]  # fmt: skip


def http_auth() -> list[Case]:
    """NIP-98: `event` is what the header holds; checked at `now`."""
    url = "https://charge.example.com/admin"

    def made(url: str = url, method: str = "GET", at: int = NOW_S) -> str:
        header = authorization(DRIVER, url, method, at)
        return base64.b64decode(header.split()[1]).decode()

    cases = [
        case("sound", "NIP-98", True, made()),
        case("another URL", "NIP-98 u", False, made(url + "/x")),
        case("another method", "NIP-98 method", False, made(method="POST")),
        case("too old", "NIP-98 created_at", False, made(at=NOW_S - 61)),
        case("wrong kind", "NIP-98 kind", False, DRIVER.sign(1, "", [["u", url]], NOW_S)),
    ]
    return [line | {"url": url, "method": "GET", "now": NOW_S} for line in cases]


FILES = {
    "events": events,
    "zap-requests": zap_requests,
    "zap-receipts": zap_receipts,
    "messages": messages,
    "published": published,
    "http-auth": http_auth,
}


def main() -> None:
    """Write all files."""
    FOLDER.mkdir(exist_ok=True)
    for name, make in FILES.items():
        lines = [json.dumps(line, ensure_ascii=False) for line in make()]
        (FOLDER / f"{name}.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
