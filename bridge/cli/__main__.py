"""`python -m bridge.cli` is `strom`."""

from bridge.cli import main

main()
