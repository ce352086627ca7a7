"""What a zap asks of a charge point: who pays, for which connector, in which language.

NIP-57, https://github.com/nostr-protocol/nips/blob/master/57.md
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import NoReturn

from agent.ports.quotes import Quote
from agent.talk.commands import parse
from nips.errors import InvalidEvent, InvalidZapRequest
from nips.event import Coordinate, NostrEvent
from nips.identity import Identity
from nips.private_zaps import read_private_zap
from nips.profile import KIND_LISTING
from nips.status import KIND_CONNECTOR_STATUS
from nips.zaps import ZapRequest

COMMENT_CHARS = 255

_PLACES = (
    "connector|plug|socket|outlet|port|gun|charger|charge point|station|"
    "anschluss|anschluß|stecker|steckdose|dose|buchse|säule|saeule|ladesäule|ladesaeule|ladepunkt|"
    "aansluiting|laadpunt|laadpaal|stekker|stopcontact|prise|borne|connecteur|point de charge"
)
_NAMED = re.compile(
    rf"\b(?:{_PLACES})\s*(?:no\.?|nr\.?|n°|number|nummer|numéro)?\s*[:#]?\s*(\d{{1,2}})(?![.,]?\w)",
    re.IGNORECASE,
)
_NUMBERED = re.compile(r"(?<![\w#])#(\d{1,2})(?![.,]?\w)")
_ALONE = re.compile(r"\A\s*(\d{1,2})\s*[.!]?\s*\Z")


@dataclass(frozen=True, slots=True)
class Zap:
    """A zap request as its charge point reads it.

    Attributes:
        request: what passed NIP-57's rules.
        payer: hex public key that the session will belong to; None for a zap whose author
            stays hidden: then the secret link alone owns.
        comment: the payer's words, also of a private zap.
        connector: the one that it is for; None for any.
        language: of the comment, "" where it does not tell.
    """

    request: ZapRequest
    payer: str | None
    comment: str
    connector: int | None
    language: str


def read_zap(
    request: ZapRequest,
    *,
    charge_point: str,
    connectors: Collection[int],
    addressed: int | None = None,
    identity: Identity | None = None,
) -> Zap:
    """Read what a zap request asks for.

    The connector is that of the lightning address, of the zapped event (`a` tag: one version
    of it in an `e` tag says no more), or the one that the comment names.

    Args:
        request: to this charge point.
        charge_point: its id.
        connectors: those that it has.
        addressed: the connector in the lightning address or LNURL; None without.
        identity: opens private zaps; without it they stay anonymous.

    Raises:
        InvalidZapRequest: it contradicts itself, or is for a connector that is not here.
    """
    payer, comment = request.sender, request.comment
    if request.is_private and identity is not None:
        payer, comment = _opened(identity, request)
    zapped = _zapped(request.coordinate, charge_point, connectors)
    if None not in (zapped, addressed) and zapped != addressed:
        _refuse(f"The zap is for connector {zapped}, but was sent to connector {addressed}.")
    return Zap(
        request=request,
        payer=payer,
        comment=comment[:COMMENT_CHARS],
        connector=addressed or zapped or named_connector(comment, connectors),
        language=parse(comment[:COMMENT_CHARS]).language,
    )


def _opened(identity: Identity, request: ZapRequest) -> tuple[str | None, str]:
    """Payer and words of a private zap; one that proves no payer is an anonymous one."""
    try:
        private = read_private_zap(identity, request)
    except InvalidZapRequest:
        return None, request.comment
    return private.sender, private.comment


def _zapped(
    coordinate: Coordinate | None, charge_point: str, connectors: Collection[int]
) -> int | None:
    """The connector whose state or listing was zapped."""
    if coordinate is None or coordinate.kind not in (KIND_CONNECTOR_STATUS, KIND_LISTING):
        return None
    name, _, number = coordinate.identifier.rpartition(":")
    connector = int(number) if re.fullmatch(r"\d{1,2}", number, re.ASCII) else 0
    if name != charge_point or connector not in connectors:
        _refuse("The zapped event is of no connector that is here (a tag).")
    return connector


def named_connector(comment: str, connectors: Collection[int]) -> int | None:
    """The connector that a comment names: "connector 2", "#2", "Säule 2", or "2" alone.

    Raises:
        InvalidZapRequest: it names one in words that is not here: no other is charged at.
    """
    text = comment[:COMMENT_CHARS]
    named = {int(number) for number in _NAMED.findall(text)}
    if len(named) == 1:
        (connector,) = named
        if connector not in connectors:
            here = ", ".join(str(one) for one in sorted(connectors))
            _refuse(f"There is no connector {connector} here, only {here}.")
        return connector
    if named:
        return None
    hinted = {int(number) for number in (*_NUMBERED.findall(text), *_ALONE.findall(text))}
    here = hinted & set(connectors)
    return here.pop() if len(hinted) == 1 and here else None


def relays_named(quotes: Iterable[Quote]) -> tuple[str, ...]:
    """The relays at which the payer of these wants his receipts: he reads there."""
    for quote in quotes:
        if quote.zap_request is not None:
            with suppress(InvalidEvent):
                tags = NostrEvent.parse(quote.zap_request).tags_named("relays")
                return tuple(url for tag in tags for url in tag[1:] if url)
    return ()


def _refuse(sentence: str) -> NoReturn:
    raise InvalidZapRequest(sentence)
