"""`strom` in processes forked from one that has imported all of it.

The imports take longer than all that most tests do with such a process. `strom serve` and other
commands as they start from nothing are the subject of tests/bridge/cli.
"""

from __future__ import annotations

import os
import runpy
import sys
from collections.abc import Mapping
from multiprocessing import get_context
from multiprocessing.process import BaseProcess
from pathlib import Path

_forks = get_context("forkserver")
_forks.set_forkserver_preload(["bridge.cli", __name__])


def start(
    folder: Path,
    program: str,
    *arguments: str,
    environment: Mapping[str, str],
    out: Path,
    err: Path,
    stdin: Path | None = None,
) -> BaseProcess:
    """Do in a folder what `python -m {program} {arguments}` does there.

    Args:
        environment: of the process, besides this one's.
        out: what its words are added to.
        err: what its complaints are added to; may be the same file.
        stdin: what it reads; None for nothing.
    """
    process = _forks.Process(
        target=_run, args=(folder, program, arguments, environment, out, err, stdin)
    )
    process.start()
    return process


def _run(
    folder: Path,
    program: str,
    arguments: tuple[str, ...],
    environment: Mapping[str, str],
    out: Path,
    err: Path,
    stdin: Path | None,
) -> None:
    with out.open("ab") as told, err.open("ab") as complained:
        os.dup2(told.fileno(), 1)
        os.dup2(complained.fileno(), 2)
    if stdin is not None:
        sys.stdin = stdin.open()
    os.chdir(folder)
    os.environ.update(environment)
    sys.argv[1:] = arguments
    runpy.run_module(program, run_name="__main__", alter_sys=True)
