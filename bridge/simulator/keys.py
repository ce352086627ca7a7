"""The configuration keys of a simulated charger (OCPP 1.6 section 9)."""

from __future__ import annotations

from typing import Any

_READ_ONLY = {
    "ChargeProfileMaxStackLevel": "10",
    "ChargingScheduleAllowedChargingRateUnit": "Power",
    "ChargingScheduleMaxPeriods": "10",
    "GetConfigurationMaxKeys": "100",
    "MaxChargingProfilesInstalled": "10",
    "SupportedFeatureProfiles": "Core,RemoteTrigger,SmartCharging",
}
_WRITABLE = {
    "AuthorizeRemoteTxRequests": "false",
    "ClockAlignedDataInterval": "0",
    "ConnectionTimeOut": "60",
    "HeartbeatInterval": "300",
    "MeterValueSampleInterval": "10",
    "MeterValuesAlignedData": "",
    "MeterValuesSampledData": "Energy.Active.Import.Register,Power.Active.Import",
    "StopTransactionOnEVSideDisconnect": "true",
    "StopTransactionOnInvalidId": "true",
    "StopTxnAlignedData": "",
    "StopTxnSampledData": "Energy.Active.Import.Register",
    "TransactionMessageAttempts": "3",
    "TransactionMessageRetryInterval": "5",
    "UnlockConnectorOnEVSideDisconnect": "true",
    "WebSocketPingInterval": "20",
}
_NUMBERS = frozenset(
    {
        "ClockAlignedDataInterval",
        "ConnectionTimeOut",
        "HeartbeatInterval",
        "MeterValueSampleInterval",
        "TransactionMessageAttempts",
        "TransactionMessageRetryInterval",
        "WebSocketPingInterval",
    }
)
_NEEDS_REBOOT = frozenset({"WebSocketPingInterval"})
_MEASURANDS = frozenset(
    {"Energy.Active.Import.Register", "Power.Active.Import", "Current.Import", "Voltage", "SoC"}
)


class Keys:
    """The keys, read and written as over OCPP."""

    def __init__(self, connectors: int) -> None:
        self._read_only = _READ_ONLY | {"NumberOfConnectors": str(connectors)}
        self._values = dict(_WRITABLE)

    def text(self, key: str) -> str:
        """A key's value."""
        return self._values.get(key) or self._read_only.get(key, "")

    def number(self, key: str) -> int:
        """A numeric key's value."""
        return int(self._values[key])

    def names(self, key: str) -> list[str]:
        """A list key's values."""
        return [name for name in self._values[key].split(",") if name]

    def get(self, wanted: list[str]) -> dict[str, Any]:
        """The answer to GetConfiguration (OCPP 1.6 section 5.8)."""
        known = self._read_only | self._values
        names = wanted or sorted(known)
        return {
            "configurationKey": [
                {"key": name, "readonly": name in self._read_only, "value": known[name]}
                for name in names
                if name in known
            ],
            "unknownKey": [name for name in names if name not in known],
        }

    def change(self, key: str, value: str) -> str:
        """The status that answers ChangeConfiguration (OCPP 1.6 section 5.3)."""
        if key in self._read_only:
            return "Rejected"
        if key not in self._values:
            return "NotSupported"
        if key in _NUMBERS and not value.isdecimal():
            return "Rejected"
        if key.endswith("Data") and not set(filter(None, value.split(","))) <= _MEASURANDS:
            return "Rejected"
        self._values[key] = value
        return "RebootRequired" if key in _NEEDS_REBOOT else "Accepted"
