"""What can go wrong as a Strom starts; each text is one sentence."""

from __future__ import annotations

import errno
import os


class CannotListen(Exception):
    """An address of the operator's file cannot be listened on; the text says which and why."""


def cannot_listen(key: str, address: str, error: OSError) -> CannotListen:
    """The sentence for an address that the system does not let us listen on.

    Args:
        key: what the address is called in the operator's file.
        address: "host:port".
        error: what the system said.
    """
    match error.errno:
        case errno.EADDRINUSE:
            told = "is in use: stop the other program or choose another port"
        case errno.EACCES:
            told = "may only be listened on by root: choose a port from 1024 on"
        case errno.EADDRNOTAVAIL:
            told = "is no address of this machine: choose one that it has, or 0.0.0.0 for all"
        case _:
            reason = os.strerror(error.errno) if error.errno and error.errno > 0 else error.strerror
            told = f"cannot be listened on: {(reason or str(error)).lower()}"
    return CannotListen(f'{key} = "{address}" {told}')
