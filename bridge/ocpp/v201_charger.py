"""A connected OCPP 2.0.1 charging station, as the agent commands it.

OCPP 2.0.1, part 2 "Specification": https://openchargealliance.org/protocols/open-charge-point-protocol/
"""

from __future__ import annotations

import logging
from collections import OrderedDict

from ocpp.v201 import call
from ocpp.v201.datatypes import (
    ChargingProfileType,
    ChargingSchedulePeriodType,
    ChargingScheduleType,
    ComponentType,
    EVSEType,
    IdTokenType,
    SetVariableDataType,
    VariableType,
)
from ocpp.v201.enums import (
    ChargingProfileKindEnumType,
    ChargingProfilePurposeEnumType,
    ChargingRateUnitEnumType,
    IdTokenEnumType,
    MessageTriggerEnumType,
    OperationalStatusEnumType,
    ResetEnumType,
)

from agent.ports.charger import ChargerCommand, StartOutcome, StopOutcome, WatchOutcome
from bridge.ocpp.billing import WANTED_SAMPLES_S
from bridge.ocpp.charger import Calls
from bridge.ocpp.errors import CallFailed, CallRefused, InvalidCall
from bridge.ocpp.passwords import PasswordOutcome
from bridge.ocpp.readings import as_text, objects
from bridge.ocpp.schemas import Payload, action_of, check_call, payload_of
from bridge.ocpp.transaction_names import TransactionNames
from bridge.ocpp.watching import ANSWER_S, CLOSE_SAMPLES_S

logger = logging.getLogger(__name__)

PACKAGE = "ocpp.v201"

_KEEP_STARTS = 100


class RemoteStarts:
    """The id tags behind the remoteStartIds of one connection."""

    def __init__(self) -> None:
        self._tags: OrderedDict[int, str] = OrderedDict()
        self._last = 0

    def new(self, id_tag: str) -> int:
        """A remoteStartId for a tag."""
        self._last += 1
        self._tags[self._last] = id_tag
        if len(self._tags) > _KEEP_STARTS:
            self._tags.popitem(last=False)
        return self._last

    def tag(self, remote_start_id: int | None) -> str:
        """The tag behind a remoteStartId; "" for one that is not ours."""
        return "" if remote_start_id is None else self._tags.get(remote_start_id, "")


class Ocpp201Charger:
    """A connected charging station; implements `agent.ports.charger.Charger`."""

    def __init__(self, connection: Calls, names: TransactionNames, starts: RemoteStarts) -> None:
        self._connection = connection
        self._names = names
        self._starts = starts
        self._without_triggers = False
        self._watched: set[int] = set()

    async def send(self, message: object, timeout_s: float | None = None) -> Payload:
        """Send a message of `ocpp.v201.call` and return the station's answer.

        Raises:
            InvalidCall: the message does not fit its schema.
            CallFailed: no usable answer came.
        """
        action, payload = action_of(message), payload_of(message)
        check_call(action, payload, PACKAGE)
        return await self._connection.call(action, payload, timeout_s)

    async def start(self, connector: int, id_tag: str) -> StartOutcome:
        """RequestStartTransaction, use case F01/F02; a connector of ours is an EVSE."""
        message = call.RequestStartTransaction(
            id_token=IdTokenType(id_token=id_tag, type=IdTokenEnumType.central),
            remote_start_id=self._starts.new(id_tag),
            evse_id=connector,
        )
        match await self._status(message):
            case "Accepted":
                return StartOutcome.ACCEPTED
            case "Rejected":
                return StartOutcome.REJECTED
            case _:
                return StartOutcome.UNKNOWN

    async def stop(self, transaction_id: int) -> StopOutcome:
        """RequestStopTransaction, use case F03."""
        name = self._names.name(self._connection.charge_point_id, transaction_id)
        if name is None:
            logger.warning(
                "%s: transaction %d has no name there",
                self._connection.charge_point_id,
                transaction_id,
            )
            return StopOutcome.UNKNOWN
        match await self._status(call.RequestStopTransaction(transaction_id=name)):
            case "Accepted":
                return StopOutcome.ACCEPTED
            case "Rejected":
                return StopOutcome.REJECTED
            case _:
                return StopOutcome.UNKNOWN

    async def command(self, command: ChargerCommand, connector: int) -> bool:
        """Reset, UnlockConnector or ChangeAvailability: use cases B11, F05, G03."""
        match command:
            case ChargerCommand.RESET:
                message = call.Reset(type=ResetEnumType.on_idle)
                return await self._status(message) in ("Accepted", "Scheduled")
            case ChargerCommand.UNLOCK:
                evse = max(connector, 1)
                message = call.UnlockConnector(evse_id=evse, connector_id=1)
                return await self._status(message) == "Unlocked"
            case ChargerCommand.ENABLE | ChargerCommand.DISABLE:
                operative = command is ChargerCommand.ENABLE
                states = OperationalStatusEnumType
                message = call.ChangeAvailability(
                    operational_status=states.operative if operative else states.inoperative,
                    evse=EVSEType(id=connector) if connector else None,
                )
                return await self._status(message) in ("Accepted", "Scheduled")

    async def ask_for_statuses(self) -> None:
        """TriggerMessage, use case F06; raises CallFailed."""
        await self.send(
            call.TriggerMessage(requested_message=MessageTriggerEnumType.status_notification)
        )

    async def ask_for_heartbeat(self) -> None:
        """TriggerMessage, use case F06; raises CallFailed, also where it is refused."""
        await self.send(call.TriggerMessage(requested_message=MessageTriggerEnumType.heartbeat))

    async def ask_for_transaction(self, evse: int) -> None:
        """Have a station repeat a transaction's state, with its register; never raises."""
        message = call.TriggerMessage(
            requested_message=MessageTriggerEnumType.transaction_event,
            evse=EVSEType(id=evse),
        )
        await self._status(message)

    async def watch(self, connector: int) -> WatchOutcome:
        """TriggerMessage of the transaction's state, or a shorter TxUpdatedInterval."""
        if not self._without_triggers:
            message = call.TriggerMessage(
                requested_message=MessageTriggerEnumType.transaction_event,
                evse=EVSEType(id=connector),
            )
            status = await self._status(message, ANSWER_S)
            if status != "NotImplemented":
                accepted = status == "Accepted"
                return WatchOutcome.COMING if accepted else WatchOutcome.UNKNOWN
            self._without_triggers = True
        if not self._watched and not await self._sample_every(CLOSE_SAMPLES_S):
            return WatchOutcome.UNSUPPORTED
        self._watched.add(connector)
        return WatchOutcome.COMING

    async def watch_as_usual(self, connector: int) -> None:
        """Set TxUpdatedInterval back once no EVSE is watched by it."""
        if connector in self._watched:
            self._watched.discard(connector)
            if not self._watched:
                await self._sample_every(WANTED_SAMPLES_S)

    async def _sample_every(self, seconds: int) -> bool:
        data = SetVariableDataType(
            attribute_value=str(seconds),
            component=ComponentType(name="SampledDataCtrlr"),
            variable=VariableType(name="TxUpdatedInterval"),
        )
        try:
            answer = await self.send(call.SetVariables(set_variable_data=[data]), ANSWER_S)
        except (CallFailed, InvalidCall) as error:
            logger.info("%s: %s", self._connection.charge_point_id, error)
            return False
        results = objects(answer.get("setVariableResult"))
        return all(result.get("attributeStatus") == "Accepted" for result in results)

    async def cut_power(self, connector: int, transaction_id: int) -> bool:
        """SetChargingProfile with a TxProfile of nothing, use case K01."""
        name = self._names.name(self._connection.charge_point_id, transaction_id)
        if name is None:
            return False
        for unit in (ChargingRateUnitEnumType.watts, ChargingRateUnitEnumType.amps):
            profile = ChargingProfileType(
                id=1,
                stack_level=0,
                charging_profile_purpose=ChargingProfilePurposeEnumType.tx_profile,
                charging_profile_kind=ChargingProfileKindEnumType.relative,
                transaction_id=name,
                charging_schedule=[
                    ChargingScheduleType(
                        id=1,
                        charging_rate_unit=unit,
                        charging_schedule_period=[
                            ChargingSchedulePeriodType(start_period=0, limit=0)
                        ],
                    )
                ],
            )
            message = call.SetChargingProfile(evse_id=connector, charging_profile=profile)
            if await self._status(message, ANSWER_S) == "Accepted":
                return True
        return False

    async def set_password(self, password: str) -> PasswordOutcome:
        """SetVariables with BasicAuthPassword, as it is: use case A01."""
        data = SetVariableDataType(
            attribute_value=password,
            component=ComponentType(name="SecurityCtrlr"),
            variable=VariableType(name="BasicAuthPassword"),
        )
        try:
            answer = await self.send(call.SetVariables(set_variable_data=[data]))
        except CallRefused:
            return PasswordOutcome.REFUSED
        except CallFailed:
            return PasswordOutcome.UNKNOWN
        results = [
            as_text(result.get("attributeStatus"), 50)
            for result in objects(answer.get("setVariableResult"))
        ]
        match results:
            case ["Accepted"]:
                return PasswordOutcome.TAKEN
            case ["RebootRequired"]:
                return PasswordOutcome.NEEDS_RESTART
            case [status] if status:
                return PasswordOutcome.REFUSED
            case _:
                return PasswordOutcome.UNKNOWN

    async def _status(self, message: object, timeout_s: float | None = None) -> str:
        try:
            answer = await self.send(message, timeout_s)
        except (CallFailed, InvalidCall) as error:
            logger.warning("%s: %s", self._connection.charge_point_id, error)
            return ""
        return as_text(answer.get("status"), 50)
