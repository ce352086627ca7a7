"""Rate limits per address: a token bucket for each, and a bound on how many are remembered."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address

_REMEMBERED = 20_000


@dataclass(frozen=True, slots=True)
class Rate:
    """So many requests at once, and so many per minute in the long run."""

    burst: int
    per_minute: int


class RateLimit:
    """A token bucket per address.

    Args:
        rate: what each address may do.
        clock: the time in Unix milliseconds.
    """

    def __init__(self, rate: Rate, clock: Callable[[], int]) -> None:
        self._rate = rate
        self._clock = clock
        self._buckets: OrderedDict[str, tuple[float, int]] = OrderedDict()

    def wait_s(self, address: str) -> int:
        """Take one request from an address's bucket.

        Returns:
            0 when the request may go on, otherwise the seconds until the next may.
        """
        key = network_of(address)
        now_ms = self._clock()
        tokens, since_ms = self._buckets.pop(key, (float(self._rate.burst), now_ms))
        refilled = (now_ms - since_ms) * self._rate.per_minute / 60_000
        tokens = min(float(self._rate.burst), tokens + max(0.0, refilled))
        wait_s = 0 if tokens >= 1 else int((1 - tokens) * 60 / self._rate.per_minute) + 1
        self._buckets[key] = (tokens if wait_s else tokens - 1, now_ms)
        if len(self._buckets) > _REMEMBERED:
            self._buckets.popitem(last=False)
        return wait_s


def network_of(address: str) -> str:
    """An IPv6 host owns its whole /64, so that is what is counted."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return address
    if isinstance(parsed, IPv6Address) and parsed.ipv4_mapped is None:
        return str(IPv6Address(int(parsed) >> 64 << 64))
    return str(parsed)
