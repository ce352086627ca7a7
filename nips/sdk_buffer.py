"""Lets nostr-sdk's Python binding hand texts to Rust in one piece.

The generated binding (nostr-sdk 0.45.1) copies every text byte by byte in a Python loop:
0.4 us a byte, so 0.4 ms for a small event and 25 ms for one of 60 kB, which any stranger can
send. Copied in one piece the same takes 0.06 ms and 0.1 ms. Imported for this effect by the
package; where the binding looks different, it is left as it is.
"""

from __future__ import annotations

import ctypes

from nostr_sdk import nostr_sdk as binding


def _write(builder: binding._UniffiRustBufferBuilder, value: bytes) -> None:  # pyright: ignore[reportPrivateUsage]
    size = len(value)
    with builder._reserve(size):
        start = ctypes.addressof(builder.rbuf.data.contents) + builder.rbuf.len
        ctypes.memmove(start, bytes(value), size)


def _install() -> bool:
    builder = getattr(binding, "_UniffiRustBufferBuilder", None)
    if builder is None or not hasattr(builder, "write") or not hasattr(builder, "_reserve"):
        return False
    probe = builder()
    try:
        _write(probe, b"strom")
        copied = probe.rbuf.data[: probe.rbuf.len]
    except (AttributeError, TypeError, ValueError):
        return False
    finally:
        probe.discard()
    if copied not in (b"strom", list(b"strom")):
        return False
    builder.write = _write
    return True


INSTALLED = _install()
"""Whether texts are copied in one piece now."""
