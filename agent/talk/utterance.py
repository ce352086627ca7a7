"""A message taken apart: sentences, clauses, and in them phrases, numbers, connectors, targets.

Nothing here knows what the parts mean together; it only keeps a hostile text from costing
anything: what is too long is not looked at.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from enum import Enum, auto

from agent.talk.vocabulary import CONTRACT, PHRASES, Phrase, Role, fold

MOST_CHARACTERS = 4_000
"""An invoice with many routing hints and some words around it stays well below this."""

MOST_PARTS = 60


class Kind(Enum):
    """What a part of a message is."""

    PHRASE = auto()
    NUMBER = auto()
    CONNECTOR = auto()
    TARGET = auto()
    NAME = auto()


@dataclass(frozen=True, slots=True)
class Part:
    """One part of a message.

    Attributes:
        text: as it was written; of a target without its scheme.
        role: of a phrase; OTHER for anything that is none.
        value: of a number or connector; None for a number that makes no whole one.
        unit: "sat", "" for none, "?" for a unit that is not money of ours.
    """

    kind: Kind
    text: str
    role: Role = Role.OTHER
    value: int | None = None
    unit: str = ""


Clause = list[Part]
Sentence = list[Clause]


@dataclass(frozen=True, slots=True)
class Utterance:
    """A message taken apart.

    Attributes:
        sentences: without empty ones.
        language: "en" or "de" by the words used, "" when they do not tell.
    """

    sentences: list[Sentence]
    language: str

    @property
    def clauses(self) -> list[Clause]:
        """All clauses, in their order."""
        return [clause for sentence in self.sentences for clause in sentence]

    @property
    def parts(self) -> list[Part]:
        """All parts, in their order."""
        return [part for clause in self.clauses for part in clause]


_CONNECTOR_NOUN = (
    r"(?:connectors?|plug|port|outlet|socket|anschlu(?:ss|ß)|stecker|buchse|ladebuchse|"
    r"ladepunkt|steckdose|dose)"
)
_ORDINALS = {
    **dict.fromkeys(("first", "erste", "ersten", "erster", "erstes"), 1),
    **dict.fromkeys(("second", "zweite", "zweiten", "zweiter", "zweites"), 2),
    **dict.fromkeys(("third", "dritte", "dritten", "dritter", "drittes"), 3),
}
_SATS = r"(?:satoshis?|sats?)"
_OTHER_UNITS = (
    r"(?:€|\$|£|%|₿|°|eur(?:os?)?|usd|dollars?|bucks|chf|franken|gbp|pounds?|btc|bitcoins?|m?btc|"
    r"msats?|millisats?|kwh|wh|kw|w|watt|percent|prozent|cents?|km|kilomet(?:er|re)s?|miles?|"
    r"mins?|minut(?:es?|en?)|m|h|hrs?|hours?|stunden?|std|s|secs?|seconds?|sekunden?|"
    r"days?|tag(?:e|en)?|uhr|o'clock)"
)
_TOKEN = re.compile(
    rf"""
      (?P<link>https?://\S+)
    | (?P<nostr>@?(?:nostr:)?(?:npub|nprofile|note|nevent|naddr)1[0-9a-z]{{20,}})
    | (?:lightning:(?://)?)?(?P<target>
          ln(?:bcrt|bc|tbs|tb|sb)[0-9a-z]{{30,}}
        | lnurl1[0-9a-z]{{20,}}
        | lnurlp:(?://)?[^\s<>"]+
        | (?<![\w@])[0-9a-z][0-9a-z._+-]{{0,63}}@
          [0-9a-z](?:[0-9a-z.-]{{0,250}}[0-9a-z])?(?::\d{{1,5}})?
      )
    | (?P<ordinal>\b(?:(?P<nth>\d{{1,2}})(?:st|nd|rd|th|\.)|{"|".join(_ORDINALS)})
        \s+{_CONNECTOR_NOUN}\b)
    | (?P<connector>(?:\b{_CONNECTOR_NOUN}\s*(?:nr|no|number|nummer)?\.?\s*\#?\s*|\#|\bnr\.?\s*)
        (?P<connector_no>\d{{1,2}})(?![\w]|[.,]\d))
    | (?P<clock>\b\d{{1,2}}:\d{{2}}\b)
    | (?P<number>(?P<sign>(?<!\w)[-−])?(?P<before>[€$£₿])?\s?
        (?P<digits>\d+(?:[ '’_\u00a0\u202f]\d{{3}}(?!\d)|[.,]\d+)*)
        \s?(?:(?P<times>k|tsd\.?|tausend|thousand|mio\.?|million(?:en)?)(?!\w))?
        \s?(?:(?P<sats>{_SATS})(?!\w)|(?P<other>{_OTHER_UNITS})(?!\w))?
        (?![\w%€$£]))
    | (?P<word>\w(?:[\w'’`-]*\w)?)
    | (?P<end>[.!?;\n]+)
    | (?P<pause>[,()–—/]+)
    """,
    re.IGNORECASE | re.VERBOSE,
)
_LNURL_IN_LINK = re.compile(r"[?&]lightning=(lnurl1[0-9a-z]{20,})", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class _Word:
    text: str
    folded: str


_End = Enum("_End", ["SENTENCE", "CLAUSE"])
_Token = Part | _Word | _End


def understand(text: str) -> Utterance | None:
    """A message taken apart; None for one that is too long to be meant for a charge point."""
    if len(text) > MOST_CHARACTERS:
        return None
    tokens = _tokens(_cleaned(text))
    if sum(not isinstance(token, _End) for token in tokens) > MOST_PARTS:
        return None
    rough = _split(tokens, "")
    language = _language(rough)
    found = _split(tokens, language)
    sentences = [
        [[part for part, _ in clause] for clause in sentence if clause] for sentence in found
    ]
    return Utterance([sentence for sentence in sentences if sentence], language)


def _cleaned(text: str) -> str:
    """The text without quoted lines, client tags and invisible characters."""
    lines = (line.strip() for line in text.splitlines())
    kept = "\n".join(line for line in lines if not line.startswith((">", "[//]:")))
    composed = unicodedata.normalize("NFKC", kept)
    return "".join(
        character
        for character in composed
        if character == "\n" or unicodedata.category(character) not in ("Cf", "Cc", "Co", "Cs")
    )


def _tokens(text: str) -> list[_Token]:
    tokens: list[_Token] = []
    for match in _TOKEN.finditer(text):
        token = _token(match)
        if token is not None:
            tokens.append(token)
    return tokens


def _token(match: re.Match[str]) -> _Token | None:
    found = match[0]
    match match.lastgroup:
        case "link":
            lnurl = _LNURL_IN_LINK.search(found)
            return Part(Kind.TARGET, lnurl[1].lower()) if lnurl else Part(Kind.PHRASE, found)
        case "nostr":
            return None
        case "target":
            target = match["target"].rstrip(".,;!?)")
            scheme = target.lower().startswith("lnurlp:")
            return Part(Kind.TARGET, target if scheme else target.lower())
        case "ordinal":
            nth = match["nth"]
            value = int(nth) if nth else _ORDINALS[found.split()[0].lower()]
            return Part(Kind.CONNECTOR, found, value=value)
        case "connector":
            return Part(Kind.CONNECTOR, found, value=int(match["connector_no"]))
        case "clock":
            return Part(Kind.NUMBER, found, unit="?")
        case "number":
            return _number(match)
        case "word":
            return _Word(found, fold(found))
        case "end":
            return _End.SENTENCE
        case _:
            return _End.CLAUSE


def _number(match: re.Match[str]) -> Part:
    value = None if match["sign"] else _value(match["digits"], (match["times"] or "").lower())
    unit = "?" if match["before"] or match["other"] else "sat" if match["sats"] else ""
    return Part(Kind.NUMBER, match["digits"], value=value, unit=unit)


_GROUPED = re.compile(r"(\d{1,3})((?:[ '’_]\d{3})+|(?:\.\d{3})+|(?:,\d{3})+)?(?:([.,])(\d{1,3}))?")
_MOST_DIGITS = 12


def _value(digits: str, times: str) -> int | None:
    """The whole number that was meant; None where that is not sure."""
    factor = 1_000_000 if times.startswith("mi") else 1_000 if times else 1
    if sum(character.isdigit() for character in digits) > _MOST_DIGITS or not digits.isascii():
        return None
    if digits.isdigit():
        return int(digits) * factor
    match = _GROUPED.fullmatch(digits)
    if match is None:
        plain = re.fullmatch(r"(\d+)[.,](\d{1,2})", digits)
        return _scaled(plain[1], plain[2], factor) if plain else None
    whole, groups, mark, decimals = match[1], match[2] or "", match[3] or "", match[4] or ""
    if mark and groups.startswith(mark):
        return None
    if groups and factor > 1:
        return None
    return _scaled(whole + re.sub(r"\D", "", groups), decimals, factor)


def _scaled(whole: str, decimals: str, factor: int) -> int | None:
    shift = 10 ** len(decimals)
    value, rest = divmod((int(whole) * shift + int(decimals or 0)) * factor, shift)
    return None if rest else value


_Found = list[list[list[tuple[Part, Phrase | None]]]]


def _split(tokens: list[_Token], language: str) -> _Found:
    """Sentences of clauses, their words joined to phrases as that language has them."""
    sentences: _Found = []
    clauses: list[list[tuple[Part, Phrase | None]]] = []
    words: list[Part | _Word] = []
    for token in [*tokens, _End.SENTENCE]:
        if not isinstance(token, _End):
            words.append(token)
            continue
        clauses.extend(_clauses(words, language))
        words = []
        if token is _End.SENTENCE:
            sentences.append(clauses)
            clauses = []
    return sentences


def _clauses(words: list[Part | _Word], language: str) -> list[list[tuple[Part, Phrase | None]]]:
    clauses: list[list[tuple[Part, Phrase | None]]] = [[]]
    taken: set[int] = set()
    at = 0
    while at < len(words):
        word = words[at]
        if isinstance(word, Part):
            clauses[-1].append((word, None))
            at += 1
            continue
        if at in taken:
            at += 1
            continue
        phrase, particle_at = _phrase_at(words, at, language)
        if phrase is None:
            named = any(character.isdigit() for character in word.text) and len(word.text) > 1
            kind = Kind.NAME if named else Kind.PHRASE
            clauses[-1].append((Part(kind, word.text), None))
            at += 1
            continue
        taken.add(particle_at)
        role = phrase.role(language)
        text = " ".join(w.text for w in words[at : at + len(phrase.words)] if isinstance(w, _Word))
        if role is Role.JOIN:
            clauses.append([])
        clauses[-1].append((Part(Kind.PHRASE, text, role), phrase))
        at += len(phrase.words)
    return clauses


def _phrase_at(words: list[Part | _Word], at: int, language: str) -> tuple[Phrase | None, int]:
    """The phrase that starts at a word, and where the second half of a split verb stands or -1."""
    first = words[at]
    if not isinstance(first, _Word):
        return None, -1
    for phrase in PHRASES.get(first.folded, ()):
        end = at + len(phrase.words)
        here = tuple(w.folded for w in words[at:end] if isinstance(w, _Word))
        if here != phrase.words:
            continue
        if not phrase.particle:
            return phrase, -1
        particle_at = _particle_at(words, end, phrase.particle, language)
        if particle_at >= 0:
            return phrase, particle_at
    return None, -1


def _particle_at(words: list[Part | _Word], start: int, particle: str, language: str) -> int:
    """Where a particle stands that only courtesies follow; -1 where there is none."""
    for at in range(len(words) - 1, start - 1, -1):
        word = words[at]
        if not isinstance(word, _Word):
            return -1
        if word.folded == particle:
            return at
        known = PHRASES.get(word.folded, ())
        if not any(p.words == (word.folded,) and p.role(language) is Role.FILLER for p in known):
            return -1
    return -1


def _language(found: _Found) -> str:
    hits = {"en": 0, "de": 0}
    for sentence in found:
        for clause in sentence:
            for _, phrase in clause:
                if phrase is None or CONTRACT.issuperset(phrase.words):
                    continue
                if len(phrase.roles) == 1:
                    hits[next(iter(phrase.roles))] += len(phrase.words)
    if hits["en"] == hits["de"]:
        return ""
    return max(hits, key=lambda language: hits[language])
