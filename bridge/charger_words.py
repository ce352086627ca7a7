"""What an operator sees of a charger, in words: for the command line and the console alike."""

from __future__ import annotations

import re

from agent.talk.wording import age
from agent.talk.words import Words
from bridge.charger_sheet import ChargerSheet, Setting, ShownFault

CLOCK_IS_RIGHT_MS = 2_000
"""So much is travel time and rounding, and not a charger's clock."""

_MS_PER_DAY = 86_400_000


def clock_words(behind_ms: int | None, said: Words) -> str:
    """How far a charger's clock is off; `behind_ms` is negative for one that is ahead."""
    if behind_ms is None:
        return said("charger.clock_unknown")
    if abs(behind_ms) <= CLOCK_IS_RIGHT_MS:
        return said("charger.clock_right")
    way = "behind" if behind_ms > 0 else "ahead"
    return said(f"charger.clock_{way}", time=age(abs(behind_ms) // 1000))


def heard_words(sheet: ChargerSheet, now_ms: int, said: Words) -> str:
    """When a charger was last heard."""
    if sheet.heard_at_ms is None:
        return said("charger.heard_never")
    return ago_words(sheet.heard_at_ms, now_ms, said)


def ago_words(at_ms: int, now_ms: int, said: Words) -> str:
    """How long ago something was."""
    return said("charger.ago", age=age(max(0, now_ms - at_ms) // 1000))


def place_words(connector: int, said: Words) -> str:
    """A connector, or (0) the charger itself."""
    return f"{said('web.connector')} {connector}" if connector else said("charger.title")


def fault_words(fault: ShownFault, now_ms: int, said: Words) -> str:
    """What a charger says is wrong somewhere, and for how long."""
    return said(
        "charger.fault", reason=fault.reason, age=age(max(0, now_ms - fault.since_ms) // 1000)
    )


def ping_words(sheet: ChargerSheet, said: Words) -> str:
    """What a ping takes."""
    return said("charger.ping_unknown") if sheet.ping_ms is None else f"{sheet.ping_ms} ms"


def certificate_words(sheet: ChargerSheet, now_ms: int, said: Words) -> str:
    """How long the certificate that a charger showed is valid; "" where it showed none."""
    if sheet.certificate_expires_at_ms is None:
        return ""
    days = (sheet.certificate_expires_at_ms - now_ms) // _MS_PER_DAY
    return said("charger.expired") if days < 0 else said("charger.days_left", days=days)


def state_words(setting: Setting, said: Words) -> str:
    """Whether a charger has a setting, or why not."""
    state = said(f"setting.state.{re.sub(r'[^a-z0-9]+', '_', setting.state.lower())}")
    return said("setting.here", state=state, name=setting.here) if setting.here else state


def means_words(setting: Setting, said: Words) -> str:
    """What follows from how a setting is; "" for nothing."""
    if not setting.means:
        return ""
    energy = said.kwh(setting.beyond_wh)
    return said(f"setting.{setting.means}", present=setting.present, energy=energy)
