"""Signed meter values on receipts and as a file for transparency software."""

from __future__ import annotations

from base64 import b64encode
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

from hypothesis import given
from hypothesis import strategies as st

from agent.journal.signed import KEPT
from agent.receipts import faults, receipt_of
from agent.signed_values import SignedValue, for_receipt, transparency_file
from tests.agent.machine.examples import T0, begun
from tests.agent.test_receipts import CLOSED, SELLER, hashed
from tests.agent.world import running

OCMF = 'OCMF|{"FV":"1.0","RD":[{"RV":40.000,"RU":"kWh"}]}|{"SD":"3045"}'
BEGIN = SignedValue(OCMF, T0, "Transaction.Begin", "OCMF", public_key="3059")
END = SignedValue(OCMF.replace("40.0", "44.5"), T0 + 1, "Transaction.End", "OCMF")


def test_the_first_and_the_last_stand_on_the_receipt_as_they_came() -> None:
    receipt = receipt_of(hashed(CLOSED), (begun(),), SELLER, [BEGIN, replace(END, data="x"), END])
    assert receipt is not None
    assert [value.data for value in receipt.signed_values] == [BEGIN.data, END.data]
    assert receipt.signed_values[0].public_key == "3059"
    assert faults(receipt) == []
    changed = replace(receipt.signed_values[0], data=END.data)
    assert faults(replace(receipt, signed_values=(changed,))) == [
        "a signed meter value in it is not that of its hash"
    ]


def test_long_ones_stand_on_the_receipt_by_their_hashes() -> None:
    (value,) = for_receipt([replace(BEGIN, data="x" * 5_000)])
    assert (value.data, value.public_key, len(value.sha256)) == ("", "", 64)


def test_transparency_software_gets_each_value_with_format_context_and_key() -> None:
    wrapped = '{"signedMeterData":"..."}'
    inner = replace(END, data=wrapped, inner=b64encode(END.data.encode()).decode())
    root = ElementTree.fromstring(transparency_file([BEGIN, inner]))  # noqa: S314  our own
    first, last = root.findall("value")
    assert (first.get("context"), last.get("context")) == ("Transaction.Begin", "Transaction.End")
    for element, value in ((first, BEGIN), (last, END)):
        data = element.find("signedData")
        assert data is not None
        assert (data.get("format"), data.get("encoding"), data.text) == (
            "OCMF",
            "plain",
            value.data,
        )
    key = first.find("publicKey")
    assert key is not None
    assert key.text == "3059"


@given(st.text(), st.text(), st.text(), st.text())
def test_whatever_was_signed_the_file_can_be_read(
    data: str, context: str, encoding: str, key: str
) -> None:
    value = SignedValue(data or "x", T0, context, encoding, "", key)
    ElementTree.fromstring(transparency_file([value]))  # noqa: S314  our own


async def test_they_are_bounded_and_survive_a_restart_with_the_first_and_the_last(
    tmp_path: Path,
) -> None:
    async with running(tmp_path) as world:
        for number in range(3 * KEPT):
            value = SignedValue(f"value {number}", T0 + number)
            await world.journal.signed.keep("s", [value, value])
    async with running(tmp_path) as world:
        kept = [value.data for value in world.journal.signed.of("s")]
    assert len(kept) == KEPT
    assert kept[:2] == ["value 0", "value 1"]
    assert kept[-1] == f"value {3 * KEPT - 1}"
