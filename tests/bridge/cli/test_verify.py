"""`strom verify`, as a driver meets it."""

from __future__ import annotations

import io
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from agent.notary import Notary, pack
from nips.identity import Identity
from tests.agent.test_notary import KEY, SIGNED
from tests.agent.test_receipts import CLOSED, RECEIPT
from tests.bridge.cli.command import Strom


def test_a_true_receipt_is_told_in_words(strom: Strom, tmp_path: Path) -> None:
    file = tmp_path / "receipt.json"
    file.write_text(SIGNED)
    ran = strom("verify", str(file))
    assert ran.code == 0, ran.err
    told = ran.out.replace("\N{NO-BREAK SPACE}", " ")
    for wanted in (
        "Old Mill, west wall, connector 1",
        KEY.npub,
        "4,510 Wh (meter 40,000 to 44,510 Wh)",
        "4.51 kWh × 300 sat/kWh = 1,353 sat",
        "paid         5,000 sat  " + "aa" * 32,
        "It adds up: 5,000 sat paid =",
        "compare with its profile",
        "It admits owing",
    ):
        assert wanted in told, told


def test_the_charge_point_can_be_named(strom: Strom, tmp_path: Path) -> None:
    file = tmp_path / "message.txt"
    file.write_text(f"Receipt: Old Mill\n{SIGNED}\n")
    ran = strom("verify", str(file), "--by", KEY.npub)
    assert ran.code == 0
    assert "by the charge point that you named" in ran.out
    ran = strom("verify", str(file), "--by", Identity.generate().npub)
    assert ran.code == 1
    assert "not by the charge point" in ran.err
    ran = strom("verify", str(file), "--by", "npub1")
    assert ran.code == 1
    assert "--by" in ran.err


def test_the_word_of_a_message_is_enough(strom: Strom, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(f"as proof:\n{pack(SIGNED)}\n"))
    ran = strom("verify", "-", "--by", KEY.npub)
    assert ran.code == 0, ran.err
    assert "It adds up" in ran.out


def test_a_meter_that_was_set_anew_is_said(strom: Strom, tmp_path: Path) -> None:
    assert CLOSED.energy_wh
    file = tmp_path / "receipt.json"
    file.write_text(Notary({"CP001": KEY}).sign(replace(RECEIPT, meter_stop_wh=7)))
    assert "set anew in between" in strom("verify", str(file)).out


def test_a_false_one_is_refused_with_a_sentence(strom: Strom, tmp_path: Path) -> None:
    file = tmp_path / "receipt.json"
    for text, why in (
        (SIGNED.replace("4510", "4511"), "changed"),
        ("no", "no signed receipt"),
        (None, "cannot be read"),
        (b"\xff\xfe", "not text"),
    ):
        file.unlink(missing_ok=True)
        if isinstance(text, str):
            file.write_text(text)
        elif text is not None:
            file.write_bytes(text)
        ran = strom("verify", str(file))
        assert ran.code == 1
        assert why in ran.err
        assert not ran.out
