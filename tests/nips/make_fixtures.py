"""Writes relay-fixtures/*.jsonl: `python -m tests.nips.make_fixtures`.

Keys and times are fixed, but signatures and encryption are random: each case is recorded once
and kept. Run this again when cases are added; to record one anew, remove its line first.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from nostr_sdk import Nip44Version, PublicKey, nip44_encrypt

from nips.dms import write_message
from nips.event import NostrEvent
from nips.identity import Identity, encode_naddr, encode_nprofile
from tests.nips.fixture_announcements import expirations, published
from tests.nips.fixture_lines import CHARGER, DRIVER, MALLORY, RELAYS, STATUS, THROWAWAY, Case, case
from tests.nips.fixture_zaps import zap_receipts, zap_requests
from tests.nips.support import NOW_S

FOLDER = Path(__file__).parents[2] / "relay-fixtures"


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
