"""What Bitcoin costs, by several sources that must agree, or by the operator's word.

A rate that is old, or that one source alone gives, is none: then amounts are shown in sat only.
"""

from __future__ import annotations

import logging
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any

import anyio

from agent.clock import Clock
from agent.tariff.rate import MSAT_PER_BTC, ExchangeRate
from bridge.fetch import Fetcher, FetchError

REFRESH_S = 120
OLDEST_MS = 900_000
LEAST_SOURCES = 2
MOST_APART = Decimal("0.03")
"""A source that is further from the median than this share of it is left out."""

OPERATOR = "operator"

log = logging.getLogger(__name__)


class NoPrice(Exception):
    """A source's answer holds no price; the text says what is wrong with it."""


@dataclass(frozen=True, slots=True)
class Source:
    """Somebody who says what Bitcoin costs.

    Attributes:
        name: as in the operator's file.
        url: where, with {currency} for the ISO 4217 code.
        price: the price of one bitcoin in an answer; raises LookupError, TypeError,
            StopIteration or InvalidOperation when there is none.
    """

    name: str
    url: str
    price: Callable[[Mapping[str, Any]], Decimal]


def _kraken(answer: Mapping[str, Any]) -> Decimal:
    return Decimal(next(iter(answer["result"].values()))["c"][0])


SOURCES = {
    source.name: source
    for source in (
        Source("kraken", "https://api.kraken.com/0/public/Ticker?pair=XBT{currency}", _kraken),
        Source(
            "coinbase",
            "https://api.coinbase.com/v2/prices/BTC-{currency}/spot",
            lambda answer: Decimal(answer["data"]["amount"]),
        ),
        Source(
            "bitstamp",
            "https://www.bitstamp.net/api/v2/ticker/btc{currency}/",
            lambda answer: Decimal(answer["last"]),
        ),
    )
}


def rate_of(currency: str, btc_price: Decimal, at_ms: int, sources: Sequence[str]) -> ExchangeRate:
    """The rate in which one bitcoin costs `btc_price` units of a currency."""
    return ExchangeRate(currency, round(MSAT_PER_BTC / btc_price), at_ms, tuple(sources))


def agreed(prices: Mapping[str, Decimal]) -> tuple[Decimal, tuple[str, ...]] | None:
    """The median of the sources that agree, and their names; None when too few do.

    Args:
        prices: of one bitcoin, by source.
    """
    if len(prices) < LEAST_SOURCES:
        return None
    middle = statistics.median(prices.values())
    near = {
        name: price for name, price in prices.items() if abs(price - middle) <= middle * MOST_APART
    }
    if len(near) < LEAST_SOURCES:
        return None
    return Decimal(statistics.median(near.values())), tuple(sorted(near))


class BitcoinPrice:
    """Asks the sources regularly.

    Args:
        currency: ISO 4217 code.
        sources: whom to ask.
        fetcher: how.
        clock: Unix milliseconds.
    """

    def __init__(
        self, currency: str, sources: Sequence[Source], fetcher: Fetcher, clock: Clock
    ) -> None:
        self._currency = currency
        self._sources = sources
        self._fetcher = fetcher
        self._clock = clock
        self._rate: ExchangeRate | None = None
        self._trouble = ""

    def rate(self) -> ExchangeRate | None:
        """The rate of now; None while none is known that is fresh."""
        if self._rate is None or self._clock() - self._rate.at_ms > OLDEST_MS:
            return None
        return self._rate

    async def run(self) -> None:
        """Ask again and again until cancelled."""
        while True:
            await self.refresh()
            await anyio.sleep(REFRESH_S)

    async def refresh(self) -> None:
        """Ask every source once; an old rate stays until it is too old."""
        prices: dict[str, Decimal] = {}
        troubles: list[str] = []

        async def ask(source: Source) -> None:
            try:
                prices[source.name] = await self._ask(source)
            except (FetchError, NoPrice) as error:
                troubles.append(f"{source.name}: {error}")

        async with anyio.create_task_group() as group:
            for source in self._sources:
                group.start_soon(ask, source)
        found = agreed(prices)
        if found is not None:
            price, names = found
            self._rate = rate_of(self._currency, price, self._clock(), names)
            self._trouble = ""
            return
        trouble = "; ".join(sorted(troubles)) or "the sources do not agree"
        if trouble != self._trouble:
            log.warning("no exchange rate for %s: %s", self._currency, trouble)
        self._trouble = trouble

    async def _ask(self, source: Source) -> Decimal:
        currency = self._currency if source.name != "bitstamp" else self._currency.lower()
        answer = await self._fetcher.get_json(source.url.format(currency=currency))
        try:
            price = source.price(answer)
        except (LookupError, TypeError, AttributeError, StopIteration, InvalidOperation):
            raise NoPrice("its answer holds no price") from None
        if not price.is_finite() or price <= 0:
            raise NoPrice("its price is not a positive number")
        return price
