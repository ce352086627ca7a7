"""NDK and nostr-tools as drivers' clients, over two relay programs, against a running Strom.

Discovery, zaps of every kind, messages in both protocols and the change sent to a lightning
address: each client checks what it gets by its own code.
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from agent.notary import read_receipt
from tests.bridge.far_server import far_server
from tests.counterpart_relay import nostr_relay
from tests.e2e.served import PAID_SAT, Strom, strom_and_charger
from tests.node import run_script
from wallet.bolt11 import decode

RELAYS = ("embedded", "nostr-relay")


class DorasWallet:
    """The driver's own wallet with a lightning address at another server."""

    def __init__(self) -> None:
        self.strom_url = ""
        self.invoices: list[str] = []

    async def __call__(self, request: Request) -> Response:
        if not request.url.path.endswith("/callback"):
            offer = {
                "tag": "payRequest",
                "callback": f"{request.base_url}callback",
                "minSendable": 1000,
                "maxSendable": 10**9,
                "metadata": json.dumps([["text/plain", "Dora"]]),
            }
            return JSONResponse(offer)
        amount_msat = int(request.query_params["amount"])
        async with httpx.AsyncClient(base_url=self.strom_url) as http:
            made = (await http.post("/dev/invoice", json={"amount_msat": amount_msat})).json()
        self.invoices.append(made["payment_hash"])
        return JSONResponse({"pr": made["pr"], "routes": []})


@asynccontextmanager
async def charging_place(
    folder: Path, relay: str, command: Path | None
) -> AsyncGenerator[tuple[Strom, DorasWallet, dict[str, Any]]]:
    """A running Strom with a car plugged in, and a driver's wallet."""
    async with AsyncExitStack() as stack:
        relay_url = ""
        if command is not None:
            relay_url = await stack.enter_async_context(nostr_relay(command, folder))
        strom, charger = await stack.enter_async_context(strom_and_charger(folder, relay_url))
        await charger.plug_in()
        wallet = DorasWallet()
        wallet.strom_url = str(strom.http.base_url).rstrip("/")
        url = await stack.enter_async_context(far_server(wallet))
        asked = {
            "relay": strom.relay_url,
            "http": wallet.strom_url,
            "sats": PAID_SAT,
            "address": f"dora@{url.partition('://')[2]}",
        }
        yield strom, wallet, asked


@pytest.fixture
def command(relay: str, request: pytest.FixtureRequest) -> Path | None:
    return request.getfixturevalue("nostr_relay_command") if relay == "nostr-relay" else None


@pytest.mark.usefixtures("node_modules")
@pytest.mark.parametrize("relay", RELAYS)
async def test_ndk(tmp_path: Path, relay: str, command: Path | None) -> None:
    async with charging_place(tmp_path, relay, command) as (strom, wallet, asked):
        told = await run_script("ndk_driver.mjs", asked)
        (paid,) = wallet.invoices
        assert (await strom.get(f"/dev/invoice/{paid}"))["paid"] is True
    profile_zap, state_zap = told["zapped"]
    assert ["a", told["address"]] in [tag[:2] for tag in state_zap["tags"]]
    assert not [tag for tag in profile_zap["tags"] if tag[0] == "a"]
    assert {zap["zapper"] for zap in told["invoices"] if zap} <= {told["me"], told["point"]}
    assert "sat/kWh" in told["price"]
    assert told["signed"] is True
    receipt = read_receipt(told["receipt"])
    assert receipt.pubkey == told["point"]
    assert receipt.receipt.paid_msat == 2 * PAID_SAT * 1000
    assert receipt.receipt.owed_msat == 0 < receipt.receipt.refunded_msat


@pytest.mark.usefixtures("node_modules")
@pytest.mark.parametrize("relay", RELAYS)
async def test_nostr_tools(tmp_path: Path, relay: str, command: Path | None) -> None:
    async with charging_place(tmp_path, relay, command) as (strom, wallet, asked):
        told = await run_script("zaps.mjs", asked)
        (paid,) = wallet.invoices
        assert (await strom.get(f"/dev/invoice/{paid}"))["paid"] is True
    for zap in told["zaps"]:
        assert decode(zap["pr"]).description_hash == zap["hash"]
    assert told["zaps"][0]["a"].endswith(":CP001:1")
    assert told["refused"] == {
        "connector": "There is no connector 7 here, only 1.",
        "amount": "The zap request is over 2000000 msat, but 2001000 msat were asked for.",
        "stranger": "In use by somebody else.",
        "unknown": "In use by somebody else.",
    }
    session = told["session"]
    assert (session["state"], session["paid_msat"]) == ("CLOSED", PAID_SAT * 1000)
