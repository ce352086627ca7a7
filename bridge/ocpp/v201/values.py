"""What OCPP 2.0.1 writes in objects, read with tolerance: transaction events and meter values.

OCPP 2.0.1, part 2 "Specification": https://openchargealliance.org/protocols/open-charge-point-protocol/

Nothing here raises, and nothing is refused for its form.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, cast

from bridge.ocpp import timestamps
from bridge.ocpp.meters.intervals import Interval, contexts, told
from bridge.ocpp.meters.readings import POWER, REGISTER, as_int, as_number, as_text, id_tag, objects

LARGEST_EVSE = 999
"""No station has so many: what a broken one says must not fill any table."""

_MAX_MULTIPLIER = 12


class Kind(StrEnum):
    """TransactionEventEnumType."""

    STARTED = "started"
    UPDATED = "updated"
    ENDED = "ended"


class State(StrEnum):
    """ChargingStateEnumType, in lower case; NONE where it was not said."""

    NONE = ""
    CHARGING = "charging"
    EV_CONNECTED = "evconnected"
    SUSPENDED_EV = "suspendedev"
    SUSPENDED_EVSE = "suspendedevse"
    IDLE = "idle"

    @property
    def is_plugged(self) -> bool:
        """Whether a car is connected, for all that is known."""
        return self not in (State.NONE, State.IDLE)


@dataclass(frozen=True, slots=True)
class TransactionEvent:
    """A TransactionEventRequest (use cases E01 to E15).

    Attributes:
        kind: what happened; an unknown one counts as an update.
        name: the transaction, as the station calls it.
        evse: where; 0 where it was not said.
        tag: the id token; "" for none, or for one without a number.
        has_token: whether there was an id token at all.
        remote_start_id: the remote start that it follows; None for none.
        state: what flows.
        trigger: why it was sent (TriggerReasonEnumType), in lower case.
        is_offline: whether it was kept while the station was offline.
        seq_no: its number within the transaction; None where it had none.
        written: its timestamp, as the station wrote it.
        stopped_reason: why the transaction ended.
        meter_value: a list of meter values, as the station wrote it.
    """

    kind: Kind
    name: str
    evse: int
    tag: str
    has_token: bool
    remote_start_id: int | None
    state: State
    trigger: str
    is_offline: bool
    seq_no: int | None
    written: object
    stopped_reason: str
    meter_value: object

    @property
    def written_ms(self) -> int:
        """Its timestamp in Unix ms by the station's clock; 0 for none."""
        return timestamps.parse(self.written) or 0


def transaction_event(payload: dict[str, Any]) -> TransactionEvent:
    """Read a TransactionEventRequest."""
    info, token = fields(payload.get("transactionInfo")), payload.get("idToken")
    kind = as_text(payload.get("eventType"), 20).strip().lower()
    state = as_text(info.get("chargingState"), 20).strip().lower()
    return TransactionEvent(
        kind=Kind(kind) if kind in _KINDS else Kind.UPDATED,
        name=as_text(info.get("transactionId", payload.get("transactionId")), 100),
        evse=evse_id(payload),
        tag=token_of(payload),
        has_token=bool(token),
        remote_start_id=as_int(info.get("remoteStartId", payload.get("remoteStartId"))),
        state=State(state) if state in _STATES else State.NONE,
        trigger=as_text(payload.get("triggerReason"), 50).strip().lower(),
        is_offline=payload.get("offline") in (True, "true"),
        seq_no=as_int(payload.get("seqNo")),
        written=payload.get("timestamp"),
        stopped_reason=as_text(info.get("stoppedReason"), 50),
        meter_value=payload.get("meterValue"),
    )


def intervals(event: TransactionEvent) -> list[Interval]:
    """The energy that an event tells by intervals, as far as it may be counted."""
    rows = contexts(event.trigger, ended=event.kind is Kind.ENDED)
    return told(event.meter_value, rows, _sample_as_16)


def evse_id(payload: dict[str, Any]) -> int:
    """The EVSE in a message or a component, as an object or a bare number; 0 for none."""
    evse: object = payload.get("evse", payload.get("evseId"))
    number = as_int(fields(evse).get("id", evse))
    return number if number is not None and 0 < number <= LARGEST_EVSE else 0


def token_of(payload: dict[str, Any]) -> str:
    """The id token in a message, as an object or bare text; "" for none."""
    token: object = payload.get("idToken")
    return id_tag(fields(token).get("idToken", token))


def fields(value: object) -> dict[str, Any]:
    """The fields of an object; none where it is something else."""
    return cast(dict[str, Any], value) if isinstance(value, dict) else {}


def as_16(element: dict[str, Any]) -> dict[str, Any]:
    """A meter value as 1.6 writes it: 2.0.1 has the unit and its power of ten in an object."""
    return {
        "timestamp": element.get("timestamp"),
        "sampledValue": [_sample_as_16(sample) for sample in objects(element.get("sampledValue"))],
    }


def _sample_as_16(sample: dict[str, Any]) -> dict[str, Any]:
    """The same of one value; those of other measurands than are read stay as they are."""
    unit: object = sample.get("unitOfMeasure")
    if not isinstance(unit, dict) or sample.get("measurand") not in _READ:
        return sample
    told = cast("dict[str, Any]", unit)
    flat = sample | {"unit": told.get("unit", sample.get("unit"))}
    if not told.get("multiplier"):
        return flat
    multiplier, value = as_int(told["multiplier"]), as_number(sample.get("value"))
    if value is None or multiplier is None or abs(multiplier) > _MAX_MULTIPLIER:
        return {}
    # Dividing keeps what a factor such as 0.001 would blur.
    flat["value"] = value * 10**multiplier if multiplier >= 0 else value / 10**-multiplier
    return flat


_READ = (REGISTER, POWER, None, "")
_KINDS = frozenset(Kind)
_STATES = frozenset(State)
