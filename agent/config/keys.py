"""The charge points' keys: one seed file for all of them (NIP-06), or a file of one's own.

A charge point's account under the seed follows from its id alone, so adding, removing or
reordering charge points never moves a key, and the seed file is all there is to back up: a
lost data_dir cannot hand one charge point's identity, and with it the money zapped to its
QR code, to another.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from agent.config.secret_files import read_secret, secret_file_problem, write_new_secret
from agent.config.tables import ChargePointConfig, Config
from agent.ports.errors import AgentError
from nips.errors import InvalidKey
from nips.identity import Identity, generate_mnemonic

_SEED_FILE = """\
# The keys of all charge points of this Strom (BIP-39 words, NIP-06 accounts).
# Whoever has these words is your charge points: keep a copy safe, and show them to nobody.
{words}
"""


class KeyFileError(AgentError):
    """A file of keys cannot be used; the text names the file and never the key."""


def open_identities(config: Config) -> dict[str, Identity]:
    """The identity of each charge point by its id; makes the seed file at the first start.

    Raises:
        KeyFileError: a key file cannot be read or made, or two charge points share a key.
    """
    if all(point.nsec_file is not None for point in config.charge_points):
        return _identities(config, None)
    path = config.nostr.seed_file
    return _identities(config, _read_words(path) if path.exists() else _make_seed(path))


def peek_identities(config: Config) -> dict[str, Identity]:
    """Like `open_identities`, but writes nothing: leaves out whom only a seed would give a key."""
    path = config.nostr.seed_file
    return _identities(config, _read_words(path) if path.exists() else None)


def identity_of(config: Config, charge_point_id: str) -> Identity | None:
    """The identity of a charge point, also of one that has left the file and had its key from
    the seed; None where that key is not to be had.

    Raises:
        KeyFileError: the seed file cannot be read.
    """
    found = peek_identities(config).get(charge_point_id)
    path = config.nostr.seed_file
    if found is not None or not path.exists():
        return found
    return Identity.from_mnemonic(_read_words(path), account_of(charge_point_id))


def identity_left(config: Config, point: ChargePointConfig) -> Identity | None:
    """The identity of a charge point that has left the file, as the file described it; None where
    its key is not to be had."""
    try:
        if point.nsec_file is not None:
            return _identity(point, None, config.nostr.seed_file)
        return identity_of(config, point.id)
    except KeyFileError:
        return None


def account_of(charge_point_id: str) -> int:
    """The NIP-06 account of a charge point (31 bits), the same for its id in any case."""
    digest = hashlib.sha256(b"strom charge point " + charge_point_id.lower().encode()).digest()
    return int.from_bytes(digest[:4], "big") >> 1


def _identities(config: Config, words: str | None) -> dict[str, Identity]:
    found: dict[str, Identity] = {}
    owners: dict[str, str] = {}
    for point in config.charge_points:
        identity = _identity(point, words, config.nostr.seed_file)
        if identity is None:
            continue
        owner = owners.setdefault(identity.pubkey, point.id)
        if owner != point.id:
            raise KeyFileError(
                f"charge points {owner} and {point.id} have the same key; give one of them "
                "an nsec_file of its own"
            )
        found[point.id] = identity
    return found


def _identity(point: ChargePointConfig, words: str | None, seed_file: Path) -> Identity | None:
    if point.nsec_file is not None:
        try:
            return Identity.from_nsec(_read(point.nsec_file))
        except InvalidKey as error:
            raise KeyFileError(f"{point.nsec_file}: {error}") from None
    if words is None:
        return None
    try:
        return Identity.from_mnemonic(words, account_of(point.id))
    except InvalidKey as error:
        raise KeyFileError(f"{seed_file}: {error}") from None


def _read(path: Path) -> str:
    problem = secret_file_problem(path)
    if problem is not None:
        raise KeyFileError(f"{path} {problem}")
    return read_secret(path)


def _read_words(path: Path) -> str:
    """The words in a seed file, its comments left out."""
    lines = _read(path).splitlines()
    return " ".join(line.strip() for line in lines if not line.lstrip().startswith("#"))


def _make_seed(path: Path) -> str:
    words = generate_mnemonic()
    try:
        made = write_new_secret(path, _SEED_FILE.format(words=words))
    except OSError as error:
        reason = (error.strerror or "unknown error").lower()
        raise KeyFileError(f"{path} cannot be made: {reason}") from None
    # Where another process was faster, its seed is the one to use.
    return words if made else _read_words(path)
