"""OCPP configuration that chargers shall have: of a charge point, and of all of a model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Annotated, cast

from pydantic import BeforeValidator, Field

from agent.config.table import Table
from agent.config.values import text

LONGEST_KEY = 220
LONGEST_VALUE = 1000
"""Of a variable in OCPP 2.0.1; in 1.6 a key has 50 characters and a value 500 (section 5.3)."""

_PASSWORDS = ("authorizationkey", "basicauthpassword")


def _settings(value: object) -> dict[str, str]:
    if not isinstance(value, dict):
        raise ValueError('expected keys and values, such as { HeartbeatInterval = "60" }')
    settings: dict[str, str] = {}
    for key, item in cast("dict[str, object]", value).items():
        if not key.strip() or len(key) > LONGEST_KEY:
            raise ValueError(f"expected keys of 1 to {LONGEST_KEY} characters")
        if key.lower() in {known.lower() for known in settings}:
            raise ValueError(
                f"expected {key} once, in whatever case: chargers do not tell them apart"
            )
        if key.lower().rpartition(".")[2] in _PASSWORDS:
            raise ValueError(f"expected no {key} here: a password has its place in password_file")
        match item:
            case bool():
                written = "true" if item else "false"
            case int():
                written = str(item)
            case str() if len(item) <= LONGEST_VALUE:
                written = item
            case _:
                raise ValueError(
                    f"expected text of at most {LONGEST_VALUE} characters, a whole number, true "
                    f"or false as the value of {key}"
                )
        settings[key] = written
    return settings


OcppSettings = Annotated[dict[str, str], BeforeValidator(_settings)]


class OcppModelConfig(Table):
    """[[ocpp_models]]: the settings of every charger of a make; `*` and `?` stand for others."""

    vendor: Annotated[str, text(80, empty=False)] = "*"
    model: Annotated[str, text(80, empty=False)] = "*"
    firmware: Annotated[str, text(80, empty=False)] = "*"
    settings: OcppSettings = Field(default_factory=dict[str, str])

    def fits(self, vendor: str, model: str, firmware: str) -> bool:
        """Whether a charger is of this make; upper and lower case are the same."""
        pairs = ((vendor, self.vendor), (model, self.model), (firmware, self.firmware))
        return all(fnmatchcase(said.lower(), glob.lower()) for said, glob in pairs)

    @property
    def is_for_many(self) -> bool:
        """Whether it is for chargers of several makes or models."""
        return any(sign in glob for glob in (self.vendor, self.model) for sign in "*?[")


@dataclass(frozen=True, slots=True)
class Wishes:
    """How one charger shall be configured.

    Attributes:
        settings: values by their keys.
        own: those of the keys that were written for this charger or its model, and not for
            chargers of many kinds.
    """

    settings: Mapping[str, str]
    own: frozenset[str] = frozenset()


def overridden(settings: Mapping[str, str], by: Mapping[str, str]) -> dict[str, str]:
    """Settings with others that come before them; chargers do not tell cases of keys apart."""
    spelled = {key.lower(): key for key in by}
    renamed = {spelled.get(key.lower(), key): value for key, value in settings.items()}
    return {**renamed, **by}
