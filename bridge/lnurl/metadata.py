"""What a payment is for, as the invoice commits to it.

LUD-06: payRequest base spec. https://github.com/lnurl/luds/blob/luds/06.md
LUD-16: internet identifiers. https://github.com/lnurl/luds/blob/luds/16.md
LUD-20: long descriptions. https://github.com/lnurl/luds/blob/luds/20.md
"""

from __future__ import annotations

import hashlib
import json

from agent.links import Links
from agent.ports.charge_point import ChargePointView
from agent.ports.site import SessionView
from agent.talk.wording import price_in_short, price_lines
from agent.talk.words import Words

_FINGERPRINT_CHARS = 12


def start_metadata(view: ChargePointView, connector: int | None, links: Links, words: Words) -> str:
    """The metadata of a payment that starts a session: the exact text that is hashed.

    Args:
        connector: the one that the driver chose; None when the first free one is taken.
    """
    name = f"{view.name} ({connector})" if connector else view.name
    price = price_in_short(view.tariff, words)
    details = [
        f"{line.label}: {line.amount}" + (f" ({line.note})" if line.note else "")
        for line in price_lines(view.tariff, words)
    ]
    about = [view.about, view.address, *details, words("lnurl.unused_returns")]
    return _text(
        [
            ("text/plain", words("lnurl.start", name=name, price=price)),
            ("text/identifier", links.address(view.id, connector)),
            ("text/long-desc", "\n".join(line for line in about if line)),
        ]
    )


def topup_metadata(view: ChargePointView, session: SessionView, words: Words) -> str:
    """The metadata of a payment that tops up a session."""
    name = f"{view.name} ({session.connector})"
    return _text([("text/plain", words("lnurl.topup", name=name))])


def fingerprint(metadata: str) -> str:
    """A short name of a metadata text, by which a change of price is noticed."""
    return hashlib.sha256(metadata.encode()).hexdigest()[:_FINGERPRINT_CHARS]


def _text(entries: list[tuple[str, str]]) -> str:
    return json.dumps(entries, ensure_ascii=False, separators=(",", ":"))
