"""One comparison of a charger's keys: what differs is set, and read again.

What billing needs comes first. A key that is not answered costs no other one its turn.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Mapping, Sequence

import msgspec

from agent.config.models import Wishes
from bridge.ocpp.configuration.billing import Need, need_of
from bridge.ocpp.configuration.keys import Keys, Present, Taken
from bridge.ocpp.configuration.reports import KeyReport
from bridge.ocpp.errors import CallFailed, NoAnswer
from bridge.ocpp.masking import MASK, is_secret

logger = logging.getLogger(__name__)

MOST_SILENT = 2
"""After so many keys in a row without an answer the others are not tried: each takes as long as
an answer may."""


class Comparison:
    """Compares the keys of a connected charger once.

    Args:
        charge_point_id: whose it is.
        keys: its configuration.
        needs: what billing needs of its version.
        wishes: what the operator's file wants; it comes before the needs.
    """

    def __init__(
        self, charge_point_id: str, keys: Keys, needs: Sequence[Need], wishes: Wishes
    ) -> None:
        self._charge_point_id = charge_point_id
        self._keys = keys
        wished = lower(wishes.settings)
        self._needs = [need for need in needs if need.key.lower() not in wished]
        self._wished, self._own = wishes.settings, lower(wishes.own)
        self._silent = 0
        self._written: set[str] = set()

    def names(self) -> list[str]:
        """The keys whose values are needed for it."""
        here = [key for key in self._wished if self._keys.foreign(key) is None]
        return [*(need.key for need in self._needs), *here]

    async def compare(self, present: Mapping[str, Present]) -> list[KeyReport]:
        """Set what differs.

        Args:
            present: the keys that the charger has of `names`, by their name in lower case.

        Returns:
            Each key that is wished for, and those that billing needed to be changed.
        """
        needed: list[KeyReport] = []
        for need in self._needs:
            has = present.get(need.key.lower())
            if has is not None and not need.good(has.value):
                needed.append(await self._need(need, has))
        wished = {
            key: await self._wish(key, self._wished[key], present.get(key.lower()))
            for key in sorted(self._wished, key=lambda key: need_of(key) is None)
        }
        in_order = [wished[key] for key in self._wished]
        return await self._read_again([*in_order, *needed])

    async def _wish(self, key: str, value: str, has: Present | None) -> KeyReport:
        foreign = self._keys.foreign(key)
        if foreign is not None:
            is_told = key.lower() in self._own and foreign[1].lower() not in lower(self._wished)
            return _foreign(key, value, *foreign, matters=is_told)
        shown = MASK if is_secret(key) else value
        if has is None:
            return KeyReport(key, shown, "", Taken.UNKNOWN, matters=True)
        present = MASK if is_secret(key) and has.value else has.value
        if same(has.value, value):
            return KeyReport(key, shown, present, Taken.SET)
        if has.readonly:
            return KeyReport(key, shown, present, Taken.READONLY, matters=True)
        taken = await self._write(key, value)
        done = taken in (Taken.SET, Taken.NEEDS_RESET)
        return KeyReport(key, shown, shown if done else present, taken, matters=not done)

    async def _need(self, need: Need, has: Present) -> KeyReport:
        """Set what billing needs; where it works as it is, a refusal does not matter."""
        choices = list(need.values(has.value))
        works = need.enough(has.value)
        if has.readonly:
            return KeyReport(need.key, choices[0], has.value, Taken.READONLY, matters=not works)
        taken = Taken.REFUSED
        for value in choices:
            taken = await self._write(need.key, value)
            if taken in (Taken.SET, Taken.NEEDS_RESET):
                return KeyReport(need.key, value, value, taken)
            if taken is Taken.UNANSWERED:
                break
        return KeyReport(need.key, choices[0], has.value, taken, matters=not works)

    async def _write(self, key: str, value: str) -> Taken:
        if self._silent >= MOST_SILENT:
            return Taken.UNANSWERED
        try:
            taken = await self._keys.write(key, value)
        except NoAnswer:
            self._silent += 1
            # What else is to be asked, such as whether the charger is still there, has its turn.
            await asyncio.sleep(0)
            return Taken.UNANSWERED
        self._silent = 0
        if taken is Taken.SET:
            self._written.add(key)
        return taken

    async def _read_again(self, found: list[KeyReport]) -> list[KeyReport]:
        """Some chargers accept any value and change nothing.

        A key that shows no value, as passwords do, is believed to be set.
        """
        names = [key.key for key in found if key.key in self._written and not is_secret(key.key)]
        if not names:
            return found
        try:
            present = await self._keys.read(names)
        except CallFailed as error:
            logger.info("%s: what was set was not read again: %s", self._charge_point_id, error)
            return found
        return [
            self._seen(key, present.get(key.key.lower())) if key.key in names else key
            for key in found
        ]

    def _seen(self, key: KeyReport, has: Present | None) -> KeyReport:
        """A key that was accepted, as the charger shows it now."""
        need = next((need for need in self._needs if need.key == key.key), None)
        if has is None or not has.value or same(has.value, key.wanted):
            return key
        if need is not None and need.good(has.value):
            return msgspec.structs.replace(key, present=has.value)
        return msgspec.structs.replace(
            key,
            present=has.value,
            state=Taken.NOT_DONE,
            matters=need is None or not need.enough(has.value),
        )


def _foreign(key: str, value: str, state: Taken, here: str, *, matters: bool) -> KeyReport:
    """A key of the version of OCPP that the charger does not speak.

    It matters where it was written for this very charger, and the file does not say the same in
    the words of the other version.
    """
    shown = MASK if is_secret(key) else value
    return KeyReport(key, shown, "", state, matters, here)


def same(present: str, wanted: str) -> bool:
    """Keys are compared as chargers write their values."""

    def plain(value: str) -> str:
        return ",".join(part.strip() for part in value.split(",")).lower()

    return plain(present) == plain(wanted)


def lower(keys: Iterable[str]) -> set[str]:
    """Names of keys, which have no case."""
    return {key.lower() for key in keys}
