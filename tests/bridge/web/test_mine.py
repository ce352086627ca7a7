"""Being the payer without the link: by preimage, and by the wallet's key."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from coincurve import PrivateKey
from lnurl import decode as decode_lnurl
from lnurl.helpers import lnurlauth_signature

from nips.identity import Identity
from nips.zaps import zap_request
from tests.agent.world import ManualClock
from tests.bridge.http_world import HttpWorld, path_of, secret_of, serving
from wallet.base import Invoice
from wallet.dev import DevWallet


class Telling(DevWallet):
    """Tells the preimage of what was paid to whoever asks, as LNbits does, and not to us."""

    async def create_invoice(
        self, amount_msat: int, *, memo: str, description: bytes | None, expiry_s: int
    ) -> Invoice:
        made = await super().create_invoice(
            amount_msat, memo=memo, description=description, expiry_s=expiry_s
        )
        return replace(made, preimage="")


async def pay_with_key(world: HttpWorld, key: PrivateKey) -> str:
    first = await world.lnurl("/lnurl/cp001")
    k1 = first["payerData"]["auth"]["k1"]
    public, signature = lnurlauth_signature(k1, key.secret)
    data = json.dumps({"auth": {"key": public, "k1": k1, "sig": signature}})
    second = await world.lnurl(path_of(first["callback"]), amount=500_000, payerdata=data)
    await world.pay(second["pr"], secret_of(second))
    return secret_of(second)


async def login_form(world: HttpWorld) -> tuple[str, dict[str, Any]]:
    """The LNURL-auth that the page shows, and the form it would send."""
    page = (await world.http.get("/cp/cp001/mine")).text
    shown = re.search(r"lightning:(LNURL1[A-Z0-9]+)", page)
    assert shown is not None
    form = dict(re.findall(r'type="hidden" name="(\w+)" value="([^"]+)"', page))
    return str(decode_lnurl(shown[1]).url), form


async def test_the_wallets_key_opens_the_session(world: HttpWorld) -> None:
    key = PrivateKey()
    secret = await pay_with_key(world, key)
    url, form = await login_form(world)
    assert "tag=login" in url
    early = await world.http.post("/cp/cp001/mine/key", data=form)
    assert early.status_code == 400
    public, signature = lnurlauth_signature(form["k1"], key.secret)
    answer = await world.http.get(f"{url}&key={public}&sig={signature}")
    assert answer.json() == {"status": "OK"}
    other_browser = await world.http.post("/cp/cp001/mine/key", data={**form, "token": "other"})
    assert other_browser.status_code == 400
    found = await world.http.post("/cp/cp001/mine/key", data=form)
    assert (found.status_code, found.headers["location"]) == (303, f"/s/{secret}")


async def test_a_strangers_key_opens_nothing(world: HttpWorld) -> None:
    secret = await pay_with_key(world, PrivateKey())
    url, form = await login_form(world)
    public, signature = lnurlauth_signature(form["k1"], PrivateKey().secret)
    await world.http.get(f"{url}&key={public}&sig={signature}")
    found = await world.http.post("/cp/cp001/mine/key", data=form)
    assert found.status_code == 400
    assert secret not in found.text


async def test_the_preimage_opens_the_session(world: HttpWorld) -> None:
    first = await world.lnurl("/lnurl/cp001")
    second = await world.lnurl(path_of(first["callback"]), amount=500_000)
    await world.pay(second["pr"], secret_of(second))
    preimage = await world.wallet.driver_pay(second["pr"])
    found = await world.http.post(
        "/cp/cp001/mine/preimage", data={"preimage": f" {preimage.upper()} "}
    )
    assert found.headers["location"] == f"/s/{secret_of(second)}"


@pytest.mark.parametrize("preimage", ["", "00" * 32, "zz" * 32, "00" * 31])
async def test_a_wrong_preimage_opens_nothing(world: HttpWorld, preimage: str) -> None:
    found = await world.http.post("/cp/cp001/mine/preimage", data={"preimage": preimage})
    assert found.status_code == 400


async def anonymous_zap(world: HttpWorld, wallet: DevWallet) -> tuple[str, str]:
    """The secret of a session that nobody in particular zapped for, and its preimage."""
    first = await world.lnurl("/.well-known/lnurlp/cp001")
    request = zap_request(
        Identity.generate(),
        recipient_pubkey=world.identity.pubkey,
        amount_msat=500_000,
        relays=["wss://relay.example.com"],
        comment="",
        created_at=world.clock() // 1000,
        anonymous=True,
    )
    second = await world.lnurl(path_of(first["callback"]), amount=500_000, nostr=request.to_json())
    preimage = await wallet.driver_pay(second["pr"])
    await world.until(lambda: bool(world.site.charge_point("CP001").sessions.open()))
    return secret_of(second), preimage


async def test_a_preimage_that_anybody_can_ask_for_opens_nothing(tmp_path: Path) -> None:
    """The receipt of a zap names the payment, and LNbits gave the money of it to anybody."""
    clock = ManualClock()
    wallet = Telling(tmp_path / "telling", clock)
    await wallet.open()
    async with serving(tmp_path, clock=clock, wallet=wallet) as world:
        secret, preimage = await anonymous_zap(world, wallet)
        found = await world.http.post("/cp/cp001/mine/preimage", data={"preimage": preimage})
        assert found.status_code == 400
        assert secret not in found.text
        assert "Anyone can look up the proof" in found.text
    await wallet.close()


async def test_a_preimage_that_our_wallet_keeps_opens_the_session_of_a_zap(
    world: HttpWorld,
) -> None:
    secret, preimage = await anonymous_zap(world, world.wallet)
    found = await world.http.post("/cp/cp001/mine/preimage", data={"preimage": preimage})
    assert found.headers["location"] == f"/s/{secret}"
