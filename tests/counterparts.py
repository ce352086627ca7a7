"""Install all programs that Strom is tested against: `python -m tests.counterparts`.

The tests that need them install them too; ahead of the tests nothing waits for it.
"""

from __future__ import annotations

import sys
from subprocess import SubprocessError

from tests import counterpart_relay, node
from tests.wallet import lnbits_server


def main() -> None:
    """Install them one after the other; what cannot be had is said, and its tests are skipped."""
    for install in (lnbits_server.install, counterpart_relay.install, node.install):
        try:
            install()
        except (OSError, SubprocessError) as error:
            sys.stderr.write(f"{install.__module__}: {error}\n")


if __name__ == "__main__":
    main()
