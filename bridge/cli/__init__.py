"""`strom`: the command of operators and drivers."""

from __future__ import annotations

import errno
import io
import os
import sys
from importlib.metadata import version
from typing import Annotated

import typer

from bridge.cli.commands import Commands
from bridge.cli.output import Mistake, err, expected_errors, tell_error
from bridge.groups import leaves

_OUTPUT_FAILS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)
"""What became of what a command tells, when it is written to a file or a terminal that is gone."""

app = typer.Typer(
    name="strom",
    cls=Commands,
    help="Lightning payments for EV charge points: zap a charge point and it charges.",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"strom {version('strom')}")
        raise typer.Exit


@app.callback()
def _strom(
    _: Annotated[
        bool,
        typer.Option(
            "--version", callback=_version, is_eager=True, help="Show the version and leave."
        ),
    ] = False,
) -> None:
    pass


def main() -> None:
    """Run the command line: a mistake is a sentence on stderr and exit code 1 or 2."""
    for stream in (sys.stdout, sys.stderr):
        # A name that the terminal cannot show must not end a running Strom.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    try:
        app()
    except BaseException as error:
        if isinstance(error, SystemExit):
            raise
        sys.exit(_told(error))


def _told(error: BaseException) -> int:
    """Say what ended a command; returns its exit code, and raises what nobody expects."""
    found = list(leaves(error))
    if all(isinstance(one, KeyboardInterrupt) for one in found):
        err.print()
        return 130
    # Nobody reads any more what it tells: rich ends the program, in whatever task it was.
    if all(isinstance(one, SystemExit) for one in found):
        return 1
    for one in found:
        if isinstance(one, OSError) and one.errno in _OUTPUT_FAILS:
            # Python would try again at its end, and fail aloud.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            tell_error(
                Mistake(f"what it tells cannot be written: {os.strerror(one.errno).lower()}")
            )
            return 1
    reasons = expected_errors(error)
    if not reasons:
        raise error
    for reason in reasons:
        tell_error(reason)
    return 1
