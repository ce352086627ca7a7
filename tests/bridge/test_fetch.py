"""What a stranger's URL may make us reach, and how much of it we take."""

from __future__ import annotations

from collections.abc import AsyncGenerator

import anyio
import pytest
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response, StreamingResponse

from bridge.fetch import Fetcher, FetchError
from tests.bridge.far_server import far_server


@pytest.mark.parametrize(
    "url",
    [
        "http://example.com/",
        "https://127.0.0.1/",
        "https://localhost/",
        "https://10.1.2.3/",
        "https://192.168.0.1:8443/",
        "https://169.254.169.254/latest/meta-data",
        "https://[::1]/",
        "https://[fe80::1]/",
        "https://[::ffff:10.0.0.1]/",
        "https://[::ffff:8.8.8.8]/",
        "https://[64:ff9b::a00:1]/",
        "https://[2002:a00:1::]/",
        "https://100.64.0.1/",
        "https://0.0.0.0/",
        "https://224.0.0.1/",
        "https://2130706433/",
        "https://0x7f000001/",
        "https://user:word@example.com/",
        "https://abcdef.onion/",
        "https://example.com:99999/",
        "ftp://example.com/",
        "file:///etc/passwd",
        "https:///nothing",
        "https://[broken/",
        "",
    ],
)
async def test_what_is_not_a_public_server_is_never_reached(url: str) -> None:
    with pytest.raises(FetchError):
        await Fetcher(timeout_s=5).get(url, max_bytes=1000, accept="*/*")


async def test_loopback_only_where_allowed() -> None:
    async def answer(request: Request) -> Response:
        return Response("hello", media_type="text/plain")

    async with far_server(answer) as url:
        with pytest.raises(FetchError, match="https"):
            await Fetcher().get(url, max_bytes=1000, accept="*/*")
        got = await Fetcher(allow_loopback=True).get(url, max_bytes=1000, accept="*/*")
        assert (got.body, got.media_type) == (b"hello", "text/plain")


async def test_redirects_stay_on_the_host_and_end() -> None:
    async def answer(request: Request) -> Response:
        match request.path_params["path"]:
            case "away":
                return RedirectResponse("https://example.com/")
            case "inside":
                return RedirectResponse("https://10.0.0.1/")
            case "nowhere":
                return Response(status_code=304)
            case "garbled":
                return Response(status_code=302, headers={"location": "/\x7f%"})
            case "near":
                return RedirectResponse("/here")
            case "here":
                return Response("here")
            case _:
                return RedirectResponse("/loop")

    fetcher = Fetcher(allow_loopback=True)
    async with far_server(answer) as url:
        assert (await fetcher.get(f"{url}/near", max_bytes=100, accept="*/*")).body == b"here"
        for path in ("away", "inside", "loop", "nowhere", "garbled", "con\x01trol"):
            with pytest.raises(FetchError):
                await fetcher.get(f"{url}/{path}", max_bytes=100, accept="*/*")


async def test_size_time_and_status_are_bounded() -> None:
    async def answer(request: Request) -> Response:
        match request.path_params["path"]:
            case "large":
                return Response(b"x" * 2000)
            case "slow":

                async def slow() -> AsyncGenerator[bytes]:
                    yield b"x"
                    await anyio.sleep(30)

                return StreamingResponse(slow())
            case "broken":
                return Response("{", media_type="application/json")
            case "list":
                return Response("[1]", media_type="application/json")
            case _:
                return Response(status_code=500)

    async with far_server(answer) as url:
        quick = Fetcher(allow_loopback=True, timeout_s=0.3)
        with pytest.raises(FetchError, match="more than 1000 bytes"):
            await quick.get(f"{url}/large", max_bytes=1000, accept="*/*")
        with pytest.raises(FetchError, match=r"in time|ReadTimeout"):
            await quick.get(f"{url}/slow", max_bytes=1000, accept="*/*")
        with pytest.raises(FetchError, match="HTTP 500"):
            await quick.get(f"{url}/failed", max_bytes=1000, accept="*/*")
        with pytest.raises(FetchError, match="JSON"):
            await quick.get_json(f"{url}/broken")
        with pytest.raises(FetchError, match="JSON object"):
            await quick.get_json(f"{url}/list")


async def test_a_server_that_is_not_there() -> None:
    with pytest.raises(FetchError, match="cannot be reached"):
        await Fetcher(allow_loopback=True).get("http://127.0.0.1:9/", max_bytes=10, accept="*/*")
