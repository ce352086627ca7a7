"""The words of Strom in each of its languages: one catalogue file each, for pages and messages.

A catalogue is flat JSON: a key such as `web.stop` names a sentence, `{name}` in it is
filled in. Keys under `web.` are the pages', `dm.` the direct messages', the rest is shared.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from decimal import ROUND_DOWN, ROUND_HALF_UP, Decimal
from importlib import resources

LANGUAGES = ("en", "de", "nl", "fr")
DEFAULT_LANGUAGE = "en"

_NARROW_SPACE = "\N{NARROW NO-BREAK SPACE}"
_MARKS = {"en": (",", "."), "de": (".", ","), "nl": (".", ","), "fr": (_NARROW_SPACE, ",")}
"""Per language: what groups thousands, and what stands before the decimals."""

_SYMBOLS = {"EUR": "€", "USD": "$", "GBP": "£"}


class UnknownWord(Exception):
    """A sentence was asked for under a key that no catalogue has."""


@dataclass(frozen=True, slots=True)
class Words:
    """The sentences and number formats of one language."""

    language: str
    sentences: dict[str, str] = field(repr=False)

    def __call__(self, key: str, **values: object) -> str:
        """The sentence under a key, with its `{names}` filled in.

        Raises:
            UnknownWord: the catalogue has no such key, or lacks one of its values.
        """
        try:
            return self.sentences[key].format_map(values)
        except KeyError as error:
            raise UnknownWord(f'"{key}" in {self.language} wants {error}') from None

    def has(self, key: str) -> bool:
        """Whether the catalogue has a sentence under a key."""
        return key in self.sentences

    def number(self, value: Decimal | int, places: int = 0) -> str:
        """A number with this language's marks, rounded to a fixed number of decimals."""
        rounded = Decimal(value).quantize(Decimal(1).scaleb(-places), ROUND_HALF_UP)
        text = f"{rounded:,.{places}f}"
        group, point = _MARKS[self.language]
        return text.translate({ord(","): group, ord("."): point})

    def sats(self, amount_msat: int) -> str:
        """An amount of msat as satoshi without unit; a fraction shows only where there is one."""
        exact = Decimal(amount_msat) / 1000
        if amount_msat % 1000 == 0:
            return self.number(exact)
        return self.number(exact.quantize(Decimal("0.001"), ROUND_DOWN), 3)

    def sat(self, amount_msat: int) -> str:
        """An amount of msat in satoshi, with the unit."""
        return f"{self.sats(amount_msat)}\N{NO-BREAK SPACE}sat"

    def kwh(self, energy_wh: int) -> str:
        """Energy in kWh to the hundredth, rounded down, without unit."""
        return self.number(
            (Decimal(energy_wh) / 1000).quantize(Decimal("0.01"), ROUND_DOWN), places=2
        )

    def kw(self, power_w: int) -> str:
        """Power in kW to the tenth, without unit."""
        return self.number(Decimal(power_w) / 1000, places=1)

    def money(self, amount_msat: int, msat_per_unit: int, currency: str) -> str:
        """An amount of msat in a currency, by a rate in msat per whole unit of it."""
        text = self.number(Decimal(amount_msat) / msat_per_unit, places=2)
        symbol = _SYMBOLS.get(currency, currency)
        if self.language == "en":
            return f"{symbol}{text}" if len(symbol) == 1 else f"{symbol}\N{NO-BREAK SPACE}{text}"
        return f"{text}\N{NO-BREAK SPACE}{symbol}"


def _catalogue(language: str) -> Words:
    text = resources.files(__name__).joinpath(f"{language}.json").read_text(encoding="utf-8")
    return Words(language, json.loads(text))


_CATALOGUES = {language: _catalogue(language) for language in LANGUAGES}


def words(language: str) -> Words:
    """The words of a language, given as a tag such as "de" or "de-AT"; English where unknown."""
    return _CATALOGUES.get(language.partition("-")[0].lower(), _CATALOGUES[DEFAULT_LANGUAGE])


def preferred_language(accept_language: str, default: str = DEFAULT_LANGUAGE) -> str:
    """The best of our languages for an Accept-Language header (RFC 9110, section 12.5.4).

    Args:
        accept_language: the header's value; anything unreadable in it is passed over.
        default: the answer where none of ours is asked for.
    """
    best, best_weight = default, 0.0
    for item in accept_language[:500].split(","):
        tag, _, parameter = item.strip().partition(";")
        language = tag.partition("-")[0].strip().lower()
        try:
            weight = float(parameter.strip().removeprefix("q=")) if parameter else 1.0
        except ValueError:
            continue
        if language in LANGUAGES and weight > best_weight:
            best, best_weight = language, weight
    return best
