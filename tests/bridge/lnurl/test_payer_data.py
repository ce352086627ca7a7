"""What a payer tells of himself (LUD-18): a linking key owns, and change finds its address."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from coincurve import PrivateKey
from lnurl.helpers import lnurlauth_signature
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from bridge.payees import LnurlPayees
from tests.bridge.far_server import far_server
from tests.bridge.http_world import HttpWorld, path_of, secret_of, serving
from tests.bridge.lnurl.steps import first_step, second_step
from wallet.bolt11 import decode


async def test_payer_data_are_hashed_as_they_came(world: HttpWorld) -> None:
    raw = '{ "identifier":"me@wallet.example",  "name":"Zoë" }'
    first = await first_step(world)
    assert first.payerData is not None
    answer = await second_step(world, first, amount=500_000, payerdata=raw, comment="hello")
    expected = hashlib.sha256((first.metadata + raw).encode()).hexdigest()
    assert decode(answer["pr"]).description_hash == expected


async def test_what_is_left_goes_to_the_address_in_the_payer_data(tmp_path: Path) -> None:
    async def far_wallet(request: Request) -> Response:
        if "amount" in request.query_params:
            amount_msat = int(request.query_params["amount"])
            bolt11, _ = await world.wallet.driver_invoice(amount_msat)
            return JSONResponse({"pr": bolt11, "routes": []})
        offer = {"tag": "payRequest", "callback": str(request.url), "metadata": "[]"}
        return JSONResponse(offer | {"minSendable": 1000, "maxSendable": 10**9})

    payees = LnurlPayees(allow_loopback=True)
    async with serving(tmp_path, payees=payees) as world, far_server(far_wallet) as url:
        first = await first_step(world)
        raw = json.dumps({"identifier": f"Me@{url.partition('://')[2]}"})
        answer = await second_step(world, first, amount=1_000_000, payerdata=raw)
        view = await world.pay(answer["pr"], secret_of(answer))
        await world.start(view)
        await world.end(view, 1000)
        async for changed in world.site.owned.session_changes(view.secret):
            if changed.refunded_msat == 700_000:
                break


async def test_linking_key_in_payer_data_owns(world: HttpWorld) -> None:
    key = PrivateKey()
    first = await first_step(world)
    assert first.payerData is not None
    assert first.payerData.auth is not None
    k1 = first.payerData.auth.k1
    public_key, signature = lnurlauth_signature(k1, key.secret)
    raw = json.dumps({"auth": {"key": public_key, "k1": k1, "sig": signature}})
    answer = await second_step(world, first, amount=500_000, payerdata=raw)
    quote = await world.site.owned.quote_of(decode(answer["pr"]).payment_hash)
    assert quote.payer.linking_keys == (public_key,)
    again = await world.reason(path_of(str(first.callback)), amount=500_000, payerdata=raw)
    assert "used already" in again


async def test_forged_linking_key_is_refused(world: HttpWorld) -> None:
    first = await first_step(world)
    assert first.payerData is not None
    assert first.payerData.auth is not None
    k1 = first.payerData.auth.k1
    _, signature = lnurlauth_signature(k1, PrivateKey().secret)
    stranger = PrivateKey().public_key.format().hex()
    for auth in (
        {"key": stranger, "k1": k1, "sig": signature},
        {"key": stranger, "k1": "00" * 32, "sig": signature},
        {"key": "zz" * 33, "k1": k1, "sig": signature},
        {"key": stranger, "k1": k1, "sig": "30"},
    ):
        raw = json.dumps({"auth": auth})
        await world.reason(path_of(str(first.callback)), amount=500_000, payerdata=raw)
