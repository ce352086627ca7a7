"""Calls to LND over gRPC: the channel, the methods by name, and what errors mean.

https://lightning.engineering/api-docs/api/lnd/
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import anyio
import grpc
import grpc.aio
from google.protobuf.message import DecodeError, Message

from wallet import lnd_pb2 as pb
from wallet.base import WalletError, WalletRefused, WalletUnavailable
from wallet.checks import Misconfigured

ANSWER_S = 20.0
_HANDSHAKE_S = 5
_MAX_MESSAGE = 64 * 2**20
# A dead connection is noticed within 40 s; LND allows a ping every 5 s.
_OPTIONS = (
    ("grpc.max_receive_message_length", _MAX_MESSAGE),
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.http2.max_pings_without_data", 0),
    ("grpc.initial_reconnect_backoff_ms", 200),
    ("grpc.min_reconnect_backoff_ms", 200),
    ("grpc.max_reconnect_backoff_ms", 5_000),
    ("grpc.enable_http_proxy", 0),
)
_NOT_NOW = frozenset(
    {
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.CANCELLED,
        grpc.StatusCode.RESOURCE_EXHAUSTED,
    }
)
# LND says these with the code UNKNOWN, and the first also with UNIMPLEMENTED.
_NOT_READY = ("wallet locked", "wallet not created", "not yet ready", "waiting to start")
# gRPC's own words where something before LND answered, or a stream was cut.
_NOT_OF_LND = ("Received http2 header with status", "Stream removed", "No status received")
_BAD_MACAROON = ("macaroon", "verification failed", "permission denied")

_Req = TypeVar("_Req", bound=Message)
_Res = TypeVar("_Res", bound=Message)


@dataclass(frozen=True, slots=True)
class Method(Generic[_Req, _Res]):
    """A method of LND by its full name."""

    name: str
    request: type[_Req]
    response: type[_Res]


GET_INFO = Method("/lnrpc.Lightning/GetInfo", pb.GetInfoRequest, pb.GetInfoResponse)
LIST_CHANNELS = Method(
    "/lnrpc.Lightning/ListChannels", pb.ListChannelsRequest, pb.ListChannelsResponse
)
CHANNEL_BALANCE = Method(
    "/lnrpc.Lightning/ChannelBalance", pb.ChannelBalanceRequest, pb.ChannelBalanceResponse
)
ADD_INVOICE = Method("/lnrpc.Lightning/AddInvoice", pb.Invoice, pb.AddInvoiceResponse)
LOOKUP_INVOICE = Method("/lnrpc.Lightning/LookupInvoice", pb.PaymentHash, pb.Invoice)
LIST_INVOICES = Method(
    "/lnrpc.Lightning/ListInvoices", pb.ListInvoiceRequest, pb.ListInvoiceResponse
)
SUBSCRIBE_INVOICES = Method(
    "/lnrpc.Lightning/SubscribeInvoices", pb.InvoiceSubscription, pb.Invoice
)
SEND_PAYMENT = Method("/routerrpc.Router/SendPaymentV2", pb.SendPaymentRequest, pb.Payment)
TRACK_PAYMENT = Method("/routerrpc.Router/TrackPaymentV2", pb.TrackPaymentRequest, pb.Payment)
LIST_PAYMENTS = Method(
    "/lnrpc.Lightning/ListPayments", pb.ListPaymentsRequest, pb.ListPaymentsResponse
)
ADD_HOLD_INVOICE = Method(
    "/invoicesrpc.Invoices/AddHoldInvoice", pb.AddHoldInvoiceRequest, pb.AddHoldInvoiceResp
)
SETTLE_INVOICE = Method(
    "/invoicesrpc.Invoices/SettleInvoice", pb.SettleInvoiceMsg, pb.SettleInvoiceResp
)
CANCEL_INVOICE = Method(
    "/invoicesrpc.Invoices/CancelInvoice", pb.CancelInvoiceMsg, pb.CancelInvoiceResp
)
SUBSCRIBE_SINGLE_INVOICE = Method(
    "/invoicesrpc.Invoices/SubscribeSingleInvoice", pb.SubscribeSingleInvoiceRequest, pb.Invoice
)

PERMISSIONS = {
    GET_INFO.name: ("info", "read"),
    CHANNEL_BALANCE.name: ("offchain", "read"),
    LIST_CHANNELS.name: ("offchain", "read"),
    ADD_INVOICE.name: ("invoices", "write"),
    LOOKUP_INVOICE.name: ("invoices", "read"),
    LIST_INVOICES.name: ("invoices", "read"),
    SUBSCRIBE_INVOICES.name: ("invoices", "read"),
    SEND_PAYMENT.name: ("offchain", "write"),
    TRACK_PAYMENT.name: ("offchain", "read"),
    LIST_PAYMENTS.name: ("offchain", "read"),
    ADD_HOLD_INVOICE.name: ("invoices", "write"),
    SETTLE_INVOICE.name: ("invoices", "write"),
    CANCEL_INVOICE.name: ("invoices", "write"),
    SUBSCRIBE_SINGLE_INVOICE.name: ("invoices", "read"),
}


class LndRefused(WalletRefused):
    """LND's handler answered with an error: the call is over, and this is what it said."""

    def __init__(self, method: str, code: grpc.StatusCode, details: str) -> None:
        super().__init__(f"LND refused {method.rpartition('/')[2]}: {details}")
        self.details = details
        self.not_found = code is grpc.StatusCode.NOT_FOUND or "unable to locate" in details
        self.already_exists = code is grpc.StatusCode.ALREADY_EXISTS
        self.bad_macaroon = any(word in details for word in _BAD_MACAROON)


class Stream(Generic[_Res]):
    """The answers of a streaming call."""

    def __init__(self, rpc: LndRpc, method: Method[Any, _Res], call: Any) -> None:
        self._rpc = rpc
        self._method = method
        self._call = call

    async def read(self) -> _Res | None:
        """The next answer; None when LND ended the stream.

        Raises:
            WalletUnavailable: the connection or LND is gone.
            LndRefused: LND answered with an error.
        """
        answer = await self._rpc.outcome(self._method.name, self._call.read())
        return None if answer is grpc.aio.EOF else _read(self._rpc.address, self._method, answer)


class LndRpc:
    """A connection to one LND.

    Args:
        host: name or address, as it stands in LND's certificate.
        port: of its gRPC listener, usually 10009.
        certificate: LND's tls.cert, PEM.
        macaroon: binary.
        answer_s: how long an answer may take.
    """

    def __init__(
        self, host: str, port: int, certificate: bytes, macaroon: bytes, answer_s: float = ANSWER_S
    ) -> None:
        self.address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        self._host = host
        self._port = port
        self._certificate = certificate
        self._metadata = (("macaroon", macaroon.hex()),)
        self._answer_s = answer_s
        self._channel: grpc.aio.Channel | None = None

    def open(self) -> None:
        """Make the channel, which connects at the first call; idempotent."""
        if self._channel is None:
            credentials = grpc.ssl_channel_credentials(self._certificate)
            self._channel = grpc.aio.secure_channel(self.address, credentials, options=_OPTIONS)

    async def close(self) -> None:
        """End all calls; idempotent."""
        channel, self._channel = self._channel, None
        if channel is not None:
            await channel.close()

    async def call(
        self, method: Method[_Req, _Res], request: _Req, timeout_s: float | None = None
    ) -> _Res:
        """One question, one answer.

        Raises:
            WalletUnavailable: LND is not there, not ready, or does not answer in time.
            LndRefused: LND answered with an error.
        """
        rpc = self._opened().unary_unary(
            method.name,
            request_serializer=method.request.SerializeToString,
            response_deserializer=_as_it_came,
        )
        call = rpc(request, metadata=self._metadata, timeout=timeout_s or self._answer_s)
        return _read(self.address, method, await self.outcome(method.name, call))

    @asynccontextmanager
    async def stream(
        self, method: Method[_Req, _Res], request: _Req, timeout_s: float | None = None
    ) -> AsyncGenerator[Stream[_Res]]:
        """A call with many answers, ended with the block; no time-out unless one is given."""
        rpc = self._opened().unary_stream(
            method.name,
            request_serializer=method.request.SerializeToString,
            response_deserializer=_as_it_came,
        )
        call = rpc(request, metadata=self._metadata, timeout=timeout_s)
        try:
            yield Stream[_Res](self, method, call)
        finally:
            call.cancel()

    async def outcome(self, method: str, awaitable: Any) -> Any:
        """Await a part of a call, and turn its error into one of this room's."""
        try:
            return await awaitable
        except grpc.aio.AioRpcError as error:
            raise _meaning(self.address, method, error) from None
        except (grpc.aio.UsageError, asyncio.CancelledError):
            # Closing the channel cancels its calls, which looks like the end of this task.
            task = asyncio.current_task()
            if self._channel is not None or (task is not None and task.cancelling()):
                raise
            raise WalletUnavailable("the LND wallet was closed") from None

    async def why_unreachable(self) -> WalletUnavailable | None:
        """Look at the TLS handshake, which gRPC explains differently in every version."""
        context = ssl.create_default_context()
        context.verify_flags |= ssl.VerifyFlags.VERIFY_X509_PARTIAL_CHAIN
        try:
            context.load_verify_locations(cadata=self._certificate.decode("ascii"))
        except (ssl.SSLError, ValueError):
            return Misconfigured("the file of tls_cert is not a certificate in PEM form")
        try:
            with anyio.fail_after(_HANDSHAKE_S):
                stream = await anyio.connect_tcp(
                    self._host, self._port, ssl_context=context, tls_hostname=self._host
                )
                await stream.aclose()
        except ssl.SSLCertVerificationError as error:
            return _certificate_trouble(self.address, error)
        except (OSError, anyio.BrokenResourceError, TimeoutError):
            return None
        return None

    def _opened(self) -> grpc.aio.Channel:
        if self._channel is None:
            raise WalletUnavailable("the LND wallet is not open")
        return self._channel


_NOT_YET_VALID, _EXPIRED = 9, 10


def _certificate_trouble(address: str, error: ssl.SSLCertVerificationError) -> WalletUnavailable:
    if error.verify_code == _NOT_YET_VALID:
        # The clock of a machine that has just started may be set at any moment.
        return WalletUnavailable(
            f"the TLS certificate of LND at {address} is not valid yet: is this machine's clock "
            "right?"
        )
    if error.verify_code == _EXPIRED:
        return Misconfigured(
            f"the TLS certificate of LND at {address} has expired: remove tls.cert and tls.key "
            "there, restart LND, and copy the new tls.cert"
        )
    if "mismatch" in error.verify_message or "not valid for" in error.verify_message:
        return Misconfigured(
            f"the TLS certificate of LND is not for {address}: add tlsextraip or tlsextradomain "
            "to its lnd.conf and make a new certificate, or use a name that is in it"
        )
    return Misconfigured(
        f"the TLS certificate of LND at {address} is not the one in the file of tls_cert: "
        "copy the present tls.cert"
    )


def _as_it_came(answer: bytes) -> bytes:
    return answer


def _read(address: str, method: Method[Any, _Res], answer: bytes) -> _Res:
    """An answer as what it should be; gRPC itself would make None of what cannot be read."""
    try:
        return method.response.FromString(answer)
    except DecodeError:
        raise WalletUnavailable(f"what answers at {address} does not speak like LND") from None


def _meaning(address: str, method: str, error: grpc.aio.AioRpcError) -> WalletError:
    code, details = error.code(), error.details() or ""
    if code in _NOT_NOW:
        return WalletUnavailable(f"LND at {address} does not answer ({code.name})")
    if any(words in details for words in _NOT_READY) or (
        code is grpc.StatusCode.UNIMPLEMENTED and "unknown service" in details
    ):
        return WalletUnavailable(f"LND at {address} is not ready: unlock its wallet, or wait")
    if details.startswith(_NOT_OF_LND):
        return WalletUnavailable(f"something else than LND answers at {address}: {details}")
    return LndRefused(method, code, details or code.name)
