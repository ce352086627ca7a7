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
    except OSError as error:
        if error.errno not in _OUTPUT_FAILS:
            raise
        # Python would try again at its end, and fail aloud.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        tell_error(Mistake(f"what it tells cannot be written: {os.strerror(error.errno).lower()}"))
        sys.exit(1)
    except Exception as error:
        reasons = expected_errors(error)
        if not reasons:
            raise
        for reason in reasons:
            tell_error(reason)
        sys.exit(1)
    except KeyboardInterrupt:
        err.print()
        sys.exit(130)
