"""LNbits over its REST API and websocket.

https://github.com/lnbits/lnbits/blob/main/lnbits/core/views/payment_api.py

What it says is read with care. A notification is a hint: anyone with the key can forge
one, and each comes twice, so a payment counts when its record says so. An error answer to
a payment says nothing either: the record of the hash does. A record that says "failed" of
an invoice of ours may still be paid at the node behind LNbits, so it is UNKNOWN.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import AsyncGenerator, Callable, Mapping
from http import HTTPStatus
from typing import Any

import anyio
import httpx
from websockets.asyncio.client import ClientConnection
from websockets.asyncio.client import connect as websocket
from websockets.exceptions import InvalidStatus, WebSocketException

from wallet import bolt11, checks, cursors
from wallet.base import (
    Invoice,
    InvoiceState,
    PaymentOutcome,
    PaymentState,
    Sent,
    Settlement,
    WalletConfigError,
    WalletInfo,
    WalletRefused,
    WalletUnavailable,
)
from wallet.bolt11 import InvalidInvoice
from wallet.lnbits_record import Account, Page, Record, Reserve, outcome_of, read
from wallet.told import Told

ANSWER_S = 20
RESCAN_S = 30
# Settlements are found by the time of their last change, which is set a moment before it
# can be seen, so each scan reaches back over more than one period of scanning.
OVERLAP_MS = 120_000
_PAGE = 100
# Before 1.4 LNbits does not sort by the last change, but by the time when an invoice was made:
# so it is read back by as long as one lives besides.
INVOICE_LIFE_MS = 90_000_000
_CHANGED, _MADE, _NO_SORT = "updated_at", "created_at", "Invalid sort field"
# A notification can come before its transaction is committed.
_COMMIT_PAUSES_S = (0.01, 0.03, 0.1, 0.3, 1.0)


class LnbitsWallet:
    """A wallet on an LNbits instance; whole satoshis, no hold invoices.

    Args:
        url: the instance, such as "https://lnbits.example.com".
        key: the wallet's admin key, or its invoice key when nothing is to be paid out.
        network: what its invoices are for.
        clock: gives the time in Unix milliseconds.
        answer_s: how long an answer may take; payments have a limit of their own.
    """

    def __init__(
        self,
        url: str,
        key: str,
        network: str,
        clock: Callable[[], int],
        *,
        answer_s: float = ANSWER_S,
    ) -> None:
        self._url = url.rstrip("/")
        self._key = key
        self._network = network
        self._clock = clock
        self._answer_s = answer_s
        self._http: httpx.AsyncClient | None = None
        self._streams: set[ClientConnection] = set()
        self._paying = anyio.Lock()
        self._sorted_by = _CHANGED
        self._source = f"lnbits-{hashlib.sha256(f'{self._url} {key}'.encode()).hexdigest()[:16]}"

    async def open(self) -> None:
        """Check address, key and network."""
        if self._http is None:
            self._http = httpx.AsyncClient(
                base_url=self._url,
                headers={"X-Api-Key": self._key},
                timeout=self._answer_s,
                trust_env=False,
            )
        try:
            await self._account()
            for record in (await self._page(limit="1")).data:
                self._check_network(record.bolt11)
        except checks.Misconfigured as error:
            raise WalletConfigError(str(error)) from None

    async def close(self) -> None:
        """Let go of all connections; idempotent."""
        http, self._http = self._http, None
        for stream in tuple(self._streams):
            await stream.close()
        if http is not None:
            await http.aclose()

    async def info(self) -> WalletInfo:
        """The wallet's name and balance; LNbits does not tell what can be received."""
        account = await self._account()
        missing = () if account.id else ("pay out: the key is an invoice key, not the admin key",)
        return WalletInfo(
            name=f"LNbits: {account.name}",
            network=self._network,
            balance_msat=account.balance,
            pays=bool(account.id),
            missing=missing,
        )

    async def source(self) -> str:
        """As in `Wallet`: the instance and its key, of which only a hash is told."""
        return self._source

    async def create_invoice(
        self, amount_msat: int, *, memo: str, description: bytes | None, expiry_s: int
    ) -> Invoice:
        """As in `Wallet`; whole satoshis only."""
        order: dict[str, Any] = {
            "out": False,
            "amount": checks.whole_sats(amount_msat, "LNbits"),
            "memo": memo,
            "expiry": expiry_s,
        }
        if description is not None:
            order["unhashed_description"] = description.hex()
        response = await self._request("POST", "/api/v1/payments", json=order)
        if not response.is_success:
            detail, status = _complaint(response)
            if _is_not_now(response) and status != "failed":
                raise WalletUnavailable(f"LNbits cannot make an invoice now: {detail}")
            raise WalletRefused(f"LNbits refused to make an invoice: {detail}")
        return checks.issued(
            read(response, Record).bolt11,
            backend="LNbits",
            network=self._network,
            amount_msat=amount_msat,
            description=description,
        )

    async def lookup_invoice(self, payment_hash: str) -> tuple[InvoiceState, Settlement | None]:
        """As in `Wallet`; an expired invoice is UNKNOWN, as LNbits calls it failed."""
        received = [record for record in await self._records(payment_hash) if record.amount > 0]
        for record in received:
            if record.status == "success":
                return InvoiceState.SETTLED, self._settlement(record)
        if any(record.status == "pending" for record in received):
            return InvoiceState.OPEN, None
        return InvoiceState.UNKNOWN, None

    async def settlements(self, cursor: str) -> AsyncGenerator[Settlement]:
        """As in `Wallet`; may repeat those of the last two minutes before the cursor."""
        address = "ws" + self._url.removeprefix("http") + f"/api/v1/ws/{self._key}"
        since_ms = cursors.read(self._source, cursor)
        told = Told()
        self._opened()
        try:
            # Its notifications are small; and the address holds the key, so it is not logged.
            async with websocket(address, proxy=None, max_size=2**20) as stream:
                self._streams.add(stream)
                try:
                    while True:
                        rescan_at = anyio.current_time() + RESCAN_S
                        for record in await self._settled_since(since_ms - OVERLAP_MS):
                            since_ms = max(since_ms, record.updated_at_ms)
                            if told.is_new(record.payment_hash):
                                yield self._settlement(record)
                        while anyio.current_time() < rescan_at:
                            payment_hash = await _hint(stream, rescan_at)
                            if not payment_hash or payment_hash in told:
                                continue
                            record = await self._settled_now(payment_hash)
                            if record is not None and told.is_new(payment_hash):
                                yield self._settlement(record)
                finally:
                    self._streams.discard(stream)
        except InvalidStatus as error:
            raise WalletUnavailable(
                f"LNbits at {self._url} answers HTTP {error.response.status_code} to a websocket: "
                "a proxy in front of it must pass them on"
            ) from None
        except (OSError, WebSocketException, ValueError) as error:
            # A redirect to what is no address is a ValueError.
            raise WalletUnavailable(
                f"the notifications of LNbits at {self._url} broke off ({type(error).__name__})"
            ) from None

    async def pay(self, bolt11: str, *, fee_limit_msat: int, timeout_s: int) -> PaymentOutcome:
        """As in `Wallet`; FAILED as well when LNbits would reserve more than the fee limit."""
        try:
            invoice = checks.payable(bolt11, network=self._network, now_ms=self._clock())
        except InvalidInvoice as error:
            return PaymentOutcome(PaymentState.FAILED, reason=str(error))
        # One at a time: an answer to one attempt must not be read off the record of another.
        async with self._paying:
            records = await self._records(invoice.payment_hash)
            known = outcome_of(records)
            if known.state in (PaymentState.SETTLED, PaymentState.PENDING):
                return known
            if any(record.amount > 0 for record in records):
                return PaymentOutcome(
                    PaymentState.FAILED, reason="the invoice is this wallet's own"
                )
            reserve_msat = await self._fee_reserve_msat(invoice.text)
            if reserve_msat > fee_limit_msat:
                return PaymentOutcome(
                    PaymentState.FAILED,
                    reason=f"LNbits would reserve {reserve_msat} msat for the fee, "
                    f"more than the limit of {fee_limit_msat} msat",
                )
            return await self._send(invoice, timeout_s)

    async def lookup_payment(self, payment_hash: str) -> PaymentOutcome:
        """As in `Wallet`; LNbits keeps a payment as pending before its node is asked."""
        records = await self._records(payment_hash)
        if any(record.amount < 0 for record in records):
            return outcome_of(records)
        return PaymentOutcome(PaymentState.NO_RECORD)

    async def sent_since(self, at_ms: int) -> list[Sent]:
        """As in `Wallet`."""
        found: list[Record] = []
        while True:
            page = await self._page(
                **{
                    "amount[lt]": "0",
                    "sortby": _MADE,
                    "direction": "desc",
                    "limit": str(_PAGE),
                    "offset": str(len(found)),
                }
            )
            found += page.data
            if len(page.data) < _PAGE or page.data[-1].created_at_ms < at_ms:
                break
        return [
            Sent(record.payment_hash, -record.amount)
            for record in found
            if record.amount < 0 and record.status != "failed" and record.created_at_ms >= at_ms
        ]

    async def _send(self, invoice: bolt11.Bolt11, timeout_s: int) -> PaymentOutcome:
        try:
            with anyio.fail_after(timeout_s):
                response = await self._opened().post(
                    "/api/v1/payments",
                    json={"out": True, "bolt11": invoice.text},
                    timeout=httpx.Timeout(timeout_s, connect=self._answer_s),
                )
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout):
            raise self._unreachable() from None
        except (httpx.RequestError, TimeoutError):
            return PaymentOutcome(PaymentState.UNKNOWN)
        try:
            outcome = outcome_of(await self._records(invoice.payment_hash))
        except WalletUnavailable:
            return PaymentOutcome(PaymentState.UNKNOWN)
        if outcome.state is not PaymentState.UNKNOWN or response.is_success:
            return outcome
        detail, status = _complaint(response)
        if not _is_not_now(response) or status in ("failed", "success"):
            return PaymentOutcome(PaymentState.FAILED, reason=f"LNbits refused: {detail}")
        return outcome

    async def _fee_reserve_msat(self, request: str) -> int:
        """What LNbits sets aside for the fee: the only limit on it that LNbits has."""
        response = await self._get("/api/v1/payments/fee-reserve", {"invoice": request})
        return read(response, Reserve).fee_reserve

    async def _account(self) -> Account:
        return read(await self._get("/api/v1/wallet", {}), Account)

    async def _records(self, payment_hash: str) -> list[Record]:
        """The records of a hash in this wallet, pending ones compared with the node before."""
        page = await self._page(payment_hash=payment_hash, recheck_pending="true")
        return [record for record in page.data if record.payment_hash == payment_hash]

    async def _settled_now(self, payment_hash: str) -> Record | None:
        """The record of a received payment that was just announced; None when it was not paid."""
        for pause_s in (*_COMMIT_PAUSES_S, 0):
            records = [record for record in await self._records(payment_hash) if record.amount > 0]
            for record in records:
                if record.status == "success":
                    return record
            if not records:
                return None
            await anyio.sleep(pause_s)
        return None

    async def _settled_since(self, since_ms: int) -> list[Record]:
        """Received payments whose record changed at or after a time, oldest change first."""
        try:
            found = await self._received_since(since_ms)
        except WalletUnavailable as error:
            if self._sorted_by == _MADE or _NO_SORT not in str(error):
                raise
            self._sorted_by = _MADE
            found = await self._received_since(since_ms)
        return sorted(
            (
                record
                for record in found
                if record.status == "success"
                and record.amount > 0
                and record.updated_at_ms >= since_ms
            ),
            key=lambda record: record.updated_at_ms,
        )

    async def _received_since(self, since_ms: int) -> list[Record]:
        """Received payments, the newest first, back to all that changed at or after a time."""
        found: list[Record] = []
        while True:
            page = await self._page(
                **{
                    "status": "success",
                    "amount[gt]": "0",
                    "sortby": self._sorted_by,
                    "direction": "desc",
                    "limit": str(_PAGE),
                    "offset": str(len(found)),
                }
            )
            found += page.data
            if len(page.data) < _PAGE:
                return found
            oldest = page.data[-1]
            if self._sorted_by == _CHANGED and oldest.updated_at_ms < since_ms:
                return found
            if self._sorted_by == _MADE and oldest.created_at_ms < since_ms - INVOICE_LIFE_MS:
                return found

    async def _page(self, **query: str) -> Page:
        return read(await self._get("/api/v1/payments/paginated", query), Page)

    async def _get(self, path: str, query: Mapping[str, str]) -> httpx.Response:
        response = await self._request("GET", path, params=query)
        if response.is_success:
            return response
        detail, _ = _complaint(response)
        if response.status_code in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN) or (
            detail == "Wallet not found."
        ):
            raise checks.Misconfigured(f"LNbits at {self._url} does not accept the key: {detail}")
        if response.status_code == HTTPStatus.NOT_FOUND:
            raise checks.Misconfigured(f"{self._url} does not answer like an LNbits")
        if response.has_redirect_location:
            raise checks.Misconfigured(f"LNbits at {self._url} redirects: use the final address")
        raise WalletUnavailable(f"LNbits at {self._url} answered {response.status_code}: {detail}")

    async def _request(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        json: Mapping[str, Any] | None = None,
    ) -> httpx.Response:
        try:
            # The client's own limit is for each part of an answer.
            with anyio.fail_after(self._answer_s):
                return await self._opened().request(method, path, params=params, json=json)
        except TimeoutError:
            raise self._unreachable("ReadTimeout") from None
        except httpx.RequestError as error:
            raise self._unreachable(type(error).__name__) from None

    def _unreachable(self, cause: str = "ConnectError") -> WalletUnavailable:
        return WalletUnavailable(f"LNbits at {self._url} does not answer ({cause})")

    def _opened(self) -> httpx.AsyncClient:
        if self._http is None:
            raise WalletUnavailable("the LNbits wallet is not open")
        return self._http

    def _settlement(self, record: Record) -> Settlement:
        return Settlement(
            payment_hash=record.payment_hash,
            amount_msat=record.amount,
            settled_at_ms=record.updated_at_ms,
            cursor=cursors.write(self._source, record.updated_at_ms),
        )

    def _check_network(self, request: str) -> None:
        try:
            network = bolt11.decode(request).network
        except InvalidInvoice:
            return
        if network != self._network:
            raise checks.Misconfigured(checks.another_network("LNbits", network, self._network))


async def _hint(stream: ClientConnection, until: float) -> str:
    """The payment hash of the next notification of a received payment; "" for anything else."""
    with anyio.CancelScope(deadline=until):
        message = await stream.recv()
        try:
            payment: Any = json.loads(message)["payment"]
            payment_hash, amount_msat = payment["payment_hash"], payment["amount"]
        except (ValueError, KeyError, TypeError, RecursionError):
            return ""
        if isinstance(payment_hash, str) and isinstance(amount_msat, int) and amount_msat > 0:
            return payment_hash
    return ""


def _complaint(response: httpx.Response) -> tuple[str, str]:
    """The `detail` and `status` of an error answer."""
    try:
        body: Any = response.json()
        detail, status = body.get("detail", ""), body.get("status", "")
    except (ValueError, AttributeError, RecursionError):
        return response.reason_phrase, ""
    return str(detail)[:200], str(status)


def _is_not_now(response: httpx.Response) -> bool:
    """Whether a server, or what stands before it, says that it cannot now, and not that it will
    not."""
    return (
        response.status_code >= HTTPStatus.INTERNAL_SERVER_ERROR
        or response.status_code in (HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS)
        or response.is_redirect
    )
