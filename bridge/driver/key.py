"""The driver's key: what he pays with is whose session it is, so it is kept between commands."""

from __future__ import annotations

from pathlib import Path

from agent.config.secret_files import read_secret, secret_file_problem, write_new_secret
from bridge.driver.errors import DriverError
from nips.errors import InvalidKey
from nips.identity import Identity


def open_key(path: Path, *, make: bool) -> tuple[Identity, bool]:
    """The identity in a file with an nsec.

    Args:
        make: write a new one where there is no file.

    Returns:
        The identity, and whether it was made now.

    Raises:
        DriverError: the file cannot be used; the text never holds the key.
    """
    made = False
    try:
        if make and not path.exists():
            made = write_new_secret(path, f"{Identity.generate().nsec}\n")
        problem = secret_file_problem(path)
    except OSError as error:
        problem = f"cannot be made: {(error.strerror or 'unknown error').lower()}"
    if problem is not None:
        raise DriverError(f"the key file {path} {problem}")
    try:
        return Identity.from_nsec(read_secret(path)), made
    except InvalidKey as error:
        raise DriverError(f"{path}: {error}") from None
