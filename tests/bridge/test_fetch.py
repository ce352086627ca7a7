"""What a stranger's URL may make us reach, and how much of it we take."""

from __future__ import annotations

from collections.abc import AsyncGenerator

import anyio
import pytest
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response, StreamingResponse

from bridge.fetch import Fetcher, FetchError
from nips.public_hosts import PublicHosts
from tests.bridge.far_server import far_server
from tests.far_names import Certified, Resolver

HERE = Fetcher(PublicHosts(allow_loopback=True))


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
        got = await HERE.get(url, max_bytes=1000, accept="*/*")
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

    async with far_server(answer) as url:
        assert (await HERE.get(f"{url}/near", max_bytes=100, accept="*/*")).body == b"here"
        for path in ("away", "inside", "loop", "nowhere", "garbled", "con\x01trol"):
            with pytest.raises(FetchError):
                await HERE.get(f"{url}/{path}", max_bytes=100, accept="*/*")
        follower = Fetcher(HERE.hosts, follows=True)
        with pytest.raises(FetchError, match="not a public server"):
            await follower.get(f"{url}/inside", max_bytes=100, accept="*/*")


async def test_size_time_and_status_are_bounded() -> None:
    async def answer(request: Request) -> Response:
        match request.path_params["path"]:
            case "large":
                return Response(b"x" * 2000)
            case "slow":

                async def slow() -> AsyncGenerator[bytes]:
                    yield b"x"
                    # Longer than anybody waits for the rest.
                    await anyio.sleep(30)

                return StreamingResponse(slow())
            case "broken":
                return Response("{", media_type="application/json")
            case "list":
                return Response("[1]", media_type="application/json")
            case _:
                return Response(status_code=500)

    async with far_server(answer) as url:
        hasty = Fetcher(PublicHosts(allow_loopback=True), timeout_s=0.3)
        with pytest.raises(FetchError, match=r"in time|ReadTimeout"):
            await hasty.get(f"{url}/slow", max_bytes=1000, accept="*/*")
        with pytest.raises(FetchError, match="more than 1000 bytes"):
            await HERE.get(f"{url}/large", max_bytes=1000, accept="*/*")
        with pytest.raises(FetchError, match="HTTP 500"):
            await HERE.get(f"{url}/failed", max_bytes=1000, accept="*/*")
        with pytest.raises(FetchError, match="JSON"):
            await HERE.get_json(f"{url}/broken")
        with pytest.raises(FetchError, match="JSON object"):
            await HERE.get_json(f"{url}/list")


async def test_a_server_that_is_not_there() -> None:
    with pytest.raises(FetchError, match="cannot be reached"):
        await HERE.get("http://127.0.0.1:9/", max_bytes=10, accept="*/*")


def _port(url: str) -> str:
    return url.rpartition(":")[2]


async def test_the_address_that_was_judged_is_asked_under_the_server_s_name() -> None:
    hosts_heard: list[str] = []

    async def answer(request: Request) -> Response:
        hosts_heard.append(request.headers["host"])
        return Response("hello")

    for address in ("127.0.0.2", "::1"):
        tls, resolver = Certified("localhost"), Resolver([["127.0.0.3", address]])
        # Nobody listens at 127.0.0.3, and the system's resolver knows nothing of 127.0.0.2.
        async with far_server(answer, address, tls.server) as url:
            fetcher = Fetcher(PublicHosts(True, resolver, tls.client))
            here = f"https://localhost:{_port(url)}/"
            assert (await fetcher.get(here, max_bytes=100, accept="*/*")).body == b"hello"
            assert resolver.asked == [("localhost", int(_port(url)))]
            assert hosts_heard.pop() == f"localhost:{_port(url)}"
            assert set(tls.wanted) == {"localhost"}


async def test_a_certificate_counts_for_the_name_and_not_for_the_address() -> None:
    async def answer(request: Request) -> Response:
        raise AssertionError("asked without a certificate")

    tls = Certified("127.0.0.2")
    async with far_server(answer, "127.0.0.2", tls.server) as url:
        fetcher = Fetcher(PublicHosts(True, Resolver([["127.0.0.2"]]), tls.client))
        with pytest.raises(FetchError, match="cannot be reached"):
            await fetcher.get(f"https://localhost:{_port(url)}/", max_bytes=100, accept="*/*")


@pytest.mark.parametrize("private", ["127.0.0.1", "::1", "::ffff:127.0.0.1", "64:ff9b::7f00:1"])
async def test_a_name_that_means_this_machine_the_next_time_is_not_asked(private: str) -> None:
    """DNS rebinding, from one request to the next and from a redirect to where it leads."""
    paths: list[str] = []

    async def answer(request: Request) -> Response:
        paths.append(request.url.path)
        return RedirectResponse("/onward")

    tls = Certified("localhost")
    async with far_server(answer, "127.0.0.1", tls.server) as url:
        resolver = Resolver([["8.8.8.8"], [private]])
        hosts = PublicHosts(lookup=resolver, tls=tls.client)
        assert await hosts.addresses("far.example.com", 443) == ("8.8.8.8",)
        far = f"https://far.example.com:{_port(url)}/"
        with pytest.raises(FetchError, match="not a public server"):
            await Fetcher(hosts).get(far, max_bytes=100, accept="*/*")
        assert paths == []
        moving = PublicHosts(True, Resolver([["127.0.0.1"], ["10.0.0.1"]]), tls.client)
        here = f"https://localhost:{_port(url)}/first"
        with pytest.raises(FetchError, match="not a public server"):
            await Fetcher(moving).get(here, max_bytes=100, accept="*/*")
        assert paths == ["/first"]


async def test_a_name_with_other_letters_is_looked_up_as_dns_writes_it() -> None:
    resolver = Resolver([["10.0.0.1"]])
    with pytest.raises(FetchError, match="not a public server"):
        await Fetcher(PublicHosts(lookup=resolver)).get(
            "https://m\u00fchle.example/", max_bytes=100, accept="*/*"
        )
    assert resolver.asked == [("xn--mhle-0ra.example", 443)]
