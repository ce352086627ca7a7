"""Keeps chargers at the configuration of the operator's file: compares, sets, resets, reports.

Each is compared at its boot, and once a day while nobody charges; what somebody changed at the
charger is set back. What the file wants of the model overrides what billing needs, and what it
wants of the charge point overrides both.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import msgspec

from agent.alerts import Alerts
from agent.config.models import Wishes
from agent.ports.charge_point import ChargePoint
from agent.ports.charger import Nameplate
from agent.ports.errors import AgentError
from bridge.ocpp.configuration import hand_changes
from bridge.ocpp.configuration.billing import Need
from bridge.ocpp.configuration.comparing import Comparison, lower, same
from bridge.ocpp.configuration.keys import Keys, Present, Taken
from bridge.ocpp.configuration.reports import KeyReport, Report, decoded, is_idle, shown_state
from bridge.ocpp.errors import CallFailed, CallRefused, NoAnswer
from bridge.ocpp.masking import is_secret
from bridge.ocpp.meters.readings import as_int

logger = logging.getLogger(__name__)

DAY_MS = 86_400_000
LOOK_S = 60.0
MOST_TRIES = 3
"""A charger that refuses or does not answer is asked so often, a look apart, and then a day later:
some boot before they know all of their messages, and some take a new value only a moment later."""

_REPORT = "settings"
_RESET_FOR = "reset-for"
_RESET_DUE = "reset-due"
_TRIED_AGAIN = (Taken.UNANSWERED, Taken.NOT_DONE)


@dataclass(slots=True, eq=False)
class Tended:
    """A connected charger whose configuration is kept.

    Attributes:
        charge_point: whose it is.
        keys: its configuration.
        needs: what billing needs of its version.
        count_key: the key that has the number of its connectors; "" for none.
        booted: whether it booted since it was last compared.
        ready: whether it may be called.
        reset_due: whether a key waits for a reset.
        tries: how many comparisons in a row came to no end.
    """

    charge_point: ChargePoint
    keys: Keys
    needs: Sequence[Need]
    count_key: str = ""
    booted: bool = False
    ready: bool = False
    reset_due: bool = False
    tries: int = 0
    busy: bool = False


class Upkeep:
    """Tends the configuration of all connected chargers.

    Args:
        wished: the keys that the operator's file wants, by charge point and what its charger is.
        clock: Unix ms.
        alerts: who tells the operator; None for nobody.
    """

    def __init__(
        self,
        wished: Callable[[str, Nameplate], Wishes],
        clock: Callable[[], int],
        alerts: Alerts | None,
    ) -> None:
        self._wished = wished
        self._clock = clock
        self._alerts = alerts
        self._tended: dict[str, Tended] = {}
        self._differing: dict[str, int] = {}

    def opened(self, tended: Tended) -> None:
        """A charger connected."""
        self._tended[tended.charge_point.id] = tended

    def closed(self, tended: Tended) -> None:
        """A connection ended."""
        if self._tended.get(tended.charge_point.id) is tended:
            del self._tended[tended.charge_point.id]

    @property
    def differing(self) -> int:
        """How many keys of all chargers are not as they are wanted."""
        return sum(self._differing.values())

    async def report(self, charge_point: ChargePoint) -> Report:
        """A charger's configuration as it was last compared, also while it is away."""
        return decoded(await charge_point.note(_REPORT))

    async def remember(self, charge_points: Sequence[ChargePoint]) -> None:
        """Take up what was found before Strom was started."""
        for charge_point in charge_points:
            self._count(charge_point.id, await self.report(charge_point))

    async def run(self) -> None:
        """Look after all chargers until cancelled."""
        while True:
            await asyncio.sleep(LOOK_S)
            await self.look()

    async def look(self) -> None:
        """Compare what is due, and reset whom a reset is due to and who serves nobody."""
        for tended in tuple(self._tended.values()):
            if tended.ready:
                await self.tend(tended)

    async def tend(self, tended: Tended) -> None:
        """Compare a charger that may be called, if that is due; never raises for it."""
        charge_point = tended.charge_point
        if tended.busy:
            return
        tended.busy = True
        try:
            if await self._is_due(tended):
                await self._try_to_compare(tended)
            if tended.reset_due and (await charge_point.commitments()).idle:
                await self._reset(tended)
        except CallFailed as error:
            logger.info("%s: its configuration was not checked: %s", charge_point.id, error)
        except AgentError as error:
            logger.warning("%s: its configuration was not checked: %s", charge_point.id, error)
        finally:
            tended.busy = False

    async def _is_due(self, tended: Tended) -> bool:
        if tended.booted:
            return True
        report = await self.report(tended.charge_point)
        tended.reset_due = bool(await tended.charge_point.note(_RESET_DUE))
        stale = self._clock() - report.checked_at_ms >= DAY_MS or tended.tries > 0
        if not stale and report.wished == _digest(await self._wishes(tended)):
            return False
        # Near the end of a charge its sample interval is Strom's own.
        return not (await tended.charge_point.commitments()).connectors

    async def _try_to_compare(self, tended: Tended) -> None:
        """Compare; where that comes to no end it is tried again, and then no more until the next
        boot or day: what waits for an answer holds up others."""
        tended.tries += 1
        is_last = tended.tries >= MOST_TRIES
        try:
            is_over = await self._compare(tended, is_last=is_last)
        except (NoAnswer, CallRefused) as error:
            if not is_last or not self._is_here(tended):
                raise
            await self._untold(tended, await self._wishes(tended), str(error))
            is_over = True
        if is_over:
            tended.tries = 0

    def _is_here(self, tended: Tended) -> bool:
        return self._tended.get(tended.charge_point.id) is tended

    async def _wishes(self, tended: Tended) -> Wishes:
        nameplate = await tended.charge_point.nameplate()
        return self._wished(tended.charge_point.id, nameplate)

    async def _compare(self, tended: Tended, *, is_last: bool) -> bool:
        """Compare; returns whether it came to its end, which it always does where it `is_last`."""
        charge_point = tended.charge_point
        wishes = await self._wishes(tended)
        before = {key.key: key for key in (await self.report(charge_point)).keys}
        comparison = Comparison(charge_point.id, tended.keys, tended.needs, wishes)
        names = comparison.names()
        if tended.count_key and tended.count_key.lower() not in lower(wishes.settings):
            names.append(tended.count_key)
        booted = tended.booted
        present = await tended.keys.read(names)
        await self._compare_connectors(charge_point, present.get(tended.count_key.lower()))
        found = await comparison.compare(present)
        if not self._is_here(tended):
            raise NoAnswer("the connection was lost")
        sent, values = await hand_changes.changes(charge_point), _values(present)
        for key in found:
            name = key.key.lower()
            is_by_hand = hand_changes.was_by_hand(sent, name, values)
            _tell(charge_point.id, key, present.get(name), before.get(key.key), is_by_hand)
        await hand_changes.forget(charge_point, values)
        tended.booted = tended.booted and not booted
        is_over = is_last or not any(key.state in _TRIED_AGAIN for key in found)
        found = await self._settle(tended, found, booted=booted, is_over=is_over)
        report = Report(self._clock(), _digest(wishes), found)
        await charge_point.keep_note(_REPORT, msgspec.json.encode(report).decode())
        self._count(charge_point.id, report)
        return is_over

    async def _untold(self, tended: Tended, wishes: Wishes, trouble: str) -> None:
        """Note a charger that does not tell how it is configured: it is asked again tomorrow."""
        charge_point = tended.charge_point
        logger.info("%s: its configuration cannot be compared: %s", charge_point.id, trouble)
        tended.booted = False
        report = Report(self._clock(), _digest(wishes), trouble=trouble)
        await charge_point.keep_note(_REPORT, msgspec.json.encode(report).decode())
        self._count(charge_point.id, report)
        if wishes.settings and self._alerts is not None:
            self._alerts.raised(
                f"settings {charge_point.id}",
                f"{charge_point.id} does not take its configuration: {trouble}",
            )

    async def _compare_connectors(self, charge_point: ChargePoint, told: Present | None) -> None:
        """A connector that only the file has starts nothing: what is paid for it goes back."""
        count = None if told is None else as_int(told.value)
        if self._alerts is None or count is None or count < 1:
            return
        beyond = [one.id for one in (await charge_point.view()).connectors if one.id > count]
        name = f"connectors {charge_point.id}"
        if beyond:
            ids = ", ".join(map(str, beyond))
            plural, them = ("s", "them") if len(beyond) > 1 else ("", "it")
            self._alerts.raised(
                name,
                f"{charge_point.id}: your file has connector{plural} {ids}, and the charger says "
                f"that it has {count}: what is paid there only goes back. Take {them} out of the "
                "file.",
            )
        else:
            self._alerts.cleared(name, f"{charge_point.id} has the connectors of your file")

    async def _settle(
        self, tended: Tended, found: list[KeyReport], *, booted: bool, is_over: bool
    ) -> list[KeyReport]:
        """Note what waits for a reset; returns the keys with that in their state.

        A reset that did not help is not tried again for the same. Until the charger boots, a key
        waits also where it shows its new value already.
        """
        charge_point = tended.charge_point
        waited = [] if booted else (await charge_point.note(_RESET_DUE)).splitlines()
        found = [
            msgspec.structs.replace(key, state=Taken.NEEDS_RESET)
            if key.state is Taken.SET and _pair(key) in waited
            else key
            for key in found
        ]
        waiting = [_pair(key) for key in found if key.state is Taken.NEEDS_RESET]
        tried = (await charge_point.note(_RESET_FOR)).splitlines()
        tended.reset_due = not set(waiting) <= set(tried)
        due = "\n".join(waiting) if tended.reset_due else ""
        if await charge_point.note(_RESET_DUE) != due:
            await charge_point.keep_note(_RESET_DUE, due)
        if tried and not waiting:
            await charge_point.keep_note(_RESET_FOR, "")
        bad = [key for key in found if key.matters or (waiting and not due and _pair(key) in tried)]
        if is_over:
            self._alert(charge_point.id, bad)
        return found

    async def _reset(self, tended: Tended) -> None:
        charge_point = tended.charge_point
        due = (await charge_point.note(_RESET_DUE)).splitlines()
        tried = (await charge_point.note(_RESET_FOR)).splitlines()
        # Noted before it is done: a Strom that is killed in between must not try for ever.
        await charge_point.keep_note(_RESET_FOR, "\n".join(dict.fromkeys([*tried, *due])))
        await charge_point.keep_note(_RESET_DUE, "")
        tended.reset_due = False
        logger.info("%s: is reset for its new configuration", charge_point.id)
        try:
            await tended.keys.reset()
        except CallFailed as error:
            logger.warning("%s: was not reset: %s", charge_point.id, error)

    def _count(self, charge_point_id: str, report: Report) -> None:
        self._differing.pop(charge_point_id, None)
        if report.differing:
            self._differing[charge_point_id] = report.differing

    def _alert(self, charge_point_id: str, bad: list[KeyReport]) -> None:
        if self._alerts is None:
            return
        name = f"settings {charge_point_id}"
        if bad:
            keys = ", ".join(f"{key.key} ({shown_state(key)})" for key in bad)
            self._alerts.raised(
                name,
                f"{charge_point_id} does not take its configuration: {keys}; "
                f'"strom settings {charge_point_id}" shows more',
            )
        else:
            self._alerts.cleared(name, f"{charge_point_id} has its configuration")


def _values(present: Mapping[str, Present]) -> dict[str, str]:
    return {key: has.value for key, has in present.items()}


def _pair(key: KeyReport) -> str:
    return f"{key.key}={key.wanted}"


def _tell(
    charge_point_id: str,
    key: KeyReport,
    has: Present | None,
    was: KeyReport | None,
    is_by_hand: bool,
) -> None:
    """Say in the log what differed."""
    kept = was is not None and was.state is Taken.SET and not is_secret(key.key)
    if has is not None and was is not None and kept and not same(has.value, was.present):
        logger.warning(
            "%s: %s was changed %s, from %s to %s",
            charge_point_id,
            key.key,
            "by an operator over OCPP" if is_by_hand else "at the charger",
            was.present[:100] or "nothing",
            has.value[:100] or "nothing",
        )
    if is_idle(key):
        return
    if key.matters:
        level, verb = logging.WARNING, "should be"
    elif key.state is not Taken.SET or (has is not None and not same(has.value, key.present)):
        level, verb = logging.INFO, "is to be"
    else:
        return
    logger.log(
        level,
        "%s: %s %s %s: %s",
        charge_point_id,
        key.key,
        verb,
        key.wanted[:100],
        shown_state(key),
    )


def _digest(wishes: Wishes) -> str:
    """Among the wishes may be passwords."""
    written = (dict(wishes.settings), sorted(wishes.own))
    return hashlib.sha256(msgspec.json.encode(written, order="sorted")).hexdigest()
