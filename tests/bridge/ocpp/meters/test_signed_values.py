"""Signed meter values over the wire, byte for byte, of 1.6 and 2.0.1."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.machine.model import SessionState
from agent.signed_values import MOST_CHARS
from bridge.ocpp.meters.signed_values import MOST_VALUES, signed_values
from tests.bridge.ocpp.stage import METER_START, Stage, booted, staged

OCMF = 'OCMF|{"FV":"1.0","GS":"17619300","ü":"\\u00fc"}|{"SA":"ECDSA-secp256r1-SHA256","SD":"3045"}'
WRAPPED = json.dumps(
    {
        "signedMeterData": "T0NNRnw=",
        "signingMethod": "",
        "encodingMethod": "OCMF",
        "publicKey": "MFk=",
    }
)
JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncGenerator[Stage]:
    async with staged(tmp_path) as here:
        yield here


def value(at: str, context: str, register: int, data: object) -> dict[str, Any]:
    """One meterValue with a register and a signed value."""
    plain = {"value": str(register), "unit": "Wh", "context": context}
    signed = {"value": data, "format": "SignedData", "context": context}
    return {"timestamp": at, "sampledValue": [plain, signed]}


async def test_what_comes_with_the_stop_is_on_the_receipt_byte_for_byte(stage: Stage) -> None:
    async with booted(stage) as raw:
        quote, transaction_id = await stage.charging(raw)
        begin, began = stage.at(), stage.world.clock()
        stage.world.clock.advance(60)
        data = [
            value(begin, "Transaction.Begin", METER_START, OCMF),
            value(stage.at(), "Transaction.End", METER_START + 1_000, WRAPPED),
        ]
        await stage.stop(raw, transaction_id, transactionData=data)
        await stage.until(quote, SessionState.CLOSED)
    values = await stage.world.site.owned.signed_values(quote.secret)
    assert [signed.data for signed in values] == [OCMF, WRAPPED]
    assert [signed.context for signed in values] == ["Transaction.Begin", "Transaction.End"]
    assert values[0].at_ms == began
    assert (values[1].encoding, values[1].public_key, values[1].inner) == (
        "OCMF",
        "MFk=",
        "T0NNRnw=",
    )
    receipt = await stage.world.site.owned.receipt(quote.secret)
    assert [signed.data for signed in receipt.signed_values] == [OCMF, WRAPPED]
    assert receipt.energy_wh == 1_000


@pytest.mark.parametrize(
    "data",
    ["x" * (MOST_CHARS + 1), "", 5, None, {"a": 1}, "{" * 1000, '{"publicKey": {}}', "\ud800"],
)
async def test_a_huge_or_broken_one_breaks_no_session(stage: Stage, data: object) -> None:
    async with booted(stage) as raw:
        quote, transaction_id = await stage.charging(raw)
        stage.world.clock.advance(60)
        values = [value(stage.at(), "Sample.Periodic", METER_START + 500, data)]
        payload = {"connectorId": 1, "transactionId": transaction_id, "meterValue": values}
        assert await raw.call("MeterValues", payload) == {}
        assert stage.session(quote).energy_wh == 500
        await stage.stop(raw, transaction_id)
        assert (await stage.until(quote, SessionState.CLOSED)).energy_wh == 1_000


async def test_without_a_transaction_it_belongs_to_the_session_of_its_connector(
    stage: Stage,
) -> None:
    async with booted(stage) as raw:
        quote, _ = await stage.charging(raw)
        values = [value(stage.at(), "Transaction.Begin", METER_START, OCMF)]
        await raw.call("MeterValues", {"connectorId": 1, "meterValue": values})
    assert [v.data for v in await stage.world.site.owned.signed_values(quote.secret)] == [OCMF]


def test_ocpp_201_has_it_beside_the_value() -> None:
    signed = {"signedMeterData": OCMF, "encodingMethod": "OCMF", "publicKey": "MFk="}
    sample = {"value": 1.0, "context": "Transaction.End", "signedMeterValue": signed}
    (found,) = signed_values([{"timestamp": "t", "sampledValue": [sample]}], lambda _: 7)
    assert (found.data, found.encoding, found.public_key) == (OCMF, "OCMF", "MFk=")
    assert (found.at_ms, found.context) == (7, "Transaction.End")


@given(JSON, JSON)
def test_nothing_raises_and_a_message_is_bounded(data: object, wrapped: object) -> None:
    samples = [{"format": "SignedData", "value": data}, {"signedMeterValue": wrapped}]
    found = signed_values([{"sampledValue": samples * 40}], lambda _: 0)
    assert len(found) <= MOST_VALUES
    for one in found:
        json.dumps(one.data).encode()
