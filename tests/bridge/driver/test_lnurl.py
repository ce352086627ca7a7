"""LNURL from the payer's side, against servers that behave and servers that do not."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncGenerator
from pathlib import Path

import httpx
import pytest
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from bridge.driver.errors import DriverError
from bridge.driver.lnurl import (
    PayOffer,
    WithdrawOffer,
    client,
    facts_of,
    invoice,
    pay_offer,
    read,
    url_of,
    withdraw,
    withdraw_offer,
)
from nips import bech32
from nips.identity import Identity
from nips.zaps import zap_request
from tests.bridge.driver.canned import Canned, canned
from tests.bridge.far_server import far_server
from tests.far_names import Certified
from wallet.dev import DevWallet

METADATA = '[["text/identifier", "x"], ["text/plain", "Charging at Old Mill"]]'


@pytest.fixture
async def web() -> AsyncGenerator[Canned]:
    async with canned() as web:
        yield web


@pytest.fixture
async def http() -> AsyncGenerator[httpx.AsyncClient]:
    async with client() as http:
        yield http


@pytest.fixture
async def wallet(tmp_path: Path) -> AsyncGenerator[DevWallet]:
    wallet = DevWallet(tmp_path, lambda: 1_800_000_000_000)
    await wallet.open()
    yield wallet
    await wallet.close()


def pay_request(web: Canned, **changed: object) -> dict[str, object]:
    return {
        "tag": "payRequest",
        "callback": f"{web.url}/callback?kept=1",
        "minSendable": 100_000,
        "maxSendable": 200_000_000,
        "metadata": METADATA,
        "commentAllowed": 20,
    } | changed


async def bolt11(wallet: DevWallet, amount_msat: int, committed: str) -> str:
    made = await wallet.create_invoice(
        amount_msat, memo="", description=committed.encode(), expiry_s=600
    )
    return made.bolt11


def test_a_target_is_reached_safely() -> None:
    assert url_of("lnurlw://127.0.0.1:8080/x?s=1") == "http://127.0.0.1:8080/x?s=1"
    assert url_of("cp001@example.com") == "https://example.com/.well-known/lnurlp/cp001"


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        ("npub1xyz", "expected a lightning address"),
        ("http://example.com/lnurl", "expected an https address"),
        (bech32.encode("lnurl", b"http://example.com/a"), "expected an https address"),
        (bech32.encode("lnurl", b"https://["), "holds no web address"),
    ],
)
def test_what_is_no_target(target: str, reason: str) -> None:
    with pytest.raises(DriverError, match=reason):
        url_of(target)


async def test_paying(web: Canned, http: httpx.AsyncClient, wallet: DevWallet) -> None:
    web.answers["/.well-known/lnurlp/cp001"] = pay_request(web)
    web.answers["/callback"] = {
        "pr": await bolt11(wallet, 1_000_000, METADATA),
        "successAction": {"tag": "url", "url": f"{web.url}/s/x", "description": "d"},
    }
    offer = await pay_offer(http, f"cp001@{web.host}")
    assert (offer.text, offer.min_msat, offer.zapper) == ("Charging at Old Mill", 100_000, None)
    asked = await invoice(http, offer, 1_000_000, comment="Moin")
    assert asked.facts.amount_msat == 1_000_000
    assert asked.url == f"{web.url}/s/x"
    assert web.asked[-1] == (
        "/callback",
        {"kept": ["1"], "amount": ["1000000"], "comment": ["Moin"]},
    )


async def test_zapping_commits_the_invoice_to_the_request(
    web: Canned, http: httpx.AsyncClient, wallet: DevWallet
) -> None:
    zapper = Identity.generate()
    web.answers["/lnurl"] = pay_request(web, allowsNostr=True, nostrPubkey=zapper.pubkey)
    request = zap_request(
        Identity.generate(),
        recipient_pubkey=zapper.pubkey,
        amount_msat=1_000_000,
        relays=["wss://relay.example.com"],
        comment="Moin",
        created_at=1_800_000_000,
    )
    offer = await pay_offer(http, f"{web.url}/lnurl")
    assert offer.zapper == zapper.pubkey
    web.answers["/callback"] = {"pr": await bolt11(wallet, 1_000_000, request.to_json())}
    asked = await invoice(http, offer, 1_000_000, zap_request=request)
    expected = hashlib.sha256(request.to_json().encode()).hexdigest()
    assert asked.facts.description_hash == expected
    assert web.asked[-1][1]["nostr"] == [request.to_json()]
    web.answers["/callback"] = {"pr": await bolt11(wallet, 1_000_000, METADATA)}
    with pytest.raises(DriverError, match="for something else than was shown"):
        await invoice(http, offer, 1_000_000, zap_request=request)


async def test_an_invoice_over_another_amount_is_refused(
    web: Canned, http: httpx.AsyncClient, wallet: DevWallet
) -> None:
    offer = PayOffer(f"{web.url}/callback", 1_000, 10_000_000, METADATA)
    web.answers["/callback"] = {"pr": await bolt11(wallet, 2_000_000, METADATA)}
    with pytest.raises(DriverError, match="over another amount"):
        await invoice(http, offer, 1_000_000)
    with pytest.raises(DriverError, match="between 1 and 10,000 sat"):
        await invoice(http, offer, 10_001_000)
    with pytest.raises(DriverError, match="a comment may have 0 characters"):
        await invoice(http, offer, 1_000_000, comment="Moin")


async def test_withdrawing(web: Canned, http: httpx.AsyncClient) -> None:
    web.answers["/lnurl"] = {
        "tag": "withdrawRequest",
        "callback": f"{web.url}/withdraw",
        "k1": "abc",
        "minWithdrawable": 1_000,
        "maxWithdrawable": 5_000,
        "defaultDescription": "Your change",
    }
    web.answers["/withdraw"] = {"status": "OK"}
    offer = await withdraw_offer(http, f"lnurlw://{web.host}/lnurl")
    assert offer == WithdrawOffer(f"{web.url}/withdraw", "abc", 1_000, 5_000, "Your change")
    await withdraw(http, offer, "lnbc1")
    assert web.asked[-1] == ("/withdraw", {"k1": ["abc"], "pr": ["lnbc1"]})
    with pytest.raises(DriverError, match="gives money back; it takes none"):
        await pay_offer(http, f"{web.url}/lnurl")
    web.answers["/lnurl"] = pay_request(web)
    with pytest.raises(DriverError, match="takes money; it gives none back"):
        await withdraw_offer(http, f"{web.url}/lnurl")


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ({"status": "ERROR", "reason": "in use, free in 12 min"}, "says: in use, free in 12 min"),
        ((404, "not found"), r"has no LNURL there \(HTTP 404\)"),
        ((500, {"tag": "payRequest"}), r"has no LNURL there \(HTTP 500\)"),
        ((302, "http://127.0.0.1:1/elsewhere"), r"has no LNURL there \(HTTP 302\)"),
        ("<html>", "has no LNURL there"),
        ("[" * 100_000, "answered more than|has no LNURL"),
        ("x" * 100_001, "answered more than an LNURL may"),
        ({"tag": "channelRequest", "callback": "https://x.example"}, "something else"),
        ({"tag": "payRequest"}, "has no callback"),
        ({"tag": "payRequest", "callback": "http://example.com"}, "expected an https address"),
        (
            {"tag": "payRequest", "callback": "https://x.example", "minSendable": "1"},
            "has no minSendable",
        ),
    ],
)
async def test_answers_that_are_none(
    web: Canned, http: httpx.AsyncClient, answer: object, reason: str
) -> None:
    web.answers["/lnurl"] = answer
    with pytest.raises(DriverError, match=reason):
        await read(http, f"{web.url}/lnurl")
    assert len(web.asked) == 1


async def test_nobody_there(http: httpx.AsyncClient) -> None:
    with pytest.raises(DriverError, match=r"127\.0\.0\.1:1 cannot be reached"):
        await read(http, "http://127.0.0.1:1/lnurl")


def test_an_invoice_that_cannot_be_read() -> None:
    with pytest.raises(DriverError, match="not a Lightning invoice"):
        facts_of("lnbc1")


@pytest.mark.parametrize("metadata", ["", "{}", "[[]]", '[["text/plain"]]', "[[[[[["])
def test_metadata_that_says_nothing(metadata: str) -> None:
    assert PayOffer("https://x.example", 1, 1, metadata).text == ""


async def test_a_server_elsewhere_leads_nobody_to_his_own_machine(web: Canned) -> None:
    async def answer(request: Request) -> Response:
        return JSONResponse(pay_request(web))

    tls = Certified("127.0.0.2")
    async with (
        far_server(answer, "127.0.0.2", tls.server) as url,
        httpx.AsyncClient(verify=tls.client, trust_env=False) as http,
    ):
        with pytest.raises(DriverError, match="leads to this machine"):
            await read(http, f"{url}/lnurl")
