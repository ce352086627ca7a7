"""An operator's files, for tests of what is read from them and what is told of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.config.errors import ConfigError
from agent.config.tables import load
from tests.strom_toml import DAY, charge_point

POINT = DAY + charge_point()
SECOND = "\n" + charge_point("CP002", "New Mill")
NPUB = "npub180cvv07tjdrrgpa0j7j7tmnyl2yr6yr7l8j4s3evf6u64th6gkwsyjh6w6"


def written(folder: Path, text: str) -> Path:
    """A strom.toml with that text."""
    path = folder / "strom.toml"
    path.write_text(text, encoding="utf-8")
    return path


def problems(folder: Path, text: str) -> list[str]:
    """What is told of a file with that text."""
    with pytest.raises(ConfigError) as caught:
        load(written(folder, text))
    return caught.value.problems


def only_problem(folder: Path, text: str) -> str:
    """The same of one with a single mistake."""
    found = problems(folder, text)
    assert len(found) == 1, found
    return found[0]
