"""What a charger's configuration must be for its sessions to be billed, in both versions.

A charger must measure what is billed, often enough, end a transaction that was not sold, and
not give power away to unknown cards while it is offline.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from bridge.ocpp.meters.intervals import INTERVAL
from bridge.ocpp.meters.readings import POWER, REGISTER

SLOWEST_SAMPLES_S = 60
WANTED_SAMPLES_S = 20
"""The register is read that often; the stop before the credit ends is planned from it."""


@dataclass(frozen=True, slots=True)
class Need:
    """A key that billing depends on.

    Attributes:
        key: its name.
        good: whether a value is all that is wished for.
        enough: whether billing works with a value.
        values: what to set in the place of a value, best first.
        why: the need, for a person.
    """

    key: str
    good: Callable[[str], bool]
    enough: Callable[[str], bool]
    values: Callable[[str], Sequence[str]]
    why: str


def _names(value: str) -> list[str]:
    return [name.strip() for name in value.split(",") if name.strip()]


def _measures(*wanted: str) -> Callable[[str], bool]:
    return lambda value: set(wanted) <= set(_names(value))


def _measurands(*wanted: str) -> Callable[[str], list[str]]:
    """What is measured already and what is wanted, then less and less of it."""

    def values(present: str) -> list[str]:
        names = _names(present)
        missing = [name for name in wanted if name not in names]
        choices = [",".join([*names, *missing]), ",".join(wanted)]
        if REGISTER in missing and len(wanted) > 1:
            choices += [",".join([*names, REGISTER]), REGISTER]
        return list(dict.fromkeys(choices))

    return values


def _seconds(value: str) -> int:
    text = value.strip()
    return int(text) if text.isdecimal() else 0


def _often(value: str) -> bool:
    return 0 < _seconds(value) < SLOWEST_SAMPLES_S


def _often_enough(value: str) -> bool:
    return 0 < _seconds(value) <= SLOWEST_SAMPLES_S


def _is(word: str) -> Callable[[str], bool]:
    return lambda value: value.strip().lower() in (word, "")


def _measurand_need(key: str, *wanted: str) -> Need:
    why = "the energy is billed by it"
    return Need(key, _measures(*wanted), _measures(REGISTER), _measurands(*wanted), why)


def _interval_need(key: str) -> Need:
    why = f"the stop before the credit ends needs a reading every {SLOWEST_SAMPLES_S} s at least"
    choices = [str(WANTED_SAMPLES_S), str(SLOWEST_SAMPLES_S)]
    return Need(key, _often, _often_enough, lambda _: choices, why)


def _switch_need(key: str, word: str, why: str) -> Need:
    return Need(key, _is(word), _is(word), lambda _: [word], why)


NEEDS_16 = (
    _measurand_need("MeterValuesSampledData", REGISTER, POWER),
    _interval_need("MeterValueSampleInterval"),
    _switch_need("AllowOfflineTxForUnknownId", "false", "unknown cards charge for free with it"),
    _switch_need("LocalAuthorizeOffline", "false", "cards that it knows charge for free with it"),
    _switch_need("StopTransactionOnInvalidId", "true", "what was not sold goes on without it"),
)
"""OCPP 1.6 section 9.1."""

NEEDS_201 = (
    _switch_need("SampledDataCtrlr.Enabled", "true", "no energy is told without it"),
    _measurand_need("SampledDataCtrlr.TxStartedMeasurands", REGISTER),
    _measurand_need("SampledDataCtrlr.TxUpdatedMeasurands", REGISTER, POWER),
    _measurand_need("SampledDataCtrlr.TxEndedMeasurands", REGISTER),
    _interval_need("SampledDataCtrlr.TxUpdatedInterval"),
    _switch_need(
        "AuthCtrlr.OfflineTxForUnknownIdEnabled", "false", "unknown cards charge for free with it"
    ),
    _switch_need(
        "AuthCtrlr.LocalAuthorizeOffline", "false", "cards that it knows charge for free with it"
    ),
    _switch_need("TxCtrlr.StopTxOnInvalidId", "true", "what was not sold goes on without it"),
)
"""OCPP 2.0.1 part 2, section 2.1 "Controller Components"."""


def need_of(key: str) -> Need | None:
    """What billing needs of a key of either version, in any case."""
    return next((n for n in (*NEEDS_16, *NEEDS_201) if n.key.lower() == key.lower()), None)


class Consequence(StrEnum):
    """What follows for the operator from how a charger is configured, as far as it bills."""

    NONE = ""
    SLOW_SAMPLES = "slow_samples"
    NO_SAMPLES = "no_samples"
    NO_REGISTER = "no_register"
    INTERVALS_ALONE = "intervals_alone"


_INTERVALS = frozenset({"metervaluesampleinterval", "sampleddatactrlr.txupdatedinterval"})
_MEASURANDS = frozenset({"metervaluessampleddata", "sampleddatactrlr.txupdatedmeasurands"})


def consequence(key: str, present: str) -> Consequence:
    """What follows from the value that a key has."""
    name = key.lower()
    if name in _INTERVALS and not _often(present):
        return Consequence.SLOW_SAMPLES if _seconds(present) else Consequence.NO_SAMPLES
    if name in _MEASURANDS and present and not _measures(REGISTER)(present):
        return (
            Consequence.INTERVALS_ALONE if _measures(INTERVAL)(present) else Consequence.NO_REGISTER
        )
    return Consequence.NONE


def between_readings_wh(interval_s: str, max_power_w: int) -> int:
    """The energy that may flow between two readings, in Wh.

    Args:
        interval_s: the interval between them, as a charger writes it.
        max_power_w: what the connector gives at most.
    """
    return _seconds(interval_s) * max_power_w // 3600
