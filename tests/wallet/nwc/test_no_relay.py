"""No relay where the wallet connection names one: a captive portal, or a proxy without it."""

from __future__ import annotations

import pytest
from nostr_sdk import Keys

from tests.wallet.clock import now_ms
from tests.wallet.proxy import one_answer
from wallet.base import WalletUnavailable
from wallet.nwc import NwcWallet
from wallet.nwc_connection import parse


@pytest.mark.parametrize(
    ("status", "headers"),
    [
        (200, {}),
        (502, {}),
        (302, {"Location": "https://127.0.0.1:1/"}),
        (302, {"Location": "http://[::1"}),
    ],
)
async def test_a_page_is_no_relay(status: int, headers: dict[str, str]) -> None:
    secret = Keys.generate().secret_key().to_hex()
    service = Keys.generate().public_key().to_hex()
    async with one_answer(status, headers, "<html>please log in</html>") as url:
        relay = url.replace("http", "ws", 1)
        connection = parse(f"nostr+walletconnect://{service}?relay={relay}&secret={secret}")
        wallet = NwcWallet(connection, "regtest", now_ms)
        with pytest.raises(WalletUnavailable, match="no relay of the wallet answers"):
            await wallet.open()
        await wallet.close()
