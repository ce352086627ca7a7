"""A relay that we serve ourselves, for demos and for operators without one.

It is nostr-sdk's LocalRelay, on loopback or a private network. Kept events survive a restart
when it has a data folder.
"""

from __future__ import annotations

import asyncio
import ipaddress
import re
import socket
from pathlib import Path

from nostr_sdk import LocalRelay, LocalRelayBuilder, NostrLmdb, NostrSdkError, RateLimit
from nostr_sdk.nostr_sdk import uniffi_set_event_loop

from nips.errors import EmbeddedRelayError

EVENTS_PER_MINUTE = 1_000_000
MAX_REQUESTS = 500
MAX_FILTER_LIMIT = 5000
DEFAULT_FILTER_LIMIT = 500
CLOSE_CHECKS = 500
CLOSE_CHECK_S = 0.01
_OS_ERROR = re.compile(r" \(os error \d+\)")


class EmbeddedRelay:
    """One relay on one port.

    Args:
        host: an IP address, or "localhost".
        port: 0 for a free one, which `url` then names.
        data_dir: where events are kept; None to keep them in memory.
    """

    def __init__(self, host: str, port: int, data_dir: Path | None = None) -> None:
        self._host = "127.0.0.1" if host == "localhost" else host
        self._port = port
        self._data_dir = data_dir
        self._relay: LocalRelay | None = None
        self._url = ""

    @property
    def url(self) -> str:
        """Where it listens; "" while it is not open."""
        return self._url

    async def open(self) -> None:
        """Start to listen.

        Raises:
            EmbeddedRelayError: the address or the port cannot be used, or the data not read.
        """
        builder = (
            LocalRelayBuilder()
            .rate_limit(RateLimit(max_reqs=MAX_REQUESTS, notes_per_minute=EVENTS_PER_MINUTE))
            .default_filter_limit(DEFAULT_FILTER_LIMIT)
            .max_filter_limit(MAX_FILTER_LIMIT)
        )
        port = self._port or _free_port(self._host)
        try:
            builder = builder.addr(str(ipaddress.ip_address(self._host))).port(port)
        except (ValueError, NostrSdkError):
            raise EmbeddedRelayError(
                f'the embedded relay needs an IP address to listen on, not "{self._host}"'
            ) from None
        if self._data_dir is not None:
            # The SDK's threads call the database through this loop for as long as it is open.
            uniffi_set_event_loop(asyncio.get_running_loop())
            try:
                self._data_dir.mkdir(parents=True, exist_ok=True)
                builder = builder.database(await NostrLmdb.open(str(self._data_dir)))
            except (OSError, NostrSdkError) as error:
                raise EmbeddedRelayError(
                    f"the embedded relay cannot use its folder {self._data_dir}: {error}"
                ) from None
        relay = builder.build()
        try:
            await relay.run()
        except NostrSdkError as error:
            reason = _OS_ERROR.sub("", str(error).strip("'")).lower()
            raise EmbeddedRelayError(
                f"the embedded relay cannot listen on {self._host}:{port} ({reason}): stop the "
                "other program or choose another address for it"
            ) from None
        self._relay = relay
        self._port = port
        host = f"[{self._host}]" if ":" in self._host else self._host
        self._url = f"ws://{host}:{port}"

    async def close(self) -> None:
        """Stop to listen, and return when the port is free. Idempotent."""
        relay, self._relay, self._url = self._relay, None, ""
        if relay is None:
            return
        if self._data_dir is not None:
            uniffi_set_event_loop(None)
        # The SDK stops in the background and tells nobody when it has; a shutdown that comes
        # before its own tasks have started is lost.
        for _ in range(CLOSE_CHECKS):
            relay.shutdown()
            if not _in_use(self._host, self._port):
                return
            await asyncio.sleep(CLOSE_CHECK_S)


def _free_port(host: str) -> int:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])


def _in_use(host: str, port: int) -> bool:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return True
        return False
