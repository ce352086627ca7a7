"""What can go wrong with the journal."""

from __future__ import annotations


class JournalError(Exception):
    """Root of the journal's errors; the text is a sentence for the operator."""


class JournalUnusable(JournalError):
    """The database cannot be opened, read or written."""


class JournalClosed(JournalError):
    """The journal is closed or closing; nothing was stored."""
