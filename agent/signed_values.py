"""Meter values that the meter itself has signed: kept as they came, for the driver to check.

The file for transparency software has the form that S.A.F.E.'s reads: https://safe-ev.de.
What is signed in which format (OCMF, EDL, Alfen) is not looked into here. Pure.
"""

from __future__ import annotations

import hashlib
from base64 import b64decode, b64encode
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape, quoteattr

MOST_CHARS = 65_536
"""A longer value is left to the message log."""
MOST_INLINE_CHARS = 4_096
"""So much of them in all stands in a receipt itself, more by its hash alone."""


@dataclass(frozen=True, slots=True)
class SignedValue:
    """One signed meter value.

    Attributes:
        data: as the charger sent it, character for character.
        at_ms: when it was sampled, Unix ms.
        context: OCPP's word for when, such as "Transaction.Begin"; "" where none was given.
        encoding: the format as it was named, such as "OCMF"; "" where it was not.
        signing_method: as it was named; "" where it was not.
        public_key: as it was given; "" where it was not.
        inner: the signed data itself, where `data` is a wrapping around it; else "".
    """

    data: str
    at_ms: int
    context: str = ""
    encoding: str = ""
    signing_method: str = ""
    public_key: str = ""
    inner: str = ""

    @property
    def sha256(self) -> str:
        """The hash of the data, hex."""
        return hashlib.sha256(self.data.encode("utf-8", "surrogatepass")).hexdigest()


@dataclass(frozen=True, slots=True)
class ReceiptSignedValue:
    """A signed meter value on a receipt: its data, or where that is long its hash alone."""

    sha256: str
    at_ms: int
    context: str = ""
    encoding: str = ""
    public_key: str = ""
    data: str = ""

    @property
    def is_whole(self) -> bool:
        """Whether the data, where it stands here, is that of the hash."""
        return not self.data or SignedValue(self.data, self.at_ms).sha256 == self.sha256


def for_receipt(values: Sequence[SignedValue]) -> tuple[ReceiptSignedValue, ...]:
    """Signed values as they stand on a receipt: the first and the last, which decide."""
    decisive = values if len(values) <= 2 else (values[0], values[-1])
    inline = sum(len(v.data) + len(v.public_key) for v in decisive) <= MOST_INLINE_CHARS
    return tuple(
        ReceiptSignedValue(
            sha256=value.sha256,
            at_ms=value.at_ms,
            context=value.context,
            encoding=value.encoding,
            public_key=value.public_key if inline else "",
            data=value.data if inline else "",
        )
        for value in decisive
    )


def transparency_file(values: Iterable[SignedValue]) -> str:
    """All signed values of a session as an XML file that transparency software takes."""
    lines = ['<?xml version="1.0" encoding="UTF-8" standalone="yes"?>', "<values>"]
    for value in values:
        data, how = _plain(value.inner or value.data)
        word = _printable(value.context)
        context = f" context={quoteattr(word)}" if word else ""
        lines.append(f'  <value transactionId="1"{context}>')
        kind = quoteattr(_format(_printable(value.encoding), data))
        lines.append(f'    <signedData format={kind} encoding="{how}">{escape(data)}</signedData>')
        if value.public_key:
            key, how = _readable(value.public_key)
            lines.append(f'    <publicKey encoding="{how}">{escape(key)}</publicKey>')
        lines.append("  </value>")
    return "\n".join([*lines, "</values>", ""])


def _plain(data: str) -> tuple[str, str]:
    """Signed data and its encoding; OCMF and Alfen in base64 are written out."""
    try:
        text = b64decode(data, validate=True).decode("ascii")
    except ValueError:
        return _readable(data)
    return (text, "plain") if text.startswith(("OCMF|", "AP;")) else (data, "base64")


def _readable(text: str) -> tuple[str, str]:
    """Text as it stands, or in base64 where XML cannot hold it."""
    if all(c in "\t\n\r" or " " <= c <= "\ud7ff" or "\ue000" <= c <= "\ufffd" for c in text):
        return text, "plain"
    return b64encode(text.encode("utf-8", "surrogatepass")).decode(), "base64"


def _printable(text: str) -> str:
    return "".join(character for character in text if " " <= character <= "~")


def _format(encoding: str, data: str) -> str:
    if data.startswith("OCMF|"):
        return "OCMF"
    if data.startswith("AP;"):
        return "ALFEN"
    return {"EDL": "EDL_40_P", "ALFEN": "ALFEN"}.get(encoding.upper(), encoding or "OCMF")
