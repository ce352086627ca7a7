"""Who speaks in the lines of relay-fixtures/, and what a line is."""

from __future__ import annotations

from nips.event import Coordinate, NostrEvent
from tests.nips.support import key_of

CHARGER = key_of("charger")
DRIVER = key_of("driver")
MALLORY = key_of("mallory")
PROVIDER = key_of("provider")
THROWAWAY = key_of("throwaway")
STATUS = Coordinate(30716, CHARGER.pubkey, "CP001:1")
RELAYS = ["wss://relay.example.com"]
Case = dict[str, object]


def case(name: str, rule: str, valid: bool, event: NostrEvent | str, **more: object) -> Case:
    """One line: `event` is the raw text as it came over the wire."""
    text = event if isinstance(event, str) else event.to_json()
    verdict = "valid" if valid else "invalid"
    return {"name": name, "rule": rule, "verdict": verdict, "event": text, **more}
