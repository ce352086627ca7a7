"""The message log as people read it: who said what, an answer named after its request."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, cast

from bridge.ocpp.message_log import Entry

_MOST_OPEN = 1000


class Form(StrEnum):
    """What a message is (OCPP-J section 4.2)."""

    CALL = "call"
    ANSWER = "answer"
    ERROR = "error"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Spoken:
    """One message; no charger's word in it can move the cursor of a terminal.

    Attributes:
        at_ms: when, Unix ms.
        incoming: whether the charger said it.
        form: what it is.
        action: what it is about; "?" where the request is not in the log, "" where it is no
            message of OCPP.
        said: the rest, on one line.
    """

    at_ms: int
    incoming: bool
    form: Form
    action: str
    said: str


class Listener:
    """Reads entries in their order; an answer gets the name of the request that it belongs to."""

    def __init__(self) -> None:
        self._open: dict[tuple[bool, str], str] = {}

    def heard(self, entry: Entry) -> Spoken:
        """One entry as it is read."""
        message = parsed(entry)
        parts = cast("list[Any]", message) if isinstance(message, list) else []
        match parts:
            case [2, message_id, str(action), payload, *_]:
                self._remember((entry.incoming, str(message_id)), action)
                form, action, said = Form.CALL, printable(action), compact(payload)
            case [3, message_id, payload, *_]:
                form, action, said = Form.ANSWER, self._asked(entry, message_id), compact(payload)
            case [4, message_id, code, *more]:
                described = " ".join(str(part) for part in more[:1] if part)
                told = printable(f"{code}: {described}" if described else str(code))
                form, action, said = Form.ERROR, self._asked(entry, message_id), told
            case _:
                form, action, said = Form.OTHER, "", printable(entry.frame)
        return Spoken(entry.at_ms, entry.incoming, form, action, said)

    def _remember(self, name: tuple[bool, str], action: str) -> None:
        self._open[name] = action
        if len(self._open) > _MOST_OPEN:
            self._open.pop(next(iter(self._open)))

    def _asked(self, entry: Entry, message_id: object) -> str:
        return printable(self._open.pop((not entry.incoming, str(message_id)), "?"))


def parsed(entry: Entry) -> object:
    """The message of an entry; None where it is no JSON."""
    try:
        message: object = json.loads(entry.frame)
    except (ValueError, RecursionError):
        return None
    return message


def compact(payload: object) -> str:
    """JSON on one line; no charger's word can move the cursor of a terminal."""
    return printable(json.dumps(payload, ensure_ascii=False))


def printable(text: str) -> str:
    """A text on one line, whatever does not show spelt out."""
    return text if text.isprintable() else "".join(_shown(text))


def _shown(text: str) -> Iterator[str]:
    for letter in text:
        yield letter if letter.isprintable() else json.dumps(letter)[1:-1]
