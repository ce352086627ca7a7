"""`strom serve`: run what the operator's file says, until told to stop."""

from __future__ import annotations

import logging
import signal
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import anyio
import typer
from rich.text import Text

from agent.clock import Clock
from agent.config.errors import ConfigError
from agent.config.tables import Config, load
from agent.config.warnings import warnings
from bridge import process
from bridge.app import App
from bridge.cli.options import DEFAULT_CONFIG, PANEL, ConfigFile
from bridge.cli.output import err, expected_errors, tell_error, tell_warning
from bridge.log_lines import LogLines
from bridge.wallets import wallet_of
from wallet.base import WalletConfigError

_NOT_TAKEN = "the file was not taken; Strom goes on with what it had"
_BEGINS_ANEW = "Strom could not go on, and begins anew"
PAUSE_S = 5.0
"""What ended a running Strom may be over by then."""

PARTING_S = 10.0
"""So long a charge may take to end whose charge point leaves the file: its charger, whose password
may have gone with it, is connected still."""

Opening = Callable[[Config, Clock, Clock], AbstractAsyncContextManager[App]]
Signals = AsyncIterator[signal.Signals]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(rich_help_panel=PANEL)(serve)


def serve(
    config: ConfigFile = DEFAULT_CONFIG,
) -> None:
    """Run Strom. SIGHUP reads file and certificates again; SIGTERM or Ctrl-C ends it."""
    lines = logging.StreamHandler()
    lines.setFormatter(LogLines())
    logging.basicConfig(level=logging.INFO, handlers=[lines])
    for chatty in ("httpx", "uvicorn.error"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    settings = load(config)
    for text in warnings(settings):
        tell_warning(text)
    process.run(Service(config, settings).run)


class Service:
    """Strom with the settings of a file, started anew with each change of it.

    Nothing is lost on the way: what is open is in the journal, and charge points come back.

    Args:
        path: of the file.
        settings: what it says.
        opening: starts a Strom.
        pause_s: how long is waited before one that could not go on is started again.
    """

    def __init__(
        self,
        path: Path,
        settings: Config,
        opening: Opening = App.open,
        *,
        pause_s: float = PAUSE_S,
    ) -> None:
        self._path = path
        self._settings = settings
        self._opening = opening
        self._pause_s = pause_s
        self._proven: Config | None = None

    async def run(self) -> None:
        """Serve until the process is asked to end."""
        told = anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        with told as signals:
            wanted: Config | None = self._settings
            while wanted is not None:
                try:
                    wanted = await self._serve(wanted, signals)
                except Exception as error:
                    proven, self._proven = self._proven, None
                    reasons = expected_errors(error)
                    if proven is None or not reasons:
                        raise
                    for reason in reasons:
                        tell_error(reason)
                    if proven is wanted:
                        tell_warning(_BEGINS_ANEW)
                        await anyio.sleep(self._pause_s)
                    else:
                        tell_warning(_NOT_TAKEN)
                    wanted = proven

    async def _serve(self, settings: Config, signals: Signals) -> Config | None:
        """Serve until a signal; returns the settings to go on with, None to end."""
        async with self._opening(settings, _now_ms, _steady_ms) as app:
            self._proven = settings
            _show(app)
            # The block is left in good order, not cancelled: everything closes as it should.
            async for received in signals:
                if received is not signal.SIGHUP:
                    return None
                changed = self._changed(settings)
                if changed is not None:
                    stay = {point.id for point in changed.charge_points}
                    leave = [p.id for p in settings.charge_points if p.id not in stay]
                    await app.site.part_with(leave, PARTING_S)
                    return changed
                app.security.renew()
        return None

    def _changed(self, settings: Config) -> Config | None:
        """The file as it is now; None when it is the same or wrong."""
        try:
            changed = load(self._path)
            # Chargers and drivers are not sent away for a wallet that cannot be.
            wallet_of(changed, _now_ms)
        except (ConfigError, WalletConfigError) as error:
            tell_error(error)
            tell_warning(_NOT_TAKEN)
            return None
        for text in warnings(changed):
            tell_warning(text)
        if changed == settings:
            err.print(Text(f"{self._path} has not changed."))
            return None
        return changed


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def _steady_ms() -> int:
    """Since the machine started, whatever its clock is set to; Linux counts its sleep as well."""
    return time.clock_gettime_ns(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)) // 1_000_000


def _show(app: App) -> None:
    settings = app.config.strom
    relay = f", relay {app.relay_url}" if app.relay_url else ""
    tls = f", with TLS on port {app.ocpp_tls_port}" if app.ocpp_tls_port else ""
    count = len(app.config.charge_points)
    err.print(
        Text(
            f"Strom serves {count} charge point{'' if count == 1 else 's'}: "
            f"{settings.public_url}, OCPP on port {app.ocpp_port}{tls}{relay}"
        )
    )
