"""What may stand where an LND is looked for: a proxy's page, a broken stream, an answer of nobody.

HTTP/2 frame by frame (RFC 9113, RFC 7541): every server library would set right what shall be
wrong here.
"""

from __future__ import annotations

import ssl
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import anyio
import trustme
from anyio.abc import SocketAttribute
from anyio.streams.buffered import BufferedByteReceiveStream
from anyio.streams.tls import TLSListener, TLSStream

from wallet import lnd_pb2 as pb

_DATA, _HEADERS, _RST_STREAM, _SETTINGS, _PING = 0, 1, 3, 4, 6
_END_STREAM, _END_HEADERS, _ACK = 1, 4, 1
_PREFACE_BYTES = 24
_INTERNAL_ERROR = 2
_EMPTY = b"\x00" * 5
"""gRPC's frame around an empty message, which of all questions here GetInfo alone is."""

_GRPC = (b"content-type", b"application/grpc")
_HTML = (b"content-type", b"text/html")


class Answer:
    """The frames of one answer.

    Args:
        status: of HTTP; 0 for no headers at all.
        body: what comes behind the headers; None for nothing.
        trailers: what gRPC ends an answer with; None for none.
        is_broken: whether the stream is broken off in the end.
    """

    def __init__(
        self,
        status: int,
        body: bytes | None = None,
        *,
        kind: tuple[bytes, bytes] = _HTML,
        trailers: list[tuple[bytes, bytes]] | None = None,
        is_broken: bool = False,
    ) -> None:
        self._status = status
        self._body = body
        self._kind = kind
        self._trailers = trailers
        self._is_broken = is_broken

    def frames(self, stream: int) -> bytes:
        """As bytes on a stream of a connection."""
        goes_on = self._trailers is not None or self._is_broken
        last = 0 if goes_on else _END_STREAM
        sent = b""
        if self._status:
            fields = _fields([(b":status", b"%d" % self._status), self._kind])
            ends = last if self._body is None else 0
            sent += _frame(_HEADERS, _END_HEADERS | ends, stream, fields)
        if self._body is not None:
            sent += _frame(_DATA, last, stream, self._body)
        if self._trailers is not None:
            flags = _END_HEADERS | _END_STREAM
            sent += _frame(_HEADERS, flags, stream, _fields(self._trailers))
        if self._is_broken:
            sent += _frame(_RST_STREAM, 0, stream, _INTERNAL_ERROR.to_bytes(4, "big"))
        return sent


def page(status: int) -> Answer:
    """A page of what stands before LND."""
    return Answer(status, b"<html>please log in</html>")


def _message(content: bytes) -> Answer:
    """An answer as gRPC frames it."""
    framed = b"\x00" + len(content).to_bytes(4, "big") + content
    return Answer(200, framed, kind=_GRPC, trailers=[(b"grpc-status", b"0")])


EMPTY = Answer(200, kind=_GRPC)
CUT = Answer(200, b"\x00\x00\x00\x01\x00abc", kind=_GRPC)
BROKEN = Answer(0, is_broken=True)
BROKEN_LATE = Answer(200, kind=_GRPC, is_broken=True)
UNREADABLE = _message(b"\xff\xff\xff\xff")


@asynccontextmanager
async def not_lnd(
    answer: Answer, info: pb.GetInfoResponse | None = None
) -> AsyncGenerator[tuple[int, bytes]]:
    """A server that gives the same answer to everything.

    Args:
        answer: that answer.
        info: what it says to GetInfo, for which alone it is an LND then.

    Returns:
        Its port, and its certificate as PEM.
    """
    known = answer if info is None else _message(info.SerializeToString())

    async def serve(client: TLSStream) -> None:
        async with client:
            try:
                await _converse(client, answer, known)
            except (anyio.IncompleteRead, anyio.BrokenResourceError, anyio.EndOfStream):
                return

    authority = trustme.CA(key_type=trustme.KeyType.ECDSA)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate = authority.issue_cert("127.0.0.1", key_type=trustme.KeyType.ECDSA)
    certificate.configure_cert(context)  # pyright: ignore[reportUnknownMemberType]
    context.set_alpn_protocols(["h2"])
    tcp = await anyio.create_tcp_listener(local_host="127.0.0.1", local_port=0)
    port = tcp.extra_attributes[SocketAttribute.local_port]()
    listener = TLSListener(tcp, context, standard_compatible=False)
    async with listener, anyio.create_task_group() as group:
        group.start_soon(listener.serve, serve)
        yield port, authority.cert_pem.bytes()
        group.cancel_scope.cancel()


async def _converse(client: TLSStream, answer: Answer, known: Answer) -> None:
    heard = BufferedByteReceiveStream(client)
    await heard.receive_exactly(_PREFACE_BYTES)
    await client.send(_frame(_SETTINGS, 0, 0))
    while True:
        head = await heard.receive_exactly(9)
        length, kind, flags = int.from_bytes(head[:3], "big"), head[3], head[4]
        stream = int.from_bytes(head[5:], "big")
        payload = await heard.receive_exactly(length) if length else b""
        if kind == _SETTINGS and not flags & _ACK:
            await client.send(_frame(_SETTINGS, _ACK, 0))
        elif kind == _PING and not flags & _ACK:
            await client.send(_frame(_PING, _ACK, 0, payload))
        elif kind == _DATA and payload:
            chosen = known if payload == _EMPTY else answer
            await client.send(chosen.frames(stream))


def _frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    head = len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big")
    return head + payload


def _fields(fields: list[tuple[bytes, bytes]]) -> bytes:
    """Header fields as literals that are not indexed (RFC 7541 section 6.2.2)."""
    return b"".join(
        b"\x00" + bytes([len(name)]) + name + bytes([len(value)]) + value for name, value in fields
    )
