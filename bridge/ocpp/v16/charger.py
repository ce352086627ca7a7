"""A connected OCPP 1.6 charger, as the agent commands it."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from ocpp.v16 import call
from ocpp.v16.datatypes import ChargingProfile, ChargingSchedule, ChargingSchedulePeriod
from ocpp.v16.enums import (
    AvailabilityType,
    ChargingProfileKindType,
    ChargingProfilePurposeType,
    ChargingRateUnitType,
    MessageTrigger,
    ResetType,
)

from agent.ports.charger import ChargerCommand, StartOutcome, StopOutcome, WatchOutcome
from bridge.ocpp import watching
from bridge.ocpp.calls import Calls
from bridge.ocpp.errors import CallFailed, CallRefused, InvalidCall
from bridge.ocpp.meters.readings import as_int, as_text, objects
from bridge.ocpp.schemas import Payload, action_of, check_call, payload_of
from bridge.ocpp.security.passwords import PasswordOutcome
from bridge.ocpp.watching import Abilities

logger = logging.getLogger(__name__)

_INTERVAL = "MeterValueSampleInterval"

_PASSWORD_OUTCOMES = {
    "Accepted": PasswordOutcome.TAKEN,
    "RebootRequired": PasswordOutcome.NEEDS_RESTART,
    "Rejected": PasswordOutcome.REFUSED,
    "NotSupported": PasswordOutcome.REFUSED,
}


class OcppCharger:
    """A connected charger; implements `agent.ports.charger.Charger`."""

    def __init__(self, connection: Calls, abilities: Abilities | None = None) -> None:
        self._connection = connection
        self._abilities = abilities or Abilities()

    @property
    def charge_point_id(self) -> str:
        """Whose charger it is."""
        return self._connection.charge_point_id

    async def send(self, message: object, timeout_s: float | None = None) -> Payload:
        """Send a message of `ocpp.v16.call` and return the charger's answer.

        Raises:
            InvalidCall: the message does not fit its schema.
            CallFailed: no usable answer came.
        """
        action, payload = action_of(message), payload_of(message)
        check_call(action, payload)
        return await self._connection.call(action, payload, timeout_s)

    async def start(self, connector: int, id_tag: str) -> StartOutcome:
        """RemoteStartTransaction, OCPP 1.6 section 5.11."""
        match await self._status(
            call.RemoteStartTransaction(id_tag=id_tag, connector_id=connector)
        ):
            case "Accepted":
                return StartOutcome.ACCEPTED
            case "Rejected" | "NotSupported" | "NotImplemented":
                return StartOutcome.REJECTED
            case _:
                return StartOutcome.UNKNOWN

    async def stop(self, transaction_id: int) -> StopOutcome:
        """RemoteStopTransaction, OCPP 1.6 section 5.12."""
        match await self._status(call.RemoteStopTransaction(transaction_id=transaction_id)):
            case "Accepted":
                return StopOutcome.ACCEPTED
            case "Rejected":
                return StopOutcome.REJECTED
            case _:
                return StopOutcome.UNKNOWN

    async def command(self, command: ChargerCommand, connector: int) -> bool:
        """Reset, UnlockConnector or ChangeAvailability, OCPP 1.6 sections 5.14, 5.18, 5.2."""
        match command:
            case ChargerCommand.RESET:
                return await self._status(call.Reset(type=ResetType.soft)) == "Accepted"
            case ChargerCommand.UNLOCK:
                status = await self._status(call.UnlockConnector(connector_id=max(connector, 1)))
                return status == "Unlocked"
            case ChargerCommand.ENABLE | ChargerCommand.DISABLE:
                operative = command is ChargerCommand.ENABLE
                wanted = AvailabilityType.operative if operative else AvailabilityType.inoperative
                message = call.ChangeAvailability(connector_id=connector, type=wanted)
                return await self._status(message) in ("Accepted", "Scheduled")

    async def set_password(self, password: str) -> PasswordOutcome:
        """AuthorizationKey, in hex: security whitepaper ed. 3, use case A01."""
        value = password.encode().hex().upper()
        message = call.ChangeConfiguration(key="AuthorizationKey", value=value)
        try:
            answer = await self.send(message)
        except CallRefused:
            return PasswordOutcome.REFUSED
        except CallFailed:
            return PasswordOutcome.UNKNOWN
        return _PASSWORD_OUTCOMES.get(as_text(answer.get("status"), 50), PasswordOutcome.UNKNOWN)

    async def ask_for_certificate(self) -> None:
        """Have it ask for a new certificate: security whitepaper ed. 3, use case A02.

        Raises:
            CallFailed: it did not answer; some know no such trigger.
        """
        trigger = MessageTrigger.sign_charge_point_certificate
        await self.send(call.ExtendedTriggerMessage(requested_message=trigger))

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
        """TriggerMessage, OCPP 1.6 section 5.17."""
        wanted = MessageTrigger.meter_values
        return [call.TriggerMessage(requested_message=wanted, connector_id=connector)]

    async def sample_interval(self) -> int | None:
        """MeterValueSampleInterval, OCPP 1.6 section 9.1.17."""
        answer = await self.send(call.GetConfiguration(key=[_INTERVAL]), watching.ANSWER_S)
        entries = list(objects(answer.get("configurationKey")))
        return as_int(entries[0].get("value")) if entries else None

    async def set_sample_interval(self, seconds: int) -> bool:
        """The same."""
        change = call.ChangeConfiguration(key=_INTERVAL, value=str(seconds))
        answer = await self.send(change, watching.ANSWER_S)
        return answer.get("status") in ("Accepted", "RebootRequired")

    def limits_to_nothing(self, connector: int, transaction_id: int) -> Sequence[object]:
        """SetChargingProfile, OCPP 1.6 section 5.16, in W and in A."""
        units = (ChargingRateUnitType.watts, ChargingRateUnitType.amps)
        return [
            call.SetChargingProfile(
                connector_id=connector,
                cs_charging_profiles=ChargingProfile(
                    charging_profile_id=watching.PROFILE_ID,
                    transaction_id=transaction_id,
                    stack_level=0,
                    charging_profile_purpose=ChargingProfilePurposeType.tx_profile,
                    charging_profile_kind=ChargingProfileKindType.relative,
                    charging_schedule=ChargingSchedule(
                        charging_rate_unit=unit,
                        charging_schedule_period=[ChargingSchedulePeriod(start_period=0, limit=0)],
                    ),
                ),
            )
            for unit in units
        ]

    async def _status(self, message: object) -> str:
        """The `status` of the answer, or that the charger does not know the message; "" when there
        was none."""
        try:
            answer = await self.send(message)
        except CallRefused as refused:
            logger.warning("%s: %s", self._connection.charge_point_id, refused)
            return refused.code if refused.code in watching.UNKNOWN_THERE else ""
        except (CallFailed, InvalidCall) as error:
            logger.warning("%s: %s", self._connection.charge_point_id, error)
            return ""
        return as_text(answer.get("status"), 50)
