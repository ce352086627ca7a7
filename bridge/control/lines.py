"""What travels over the control socket: JSON, a line for a request and one for its answer.

A request is `{"strom": 1, "command": ..., "arguments": {...}}`, its answer
`{"strom": 1, "result": ...}` or `{"strom": 1, "error": "a sentence"}`. The number is the version
of this protocol; a Strom answers a version that it does not speak with an error.
"""

from __future__ import annotations

import os
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

SOCKET_FILE = "control.sock"

VERSION = 1

MOST_REQUEST_BYTES = 1 << 20
MOST_ANSWER_BYTES = 8 << 20

_LONGEST_ADDRESS = 100
"""What a unix socket's address may have is 107 bytes on Linux and 103 elsewhere."""


@contextmanager
def address_of(path: Path) -> Generator[str]:
    """The address of a socket file, for as long as the block lasts.

    A path that is too long for an address is reached through its folder's descriptor.

    Raises:
        OSError: there is no such folder, or the system has no such way.
    """
    if len(os.fsencode(path)) <= _LONGEST_ADDRESS:
        yield str(path)
        return
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)
