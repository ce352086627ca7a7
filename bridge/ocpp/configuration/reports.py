"""What became of a charger's configuration when it was last compared, as it is kept and shown."""

from __future__ import annotations

import msgspec

from bridge.ocpp.configuration.keys import Taken


class KeyReport(msgspec.Struct, frozen=True):
    """What became of a key.

    Attributes:
        key: its name.
        wanted: the value that it shall have, masked for a secret.
        present: the value that it has.
        state: whether it has it, or why not.
        matters: whether somebody must see to it.
        here: what it is called in the version of OCPP that the charger speaks.
    """

    key: str
    wanted: str
    present: str
    state: Taken
    matters: bool = False
    here: str = ""


class Report(msgspec.Struct, frozen=True):
    """A charger's configuration as it was last compared.

    Attributes:
        checked_at_ms: when, Unix ms; 0 for never.
        wished: a digest of the wishes of then, to notice that they changed.
        keys: each key that is wanted, or that billing needed to be changed.
        trouble: why nothing could be compared; "" where it could.
    """

    checked_at_ms: int = 0
    wished: str = ""
    keys: list[KeyReport] = []
    trouble: str = ""

    @property
    def differing(self) -> int:
        """How many keys are not as they are wanted, those that are not for it left out."""
        return sum(key.state is not Taken.SET and not is_idle(key) for key in self.keys)


def is_idle(key: KeyReport) -> bool:
    """Whether it is for chargers that speak another version of OCPP."""
    return key.state in (Taken.ONLY_16, Taken.ONLY_201) and not key.matters


def shown_state(key: KeyReport) -> str:
    """A key's state for people."""
    return f"{key.state}: here {key.here}" if key.here else str(key.state)


def decoded(text: str) -> Report:
    """A report from its note; an empty one for none."""
    try:
        return msgspec.json.decode(text, type=Report) if text else Report()
    except msgspec.MsgspecError:
        return Report()
