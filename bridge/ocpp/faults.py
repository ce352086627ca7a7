"""What a charger says is wrong with a connector (OCPP 1.6 sections 4.9 and 7.6)."""

from __future__ import annotations

from agent.machine.events import ConnectorStatus
from agent.ports.charger import Fault
from bridge.ocpp.meters.readings import as_text
from bridge.ocpp.schemas import Payload

CODE_LENGTH = 50
INFO_LENGTH = 500
"""As long as OCPP 2.0.1 lets it be (EventDataType, techInfo)."""

_GRAVE = (
    "ConnectorLockFailure",
    "GroundFailure",
    "HighTemperature",
    "InternalError",
    "OverCurrentFailure",
    "OverVoltage",
    "PowerMeterFailure",
    "UnderVoltage",
)
_SHOWN = (
    "EVCommunicationError",
    "LocalListConflict",
    "OtherError",
    "PowerSwitchFailure",
    "ReaderFailure",
    "ResetFailure",
    "WeakSignal",
)
_CODES = {code.lower(): code for code in (*_GRAVE, *_SHOWN)}
_WELL = ("", "noerror")


def fault_of(payload: Payload, status: ConnectorStatus | None, at_ms: int) -> Fault | None:
    """What is wrong by a StatusNotification; None for nothing, or where nothing is said of it.

    Many chargers that are Faulted write NoError, and what is wrong as their vendor calls it.

    Args:
        payload: of the message.
        status: the state in it; None where it was not understood.
        at_ms: when it was sent, Unix ms.
    """
    code = plain(payload.get("errorCode"), CODE_LENGTH)
    spelt = code.replace(" ", "").lower()
    vendor_code = plain(payload.get("vendorErrorCode"), CODE_LENGTH)
    info = plain(payload.get("info"), INFO_LENGTH)
    if spelt in _WELL:
        if status is not ConnectorStatus.FAULTED or not (vendor_code or info):
            return None
        return Fault("", vendor_code, info, at_ms)
    code = _CODES.get(spelt, code)
    return Fault(code, vendor_code, info, at_ms, is_grave=code in _GRAVE)


def plain(value: object, limit: int) -> str:
    """Text of a bounded length on one line; whatever does not show is left out."""
    text = as_text(value, limit)
    return " ".join("".join(one if one.isprintable() else " " for one in text).split())
