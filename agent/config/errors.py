"""What is wrong with an operator's file, as sentences that name the key, the value and the cure."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from tomllib import TOMLDecodeError
from typing import Any, cast, get_args
from urllib.parse import urlsplit

from pydantic import BaseModel
from pydantic_core import ErrorDetails

_LONGEST_SHOWN_VALUE = 60
_SECRET_KEY = re.compile(r"(password|secret|nsec|seed|mnemonic|macaroon|token)", re.IGNORECASE)
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_SECRET_TEXT = re.compile(r"(nsec1|ncryptsec1|nostr\+walletconnect:|-----BEGIN )", re.IGNORECASE)
_TOML_CURES = {
    "invalid value": "text stands in quotes, true and false are in small letters",
    "cannot overwrite a value": "this key is there already",
    "expected newline or end of document after a statement": "each key has its own line, and "
    "decimals come after a point",
}
_KEYS_IN_PYTHON = re.compile(r"\((?:'[^']*',? ?)+\)")
_KEY_IN_PYTHON = re.compile(r"'([^']*)'")
_TOML_PLACE = re.compile(r"^(.*) \(at line (\d+), column (\d+)\)$", re.DOTALL)


class ConfigError(Exception):
    """The operator's file cannot be used.

    Attributes:
        path: the file.
        problems: a sentence for each mistake in it; none of them holds a secret.
    """

    def __init__(self, path: Path, problems: list[str]) -> None:
        if len(problems) == 1:
            text = f"{path}: {problems[0]}"
        else:
            text = f"{path} has {len(problems)} mistakes:" + "".join(f"\n  {p}" for p in problems)
        super().__init__(text)
        self.path = path
        self.problems = problems


def toml_sentence(error: TOMLDecodeError) -> str:
    """A mistake in the TOML itself, with the line it is in."""
    text = str(error).replace("(at end of document)", "at the end of the file")
    place = _TOML_PLACE.match(text)
    if place is None:
        return f"the file is not valid TOML: {_lower_first(text)}"
    what, line, column = place.groups()
    what = _KEYS_IN_PYTHON.sub(lambda keys: ".".join(_KEY_IN_PYTHON.findall(keys[0])), what)
    what = _lower_first(what)
    cure = f" ({_TOML_CURES[what]})" if what in _TOML_CURES else ""
    return f"line {line}, column {column} is not valid TOML: {what}{cure}"


def sentence(problem: ErrorDetails, raw: Mapping[str, Any], model: type[BaseModel]) -> str:
    """One validation error as one sentence.

    Args:
        problem: as pydantic reports it.
        raw: the file as it was read: names the charge point that the mistake is in.
        model: the model of the whole file: knows the keys there are.
    """
    loc = problem["loc"]
    value: object = problem["input"]
    where = key_path(loc, raw)
    match problem["type"]:
        case "extra_forbidden":
            return f"{where} is not a key that Strom knows; {_known_keys(loc, model)}"
        case "missing":
            return f"{where} is missing"
        case "model_type" | "model_attributes_type" | "dict_type":
            expected = f"expected a table, such as [{where}]"
        case "tuple_type":
            expected = (
                f"expected a list of tables, each headed [[{where}]]"
                if loc[-1] in ("charge_points", "ocpp_models")
                else "expected a list in square brackets"
            )
        case "literal_error" if loc[-1] == "currency":
            expected = 'expected "SAT": prices are in sat; [fiat] shows them in your currency too'
        case "literal_error":
            expected = f"expected {problem.get('ctx', {}).get('expected', '')}".replace("'", '"')
        case _:
            expected = problem["msg"].removeprefix("Value error, ")
    shown = _shown(loc, value)
    return f"{where} = {shown}: {expected}" if shown else f"{where}: {expected}"


def key_path(loc: Sequence[int | str], raw: Mapping[str, Any]) -> str:
    """A key's path as the operator sees it: `charge_points[2] "CP003" .tariff`."""
    path = ""
    here: object = raw
    for position, part in enumerate(loc):
        here = _item(here, part)
        if isinstance(part, str):
            path += f".{_key(part)}" if path else _key(part)
            continue
        path += f"[{part}]"
        name = _item(here, "id")
        if loc[position - 1] == "charge_points" and isinstance(name, str) and loc[-1] != "id":
            path += f" {json.dumps(name)} "
    return path.rstrip()


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """`did you mean "X"?` when a known word is close, else all that are known."""
    words = sorted(known)
    by_lower = {candidate.lower(): candidate for candidate in words}
    close = difflib.get_close_matches(word.lower(), by_lower, n=1, cutoff=0.6)
    if close:
        return f"did you mean {shown_text(by_lower[close[0]])}?"
    return "known are: " + ", ".join(map(_key, words)) if words else "there is none"


def shown_text(value: str) -> str:
    """A text as the file may have it: in quotes, on one line, cut when it is long."""
    if len(value) > _LONGEST_SHOWN_VALUE:
        value = value[:_LONGEST_SHOWN_VALUE] + "…"
    quoted = json.dumps(value, ensure_ascii=False)
    return "".join(c if c.isprintable() else json.dumps(c)[1:-1] for c in quoted)


def looks_secret(value: str) -> bool:
    """Whether a text holds a secret key, or a URL with credentials."""
    if _SECRET_TEXT.search(value):
        return True
    return "@" in urlsplit(value).netloc if "://" in value and "[" not in value else False


def _key(part: str) -> str:
    """A key as TOML writes it."""
    return part if _BARE_KEY.fullmatch(part) else json.dumps(part)


def _item(here: object, part: int | str) -> object:
    if isinstance(here, Mapping) and isinstance(part, str):
        return cast("Mapping[str, object]", here).get(part)
    if isinstance(here, list) and isinstance(part, int):
        items = cast("list[object]", here)
        return items[part] if part < len(items) else None
    return None


def _known_keys(loc: Sequence[int | str], model: type[BaseModel]) -> str:
    known: type[BaseModel] | None = model
    for part in loc[:-1]:
        if known is not None and isinstance(part, str) and part in known.model_fields:
            known = _model_in(known.model_fields[part].annotation)
    return did_you_mean(str(loc[-1]), known.model_fields if known is not None else ())


def _model_in(annotation: object) -> type[BaseModel] | None:
    """The model inside `X`, `X | None`, `tuple[X, ...]` or `dict[str, X]`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for part in get_args(annotation):
        found = _model_in(part)
        if found is not None:
            return found
    return None


def _shown(loc: Sequence[int | str], value: object) -> str:
    """The value as the file has it; "" for a secret, a whole table or a whole list."""
    if any(isinstance(part, str) and _SECRET_KEY.search(part) for part in loc):
        return ""
    if tuple(loc[:2]) == ("wallet", "url"):
        return ""
    match value:
        case bool():
            return "true" if value else "false"
        case int() | float() | Decimal():
            return str(value)
        case str() if not looks_secret(value):
            return shown_text(value)
        case _:
            return ""


def _lower_first(text: str) -> str:
    return text[:1].lower() + text[1:]
