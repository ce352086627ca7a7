"""A gRPC server shaped like LND.

It speaks the messages of wallet/lnd.proto over TLS, checks macaroons, and answers as LND's
source does, error texts included. LNbits' own LND client runs against it in the tests, as
an independent check of its shape.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, NoReturn, TypeVar

import anyio
import grpc
import grpc.aio
import trustme
from google.protobuf.message import Message

from tests.wallet.lnd_node import LndNode
from wallet import bolt11, lnd_rpc
from wallet import lnd_pb2 as pb
from wallet.bolt11 import InvalidInvoice
from wallet.lnd_rpc import Method

LOOKUP_INVOICE_V2 = Method("/invoicesrpc.Invoices/LookupInvoiceV2", pb.LookupInvoiceMsg, pb.Invoice)

_Req = TypeVar("_Req", bound=Message)
_Res = TypeVar("_Res", bound=Message)
_Context = grpc.aio.ServicerContext[Any, Any]


class LndServer:
    """The gRPC face of one node.

    Attributes:
        calls: the methods that were called, by name.
        not_after: when the certificate of the next start ends.
    """

    def __init__(self, node: LndNode) -> None:
        self.node = node
        self.port = 0
        self.calls: list[str] = []
        self.authority = trustme.CA(key_type=trustme.KeyType.ECDSA)
        self.host = "127.0.0.1"
        self.not_after = datetime.now(UTC) + timedelta(days=400)
        self._server: grpc.aio.Server | None = None

    @property
    def certificate(self) -> bytes:
        """What stands in its tls.cert."""
        return self.authority.cert_pem.bytes()

    async def start(self) -> None:
        """Listen, on the same port again after a stop."""
        server = grpc.aio.server()
        server.add_generic_rpc_handlers(self._handlers())
        leaf = self.authority.issue_cert(
            self.host,
            key_type=trustme.KeyType.ECDSA,
            not_before=self.not_after - timedelta(days=401),
            not_after=self.not_after,
        )
        credentials = grpc.ssl_server_credentials(
            [(leaf.private_key_pem.bytes(), b"".join(p.bytes() for p in leaf.cert_chain_pems))]
        )
        self.port = server.add_secure_port(f"127.0.0.1:{self.port}", credentials)
        await server.start()
        self._server = server

    async def stop(self) -> None:
        """Stop listening and break all calls."""
        server, self._server = self._server, None
        if server is not None:
            await server.stop(None)

    async def _get_info(
        self, _request: pb.GetInfoRequest, _context: _Context
    ) -> pb.GetInfoResponse:
        return pb.GetInfoResponse(
            identity_pubkey=self.node.pubkey,
            alias=self.node.alias,
            synced_to_chain=True,
            version="0.21.0-beta",
            chains=[pb.Chain(network=self.node.chain)],
        )

    async def _channel_balance(
        self, _request: pb.ChannelBalanceRequest, _context: _Context
    ) -> pb.ChannelBalanceResponse:
        return pb.ChannelBalanceResponse(
            balance=self.node.balance_msat // 1000,
            local_balance=pb.Amount(msat=self.node.balance_msat),
            remote_balance=pb.Amount(
                msat=sum(n.balance_msat for n in self.node.network.values() if n is not self.node)
            ),
        )

    async def _list_channels(
        self, _request: pb.ListChannelsRequest, _context: _Context
    ) -> pb.ListChannelsResponse:
        return pb.ListChannelsResponse(channels=self.node.channels)

    async def _add_invoice(self, request: pb.Invoice, _context: _Context) -> pb.AddInvoiceResponse:
        made = self.node.add_invoice(
            request.value_msat or request.value * 1000 or None,
            memo=request.memo,
            description_hash=request.description_hash,
            expiry_s=request.expiry,
            preimage=request.r_preimage,
        )
        return pb.AddInvoiceResponse(
            r_hash=made.r_hash, payment_request=made.payment_request, add_index=made.add_index
        )

    async def _lookup_invoice(self, request: pb.PaymentHash, context: _Context) -> pb.Invoice:
        return await self._found(request.r_hash, context)

    async def _lookup_invoice_v2(
        self, request: pb.LookupInvoiceMsg, context: _Context
    ) -> pb.Invoice:
        return await self._found(request.payment_hash, context)

    async def _found(self, payment_hash: bytes, context: _Context) -> pb.Invoice:
        invoice = self.node.invoices.get(payment_hash)
        if invoice is None:
            await abort(context, grpc.StatusCode.NOT_FOUND, "unable to locate invoice")
        return invoice

    async def _list_invoices(
        self, request: pb.ListInvoiceRequest, _context: _Context
    ) -> pb.ListInvoiceResponse:
        page = [i for i in self.node.invoices.values() if i.add_index > request.index_offset]
        page = page[: request.num_max_invoices or 100]
        last = page[-1].add_index if page else 0
        return pb.ListInvoiceResponse(invoices=page, last_index_offset=last)

    async def _subscribe_invoices(
        self, request: pb.InvoiceSubscription, _context: _Context
    ) -> AsyncIterator[pb.Invoice]:
        index = request.settle_index or self.node.settled
        added = len(self.node.invoices)
        if self.node.dumb:
            await anyio.sleep_forever()
        while True:
            changed = self.node.changed
            for invoice in list(self.node.invoices.values())[added:]:
                added += 1
                yield invoice
            settled = [i for i in self.node.invoices.values() if i.settle_index > index]
            for invoice in sorted(settled, key=lambda invoice: invoice.settle_index):
                index = invoice.settle_index
                yield invoice
            await changed.wait()

    async def _subscribe_single_invoice(
        self, request: pb.SubscribeSingleInvoiceRequest, _context: _Context
    ) -> AsyncIterator[pb.Invoice]:
        told = None
        while True:
            changed = self.node.changed
            invoice = self.node.invoices.get(request.r_hash)
            if invoice is not None and invoice.state != told:
                told = invoice.state
                yield invoice
                if told in (pb.Invoice.SETTLED, pb.Invoice.CANCELED):
                    return
            await changed.wait()

    async def _send_payment(
        self, request: pb.SendPaymentRequest, context: _Context
    ) -> AsyncIterator[pb.Payment]:
        ours = "bitcoin" if self.node.chain == "mainnet" else self.node.chain
        try:
            invoice = bolt11.decode(request.payment_request)
        except InvalidInvoice as error:
            await abort(context, grpc.StatusCode.UNKNOWN, str(error))
        if invoice.network != ours:
            await abort(
                context,
                grpc.StatusCode.UNKNOWN,
                f"invoice not for current active network '{self.node.chain}'",
            )
        if time.time() * 1000 > invoice.expires_at_ms:
            await abort(context, grpc.StatusCode.UNKNOWN, "invoice expired. Valid until then")
        if invoice.payee == self.node.pubkey and not request.allow_self_payment:
            await abort(context, grpc.StatusCode.UNKNOWN, "self-payments not allowed")
        before = self.node.payments.get(bytes.fromhex(invoice.payment_hash))
        if before is not None and before.status == pb.Payment.SUCCEEDED:
            await abort(context, grpc.StatusCode.ALREADY_EXISTS, "invoice is already paid")
        if before is not None and before.status == pb.Payment.IN_FLIGHT:
            await abort(context, grpc.StatusCode.ALREADY_EXISTS, "payment is in transition")
        payment = self.node.send(invoice, request.fee_limit_msat)
        async for update in self._follow(payment, request.no_inflight_updates):
            yield update

    async def _track_payment(
        self, request: pb.TrackPaymentRequest, context: _Context
    ) -> AsyncIterator[pb.Payment]:
        payment = self.node.payments.get(request.payment_hash)
        if payment is None:
            await abort(context, grpc.StatusCode.NOT_FOUND, "payment isn't initiated")
        async for update in self._follow(payment, request.no_inflight_updates):
            yield update

    async def _follow(self, payment: pb.Payment, quiet: bool) -> AsyncIterator[pb.Payment]:
        if payment.status == pb.Payment.IN_FLIGHT and not quiet:
            yield payment
        while payment.status == pb.Payment.IN_FLIGHT:
            changed = self.node.changed
            await changed.wait()
        yield payment

    async def _list_payments(
        self, request: pb.ListPaymentsRequest, _context: _Context
    ) -> pb.ListPaymentsResponse:
        """The last ones before an index, which counts from 1, in the order of their making."""
        made = list(self.node.payments.values())
        assert request.reversed
        assert request.include_incomplete
        end = request.index_offset - 1 if request.index_offset else len(made)
        first = max(0, end - request.max_payments)
        page = made[first:end]
        return pb.ListPaymentsResponse(payments=page, first_index_offset=first + 1 if page else 0)

    async def _add_hold_invoice(
        self, request: pb.AddHoldInvoiceRequest, _context: _Context
    ) -> pb.AddHoldInvoiceResp:
        made = self.node.add_invoice(
            request.value_msat or request.value * 1000 or None,
            memo=request.memo,
            description_hash=request.description_hash,
            expiry_s=request.expiry,
            hold_hash=request.hash,
        )
        return pb.AddHoldInvoiceResp(payment_request=made.payment_request, add_index=made.add_index)

    async def _settle_invoice(
        self, request: pb.SettleInvoiceMsg, context: _Context
    ) -> pb.SettleInvoiceResp:
        invoice = await self._found(hashlib.sha256(request.preimage).digest(), context)
        if invoice.state == pb.Invoice.OPEN:
            await abort(context, grpc.StatusCode.UNKNOWN, "invoice still open")
        if invoice.state == pb.Invoice.CANCELED:
            await abort(context, grpc.StatusCode.UNKNOWN, "invoice already canceled")
        if invoice.state == pb.Invoice.ACCEPTED:
            self.node.settle(invoice, request.preimage)
        return pb.SettleInvoiceResp()

    async def _cancel_invoice(
        self, request: pb.CancelInvoiceMsg, context: _Context
    ) -> pb.CancelInvoiceResp:
        invoice = await self._found(request.payment_hash, context)
        if invoice.state == pb.Invoice.SETTLED:
            await abort(context, grpc.StatusCode.UNKNOWN, "invoice already settled")
        invoice.state = pb.Invoice.CANCELED
        self.node.tell_payers(invoice.r_hash, None)
        self.node.wake()
        return pb.CancelInvoiceResp()

    def _handlers(self) -> tuple[grpc.GenericRpcHandler, ...]:
        services: dict[str, dict[str, grpc.RpcMethodHandler[Any, Any]]] = {}

        def unary(
            method: Method[_Req, _Res], behaviour: Callable[[_Req, _Context], Awaitable[_Res]]
        ) -> None:
            async def guarded(request: _Req, context: _Context) -> _Res:
                await self._admit(method.name, context)
                try:
                    return await behaviour(request, context)
                except ValueError as error:
                    await abort(context, grpc.StatusCode.UNKNOWN, str(error))

            _, service, name = method.name.split("/")
            services.setdefault(service, {})[name] = grpc.unary_unary_rpc_method_handler(
                guarded,
                request_deserializer=method.request.FromString,
                response_serializer=method.response.SerializeToString,
            )

        def streaming(
            method: Method[_Req, _Res], behaviour: Callable[[_Req, _Context], AsyncIterator[_Res]]
        ) -> None:
            async def guarded(request: _Req, context: _Context) -> AsyncGenerator[_Res]:
                await self._admit(method.name, context)
                async for answer in behaviour(request, context):
                    yield answer

            _, service, name = method.name.split("/")
            services.setdefault(service, {})[name] = grpc.unary_stream_rpc_method_handler(
                guarded,
                request_deserializer=method.request.FromString,
                response_serializer=method.response.SerializeToString,
            )

        unary(lnd_rpc.GET_INFO, self._get_info)
        unary(lnd_rpc.CHANNEL_BALANCE, self._channel_balance)
        unary(lnd_rpc.LIST_CHANNELS, self._list_channels)
        unary(lnd_rpc.ADD_INVOICE, self._add_invoice)
        unary(lnd_rpc.LOOKUP_INVOICE, self._lookup_invoice)
        unary(LOOKUP_INVOICE_V2, self._lookup_invoice_v2)
        unary(lnd_rpc.LIST_INVOICES, self._list_invoices)
        unary(lnd_rpc.LIST_PAYMENTS, self._list_payments)
        unary(lnd_rpc.ADD_HOLD_INVOICE, self._add_hold_invoice)
        unary(lnd_rpc.SETTLE_INVOICE, self._settle_invoice)
        unary(lnd_rpc.CANCEL_INVOICE, self._cancel_invoice)
        streaming(lnd_rpc.SUBSCRIBE_INVOICES, self._subscribe_invoices)
        streaming(lnd_rpc.SUBSCRIBE_SINGLE_INVOICE, self._subscribe_single_invoice)
        streaming(lnd_rpc.SEND_PAYMENT, self._send_payment)
        streaming(lnd_rpc.TRACK_PAYMENT, self._track_payment)
        return tuple(
            grpc.method_handlers_generic_handler(service, methods)
            for service, methods in services.items()
        )

    async def _admit(self, method: str, context: _Context) -> None:
        self.calls.append(method)
        if self.node.locked:
            await abort(
                context,
                grpc.StatusCode.UNKNOWN,
                "wallet locked, unlock it to enable full RPC access",
            )
        given = [value for key, value in context.invocation_metadata() or () if key == "macaroon"]
        if len(given) != 1:
            await abort(context, grpc.StatusCode.UNKNOWN, f"expected 1 macaroon, got {len(given)}")
        allowed = self.node.macaroons.get(str(given[0]))
        if allowed is None:
            await abort(
                context,
                grpc.StatusCode.UNKNOWN,
                "verification failed: signature mismatch after caveat verification",
            )
        if method != LOOKUP_INVOICE_V2.name and lnd_rpc.PERMISSIONS[method] not in allowed:
            await abort(context, grpc.StatusCode.UNKNOWN, "permission denied")


async def abort(context: _Context, code: grpc.StatusCode, details: str) -> NoReturn:
    """End a call with an error."""
    await context.abort(code, details)
    raise AssertionError(details)


@asynccontextmanager
async def lnd_server() -> AsyncGenerator[tuple[LndServer, LndNode]]:
    """A node with a gRPC face and no money, and another one with much of it."""
    network: dict[str, LndNode] = {}
    server = LndServer(LndNode(network, "strom-operator"))
    peer = LndNode(network, "strom-driver")
    peer.balance_msat = 10**13
    await server.start()
    try:
        yield server, peer
    finally:
        await server.stop()
