"""The driver's wallet of the play-money network, over HTTP (`/dev/...`, dev wallet only)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import httpx

from bridge.driver.errors import DriverError


@dataclass(frozen=True, slots=True)
class Purse:
    """The driver's play money at one Strom.

    Attributes:
        url: that Strom's public URL.
    """

    http: httpx.AsyncClient
    url: str

    async def pay(self, bolt11: str) -> str:
        """Pay an invoice; returns its preimage.

        Raises:
            DriverError: it could not be paid; the text says why.
        """
        return str((await self._ask("POST", "/dev/pay", {"pr": bolt11})).get("preimage", ""))

    async def invoice(self, amount_msat: int) -> tuple[str, str]:
        """An invoice of the driver's own, as BOLT 11, and its payment hash."""
        answer = await self._ask("POST", "/dev/invoice", {"amount_msat": amount_msat})
        return str(answer.get("pr", "")), str(answer.get("payment_hash", ""))

    async def has_received(self, payment_hash: str) -> bool:
        """Whether an invoice of the driver's own was paid."""
        return (await self._ask("GET", f"/dev/invoice/{payment_hash}")).get("paid") is True

    async def _ask(
        self, method: str, path: str, body: dict[str, object] | None = None
    ) -> dict[str, object]:
        try:
            answer = await self.http.request(method, self.url.rstrip("/") + path, json=body)
            found: object = answer.json()
        except (httpx.HTTPError, ValueError):
            raise DriverError(f"there is no play-money wallet at {self.url}") from None
        content = cast("dict[str, object]", found) if isinstance(found, dict) else {}
        if not answer.is_success:
            reason = content.get("error", f"HTTP {answer.status_code}")
            raise DriverError(f"the play-money wallet says: {str(reason)[:300]}")
        return content
