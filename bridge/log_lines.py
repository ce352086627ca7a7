"""The lines of the log: one for each message, whoever wrote what is in it."""

from __future__ import annotations

import logging

from bridge.ocpp.spoken import printable

FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"


class LogLines(logging.Formatter):
    """Spells out what does not show: no charger's word moves a terminal's cursor or begins a line.

    A traceback keeps its lines.
    """

    def __init__(self) -> None:
        super().__init__(FORMAT)

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802  logging's name
        """The line of a record."""
        record.message = printable(record.message)
        return super().formatMessage(record)
