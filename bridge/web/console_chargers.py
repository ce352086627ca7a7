"""The console's pages about one charge point: its charger, how it is set, its charges and words."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from zlib import crc32

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from agent.charges import Charge
from agent.ports.office import Office
from agent.talk.evidence import evidence_details, evidence_line
from agent.talk.words import Words
from bridge.charger_sheet import Chargers, LogQuery, Setting, SpokenLine
from bridge.charger_words import (
    certificate_words,
    clock_words,
    fault_words,
    heard_words,
    means_words,
    ping_words,
    state_words,
)
from bridge.web.context import BadForm, Context

CHARGES_SHOWN = 8
EVENTS_SHOWN = 8
MESSAGES_SHOWN = 12
MESSAGES_OF_A_PAGE = 100

FRAGMENTS = (
    "head",
    "troubles",
    "connection",
    "charger",
    "settings",
    "charges",
    "events",
    "messages",
)

_LONGEST_TEXT = 100
_SIDES = {"": None, "charger": True, "strom": False}


@dataclass(frozen=True, slots=True)
class Desk:
    """What these pages need.

    Attributes:
        office: what the operator may see and do.
        chargers: what he may see of his chargers.
        check: raises NotSignedIn for anybody else.
    """

    office: Office
    chargers: Chargers
    check: Callable[[Request], None]


@dataclass(frozen=True, slots=True)
class ShownCharge:
    """A charge with the words for how its energy was read."""

    charge: Charge
    line: str
    details: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ShownDay:
    """The messages of one day in UTC."""

    day: str
    messages: list[SpokenLine]


def routes(context: Context, desk: Desk) -> APIRouter:
    """The routes below `/admin/cp`."""
    router = APIRouter(prefix="/cp", include_in_schema=False)

    @router.get("/{name}")
    async def charger(request: Request, name: str) -> Response:
        """Everything about one charge point's charger."""
        desk.check(request)
        values = await charger_values(context, desk, name, context.words(request))
        return context.renderer.page(request, "console/charger.html", **values)

    @router.get("/{name}/log")
    async def log(request: Request, name: str) -> Response:
        """What a charger and Strom said to each other."""
        desk.check(request)
        point = context.site.charge_point(name)
        query = request.query_params
        side, text = query.get("from", ""), query.get("text", "").strip()[:_LONGEST_TEXT]
        before = query.get("before", "")
        if side not in _SIDES or (before and not (before.isascii() and before.isdecimal())):
            raise BadForm("That is not a question to the message log.")
        before_ms = int(before[:15]) if before else None
        wanted = LogQuery(MESSAGES_OF_A_PAGE, _SIDES[side], text, before_ms)
        messages = await desk.chargers.log(point.id, wanted)
        return context.renderer.page(
            request,
            "console/log.html",
            view=await point.view(),
            days=by_day(messages),
            side=side,
            sides=tuple(_SIDES),
            text=text,
            before=before,
            older=messages[-1].at_ms if len(messages) == MESSAGES_OF_A_PAGE else None,
            pretty=pretty,
            clock_of=clock_of,
            key_of=key_of,
        )

    return router


async def charger_values(context: Context, desk: Desk, name: str, said: Words) -> dict[str, Any]:
    """What the parts of a charger's page are rendered from; raises UnknownChargePoint."""
    point = context.site.charge_point(name)
    now_ms, chargers = context.clock(), desk.chargers
    sheet = await chargers.sheet(point.id)
    settings = await chargers.settings(point.id)
    events = await chargers.events(point.id)
    charges = await desk.office.charges(point.id, CHARGES_SHOWN)
    return {
        "view": await point.view(),
        "sheet": sheet,
        "presence": chargers.presence(point.id),
        "heard": heard_words(sheet, now_ms, said),
        "ping": ping_words(sheet, said),
        "clock": clock_words(sheet.clock_behind_ms, said),
        "faults": {one.connector: fault_words(one, now_ms, said) for one in sheet.faults},
        "certificate": certificate_words(sheet, now_ms, said),
        "certificate_ends": (sheet.certificate_expires_at_ms or 0) - now_ms,
        "settings": settings,
        "compared_ms": max(0, now_ms - settings.checked_at_ms),
        "differing": [setting for setting in settings.keys if _stands_out(setting)],
        "well": sum(not _stands_out(setting) for setting in settings.keys),
        "state_words": state_words,
        "means_words": means_words,
        "events": events[:EVENTS_SHOWN],
        "charges": [_shown(charge, said) for charge in charges],
        "messages": by_day(await chargers.log(point.id, LogQuery(MESSAGES_SHOWN))),
        "pretty": pretty,
        "clock_of": clock_of,
        "key_of": key_of,
        "day_of": day_of,
        "now_ms": now_ms,
    }


def _stands_out(setting: Setting) -> bool:
    return setting.state != "set" or bool(setting.means)


def _shown(charge: Charge, said: Words) -> ShownCharge:
    if charge.meter is None:
        return ShownCharge(charge, said("charge.never_began"), ())
    return ShownCharge(
        charge, evidence_line(charge.meter, said), evidence_details(charge.meter, said)
    )


def key_of(message: SpokenLine) -> str:
    """What tells a message from all others that a page shows."""
    words = f"{message.incoming}{message.action}{message.said}".encode()
    return f"{message.at_ms}-{crc32(words):x}"


def by_day(messages: Sequence[SpokenLine]) -> list[ShownDay]:
    """Messages under the days that they are of, in their order."""
    days: list[ShownDay] = []
    for message in messages:
        day = day_of(message.at_ms)
        if not days or days[-1].day != day:
            days.append(ShownDay(day, []))
        days[-1].messages.append(message)
    return days


def day_of(at_ms: int) -> str:
    """The day of a time, in UTC."""
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%d")


def clock_of(at_ms: int) -> str:
    """The time of day, in UTC."""
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%H:%M:%S")


def pretty(said: str) -> str:
    """What was said, JSON on several lines."""
    try:
        return json.dumps(json.loads(said), indent=2, ensure_ascii=False)
    except (ValueError, RecursionError):
        return said
