"""The lines of zaps in relay-fixtures/ (NIP-57)."""

from __future__ import annotations

import json
from dataclasses import replace

from nips.event import NostrEvent
from nips.identity import Identity
from nips.private_zaps import private_zap_request
from nips.zaps import zap_receipt, zap_request
from tests.nips.fixture_lines import (
    CHARGER,
    DRIVER,
    MALLORY,
    PROVIDER,
    RELAYS,
    STATUS,
    THROWAWAY,
    Case,
    case,
)
from tests.nips.invoices import NODE_PUBKEY, PREIMAGE, make_invoice
from tests.nips.support import NOW_S


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
