"""The control socket of a running Strom."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import stat
import struct
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import msgspec

from bridge.control.errors import CannotControl, ControlRefused
from bridge.control.lines import MOST_ANSWER_BYTES, MOST_REQUEST_BYTES, VERSION, address_of

logger = logging.getLogger(__name__)

Arguments = Mapping[str, Any]
Command = Callable[[Arguments], Awaitable[object]]
"""Does what was asked and returns a result for JSON; raises ControlRefused with the reason."""

_MOST_CLIENTS = 16
_IDLE_S = 60.0


class _Request(msgspec.Struct):
    strom: int
    command: str = ""
    arguments: dict[str, Any] = {}


@asynccontextmanager
async def controlled(path: Path, commands: Mapping[str, Command]) -> AsyncGenerator[None]:
    """A block in which this process can be asked through a socket.

    Only the user of this process and root can open it: its file has mode 0600 before anybody is
    listened to, and each peer is asked of the system as well.

    Args:
        path: of the socket; what a Strom that was killed left there is replaced. The caller
            makes sure that no other Strom has this folder.
        commands: what can be asked, by name.

    Where the socket cannot be opened the block runs without one, and the log says why: what
    drivers paid for goes on.
    """
    server = _Server(commands)
    try:
        listening = _listening(path)
    except CannotControl as error:
        logger.error("no command reaches this Strom: %s", error)
        yield
        return
    accepting = await asyncio.start_unix_server(
        server.serve, sock=listening, limit=MOST_REQUEST_BYTES
    )
    try:
        yield
    finally:
        _remove(path)
        accepting.close()
        await server.close()
        await accepting.wait_closed()


def _listening(path: Path) -> socket.socket:
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        found = path.lstat().st_mode if path.exists() or path.is_symlink() else None
        if found is not None and not stat.S_ISSOCK(found):
            raise CannotControl(f"{path} is in the way of the control socket: move it")
        path.unlink(missing_ok=True)
        with address_of(path) as address:
            listening.bind(address)
        # Nobody can connect before it listens.
        path.chmod(0o600)
        listening.listen(_MOST_CLIENTS)
        listening.setblocking(False)
    except OSError as error:
        listening.close()
        raise CannotControl(f"{path} cannot be opened: {error.strerror or error}") from None
    except BaseException:
        listening.close()
        raise
    return listening


def _remove(path: Path) -> None:
    with suppress(OSError):
        path.unlink(missing_ok=True)


class _Server:
    def __init__(self, commands: Mapping[str, Command]) -> None:
        self._commands = commands
        self._clients: set[asyncio.Task[None]] = set()

    async def close(self) -> None:
        """Let go of everybody."""
        clients = tuple(self._clients)
        for client in clients:
            client.cancel()
        await asyncio.gather(*clients, return_exceptions=True)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One peer, from its first request to its end."""
        task = asyncio.current_task()
        if task is None or len(self._clients) >= _MOST_CLIENTS or not _is_ours(writer):
            writer.close()
            return
        self._clients.add(task)
        try:
            await self._serve(reader, writer)
        except (ConnectionError, asyncio.CancelledError):
            pass
        finally:
            self._clients.discard(task)
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            try:
                async with asyncio.timeout(_IDLE_S):
                    line = await reader.readuntil(b"\n")
            except asyncio.LimitOverrunError:
                await _answer(writer, {"error": "the request is too long"})
                return
            except (asyncio.IncompleteReadError, TimeoutError):
                return
            await _answer(writer, await self._done(line))

    async def _done(self, line: bytes) -> dict[str, object]:
        try:
            request = msgspec.json.decode(line, type=_Request)
        except (ValueError, RecursionError):
            return {"error": "the request is not one that Strom understands"}
        if request.strom != VERSION:
            return {
                "error": f"the running Strom speaks version {VERSION} of the control protocol, and "
                f"this command version {request.strom}: restart Strom, so that both are the same"
            }
        command = self._commands.get(request.command)
        if command is None:
            return {"error": f'the running Strom knows no command "{request.command[:50]}"'}
        try:
            return {"result": await command(request.arguments)}
        except ControlRefused as refused:
            return {"error": str(refused)}
        except Exception:
            # What Strom does wrong with one command must not end it: chargers depend on it.
            logger.exception("the command %s failed", request.command)
            return {"error": "Strom failed at this; its log says why"}


async def _answer(writer: asyncio.StreamWriter, answer: dict[str, object]) -> None:
    line = msgspec.json.encode({"strom": VERSION, **answer})
    if len(line) >= MOST_ANSWER_BYTES:
        line = msgspec.json.encode({"strom": VERSION, "error": "the answer is too long"})
    writer.write(line + b"\n")
    await writer.drain()


def _is_ours(writer: asyncio.StreamWriter) -> bool:
    """Whether the peer is a process of our own user or of root, by the system's word."""
    if not hasattr(socket, "SO_PEERCRED"):
        return True
    peer: socket.socket = writer.get_extra_info("socket")
    size = struct.calcsize("3i")
    _, uid, _ = struct.unpack("3i", peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size))
    return uid in (0, os.getuid())
