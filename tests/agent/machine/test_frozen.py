"""Our `replace` does what the standard library's does."""

from __future__ import annotations

import dataclasses

import pytest

from agent.machine.frozen import replace
from agent.machine.metering import Meter


def test_it_is_dataclasses_replace() -> None:
    meter = Meter(origin_wh=5, register_wh=7)
    assert replace(meter) == meter
    assert replace(meter, register_wh=9) == dataclasses.replace(meter, register_wh=9)
    assert meter.register_wh == 7


def test_an_unknown_field_is_refused() -> None:
    with pytest.raises(TypeError, match="Meter has no field"):
        replace(Meter(origin_wh=5), power_w=9)
