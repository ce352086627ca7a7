"""Ports of loopback: free ones, and some for what is ended and started again where it was."""

from __future__ import annotations

import socket
from collections.abc import Generator
from contextlib import ExitStack, contextmanager


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def held_ports(count: int) -> Generator[list[int]]:
    """So many ports, which nobody else is given until the end of the block.

    They are bound and nobody listens there, so that a server that asks for one by its number
    gets it. A port that is merely free now may be another process's own by the time of a restart.
    """
    with ExitStack() as stack:
        ports: list[int] = []
        for _ in range(count):
            held = stack.enter_context(socket.socket())
            held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            held.bind(("127.0.0.1", 0))
            ports.append(held.getsockname()[1])
        yield ports
