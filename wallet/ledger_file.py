"""The file of the play-money network: its tables, and that one process alone uses it."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path

from coincurve import PrivateKey

from wallet.base import WalletConfigError

_VERSION = 1
_SCHEMA = """
CREATE TABLE nodes (
    purse TEXT PRIMARY KEY,
    private_key BLOB NOT NULL,
    balance_msat INTEGER NOT NULL CHECK (balance_msat >= 0)
) STRICT;
CREATE TABLE invoices (
    payment_hash TEXT PRIMARY KEY,
    purse TEXT NOT NULL REFERENCES nodes (purse),
    bolt11 TEXT NOT NULL,
    amount_msat INTEGER,
    expires_at_ms INTEGER NOT NULL,
    preimage BLOB,
    hold INTEGER NOT NULL,
    state TEXT NOT NULL,
    settled_at_ms INTEGER,
    settle_index INTEGER UNIQUE
) STRICT;
CREATE TABLE payments (
    payment_hash TEXT NOT NULL,
    purse TEXT NOT NULL REFERENCES nodes (purse),
    amount_msat INTEGER NOT NULL,
    state TEXT NOT NULL,
    reason TEXT NOT NULL,
    PRIMARY KEY (purse, payment_hash)
) STRICT;
"""


def opened(path: Path, funds_msat: Mapping[str, int]) -> sqlite3.Connection:
    """The file, for this process alone; made at the first time, with a key for each node.

    Args:
        path: where it is.
        funds_msat: what each node has when the file is made.

    Raises:
        WalletConfigError: the file cannot be used, or another process does.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
        path.chmod(0o600)
        connection = sqlite3.connect(path, timeout=0, isolation_level=None, check_same_thread=False)
    except (OSError, sqlite3.Error) as error:
        raise unusable(path, error) from None
    try:
        _prepare(connection, funds_msat)
    except (sqlite3.Error, WalletConfigError) as error:
        connection.close()
        raise unusable(path, error) from None
    return connection


def unusable(path: Path, error: Exception) -> WalletConfigError:
    """Why the file cannot be used, in a sentence."""
    return WalletConfigError(f"the play-money wallet cannot use {path}: {_words(error)}")


@contextmanager
def immediate(connection: sqlite3.Connection) -> Generator[None]:
    """One transaction, which is on disk at the end; nothing of it is where something raises."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")


def _prepare(connection: sqlite3.Connection, funds_msat: Mapping[str, int]) -> None:
    """Take the file for this process alone, and make or check its tables."""
    connection.execute("PRAGMA locking_mode = EXCLUSIVE")
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA foreign_keys = ON")
    with immediate(connection):
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        if version > _VERSION:
            raise WalletConfigError("it was written by a newer Strom")
        if version == 0:
            for statement in _SCHEMA.split(";\n"):
                connection.execute(statement)
            connection.executemany(
                "INSERT INTO nodes (purse, private_key, balance_msat) VALUES (?, ?, ?)",
                [(purse, PrivateKey().secret, balance) for purse, balance in funds_msat.items()],
            )
            connection.execute(f"PRAGMA user_version = {_VERSION}")


def _words(error: Exception) -> str:
    if isinstance(error, OSError):
        return error.strerror or type(error).__name__
    if isinstance(error, sqlite3.OperationalError) and "locked" in str(error):
        return "another process uses it, such as a running Strom"
    return str(error)
