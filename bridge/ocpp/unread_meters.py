"""Energy of OCPP 1.6 chargers that tell it by intervals, and whose meters have no register.

They write 0 where a register should be, at the start and at the stop (sections 6.45 and 6.49). What
flowed is told by `Energy.Active.Import.Interval` alone: then the stop is given the register that
it should have had (`bridge.ocpp.intervals`). Any register that is read makes an end of that.
"""

from __future__ import annotations

import logging

import msgspec

from agent.ports.charge_point import ChargePoint
from bridge.ocpp.intervals import CLOCK, PERIODIC, Row, Tally, contexts, told
from bridge.ocpp.readings import Reading

logger = logging.getLogger(__name__)

_NOTE = "ocpp1.6 intervals"
_MOST = 8
_RUNNING = {PERIODIC: Row.PERIODIC, CLOCK: Row.CLOCK}
"""A value that does not say why it was read may be of an interval that still runs."""
_ENDED = contexts("", ended=True)


class _Unread(msgspec.Struct):
    connector: int
    tally: Tally


class UnreadMeters:
    """The transactions of one charger that began without a register; they survive a restart.

    Args:
        charge_point: whose they are.
    """

    def __init__(self, charge_point: ChargePoint) -> None:
        self._charge_point = charge_point
        self._open: dict[int, _Unread] | None = None

    @property
    def may_be_open(self) -> bool:
        """Whether there are any, for all that is known without looking."""
        return self._open is None or bool(self._open)

    async def began(self, transaction_id: int, connector: int, written_ms: int) -> None:
        """A transaction began without a register; safe to repeat.

        Args:
            transaction_id: Strom's number of it.
            connector: where.
            written_ms: when, by the charger's clock; 0 for unknown.
        """
        known = await self._known()
        if transaction_id in known or not written_ms:
            return
        tally = Tally().anew(written_ms, 0, is_all_his=True).based_on(0, written_ms)
        known[transaction_id] = _Unread(connector, tally)
        if len(known) > _MOST:
            del known[next(iter(known))]
        await self._save(known)

    async def metered(
        self,
        meter_value: object,
        found: list[Reading],
        connector: int,
        transaction_id: int | None,
        *,
        ended: bool = False,
    ) -> None:
        """The meter was read.

        Args:
            meter_value: a `meterValue` list as the charger wrote it.
            found: the readings in it.
            connector: where; 0 for unknown.
            transaction_id: as the charger named it.
            ended: whether it came with the stop.
        """
        known = await self._known()
        number = transaction_id or 0
        if number <= 0:
            here = [one for one, unread in known.items() if unread.connector == connector]
            number = max(here, default=0)
        unread = known.get(number)
        if unread is None:
            return
        if any(one.register_wh for one in found):
            del known[number]
            await self._save(known)
            return
        tally = unread.tally.after(told(meter_value, _ENDED if ended else _RUNNING), None)
        if tally != unread.tally:
            known[number] = _Unread(unread.connector, tally)
            await self._save(known)

    async def last_word_wh(self, transaction_id: int) -> int | None:
        """The register with which a transaction ends whose charger names none; None where nothing
        was told."""
        unread = (await self._known()).get(transaction_id)
        return None if unread is None else unread.tally.beyond_register_wh

    async def ended(self, transaction_id: int) -> None:
        """A transaction has ended, and that is stored."""
        known = await self._known()
        if known.pop(transaction_id, None) is not None:
            await self._save(known)

    async def _known(self) -> dict[int, _Unread]:
        if self._open is None:
            text = await self._charge_point.note(_NOTE)
            try:
                self._open = msgspec.json.decode(text, type=dict[int, _Unread]) if text else {}
            except msgspec.MsgspecError:
                logger.error("what was counted of a charger's intervals cannot be read")
                self._open = {}
        return self._open

    async def _save(self, known: dict[int, _Unread]) -> None:
        text = msgspec.json.encode(known).decode() if known else ""
        await self._charge_point.keep_note(_NOTE, text)
