"""The passwords of charge points: the first one, and the one that takes its place.

OCPP 1.6 security whitepaper, edition 3, use case A01 "Update Charge Point Password".

A new password is stored before the charger hears of it. Until the charger has come in with it
both are accepted, from then on the new one alone. So at no moment, however Strom or the charger
die, is there a password in the charger that is not accepted here.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import string
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path

import msgspec

from agent.config.secret_files import write_secret
from bridge.ocpp.errors import OcppError

LENGTH = 20
"""The whitepaper wants 16 to 20 bytes, so that 40 hex digits are enough. They are letters and
digits, 119 bits, and no bytes at random: firmware ends texts at a zero."""

_LETTERS = string.ascii_letters + string.digits


class PasswordUnreadable(OcppError):
    """A stored password cannot be read or written; the text names the file, never the password."""


class PasswordOutcome(StrEnum):
    """A charger's answer to a new password."""

    TAKEN = "taken"
    NEEDS_RESTART = "needs restart"
    REFUSED = "refused"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Replacement:
    """A password that takes the place of the first one.

    Attributes:
        password: the new one.
        confirmed: whether the charger has come in with it.
        first: digest of the first one; another first password was set on purpose since.
    """

    password: str
    confirmed: bool
    first: str

    def replaces(self, first: str) -> bool:
        """Whether it takes the place of this first password."""
        return hmac.compare_digest(self.first, _digest(self.password, first))


def _digest(password: str, first: str) -> str:
    return hmac.new(password.encode(), first.encode(), hashlib.sha256).hexdigest()


class Passwords:
    """The replacements, one file (0600) for each charge point that has one."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def file(self, charge_point_id: str) -> Path:
        """Where the new password of a charge point is."""
        return self._folder / f"{charge_point_id}.json"

    def replacement(self, charge_point_id: str) -> Replacement | None:
        """The password that takes the place of the first one; None where there is none.

        Raises:
            PasswordUnreadable: its file cannot be read.
        """
        path = self.file(charge_point_id)
        try:
            return msgspec.json.decode(path.read_bytes(), type=Replacement)
        except FileNotFoundError:
            return None
        except (OSError, msgspec.DecodeError):
            raise PasswordUnreadable(f"{path} cannot be read") from None

    def propose(self, charge_point_id: str, first: str) -> Replacement:
        """The new password for a charger that came in with the first one, on the disk.

        One that was sent before and never confirmed is sent again: the charger may have it.

        Raises:
            PasswordUnreadable: it cannot be read or stored.
        """
        known = self.replacement(charge_point_id)
        if known is not None and not known.confirmed and known.replaces(first):
            return known
        new = "".join(secrets.choice(_LETTERS) for _ in range(LENGTH))
        if known is not None and not known.confirmed:
            new = known.password
        proposed = Replacement(new, False, _digest(new, first))
        self._store(charge_point_id, proposed)
        return proposed

    def confirm(self, charge_point_id: str) -> None:
        """The charger came in with its new password: the first one is not accepted any more.

        Raises:
            PasswordUnreadable: it cannot be read or stored.
        """
        known = self.replacement(charge_point_id)
        if known is not None and not known.confirmed:
            self._store(charge_point_id, replace(known, confirmed=True))

    def _store(self, charge_point_id: str, replacement: Replacement) -> None:
        path = self.file(charge_point_id)
        try:
            write_secret(path, msgspec.json.encode(replacement).decode())
        except OSError as error:
            raise PasswordUnreadable(f"{path} cannot be written: {error.strerror}") from None
