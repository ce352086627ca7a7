"""The exchange rate: two sources must agree, an old one is none, and rubbish is told."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from bridge.fetch import Fetcher
from bridge.prices.bitcoin import OLDEST_MS, SOURCES, BitcoinPrice, Source, agreed, rate_of
from nips.public_hosts import PublicHosts
from tests.agent.world import ManualClock

KRAKEN = {"result": {"XXBTZEUR": {"c": ["80000.10", "0.01"]}}}
COINBASE = {"data": {"amount": "80100", "base": "BTC", "currency": "EUR"}}
BITSTAMP = {"last": "79900", "timestamp": "1"}


@asynccontextmanager
async def exchanges(answers: dict[str, Any]) -> AsyncGenerator[list[Source]]:
    """Every source on one real HTTP server; the answers may be changed meanwhile."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        path = (await reader.readline()).split()[1].decode()
        while (await reader.readline()).strip():
            pass
        body = json.dumps(answers[path.split("/")[1]]).encode()
        writer.write(
            b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n" % len(body)
        )
        writer.write(body)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server:
        yield [
            replace(source, url=f"http://127.0.0.1:{port}/{name}/{{currency}}")
            for name, source in SOURCES.items()
        ]


def price_of(sources: list[Source], clock: ManualClock) -> BitcoinPrice:
    return BitcoinPrice("EUR", sources, Fetcher(PublicHosts(allow_loopback=True)), clock)


async def test_the_median_of_three_sources_is_the_rate() -> None:
    clock = ManualClock()
    async with exchanges({"kraken": KRAKEN, "coinbase": COINBASE, "bitstamp": BITSTAMP}) as sources:
        price = price_of(sources, clock)
        assert price.rate() is None
        await price.refresh()
        rate = price.rate()
    assert rate is not None
    assert rate.currency == "EUR"
    assert rate.msat_per_unit == round(10**11 / Decimal("80000.10"))
    assert rate.sources == ("bitstamp", "coinbase", "kraken")
    assert rate.at_ms == clock()


async def test_an_outlier_is_left_out_and_two_are_enough() -> None:
    wrong = {"data": {"amount": "8", "base": "BTC", "currency": "EUR"}}
    async with exchanges({"kraken": KRAKEN, "coinbase": wrong, "bitstamp": BITSTAMP}) as sources:
        price = price_of(sources, ManualClock())
        await price.refresh()
        rate = price.rate()
    assert rate is not None
    assert rate.sources == ("bitstamp", "kraken")


@pytest.mark.parametrize(
    "rubbish", [{}, {"result": {}}, {"result": []}, {"result": {"X": {"c": ["x"]}}}]
)
async def test_one_source_alone_is_not_believed(
    rubbish: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    answers = {"kraken": rubbish, "coinbase": {"data": {"amount": "-1"}}, "bitstamp": BITSTAMP}
    async with exchanges(answers) as sources:
        price = price_of(sources, ManualClock())
        await price.refresh()
        await price.refresh()
    assert price.rate() is None
    assert caplog.text.count("no exchange rate for EUR") == 1
    assert "kraken: its answer holds no price" in caplog.text
    assert "coinbase: its price is not a positive number" in caplog.text


async def test_a_rate_holds_while_sources_are_away_and_then_no_longer() -> None:
    clock = ManualClock()
    answers: dict[str, Any] = {"kraken": KRAKEN, "coinbase": COINBASE, "bitstamp": BITSTAMP}
    async with exchanges(answers) as sources:
        price = price_of(sources, clock)
        await price.refresh()
        answers |= {"kraken": {}, "coinbase": {}}
        clock.now_ms += OLDEST_MS
        await price.refresh()
        assert price.rate() is not None
        clock.now_ms += 1
        assert price.rate() is None


def test_sources_that_are_far_apart_do_not_agree() -> None:
    assert agreed({"a": Decimal(80_000), "b": Decimal(90_000)}) is None
    assert agreed({"a": Decimal(80_000)}) is None


def test_a_rate_is_msat_per_unit() -> None:
    assert rate_of("EUR", Decimal(100_000), 7, ["operator"]).msat_per_unit == 1_000_000
