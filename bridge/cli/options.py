"""What the operator's commands have in common: the file that they are about."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

PANEL = "For the operator"

ConfigFile = Annotated[
    Path, typer.Option("--config", "-c", help="The operator's file.", metavar="FILE")
]
DEFAULT_CONFIG = Path("strom.toml")
