"""Programs from PyPI that Strom is tested against, each in an environment of its own.

Their dependencies are not Strom's, so they cannot live in its environment.
"""

from __future__ import annotations

import fcntl
import subprocess
import sys
import venv
from pathlib import Path

COUNTERPARTS = Path(__file__).parents[1] / "build" / "counterparts"
INSTALL_TIMEOUT_S = 300


def install(folder: Path, requirements: str, *options: str) -> None:
    """Install into a folder unless it is there, whichever of several processes comes first.

    Args:
        folder: of the environment.
        requirements: as in a requirements.txt.
        options: of `pip install`.

    Raises:
        OSError: it did not install.
    """
    ready = folder / ".ready"
    folder.parent.mkdir(parents=True, exist_ok=True)
    with folder.with_name(f"{folder.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if ready.exists() and ready.read_text() == requirements:
            return
        venv.create(folder, clear=True, symlinks=True)
        wanted = folder / "requirements.txt"
        wanted.write_text(requirements)
        # Strom's pip serves: to install another, and to compile what is never imported, would
        # take as long as all the rest.
        pip = (sys.executable, "-m", "pip", "--python", folder / "bin" / "python")
        try:
            subprocess.run(
                [*pip, "install", "--quiet", "--no-compile", *options, "-r", wanted],
                capture_output=True,
                check=True,
                text=True,
                timeout=INSTALL_TIMEOUT_S,
            )
        except subprocess.CalledProcessError as error:
            raise OSError(f"pip install failed: {error.stderr[-300:]}") from None
        except subprocess.TimeoutExpired:
            raise OSError(f"pip install took more than {INSTALL_TIMEOUT_S} s") from None
        ready.write_text(requirements)
