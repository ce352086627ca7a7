"""What a central system may ask of a charger, in each version of OCPP.

OCPP 1.6 section 5 and its security whitepaper, edition 3; OCPP 2.0.1 part 2:
https://openchargealliance.org/protocols/open-charge-point-protocol/
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bridge.ocpp.errors import InvalidCall


@dataclass(frozen=True, slots=True)
class Version:
    """A version of OCPP.

    Attributes:
        name: as people call it.
        package: where the `ocpp` library has its schemas.
        profiles: the actions, by feature profile or functional block.
    """

    name: str
    package: str
    profiles: Mapping[str, Sequence[str]]

    def actions(self) -> list[str]:
        """All actions, in the order of the profiles."""
        return [action for actions in self.profiles.values() for action in actions]

    def action(self, name: str) -> str:
        """An action as OCPP spells it, given in any case.

        Raises:
            InvalidCall: there is none; the text names the nearest.
        """
        by_lower = {action.lower(): action for action in self.actions()}
        found = by_lower.get(name.lower())
        if found is None:
            close = difflib.get_close_matches(name.lower(), by_lower, n=1, cutoff=0.5)
            hint = '"strom ocpp --list" shows what there is'
            if close:
                hint = f'did you mean {by_lower[close[0]]}? "strom ocpp --list" shows them all'
            raise InvalidCall(f"{self.name} has nothing called {name[:50]} for a charger; {hint}")
        return found


V16 = Version(
    "OCPP 1.6",
    "ocpp.v16",
    {
        "Core": (
            "ChangeAvailability",
            "ChangeConfiguration",
            "ClearCache",
            "DataTransfer",
            "GetConfiguration",
            "RemoteStartTransaction",
            "RemoteStopTransaction",
            "Reset",
            "UnlockConnector",
        ),
        "Firmware Management": ("GetDiagnostics", "UpdateFirmware"),
        "Local Auth List": ("GetLocalListVersion", "SendLocalList"),
        "Reservation": ("CancelReservation", "ReserveNow"),
        "Smart Charging": ("ClearChargingProfile", "GetCompositeSchedule", "SetChargingProfile"),
        "Remote Trigger": ("TriggerMessage",),
        "Security": (
            "CertificateSigned",
            "DeleteCertificate",
            "ExtendedTriggerMessage",
            "GetInstalledCertificateIds",
            "GetLog",
            "InstallCertificate",
            "SignedUpdateFirmware",
        ),
    },
)

V201 = Version(
    "OCPP 2.0.1",
    "ocpp.v201",
    {
        "Security": ("CertificateSigned",),
        "Provisioning": (
            "GetBaseReport",
            "GetReport",
            "GetVariables",
            "Reset",
            "SetNetworkProfile",
            "SetVariables",
        ),
        "Authorization": ("ClearCache",),
        "Local Authorization List": ("GetLocalListVersion", "SendLocalList"),
        "Transactions": ("GetTransactionStatus",),
        "Remote Control": (
            "RequestStartTransaction",
            "RequestStopTransaction",
            "TriggerMessage",
            "UnlockConnector",
        ),
        "Availability": ("ChangeAvailability",),
        "Reservation": ("CancelReservation", "ReserveNow"),
        "Tariff and Cost": ("CostUpdated",),
        "Smart Charging": (
            "ClearChargingProfile",
            "GetChargingProfiles",
            "GetCompositeSchedule",
            "SetChargingProfile",
        ),
        "Firmware Management": ("PublishFirmware", "UnpublishFirmware", "UpdateFirmware"),
        "Certificates": ("DeleteCertificate", "GetInstalledCertificateIds", "InstallCertificate"),
        "Diagnostics": (
            "ClearVariableMonitoring",
            "CustomerInformation",
            "GetLog",
            "GetMonitoringReport",
            "SetMonitoringBase",
            "SetMonitoringLevel",
            "SetVariableMonitoring",
        ),
        "Display Message": ("ClearDisplayMessage", "GetDisplayMessages", "SetDisplayMessage"),
        "Data Transfer": ("DataTransfer",),
    },
)
