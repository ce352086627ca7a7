"""A wallet service for NWC whose every answer a test decides, or that is a play-money wallet.

Its nostr side is tests/node/nwc_bridge.mjs, which shares no code with Strom.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import anyio
from nostr_sdk import Keys

from nips.embedded_relay import EmbeddedRelay
from tests.node import start_script
from tests.ports import free_port
from tests.wallet.clock import now_ms
from wallet.base import InvoiceState, PaymentState, WalletError
from wallet.dev import DevWallet
from wallet.nwc import NwcWallet
from wallet.nwc_connection import parse

SAT = 1000

Handler = Callable[[dict[str, Any]], Awaitable[dict[str, Any] | None]]
HOLDS = ("make_hold_invoice", "settle_hold_invoice", "cancel_hold_invoice")
METHODS = (
    "get_info",
    "get_balance",
    "make_invoice",
    "pay_invoice",
    "lookup_invoice",
    "list_transactions",
    *HOLDS,
)


class Refusal(Exception):
    """An error answer of the service."""

    def __init__(self, code: str, message: str = "") -> None:
        super().__init__(message)
        self.answer = {"code": code, "message": message or code}


class ScriptedService:
    """The service; `handlers` may be changed at any time, and one that gives None is silent."""

    def __init__(self, encryption: str, info: tuple[str, ...]) -> None:
        self.client, self.wallet = Keys.generate(), Keys.generate()
        self.relay = EmbeddedRelay("127.0.0.1", free_port())
        self.handlers: dict[str, Handler] = {}
        self.requests: list[dict[str, Any]] = []
        self._encryption = encryption
        self._info = info
        self._process: asyncio.subprocess.Process | None = None

    @property
    def connection(self) -> str:
        """The wallet connection for the client."""
        return (
            f"nostr+walletconnect://{self.wallet.public_key().to_hex()}"
            f"?relay={self.relay.url}&secret={self.client.secret_key().to_hex()}"
        )

    async def start(self) -> asyncio.StreamReader:
        """Start relay and bridge; its output, once it listens."""
        await self.relay.open()
        process = self._process = await start_script("nwc_bridge.mjs")
        assert process.stdout is not None
        self._send(
            {
                "relay": self.relay.url,
                "walletSecret": self.wallet.secret_key().to_hex(),
                "walletPubkey": self.wallet.public_key().to_hex(),
                "clientPubkey": self.client.public_key().to_hex(),
                "info": " ".join(self._info),
                "encryption": self._encryption,
            }
        )
        with anyio.fail_after(60):
            assert json.loads(await process.stdout.readline()) == {"ready": True}
        return process.stdout

    async def stop(self) -> None:
        """Stop both."""
        process, self._process = self._process, None
        if process is not None:
            assert process.stdin is not None
            assert process.stderr is not None
            process.kill()
            process.stdin.close()
            # `serve` reads the other pipe to its end.
            await process.stderr.read()
            await process.wait()
        await self.relay.close()

    def notify(self, kind: str, notification: dict[str, Any], *, forged: bool = False) -> None:
        """Tell the client something unasked."""
        body = {"notification_type": kind, "notification": notification}
        self._send({"notify": body, "forged": forged})

    async def serve(self, output: asyncio.StreamReader) -> None:
        """Answer until the bridge ends."""
        async with anyio.create_task_group() as group:
            while line := await output.readline():
                request = json.loads(line)
                self.requests.append(request)
                group.start_soon(self._answer, request)

    async def _answer(self, request: dict[str, Any]) -> None:
        handler = self.handlers.get(request["method"])
        try:
            if handler is None:
                raise Refusal("NOT_IMPLEMENTED")
            result = await handler(request["params"])
        except Refusal as refusal:
            self._send({"answer": request["id"], "error": refusal.answer})
        else:
            if result is not None:
                self._send({"answer": request["id"], "result": result})

    def _send(self, message: dict[str, Any]) -> None:
        process = self._process
        if process is not None and process.stdin is not None:
            process.stdin.write(json.dumps(message).encode() + b"\n")


def back_with_play_money(service: ScriptedService, dev: DevWallet) -> None:
    """Let a play-money wallet answer, hold invoices included."""

    async def transaction(payment_hash: str) -> dict[str, Any]:
        outcome = await dev.lookup_payment(payment_hash)
        if outcome.state is not PaymentState.NO_RECORD:
            kind, state = "outgoing", str(outcome.state)
            return {"type": kind, "state": state, "payment_hash": payment_hash, "amount": 1}
        state, settlement = await dev.lookup_invoice(payment_hash)
        names = {
            InvoiceState.OPEN: "pending",
            InvoiceState.HELD: "accepted",
            InvoiceState.SETTLED: "settled",
            InvoiceState.CANCELED: "failed",
        }
        if state not in names:
            raise Refusal("NOT_FOUND")
        return {
            "type": "incoming",
            "state": names[state],
            "payment_hash": payment_hash,
            "amount": settlement.amount_msat if settlement else 0,
            "settled_at": settlement.settled_at_ms // 1000 if settlement else None,
        }

    async def refusing(work: Awaitable[Any]) -> Any:
        try:
            return await work
        except WalletError as error:
            raise Refusal("OTHER", str(error)) from None

    async def get_info(_params: dict[str, Any]) -> dict[str, Any]:
        return {
            "alias": "play",
            "network": "regtest",
            "methods": list(METHODS),
            "notifications": ["payment_received", "hold_invoice_accepted"],
        }

    async def get_balance(_params: dict[str, Any]) -> dict[str, Any]:
        return {"balance": (await dev.info()).balance_msat}

    async def make_invoice(params: dict[str, Any]) -> dict[str, Any]:
        made = await refusing(
            dev.create_invoice(
                params["amount"],
                memo=params.get("description", ""),
                description=None,
                expiry_s=params["expiry"],
            )
        )
        return {"type": "incoming", "invoice": made.bolt11, "payment_hash": made.payment_hash}

    async def make_hold_invoice(params: dict[str, Any]) -> dict[str, Any]:
        made = await refusing(
            dev.create_hold_invoice(
                params["payment_hash"],
                params["amount"],
                memo=params.get("description", ""),
                description=None,
                expiry_s=params["expiry"],
            )
        )
        return {"type": "incoming", "invoice": made.bolt11, "payment_hash": made.payment_hash}

    async def settle_hold_invoice(params: dict[str, Any]) -> dict[str, Any]:
        await refusing(dev.settle_held(bytes.fromhex(params["preimage"])))
        return {}

    async def cancel_hold_invoice(params: dict[str, Any]) -> dict[str, Any]:
        await refusing(dev.cancel_held(params["payment_hash"]))
        return {}

    async def pay_invoice(params: dict[str, Any]) -> dict[str, Any]:
        outcome = await dev.pay(params["invoice"], fee_limit_msat=0, timeout_s=5)
        if outcome.state is PaymentState.FAILED:
            raise Refusal("PAYMENT_FAILED", outcome.reason)
        # Like wallets that tell no preimage: the record of the payment must do.
        return {"preimage": ""}

    async def lookup_invoice(params: dict[str, Any]) -> dict[str, Any]:
        return await transaction(params["payment_hash"])

    async def list_transactions(params: dict[str, Any]) -> dict[str, Any]:
        found: list[dict[str, Any]] = []
        with anyio.move_on_after(0.2):
            async for settlement in dev.settlements(""):
                found += [await transaction(settlement.payment_hash)]
        offset = params["offset"]
        return {"transactions": found[::-1][offset : offset + params["limit"]]}

    service.handlers |= {
        handler.__name__: handler
        for handler in (
            get_info,
            get_balance,
            make_invoice,
            pay_invoice,
            lookup_invoice,
            list_transactions,
            make_hold_invoice,
            settle_hold_invoice,
            cancel_hold_invoice,
        )
    }


@asynccontextmanager
async def scripted_service(
    dev: DevWallet, encryption: str = "nip44_v2", info: tuple[str, ...] = METHODS
) -> AsyncGenerator[ScriptedService]:
    """A running service backed by play money."""
    service = ScriptedService(encryption, info)
    back_with_play_money(service, dev)
    async with anyio.create_task_group() as group:
        try:
            group.start_soon(service.serve, await service.start())
            yield service
        finally:
            await service.stop()


def make_wallet(service: ScriptedService, answer_s: float = 20) -> NwcWallet:
    """A wallet behind the service, which is not open yet."""
    return NwcWallet(parse(service.connection), "regtest", now_ms, answer_s=answer_s)


async def fund(dev: DevWallet, amount_msat: int = 100 * SAT) -> str:
    """Somebody pays an invoice of the wallet's; returns its payment hash."""
    invoice = await dev.create_invoice(amount_msat, memo="m", description=None, expiry_s=600)
    await dev.driver_pay(invoice.bolt11)
    return invoice.payment_hash
