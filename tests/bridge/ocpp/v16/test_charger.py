"""Every message that a central system of OCPP 1.6 may send, through its schema and back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import anyio
import pytest
from ocpp.v16 import call
from ocpp.v16 import enums as e

from agent.ports.charger import StartOutcome
from bridge.ocpp.errors import CallRefused, InvalidCall
from bridge.ocpp.schemas import action_of
from bridge.ocpp.v16.charger import OcppCharger
from tests.bridge.ocpp.recorder import RecordingSite
from tests.bridge.ocpp.test_watching import standing
from tests.bridge.ocpp.wire import charger, serving

HASH = {
    "hash_algorithm": "SHA256",
    "issuer_name_hash": "aa",
    "issuer_key_hash": "bb",
    "serial_number": "cc",
}
PROFILE: dict[str, Any] = {
    "charging_profile_id": 1,
    "stack_level": 0,
    "charging_profile_purpose": "TxProfile",
    "charging_profile_kind": "Relative",
    "charging_schedule": {
        "charging_rate_unit": "W",
        "charging_schedule_period": [{"start_period": 0, "limit": 3700.5}],
    },
}
AT = "2026-11-22T12:00:00Z"
FIRMWARE = {
    "location": "https://x",
    "retrieve_date_time": AT,
    "signing_certificate": "a",
    "signature": "b",
}


@dataclass
class Teleport:
    """No message of OCPP."""


MESSAGES: list[object] = [
    call.CancelReservation(1),
    call.CertificateSigned("chain"),
    call.ChangeAvailability(1, e.AvailabilityType.operative),
    call.ChangeConfiguration("HeartbeatInterval", "60"),
    call.ClearCache(),
    call.ClearChargingProfile(id=1),
    call.DataTransfer("vendor", data="x"),
    call.DeleteCertificate(HASH),
    call.ExtendedTriggerMessage(e.MessageTrigger.boot_notification),
    call.GetCompositeSchedule(1, 600),
    call.GetConfiguration(["HeartbeatInterval"]),
    call.GetDiagnostics("ftp://host/x"),
    call.GetInstalledCertificateIds(e.CertificateUse.manufacturer_root_certificate),
    call.GetLocalListVersion(),
    call.GetLog({"remote_location": "ftp://host/x"}, e.Log.diagnostics_log, 1),
    call.InstallCertificate(e.CertificateUse.manufacturer_root_certificate, "pem"),
    call.RemoteStartTransaction("TAG", connector_id=1, charging_profile=PROFILE),
    call.RemoteStopTransaction(1),
    call.ReserveNow(1, AT, "TAG", 1),
    call.Reset(e.ResetType.hard),
    call.SendLocalList(1, e.UpdateType.full, []),
    call.SetChargingProfile(1, PROFILE),
    call.SignedUpdateFirmware(1, FIRMWARE),
    call.TriggerMessage(e.MessageTrigger.meter_values, connector_id=1),
    call.UnlockConnector(1),
    call.UpdateFirmware("https://x", AT),
]  # fmt: skip


@pytest.mark.parametrize("message", MESSAGES, ids=action_of)
async def test_it_goes_out_as_its_schema_says_and_the_answer_comes_back(message: object) -> None:
    site = RecordingSite("CP001")
    async with serving(site) as server, charger(server) as raw:
        await raw.boot()
        asked = site.points["CP001"].charger
        assert isinstance(asked, OcppCharger)
        answers: list[dict[str, Any]] = []

        async def ask() -> None:
            answers.append(await asked.send(message))

        async with anyio.create_task_group() as group:
            group.start_soon(ask)
            await raw.accept(action_of(message))
        assert answers == [{"status": "Accepted"}]


async def test_what_does_not_fit_its_schema_is_not_sent() -> None:
    site = RecordingSite("CP001")
    async with serving(site) as server, charger(server) as raw:
        await raw.boot()
        asked = site.points["CP001"].charger
        assert isinstance(asked, OcppCharger)
        with pytest.raises(InvalidCall, match="ReserveNow was not sent: idTag"):
            await asked.send(call.ReserveNow(1, AT, "x" * 21, 1))
        with pytest.raises(InvalidCall, match="there is no OCPP message"):
            await asked.send(Teleport())
        refusals: list[str] = []

        async def ask() -> None:
            try:
                await asked.send(call.ClearCache())
            except CallRefused as error:
                refusals.append(error.code)

        async with anyio.create_task_group() as group:
            group.start_soon(ask)
            frame = await raw.asked()
            refusal: list[Any] = [4, frame[1], "NotSupported", "", {}]
            await raw.send(refusal)
        assert refusals == ["NotSupported"]


@pytest.mark.parametrize("version", ["ocpp1.6", "ocpp2.0.1"])
@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        ("NotSupported", StartOutcome.REJECTED),
        ("NotImplemented", StartOutcome.REJECTED),
        ({"status": "Rejected"}, StartOutcome.REJECTED),
        ({"status": "Accepted"}, StartOutcome.ACCEPTED),
        ({}, StartOutcome.UNKNOWN),
    ],
)
async def test_a_charger_that_knows_no_remote_start_has_refused_it(
    version: str, answer: object, outcome: StartOutcome
) -> None:
    """The driver's money goes back at once, and not after his time to plug in."""
    name = "RemoteStartTransaction" if version == "ocpp1.6" else "RequestStartTransaction"
    async with standing({name: answer}, version) as (asked, _):
        assert await asked.start(1, "TAG") is outcome
