"""What can go wrong as a Strom starts; each text is one sentence."""

from __future__ import annotations


class CannotListen(Exception):
    """An address of the operator's file cannot be listened on; the text says which and why."""
