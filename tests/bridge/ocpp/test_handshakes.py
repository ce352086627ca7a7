"""Requests for a websocket as chargers and the proxies before them write them."""

from __future__ import annotations

import anyio
import pytest

from bridge.ocpp.handshakes import id_in_path
from bridge.ocpp.server import OcppServer
from tests.bridge.ocpp.recorder import RecordingSite
from tests.bridge.ocpp.wire import charger, serving

HEADERS = {
    "Host": "strom",
    "Upgrade": "websocket",
    "Connection": "Upgrade",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Protocol": "ocpp1.6",
}


async def asked(
    server: OcppServer, headers: dict[str, str | None], line: str = "GET /ocpp/CP001 HTTP/1.1"
) -> tuple[str, str]:
    """Send a request; `None` leaves a header out.

    Returns:
        The status and the subprotocol of the answer.
    """
    told = {name: value for name, value in (HEADERS | headers).items() if value is not None}
    fields = "".join(f"{name}: {value}\r\n" for name, value in told.items())
    async with await anyio.connect_tcp("127.0.0.1", server.port) as stream:
        await stream.send(f"{line}\r\n{fields}\r\n".encode())
        with anyio.fail_after(20):
            head = b""
            while b"\r\n\r\n" not in head:
                head += await stream.receive()
    lines = head.split(b"\r\n\r\n")[0].decode().split("\r\n")
    named = dict(one.split(": ", 1) for one in lines[1:] if ": " in one)
    return lines[0].split(" ")[1], named.get("Sec-WebSocket-Protocol", "")


@pytest.mark.parametrize(
    "path",
    [
        "/ocpp/CP001",
        "/ocpp/cp001/",
        "/CP001",
        "//ocpp//CP001//",
        "//CP001",
        "/ocpp/1.6/CP001?x=1",
        "/ocpp/CP001/CP001",
        "/ocpp/ws%3A%2F%2Fhost%3A9000%2Focpp%2FCP001",
        "/ocpp/ws://host:9000/ocpp/CP001",
        "/ocpp/%43P001",
        "/ocpp/CP001%00%20",
    ],
)
async def test_the_id_is_found_in_any_path_that_chargers_make(path: str) -> None:
    site = RecordingSite("CP001")
    async with serving(site) as server, charger(server, path) as raw:
        await raw.boot()
        assert len(site.points["CP001"].chargers) == 1


@pytest.mark.parametrize("path", ["/", "", "//", "/%20/", "/?CP001", "/" + "x" * 600])
def test_no_id_in_an_empty_path(path: str) -> None:
    assert id_in_path(path) is None


@pytest.mark.parametrize(
    "headers",
    [
        {"Connection": None},
        {"Connection": ""},
        {"Connection": "keep-alive"},
        {"Connection": "keep-alive, upgrade", "Upgrade": "WebSocket"},
        {"Sec-WebSocket-Version": None},
        {"Sec-WebSocket-Protocol": ""},
        {"Host": None},
        {"Sec-WebSocket-Extensions": "permessage-deflate; client_max_window_bits=,"},
    ],
)
async def test_what_a_request_lacks_is_put_in(headers: dict[str, str | None]) -> None:
    """Autel's have no Connection: lbbrhzn/ocpp PR 1933."""
    site = RecordingSite("CP001")
    async with serving(site) as server:
        assert (await asked(server, headers))[0] == "101"


@pytest.mark.parametrize(
    "line", ["GET /ocpp/CP001 HTTP/1.0", "GET ws://strom:9000/ocpp/CP001 HTTP/1.1"]
)
async def test_a_request_of_an_older_kind(line: str) -> None:
    async with serving(RecordingSite("CP001")) as server:
        assert (await asked(server, {}, line))[0] == "101"


@pytest.mark.parametrize(
    ("offered", "spoken"),
    [
        ("OCPP1.6", "OCPP1.6"),
        ("ocpp1.6,", "ocpp1.6"),
        ('"ocpp1.6"', "ocpp1.6"),
        ("ocpp1.6J", "ocpp1.6J"),
        ("ocpp1.5; ocpp1.6", "ocpp1.6"),
        ("ocpp1.5 ocpp1.6", "ocpp1.6"),
        ("  ocpp1.5 ,  ocpp2.0.1  ", "ocpp2.0.1"),
        (None, ""),
    ],
)
async def test_a_subprotocol_that_is_misspelt_is_understood(
    offered: str | None, spoken: str
) -> None:
    """The answer has it as the charger wrote it: it may compare them."""
    async with serving(RecordingSite("CP001")) as server:
        assert await asked(server, {"Sec-WebSocket-Protocol": offered}) == ("101", spoken)


@pytest.mark.parametrize(
    ("headers", "reason"),
    [
        ({"Upgrade": None, "Connection": "close"}, "must pass on Upgrade and Connection"),
        ({"Sec-WebSocket-Version": "8"}, "version '8' of the websocket protocol"),
        ({"Sec-WebSocket-Key": None}, "no Sec-WebSocket-Key"),
        ({"Sec-WebSocket-Key": "c2hvcnQ="}, "no Sec-WebSocket-Key of 16 bytes"),
        ({"Sec-WebSocket-Key": "\u00e4"}, "no Sec-WebSocket-Key"),
    ],
)
async def test_the_operator_reads_why_no_websocket_was_opened(
    headers: dict[str, str | None], reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A proxy that passes nothing on is what most movers meet first (steve#941 asks for this)."""
    async with serving(RecordingSite("CP001")) as server:
        assert (await asked(server, headers))[0] == "426"
    assert "CP001 was refused: " in caplog.text
    assert reason in caplog.text


async def test_the_operator_reads_of_tls_where_there_is_none(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """lbbrhzn/ocpp#2: the charger hangs, and nobody knows why."""
    async with (
        serving(RecordingSite("CP001")) as server,
        await anyio.connect_tcp("127.0.0.1", server.port) as stream,
    ):
        await stream.send(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(500))
        with anyio.fail_after(20), pytest.raises((anyio.EndOfStream, anyio.BrokenResourceError)):
            await stream.receive()
    assert "127.0.0.1) speaks TLS where there is none" in caplog.text
