"""Macaroons of LND: the permissions written in one.

Format: https://github.com/rescrv/libmacaroons/blob/master/doc/format.txt (version 2); the
identifier is a MacaroonId of https://github.com/go-macaroon-bakery/macaroon-bakery
(bakery/internal/macaroonpb/id.proto) behind one version byte. Nothing is verified here,
for only LND can: it is told what a macaroon lacks without having to ask LND, which would
need a permission of its own.
"""

from __future__ import annotations

from collections.abc import Iterator

_V2 = 2
_IDENTIFIER = 2
_BAKERY_V3 = 3
_OPS = 3
_ENTITY = 1
_ACTIONS = 2
_VARINT = 0
_LENGTH_DELIMITED = 2


class InvalidMacaroon(ValueError):
    """The bytes are no macaroon of LND's kind."""


def permissions(macaroon: bytes) -> frozenset[tuple[str, str]]:
    """What a macaroon allows, as pairs such as ("invoices", "write").

    A macaroon baked for single methods has pairs such as
    ("uri", "/lnrpc.Lightning/AddInvoice").

    Raises:
        InvalidMacaroon: this is none.
    """
    try:
        identifier = _identifier(macaroon)
        if identifier[0] != _BAKERY_V3:
            raise InvalidMacaroon("its identifier has an unknown version")
        return frozenset(_operations(identifier[1:]))
    except (IndexError, UnicodeDecodeError):
        raise InvalidMacaroon("it is cut off or damaged") from None


def _identifier(macaroon: bytes) -> bytes:
    if not macaroon or macaroon[0] != _V2:
        raise InvalidMacaroon("it does not begin like one")
    position = 1
    while True:
        kind, position = _varint(macaroon, position)
        if kind == 0:
            raise InvalidMacaroon("it has no identifier")
        length, position = _varint(macaroon, position)
        if position + length > len(macaroon):
            raise InvalidMacaroon("it is cut off or damaged")
        if kind == _IDENTIFIER:
            return macaroon[position : position + length]
        position += length


def _operations(message: bytes) -> Iterator[tuple[str, str]]:
    for number, operation in _fields(message):
        if number == _OPS:
            fields = list(_fields(operation))
            entity = "".join(value.decode() for number, value in fields if number == _ENTITY)
            for number, action in fields:
                if number == _ACTIONS:
                    yield entity, action.decode()


def _fields(message: bytes) -> Iterator[tuple[int, bytes]]:
    """The length-delimited fields of a protobuf message."""
    position = 0
    while position < len(message):
        tag, position = _varint(message, position)
        if tag & 7 == _VARINT:
            _, position = _varint(message, position)
        elif tag & 7 == _LENGTH_DELIMITED:
            length, position = _varint(message, position)
            if position + length > len(message):
                raise InvalidMacaroon("it is cut off or damaged")
            yield tag >> 3, message[position : position + length]
            position += length
        else:
            raise InvalidMacaroon("its identifier cannot be read")


def _varint(data: bytes, position: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
        shift += 7
