"""Files that hold a secret: read with a reason when that fails, written for the owner alone."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

MISSING = "does not exist"


def secret_file_problem(path: Path) -> str | None:
    """Why a secret cannot be read from a file, or None when it can."""
    try:
        content = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return MISSING
    except IsADirectoryError:
        return "is a folder"
    except UnicodeDecodeError:
        return "is not text"
    except PermissionError:
        return "cannot be read by you: run strom as the user whose file it is"
    except OSError as error:
        return f"cannot be read ({(error.strerror or 'unknown error').lower()})"
    return None if content.strip() else "is empty"


def read_secret(path: Path) -> str:
    """The secret in a file, without white space around it; raises OSError."""
    return path.read_text(encoding="utf-8").strip()


def write_new_secret(path: Path, content: str) -> bool:
    """Write a secret: complete or not at all, mode 0600, and never over another file.

    Returns:
        False when the file is there already; it is left as it was.

    Raises:
        OSError: it cannot be written.
    """
    draft = _drafted(path, content)
    try:
        os.link(draft, path)
    except FileExistsError:
        return False
    finally:
        draft.unlink()
    _sync_folder(path.parent)
    return True


def write_secret(path: Path, content: str) -> None:
    """Write a secret in place of what the file held: complete or not at all, mode 0600.

    Raises:
        OSError: it cannot be written.
    """
    draft = _drafted(path, content)
    try:
        draft.replace(path)
    except OSError:
        draft.unlink()
        raise
    _sync_folder(path.parent)


def _drafted(path: Path, content: str) -> Path:
    """The content in a file of its own beside the path, safe on the disk."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
    except OSError:
        draft.unlink()
        raise
    return draft


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
