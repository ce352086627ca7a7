"""A connected OCPP 2.0.1 charging station, as the agent commands it.

OCPP 2.0.1, part 2 "Specification": https://openchargealliance.org/protocols/open-charge-point-protocol/
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress

from ocpp.v201 import call
from ocpp.v201.datatypes import (
    ChargingProfileType,
    ChargingSchedulePeriodType,
    ChargingScheduleType,
    ComponentType,
    EVSEType,
    GetVariableDataType,
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
from bridge.ocpp import watching
from bridge.ocpp.calls import Calls
from bridge.ocpp.errors import CallFailed, CallRefused, InvalidCall
from bridge.ocpp.meters.readings import as_int, as_text, objects
from bridge.ocpp.schemas import Payload, action_of, check_call, payload_of
from bridge.ocpp.security.passwords import PasswordOutcome
from bridge.ocpp.v201.transactions import Station
from bridge.ocpp.watching import Abilities, Ability

logger = logging.getLogger(__name__)

PACKAGE = "ocpp.v201"

_SAMPLING = ComponentType(name="SampledDataCtrlr")
_INTERVAL = VariableType(name="TxUpdatedInterval")


class Ocpp201Charger:
    """A connected charging station; implements `agent.ports.Charger`.

    Args:
        connection: asks it.
        station: what is known of its transactions.
        abilities: what was found out of it.
        on_gone: called with the station's name of a transaction that is over there.
        on_stopped: the same of one that obeyed a stop, and told neither end nor register.
    """

    def __init__(
        self,
        connection: Calls,
        station: Station,
        abilities: Abilities,
        on_gone: Callable[[str], Awaitable[None]],
        on_stopped: Callable[[str], Awaitable[None]],
    ) -> None:
        self._connection = connection
        self._station = station
        self._abilities = abilities
        self._on_gone = on_gone
        self._on_stopped = on_stopped

    @property
    def charge_point_id(self) -> str:
        """Whose charger it is."""
        return self._connection.charge_point_id

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
        """RequestStartTransaction, use case F01/F02; a connector of ours is an EVSE.

        A station whose transaction began with the plug answers which one it is (F02).
        """
        start = await self._station.new_start(id_tag, connector)
        message = call.RequestStartTransaction(
            id_token=IdTokenType(id_token=id_tag, type=IdTokenEnumType.central),
            remote_start_id=start.id,
            evse_id=connector,
        )
        answer = await self._answer(message)
        match as_text(answer.get("status"), 50):
            case "Accepted":
                if name := as_text(answer.get("transactionId"), 100):
                    await self._station.became(start, name)
                return StartOutcome.ACCEPTED
            case "Rejected" | "NotSupported" | "NotImplemented":
                await self._station.refused(start)
                return StartOutcome.REJECTED
            case _:
                return StartOutcome.UNKNOWN

    async def stop(self, transaction_id: int) -> StopOutcome:
        """RequestStopTransaction, use case F03.

        A station that rejects it is asked whether the transaction goes on at all (E14): its end
        may have been lost. One that was asked before, and shows since that nothing flows, has
        stopped: where the transaction ends with the unplug (TxStopPoint), its end may be hours
        away.
        """
        name = self._station.name(transaction_id)
        if name is None:
            logger.warning(
                "%s: transaction %d has no name there",
                self._connection.charge_point_id,
                transaction_id,
            )
            return StopOutcome.UNKNOWN
        if self._station.gives_nothing_since(name):
            await self._on_stopped(name)
            return StopOutcome.ACCEPTED
        # The state that follows may come before the answer.
        self._station.stop_asked(name, asked=True)
        match await self._status(call.RequestStopTransaction(transaction_id=name)):
            case "Accepted":
                return StopOutcome.ACCEPTED
            case "Rejected":
                self._station.stop_asked(name, asked=False)
                if not await self.is_over(name):
                    return StopOutcome.REJECTED
                await self._on_gone(name)
                return StopOutcome.ACCEPTED
            case _:
                return StopOutcome.UNKNOWN

    async def is_over(self, name: str) -> bool:
        """GetTransactionStatus, use case E14: whether the station says that a transaction ended
        and that nothing of it waits in it; never raises. One that knows no such question, or was
        wrong, is not asked again."""
        if self._abilities.whereabouts is Ability.NO or self._station.denies:
            return False
        heard_ms = self._station.heard_ms(name)
        message = call.GetTransactionStatus(transaction_id=name)
        try:
            answer = await self.send(message, watching.ANSWER_S)
        except (CallFailed, InvalidCall) as error:
            if isinstance(error, CallRefused) and error.code in watching.UNKNOWN_THERE:
                self._abilities.whereabouts = Ability.NO
            logger.info("%s: %s", self._connection.charge_point_id, error)
            return False
        over = answer.get("ongoingIndicator") is False and answer.get("messagesInQueue") is False
        if not over or self._station.heard_ms(name) != heard_ms:
            return False
        if not self._station.stops_what_it_denied(name):
            self._station.denied(name)
        return True

    async def is_gone(self, name: str) -> bool:
        """Whether a transaction of which nothing is heard is over; never raises.

        Some stations say of each that it is over, and charge on. So one that says it is asked to
        stop it: where it does, the end is still to come, with all that it took. One that took
        the stop, and said nothing of it until it was asked again, had nothing to stop.
        """
        if not await self.is_over(name):
            return False
        if self._station.stops_what_it_denied(name):
            return True
        heard_ms = self._station.heard_ms(name)
        self._station.denied(name, stops=True)
        status = await self._status(call.RequestStopTransaction(transaction_id=name))
        if status == "Accepted" or self._station.heard_ms(name) != heard_ms:
            return False
        self._station.denied(name)
        return bool(status)

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

    async def ask_for_statuses(self, evses: Sequence[int]) -> None:
        """TriggerMessage, use case F06, of the first plug of each EVSE: one that names none is
        rejected (F06.FR.12). Raises NoAnswer."""
        for evse in evses:
            message = call.TriggerMessage(
                requested_message=MessageTriggerEnumType.status_notification,
                evse=EVSEType(id=evse, connector_id=1),
            )
            with suppress(CallRefused):
                await self.send(message)

    async def ask_for_heartbeat(self) -> None:
        """TriggerMessage, use case F06; raises CallFailed, also where it is refused."""
        await self.send(call.TriggerMessage(requested_message=MessageTriggerEnumType.heartbeat))

    async def ask_for_certificate(self) -> None:
        """Have it ask for a new certificate, use case A02; raises CallFailed."""
        trigger = MessageTriggerEnumType.sign_charging_station_certificate
        await self.send(call.TriggerMessage(requested_message=trigger))

    async def ask_for_transaction(self, evse: int) -> bool:
        """Have a station repeat a transaction's state, with its register; never raises.

        Returns:
            False where it says that it will not.
        """
        message = call.TriggerMessage(
            requested_message=MessageTriggerEnumType.transaction_event,
            evse=EVSEType(id=evse),
        )
        try:
            answer = await self.send(message)
        except (CallFailed, InvalidCall) as error:
            logger.info("%s: %s", self._connection.charge_point_id, error)
            return not isinstance(error, CallRefused)
        return as_text(answer.get("status"), 50) == "Accepted"

    async def watch(self, connector: int) -> WatchOutcome:
        """TriggerMessage, or a shorter sample interval; see `bridge.ocpp.watching`."""
        return await watching.watch(self, self._abilities, connector)

    async def watch_as_usual(self, connector: int) -> None:
        """Set the sample interval back."""
        await watching.watch_as_usual(self, self._abilities, connector)

    async def cut_power(self, connector: int, transaction_id: int) -> bool:
        """SetChargingProfile with a TxProfile of nothing."""
        return await watching.cut_power(self, self._abilities, connector, transaction_id)

    def triggers(self, connector: int) -> Sequence[object]:
        """TriggerMessage, use case F06: of the transaction, or of the meter by itself."""
        triggers = MessageTriggerEnumType
        return [
            call.TriggerMessage(requested_message=wanted, evse=EVSEType(id=connector))
            for wanted in (triggers.transaction_event, triggers.meter_values)
        ]

    async def sample_interval(self) -> int | None:
        """SampledDataCtrlr.TxUpdatedInterval, part 2 section 2.1."""
        message = call.GetVariables(get_variable_data=[GetVariableDataType(_SAMPLING, _INTERVAL)])
        answer = await self.send(message, watching.ANSWER_S)
        for result in objects(answer.get("getVariableResult")):
            if result.get("attributeStatus") == "Accepted":
                return as_int(result.get("attributeValue"))
        return None

    async def set_sample_interval(self, seconds: int) -> bool:
        """The same."""
        data = SetVariableDataType(str(seconds), _SAMPLING, _INTERVAL)
        message = call.SetVariables(set_variable_data=[data])
        return await self._set(message, watching.ANSWER_S) in ("Accepted", "RebootRequired")

    def limits_to_nothing(self, connector: int, transaction_id: int) -> Sequence[object]:
        """SetChargingProfile, use case K01, in W and in A."""
        name = self._station.name(transaction_id)
        if name is None:
            return []
        return [
            call.SetChargingProfile(
                evse_id=connector,
                charging_profile=ChargingProfileType(
                    id=watching.PROFILE_ID,
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
                ),
            )
            for unit in (ChargingRateUnitEnumType.watts, ChargingRateUnitEnumType.amps)
        ]

    async def set_password(self, password: str) -> PasswordOutcome:
        """SetVariables with BasicAuthPassword, as it is: use case A01."""
        data = SetVariableDataType(
            attribute_value=password,
            component=ComponentType(name="SecurityCtrlr"),
            variable=VariableType(name="BasicAuthPassword"),
        )
        try:
            status = await self._set(call.SetVariables(set_variable_data=[data]))
        except CallRefused:
            return PasswordOutcome.REFUSED
        except CallFailed:
            return PasswordOutcome.UNKNOWN
        match status:
            case "Accepted":
                return PasswordOutcome.TAKEN
            case "RebootRequired":
                return PasswordOutcome.NEEDS_RESTART
            case "":
                return PasswordOutcome.UNKNOWN
            case _:
                return PasswordOutcome.REFUSED

    async def _set(self, message: object, timeout_s: float | None = None) -> str:
        """What became of the one variable in a SetVariables; "" where the answer does not say."""
        answer = await self.send(message, timeout_s)
        statuses = [
            as_text(result.get("attributeStatus"), 50)
            for result in objects(answer.get("setVariableResult"))
        ]
        return statuses[0] if len(statuses) == 1 else ""

    async def _status(self, message: object, timeout_s: float | None = None) -> str:
        return as_text((await self._answer(message, timeout_s)).get("status"), 50)

    async def _answer(self, message: object, timeout_s: float | None = None) -> Payload:
        """The answer; an empty one where there was none. That the station does not know the message
        is the status of it."""
        try:
            return await self.send(message, timeout_s)
        except CallRefused as refused:
            logger.warning("%s: %s", self._connection.charge_point_id, refused)
            return {"status": refused.code} if refused.code in watching.UNKNOWN_THERE else {}
        except (CallFailed, InvalidCall) as error:
            logger.warning("%s: %s", self._connection.charge_point_id, error)
            return {}
