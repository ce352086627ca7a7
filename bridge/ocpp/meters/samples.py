"""Readings of a charger's meter on their way to its charge point, the same in both versions."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from agent.machine.meter import Source
from agent.ports.charge_point import ChargePoint
from agent.ports.charger import MeterReport
from bridge.ocpp import timestamps
from bridge.ocpp.meters.readings import Reading, objects, reading_of
from bridge.ocpp.meters.signed_values import signed_values

MAX_READINGS = 5000
"""Readings of one message that are passed on; the rest stays in the message log."""

_SAMPLE = Source.SAMPLE
_AT_ONCE = 200
"""After so many of a long message other chargers have their turn."""


def as_written(element: dict[str, Any]) -> dict[str, Any]:
    """An element of a `meterValue` list that is as OCPP 1.6 writes it."""
    return element


class Samples:
    """Takes the meter values of one connection.

    Args:
        charge_point: to whom they are reported.
        clock: what is known of the charger's clock.
        as_16: an element of a `meterValue` list as OCPP 1.6 writes it.
    """

    def __init__(
        self,
        charge_point: ChargePoint,
        clock: timestamps.Clock,
        as_16: Callable[[dict[str, Any]], dict[str, Any]] = as_written,
    ) -> None:
        self._charge_point = charge_point
        self._clock = clock
        self._as_16 = as_16

    def take_read(
        self, readings: Sequence[Reading], connector: int, transaction_id: int | None, now_ms: int
    ) -> Awaitable[None]:
        """Report a few readings of the moment that none of the meter's signatures come with."""
        for reading in readings:
            self._clock.measure(reading.written, now_ms, live=False)
        return self._report(readings, connector, transaction_id, now_ms, _SAMPLE)

    async def read(self, meter_value: object, now_ms: int) -> list[Reading]:
        """The readings in a `meterValue` list, in their order."""
        found: list[Reading] = []
        for count, element in enumerate(objects(meter_value), 1):
            reading = reading_of(self._as_16(element))
            if reading is not None:
                self._clock.measure(reading.written, now_ms, live=False)
                found.append(reading)
            if len(found) == MAX_READINGS:
                break
            if count % _AT_ONCE == 0:
                await asyncio.sleep(0)
        return found

    async def report(
        self,
        readings: Sequence[Reading],
        connector: int,
        transaction_id: int | None,
        now_ms: int,
        source: Source = Source.SAMPLE,
    ) -> None:
        """Report readings of a connector, a transaction or both.

        With the end of a transaction all of its readings may come once more: of a charger without
        a clock they would seem to be new, and what they show would be counted twice.
        """
        if source is Source.END_SAMPLE:
            readings = [one for one in readings if self._clock.can_date(one.written, now_ms)]
        for start in range(0, len(readings), _AT_ONCE):
            if start:
                await asyncio.sleep(0)
            portion = readings[start : start + _AT_ONCE]
            await self._report(portion, connector, transaction_id, now_ms, source)

    def _report(
        self,
        readings: Sequence[Reading],
        connector: int,
        transaction_id: int | None,
        now_ms: int,
        source: Source,
    ) -> Awaitable[None]:
        return self._charge_point.meter_sampled(
            [
                MeterReport(
                    connector,
                    transaction_id,
                    self._clock.ours(reading.written, now_ms),
                    reading.register_wh,
                    reading.power_w,
                    reading.fraction_mwh,
                    source,
                )
                for reading in readings
            ]
        )

    async def keep_signed(
        self, meter_value: object, connector: int, transaction_id: int | None, now_ms: int
    ) -> None:
        """Report the values in a `meterValue` list that the meter signed."""
        signed = signed_values(meter_value, lambda written: self._clock.ours(written, now_ms))
        if signed:
            await self._charge_point.signed_values(connector, transaction_id, signed)
