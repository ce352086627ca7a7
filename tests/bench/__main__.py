"""`make bench`: every room's figures, each beside its peer or limit, one after the other."""

from __future__ import annotations

import logging
import runpy
import sys

ROOMS = ("session", "overshoot", "ocpp", "nostr", "lnurl", "wallets")


def main() -> None:
    """Run the benchmarks named on the command line, or all of them."""
    chosen = sys.argv[1:] or ROOMS
    # What is measured warns of play money and open charge points each time; figures come alone.
    logging.basicConfig(level=logging.CRITICAL)
    for room in chosen:
        sys.stdout.write(f"\n{room}\n")
        sys.argv = [f"tests.bench.{room}"]
        runpy.run_module(f"tests.bench.{room}", run_name="__main__")


if __name__ == "__main__":
    main()
