"""How an OCPP 1.6 charger is looked at closely near the end of a credit, and its power cut.

A reading is asked for by TriggerMessage (section 5.17). A charger without triggers has its
MeterValueSampleInterval shortened until the session is over. Which of both works is found out
once and kept for all connections of a charger.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from enum import Enum

from ocpp.v16 import call
from ocpp.v16.datatypes import (
    ChargingProfile,
    ChargingSchedule,
    ChargingSchedulePeriod,
)
from ocpp.v16.enums import (
    ChargingProfileKindType,
    ChargingProfilePurposeType,
    ChargingRateUnitType,
    MessageTrigger,
)

from agent.ports.charger import WatchOutcome
from bridge.ocpp.errors import CallFailed, CallRefused, InvalidCall
from bridge.ocpp.readings import as_int, as_text, objects
from bridge.ocpp.settings import Sender

logger = logging.getLogger(__name__)

ANSWER_S = 5.0
"""A charger that takes longer to answer must not keep the stop waiting."""
CLOSE_SAMPLES_S = 10
"""The interval between samples while a charger is watched that knows no triggers."""

_INTERVAL = "MeterValueSampleInterval"
_PROFILE_ID = 4_711
_UNKNOWN_THERE = frozenset({"NotSupported", "NotImplemented"})


class Ability(Enum):
    """Whether a charger can do something, as far as it was tried."""

    UNTRIED = "untried"
    YES = "yes"
    NO = "no"


@dataclass
class Abilities:
    """What was found out of one charger; kept over its connections.

    Attributes:
        triggers: whether it sends meter values when it is asked to.
        intervals: whether its sample interval can be changed.
        profiles: whether it takes charging profiles.
        usual_interval: the interval to go back to; "" while it is the usual one.
        watched: the connectors that are watched by a shorter interval.
    """

    triggers: Ability = Ability.UNTRIED
    intervals: Ability = Ability.UNTRIED
    profiles: Ability = Ability.UNTRIED
    usual_interval: str = ""
    watched: set[int] = field(default_factory=set[int])


async def watch(charger: Sender, abilities: Abilities, connector: int) -> WatchOutcome:
    """Have a connector's meter read now, or more often; never raises."""
    try:
        if abilities.triggers is not Ability.NO:
            trigger = MessageTrigger.meter_values
            message = call.TriggerMessage(requested_message=trigger, connector_id=connector)
            status = await _ask(charger, message)
            if status == "Accepted":
                abilities.triggers = Ability.YES
                return WatchOutcome.COMING
            if status not in _UNKNOWN_THERE:
                return WatchOutcome.UNKNOWN
            abilities.triggers = Ability.NO
        return await _sample_more_often(charger, abilities, connector)
    except (CallFailed, InvalidCall) as error:
        logger.info("a charger was not asked for its meter: %s", error)
        return WatchOutcome.UNKNOWN


async def _sample_more_often(charger: Sender, abilities: Abilities, connector: int) -> WatchOutcome:
    if abilities.intervals is Ability.NO:
        return WatchOutcome.UNSUPPORTED
    if not abilities.usual_interval:
        answer = await charger.send(call.GetConfiguration(key=[_INTERVAL]), ANSWER_S)
        entries = list(objects(answer.get("configurationKey")))
        usual = as_int(entries[0].get("value")) if entries else None
        if usual is not None and 0 < usual <= CLOSE_SAMPLES_S:
            return WatchOutcome.COMING
        change = call.ChangeConfiguration(key=_INTERVAL, value=str(CLOSE_SAMPLES_S))
        if usual is None or await _ask(charger, change) != "Accepted":
            abilities.intervals = Ability.NO
            return WatchOutcome.UNSUPPORTED
        abilities.intervals = Ability.YES
        abilities.usual_interval = str(usual)
    abilities.watched.add(connector)
    return WatchOutcome.COMING


async def watch_as_usual(charger: Sender, abilities: Abilities, connector: int) -> None:
    """Set the sample interval back once no connector is watched by it; never raises."""
    abilities.watched.discard(connector)
    if abilities.watched or not abilities.usual_interval:
        return
    change = call.ChangeConfiguration(key=_INTERVAL, value=abilities.usual_interval)
    try:
        if await _ask(charger, change) in ("Accepted", "RebootRequired"):
            abilities.usual_interval = ""
    except (CallFailed, InvalidCall) as error:
        logger.warning("a charger's sample interval was not set back: %s", error)


async def cut_power(
    charger: Sender, abilities: Abilities, connector: int, transaction_id: int
) -> bool:
    """Limit a transaction to nothing by a TxProfile (section 5.16); True if it is; never raises."""
    for unit in (ChargingRateUnitType.watts, ChargingRateUnitType.amps):
        if abilities.profiles is Ability.NO:
            return False
        profile = ChargingProfile(
            charging_profile_id=_PROFILE_ID,
            transaction_id=transaction_id,
            stack_level=0,
            charging_profile_purpose=ChargingProfilePurposeType.tx_profile,
            charging_profile_kind=ChargingProfileKindType.relative,
            charging_schedule=ChargingSchedule(
                charging_rate_unit=unit,
                charging_schedule_period=[ChargingSchedulePeriod(start_period=0, limit=0)],
            ),
        )
        message = call.SetChargingProfile(connector_id=connector, cs_charging_profiles=profile)
        try:
            status = await _ask(charger, message)
        except (CallFailed, InvalidCall) as error:
            logger.info("a charger's power was not cut: %s", error)
            return False
        if status in _UNKNOWN_THERE:
            abilities.profiles = Ability.NO
        elif status == "Accepted":
            abilities.profiles = Ability.YES
            return True
    return False


async def _ask(charger: Sender, message: object) -> str:
    """The status of the answer; the error's code where the charger does not know the message.

    Raises:
        CallFailed: no usable answer came.
        InvalidCall: the message does not fit its schema.
    """
    try:
        answer = await charger.send(message, ANSWER_S)
    except CallRefused as refused:
        if refused.code in _UNKNOWN_THERE:
            return refused.code
        raise
    return as_text(answer.get("status"), 50)
