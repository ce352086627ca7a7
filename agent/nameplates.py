"""What chargers said of themselves when they booted, kept in the journal."""

from __future__ import annotations

import json
from dataclasses import asdict, fields
from typing import Any

from agent.journal.journal import Journal
from agent.ports.charger import Nameplate

_FIELDS = tuple(field.name for field in fields(Nameplate))


async def keep(journal: Journal, charge_point_id: str, nameplate: Nameplate) -> None:
    """Remember a nameplate; returns once it is stored."""
    if kept(journal, charge_point_id) != nameplate:
        await journal.set_setting(_name(charge_point_id), json.dumps(asdict(nameplate)))


def kept(journal: Journal, charge_point_id: str) -> Nameplate:
    """The nameplate of a charge point; empty while its charger never booted."""
    text = journal.setting(_name(charge_point_id))
    if text is None:
        return Nameplate()
    stored: dict[str, Any] = json.loads(text)
    return Nameplate(**{name: str(stored.get(name, "")) for name in _FIELDS})


def _name(charge_point_id: str) -> str:
    return f"nameplate:{charge_point_id}"
