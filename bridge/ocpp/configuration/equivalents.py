"""Configuration keys of OCPP 1.6 and the variables of 2.0.1 that took their place.

OCPP 2.0.1 part 2, section 2.1 "Controller Components"; OCPP 1.6 section 9.
"""

from __future__ import annotations

import re

VARIABLES = {
    "AllowOfflineTxForUnknownId": "AuthCtrlr.OfflineTxForUnknownIdEnabled",
    "AuthorizationCacheEnabled": "AuthCacheCtrlr.Enabled",
    "AuthorizeRemoteTxRequests": "AuthCtrlr.AuthorizeRemoteStart",
    "ClockAlignedDataInterval": "AlignedDataCtrlr.Interval",
    "ConnectionTimeOut": "TxCtrlr.EVConnectionTimeOut",
    "HeartbeatInterval": "OCPPCommCtrlr.HeartbeatInterval",
    "LocalAuthListEnabled": "LocalAuthListCtrlr.Enabled",
    "LocalAuthorizeOffline": "AuthCtrlr.LocalAuthorizeOffline",
    "LocalPreAuthorize": "AuthCtrlr.LocalPreAuthorize",
    "MaxEnergyOnInvalidId": "TxCtrlr.MaxEnergyOnInvalidId",
    "MeterValueSampleInterval": "SampledDataCtrlr.TxUpdatedInterval",
    "MeterValuesAlignedData": "AlignedDataCtrlr.Measurands",
    "MeterValuesSampledData": "SampledDataCtrlr.TxUpdatedMeasurands",
    "ResetRetries": "OCPPCommCtrlr.ResetRetries",
    "StopTransactionOnEVSideDisconnect": "TxCtrlr.StopTxOnEVSideDisconnect",
    "StopTransactionOnInvalidId": "TxCtrlr.StopTxOnInvalidId",
    "StopTxnAlignedData": "AlignedDataCtrlr.TxEndedMeasurands",
    "StopTxnSampledData": "SampledDataCtrlr.TxEndedMeasurands",
    "TransactionMessageAttempts": "OCPPCommCtrlr.MessageAttempts[TransactionEvent]",
    "TransactionMessageRetryInterval": "OCPPCommCtrlr.MessageAttemptInterval[TransactionEvent]",
    "UnlockConnectorOnEVSideDisconnect": "OCPPCommCtrlr.UnlockOnEVSideDisconnect",
    "WebSocketPingInterval": "OCPPCommCtrlr.WebSocketPingInterval",
}

_OF_201 = re.compile(r"[^.]+Ctrlr(\[[^\]]*\])?(@[0-9:]+)?\.", re.IGNORECASE)
_VARIABLE_OF = {key.lower(): variable for key, variable in VARIABLES.items()}
_KEY_OF = {variable.lower(): key for key, variable in VARIABLES.items()}


def is_variable(name: str) -> bool:
    """Whether a name can only be that of a variable of 2.0.1.

    Keys of 1.6 have no point in them, except for those of some makers.
    """
    return _OF_201.match(name) is not None


def variable_for(key: str) -> str:
    """The variable of 2.0.1 that took a key's place; "" for none."""
    return _VARIABLE_OF.get(key.lower(), "")


def key_for(variable: str) -> str:
    """The key of 1.6 whose place a variable took; "" for none."""
    return _KEY_OF.get(variable.lower(), "")
