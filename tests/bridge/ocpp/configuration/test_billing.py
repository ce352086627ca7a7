"""What follows for the operator from how a charger measures."""

from __future__ import annotations

import pytest

from bridge.ocpp.configuration.billing import Consequence, between_readings_wh, consequence


@pytest.mark.parametrize(
    ("key", "present", "follows"),
    [
        ("MeterValueSampleInterval", "20", Consequence.NONE),
        ("MeterValueSampleInterval", "59", Consequence.NONE),
        ("metervaluesampleinterval", " 60 ", Consequence.SLOW_SAMPLES),
        ("SampledDataCtrlr.TxUpdatedInterval", "900", Consequence.SLOW_SAMPLES),
        ("MeterValueSampleInterval", "0", Consequence.NO_SAMPLES),
        ("MeterValueSampleInterval", "", Consequence.NO_SAMPLES),
        ("MeterValueSampleInterval", "-5", Consequence.NO_SAMPLES),
        ("MeterValuesSampledData", "Voltage,Energy.Active.Import.Register", Consequence.NONE),
        ("MeterValuesSampledData", "Voltage", Consequence.NO_REGISTER),
        ("SampledDataCtrlr.TxUpdatedMeasurands", "Voltage", Consequence.NO_REGISTER),
        (
            "MeterValuesSampledData",
            "Energy.Active.Import.Interval,Voltage",
            Consequence.INTERVALS_ALONE,
        ),
        (
            "MeterValuesSampledData",
            "Energy.Active.Import.Register,Energy.Active.Import.Interval",
            Consequence.NONE,
        ),
        ("MeterValuesSampledData", "", Consequence.NONE),
        ("HeartbeatInterval", "900", Consequence.NONE),
    ],
)
def test_what_follows(key: str, present: str, follows: Consequence) -> None:
    assert consequence(key, present) is follows


def test_what_flows_between_two_readings() -> None:
    assert between_readings_wh("60", 22_000) == 366
    assert between_readings_wh("900", 350_000) == 87_500
    assert between_readings_wh("never", 22_000) == 0
