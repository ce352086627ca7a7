"""How `strom` speaks: results on stdout, everything else on stderr, errors in a sentence."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table
from rich.text import Text

from agent.config.errors import ConfigError
from agent.journal.errors import JournalError
from agent.ports.errors import AgentError
from bridge.control.errors import ControlError
from bridge.driver.errors import DriverError
from bridge.errors import CannotListen
from bridge.groups import leaves
from bridge.ocpp.errors import OcppError
from nips.errors import NostrError
from wallet.base import WalletError

out = Console(highlight=False, soft_wrap=True)
err = Console(highlight=False, soft_wrap=True, stderr=True)


_PIPE_WIDTH = 100_000
"""Columns of a pipe or a file: a table is never cut there."""


class Mistake(Exception):
    """The command cannot do what was asked; the text is a sentence for whoever asked."""


# What may go wrong without anything being wrong with Strom.
EXPECTED_ERRORS = (
    Mistake,
    ConfigError,
    AgentError,
    CannotListen,
    ControlError,
    DriverError,
    JournalError,
    NostrError,
    OcppError,
    WalletError,
)


def show_table(table: Table) -> None:
    """Print a table whole: what a terminal is too narrow for goes on in the next line."""
    for column in table.columns:
        column.overflow = "fold"
    if out.is_terminal:
        out.print(table)
    else:
        Console(file=out.file, highlight=False, width=_PIPE_WIDTH).print(table)


def can_draw_codes(encoding: str) -> bool:
    """Whether a terminal has the half blocks that a code is drawn with."""
    try:
        "▀▄█".encode(encoding)
    except UnicodeEncodeError:
        return False
    return True


def expected_errors(error: BaseException) -> list[BaseException]:
    """The expected errors that an error consists of; none if anything else is among them.

    Whatever runs in a task group comes out of it wrapped.
    """
    found = list(leaves(error))
    return found if all(isinstance(one, EXPECTED_ERRORS) for one in found) else []


def tell_error(error: BaseException) -> None:
    """Say what went wrong."""
    _tell("error", "bold red", str(error))


def tell_warning(text: str) -> None:
    """Say what is allowed but probably not meant."""
    _tell("warning", "bold yellow", text)


def _tell(label: str, style: str, text: str) -> None:
    err.print(Text.assemble((f"{label}: ", style), text))
