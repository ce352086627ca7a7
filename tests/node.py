"""Programs from npm that Strom is tested against, installed once into tests/node.

`node_modules` is a fixture; without Node or without the packages its tests are skipped and
say why. A script of tests/node is run with `run_script`, which hands it one JSON text on
standard input and reads one JSON text from standard output.
"""

from __future__ import annotations

import asyncio
import fcntl
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

FOLDER = Path(__file__).parent / "node"
INSTALL_TIMEOUT_S = 300


class ScriptFailed(AssertionError):
    """A counterpart's script ended with an error; its standard error is the text."""


def install() -> Path:
    """Install the packages unless they are there; the folder node_modules.

    Raises:
        OSError: node or npm is missing, or they did not install.
    """
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        raise OSError("node and npm are not installed")
    package = FOLDER / "package.json"
    stamp = FOLDER / "node_modules" / ".strom-ready"
    # Several test processes may get here at once.
    with (FOLDER / ".install.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not stamp.exists() or stamp.read_text() != package.read_text():
            done = subprocess.run(
                [npm, "install", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"],
                cwd=FOLDER,
                capture_output=True,
                text=True,
                timeout=INSTALL_TIMEOUT_S,
                check=False,
            )
            if done.returncode != 0:
                raise OSError(f"npm install failed: {done.stderr[-300:]}")
            stamp.write_text(package.read_text())
    return FOLDER / "node_modules"


@pytest.fixture(scope="session")
def node_modules() -> Path:
    """The folder with the installed packages."""
    try:
        return install()
    except (OSError, subprocess.TimeoutExpired) as error:
        pytest.skip(f"needs Node and its packages: {error}")


async def run_script(name: str, asked: object, *, timeout_s: float = 60) -> Any:
    """Run tests/node/{name} with a JSON text on standard input; its JSON answer.

    Raises:
        ScriptFailed: it ended with an error.
    """
    script = await start_script(name)
    try:
        async with asyncio.timeout(timeout_s):
            out, err = await script.communicate(json.dumps(asked).encode())
    finally:
        if script.returncode is None:
            script.kill()
            await script.wait()
    if script.returncode != 0:
        raise ScriptFailed(f"{name} ended with {script.returncode}: {err.decode()[-2000:]}")
    return json.loads(out)


async def start_script(name: str, *arguments: str) -> asyncio.subprocess.Process:
    """Start tests/node/{name} and leave it to the caller to talk to it and to end it."""
    return await asyncio.create_subprocess_exec(
        "node",
        str(FOLDER / name),
        *arguments,
        cwd=FOLDER,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
