"""How a charger is looked at closely near the end of a credit, and its power cut.

A reading is asked for by TriggerMessage. A charger without triggers has its sample interval
shortened until the session is over. Which of both works is found out once and kept for all
connections of a charger. What is sent for it in each version of OCPP, its charger knows.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Protocol

from agent.ports.charger import WatchOutcome
from bridge.ocpp.errors import CallFailed, CallRefused, InvalidCall
from bridge.ocpp.meters.readings import as_text
from bridge.ocpp.schemas import Payload

logger = logging.getLogger(__name__)

ANSWER_S = 5.0
"""A charger that takes longer to answer must not keep the stop waiting."""
CLOSE_SAMPLES_S = 10
"""The interval between samples while a charger is watched that knows no triggers."""
PROFILE_ID = 4_711
"""Of the charging profile that cuts the power."""

UNKNOWN_THERE = frozenset({"NotSupported", "NotImplemented"})
"""What a charger answers to a message that it does not know."""


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
        whereabouts: whether it tells if a transaction goes on (OCPP 2.0.1).
        usual_interval: the interval to go back to; "" while it is the usual one.
        watched: the connectors that are watched by a shorter interval.
    """

    triggers: Ability = Ability.UNTRIED
    intervals: Ability = Ability.UNTRIED
    profiles: Ability = Ability.UNTRIED
    whereabouts: Ability = Ability.UNTRIED
    usual_interval: str = ""
    watched: set[int] = field(default_factory=set[int])


class Watched(Protocol):
    """A connected charger, in the words of its version of OCPP.

    Each of its messages may raise CallFailed or InvalidCall when it is sent.
    """

    @property
    def charge_point_id(self) -> str:
        """Whose charger it is."""
        ...

    async def send(self, message: object, timeout_s: float | None = None) -> Payload:
        """Send a message and wait for the answer."""
        ...

    def triggers(self, connector: int) -> Sequence[object]:
        """Requests for a reading of a connector's meter now, the best first."""
        ...

    async def sample_interval(self) -> int | None:
        """The seconds between the samples of a transaction; None for one without such a key."""
        ...

    async def set_sample_interval(self, seconds: int) -> bool:
        """Change them; True if the charger does so, now or after a restart."""
        ...

    def limits_to_nothing(self, connector: int, transaction_id: int) -> Sequence[object]:
        """Requests for a limit of nothing on a transaction, the best first."""
        ...


async def watch(charger: Watched, abilities: Abilities, connector: int) -> WatchOutcome:
    """Have a connector's meter read now, or more often; never raises."""
    try:
        if abilities.triggers is not Ability.NO:
            statuses: list[str] = []
            for message in charger.triggers(connector):
                statuses.append(await _ask(charger, message))
                if statuses[-1] == "Accepted":
                    abilities.triggers = Ability.YES
                    return WatchOutcome.COMING
            if not UNKNOWN_THERE.issuperset(statuses):
                return await _meanwhile(charger, abilities, connector)
            abilities.triggers = Ability.NO
        return await _sample_more_often(charger, abilities, connector)
    except (CallFailed, InvalidCall) as error:
        logger.info("%s: was not asked for its meter: %s", charger.charge_point_id, error)
        return WatchOutcome.UNKNOWN


async def _meanwhile(charger: Watched, abilities: Abilities, connector: int) -> WatchOutcome:
    """A charger that rejects this trigger, or answers it with some error: the next may be taken."""
    outcome = await _sample_more_often(charger, abilities, connector)
    return WatchOutcome.UNKNOWN if outcome is WatchOutcome.UNSUPPORTED else outcome


async def _sample_more_often(
    charger: Watched, abilities: Abilities, connector: int
) -> WatchOutcome:
    if abilities.intervals is Ability.NO:
        return WatchOutcome.UNSUPPORTED
    if not abilities.usual_interval:
        try:
            usual = await charger.sample_interval()
        except CallRefused as refused:
            if refused.code not in UNKNOWN_THERE:
                raise
            usual = None
        if usual is not None and 0 < usual <= CLOSE_SAMPLES_S:
            return WatchOutcome.COMING
        if usual is None or not await charger.set_sample_interval(CLOSE_SAMPLES_S):
            abilities.intervals = Ability.NO
            return WatchOutcome.UNSUPPORTED
        abilities.intervals = Ability.YES
        abilities.usual_interval = str(usual)
    abilities.watched.add(connector)
    return WatchOutcome.COMING


async def watch_as_usual(charger: Watched, abilities: Abilities, connector: int) -> None:
    """Set the sample interval back once no connector is watched by it; never raises."""
    abilities.watched.discard(connector)
    if abilities.watched or not abilities.usual_interval:
        return
    try:
        if await charger.set_sample_interval(int(abilities.usual_interval)):
            abilities.usual_interval = ""
    except (CallFailed, InvalidCall) as error:
        name = charger.charge_point_id
        logger.warning("%s: its sample interval was not set back: %s", name, error)


async def cut_power(
    charger: Watched, abilities: Abilities, connector: int, transaction_id: int
) -> bool:
    """Limit a transaction to nothing by a TxProfile; True if it is; never raises."""
    for message in charger.limits_to_nothing(connector, transaction_id):
        if abilities.profiles is Ability.NO:
            return False
        try:
            status = await _ask(charger, message)
        except (CallFailed, InvalidCall) as error:
            logger.info("%s: its power was not cut: %s", charger.charge_point_id, error)
            return False
        if status in UNKNOWN_THERE:
            abilities.profiles = Ability.NO
        elif status == "Accepted":
            abilities.profiles = Ability.YES
            return True
    return False


async def _ask(charger: Watched, message: object) -> str:
    """The status of the answer; the error's code where the charger answers with an error.

    Raises:
        CallFailed: no usable answer came.
        InvalidCall: the message does not fit its schema.
    """
    try:
        answer = await charger.send(message, ANSWER_S)
    except CallRefused as refused:
        return refused.code
    return as_text(answer.get("status"), 50)
