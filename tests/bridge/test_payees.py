"""Strom as a paying wallet, against a stranger's LNURL server."""

from __future__ import annotations

import hashlib
import json
import secrets
from dataclasses import dataclass, field
from typing import Any

import pytest
from lnurl.helpers import url_encode
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from agent.ports.errors import Refused
from bridge.payees import LnurlPayees
from tests.bridge.far_server import far_server
from wallet.bolt11 import decode, sign

METADATA = json.dumps([["text/plain", "Zoë's wallet"]])
PAYEES = LnurlPayees(allow_loopback=True, timeout_s=5)


def invoice(amount_msat: int, description: str | bytes) -> str:
    return sign(
        b"\x01" * 32,
        network="regtest",
        payment_hash=secrets.token_hex(32),
        payment_secret=secrets.token_bytes(32),
        amount_msat=amount_msat,
        description=description,
        timestamp_s=1_800_000_000,
        expiry_s=600,
    )


@dataclass
class FarWallet:
    """A wallet's LNURL service whose answers the test may change."""

    offer: dict[str, Any] = field(default_factory=dict[str, Any])
    invoice_msat: int = 0
    description: str | bytes = hashlib.sha256(METADATA.encode()).digest()
    answer: dict[str, Any] | None = None
    asked: list[dict[str, str]] = field(default_factory=list[dict[str, str]])

    async def __call__(self, request: Request) -> Response:
        if request.url.path.endswith("/callback"):
            self.asked.append(dict(request.query_params))
            amount_msat = self.invoice_msat or int(request.query_params["amount"])
            made: dict[str, Any] = {"pr": invoice(amount_msat, self.description), "routes": []}
            return _json(self.answer if self.answer is not None else made)
        offer = {
            "tag": "payRequest",
            "callback": f"{request.base_url}callback?id=7",
            "minSendable": 1000,
            "maxSendable": 1_000_000,
            "metadata": METADATA,
            "commentAllowed": 12,
            "federationId": "unknown to us",
        }
        return _json(offer | self.offer)


def _json(value: dict[str, Any]) -> Response:
    """Also what no text can be: half a character is written as an escape."""
    return Response(json.dumps(value), media_type="application/json")


@pytest.mark.parametrize("kind", ["address", "lnurl", "LNURL", "lightning:", "lnurlp", "url"])
async def test_every_way_to_name_a_wallet(kind: str) -> None:
    wallet = FarWallet()
    async with far_server(wallet) as url:
        authority = url.partition("://")[2]
        target = {
            "address": f" Zoe@{authority} ",
            "lnurl": url_encode(f"{url}/p").lower(),
            "LNURL": url_encode(f"{url}/p"),
            "lightning:": f"lightning:{url_encode(f'{url}/p')}",
            "lnurlp": f"lnurlp://{authority}/p",
            "url": f"{url}/p",
        }[kind]
        made = decode(await PAYEES.invoice(target, 700_000, "Refund of charging"))
    assert made.amount_msat == 700_000
    assert wallet.asked == [{"id": "7", "amount": "700000", "comment": "Refund of ch"}]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"offer": {"status": "ERROR", "reason": "no such user"}}, "no such user"),
        ({"offer": {"tag": "withdrawRequest"}}, "not an LNURL for paying"),
        ({"offer": {"minSendable": 800_000}}, "takes 800 to 1000 sat, not 700"),
        ({"offer": {"maxSendable": "many"}}, "does not say"),
        ({"offer": {"metadata": None}}, "not complete"),
        ({"offer": {"callback": "https://10.0.0.1/x"}}, "not a public server"),
        ({"offer": {"callback": "http://example.com/x"}}, "https"),
        ({"invoice_msat": 600_000}, "another amount"),
        ({"answer": {"status": "ERROR", "reason": "wallet is full"}}, "wallet is full"),
        ({"answer": {}}, "made no invoice"),
        ({"answer": {"pr": "lnbc1nonsense"}}, "cannot be used"),
    ],
)
async def test_what_is_not_right_is_refused(changes: dict[str, Any], reason: str) -> None:
    async with far_server(FarWallet(**changes)) as url:
        with pytest.raises(Refused, match=reason):
            await PAYEES.invoice(f"{url}/p", 700_000, "")


@pytest.mark.parametrize(("least", "most"), [(1e3, 1e9), (999.5, 700_000.0)])
async def test_numbers_with_a_point(least: float, most: float) -> None:
    """JSON knows one kind of number."""
    offer = {"minSendable": least, "maxSendable": most, "commentAllowed": 12.0}
    async with far_server(FarWallet(offer)) as url:
        made = await PAYEES.invoice(f"{url}/p", 700_000, "")
        assert decode(made).amount_msat == 700_000
        with pytest.raises(Refused, match="takes 1 to"):
            await PAYEES.invoice(f"{url}/p", 500, "")


@pytest.mark.parametrize("description", ["Refund", b"\x07" * 32])
async def test_an_invoice_that_does_not_commit_to_the_metadata(description: str | bytes) -> None:
    """primal.net's commit to something else (PrimalHQ/primal-web-app#198), others to nothing."""
    async with far_server(FarWallet(description=description)) as url:
        made = await PAYEES.invoice(f"{url}/p", 700_000, "")
    assert decode(made).amount_msat == 700_000


async def test_metadata_with_a_picture() -> None:
    """LUD-06 allows a picture of 136,536 characters there."""
    metadata = json.dumps([["text/plain", "Zoë"], ["image/png;base64", "A" * 136_536]])
    wallet = FarWallet(
        {"metadata": metadata}, description=hashlib.sha256(metadata.encode()).digest()
    )
    async with far_server(wallet) as url:
        made = await PAYEES.invoice(f"{url}/p", 700_000, "")
    assert decode(made).amount_msat == 700_000


NASTY: list[Any] = [
    "http://[::1",
    "https://[/x",
    "https://ex ample.com/",
    "https://example.com:99999/",
    "https://" + "a" * 300 + ".example/",
    "https://" + ".".join(["a" * 70] * 3) + "/",
    "https://\ud800.example/",
    "https://xn--a.example/",
    "https://example.com/\ud800",
    "\x00",
    "\ud800",
    "",
    "lnbc1\ud800",
    "lnbcrt1" + "q" * 5000,
    "\u202egnihton\x1b[2J",
    None,
    True,
    -1,
    1e400,
    [],
    {"a": "\ud800"},
]


@pytest.mark.parametrize("where", ["callback", "metadata", "minSendable", "commentAllowed", "tag"])
async def test_a_hostile_offer_is_refused_in_words(where: str) -> None:
    """Whatever a stranger's server says ends in an invoice or a sentence: a refund goes there
    by itself, so anything else would end Strom, and again at each start."""
    wallet = FarWallet()
    async with far_server(wallet) as url:
        for value in NASTY:
            wallet.offer = {where: value}
            await _ends_well(url)


@pytest.mark.parametrize("name", ["pr", "status", "reason"])
async def test_a_hostile_answer_is_refused_in_words(name: str) -> None:
    wallet = FarWallet()
    async with far_server(wallet) as url:
        for value in NASTY:
            wallet.answer = {"status": "ERROR", "pr": "lnbc1", name: value}
            await _ends_well(url)


async def test_an_address_may_lead_to_another_server() -> None:
    """Many a domain sends everybody to its www, or its lightning address to a provider."""
    wallet = FarWallet()
    async with far_server(wallet) as provider:

        async def onward(request: Request) -> Response:
            there = provider.replace("127.0.0.1", "localhost")
            return RedirectResponse(f"{there}{request.url.path}", 301)

        async with far_server(onward) as url:
            made = await PAYEES.invoice(f"zoe@{url.partition('://')[2]}", 700_000, "")
    assert decode(made).amount_msat == 700_000


async def test_a_hostile_redirect_is_refused_in_words() -> None:
    place = b""

    async def redirect(request: Request) -> Response:
        del request
        answer = Response(status_code=302)
        answer.raw_headers.append((b"location", place))
        return answer

    async with far_server(redirect) as url:
        for value in NASTY:
            if isinstance(value, str) and value.isprintable():
                place = value.encode()
                await _ends_well(url)


async def _ends_well(url: str) -> None:
    said = ""
    try:
        made = await PAYEES.invoice(f"{url}/p", 700_000, "Refund of charging")
    except Refused as refused:
        said = str(refused)
    else:
        assert decode(made).amount_msat == 700_000
    assert said.isprintable()


ZAPPER = "ab" * 32


async def test_who_signs_the_zaps_of_an_address() -> None:
    async with far_server(FarWallet({"allowsNostr": True, "nostrPubkey": ZAPPER})) as url:
        assert await PAYEES.zapper(f"mill@{url.partition('://')[2]}") == ZAPPER
    with pytest.raises(Refused, match="does not say who signs"):
        await PAYEES.zapper("mill@127.0.0.1:9")


@pytest.mark.parametrize(
    ("offer", "reason"),
    [
        ({}, "takes no zaps"),
        ({"allowsNostr": True}, "names no key"),
        ({"allowsNostr": "yes", "nostrPubkey": ZAPPER}, "takes no zaps"),
        ({"allowsNostr": True, "nostrPubkey": ZAPPER.upper()}, "names no key"),
        ({"allowsNostr": True, "nostrPubkey": 7}, "names no key"),
        ({"tag": "withdrawRequest", "allowsNostr": True, "nostrPubkey": ZAPPER}, "takes no zaps"),
        ({"status": "ERROR", "reason": "no such user"}, "no such user"),
    ],
)
async def test_a_provider_that_signs_no_zaps(offer: dict[str, Any], reason: str) -> None:
    async with far_server(FarWallet(offer)) as url:
        with pytest.raises(Refused, match=reason):
            await PAYEES.zapper(f"mill@{url.partition('://')[2]}")


async def test_what_names_no_wallet() -> None:
    with pytest.raises(Refused, match="expected a lightning address") as refused:
        await PAYEES.invoice("hello", 700_000, "")
    assert refused.value.word == "no_target"
