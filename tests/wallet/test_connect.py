"""Wallet URLs: what they lead to, and one sentence for each mistake."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.wallet.clock import now_ms
from wallet.base import WalletConfigError
from wallet.connect import connect
from wallet.dev import DevWallet


def test_play_money(tmp_path: Path) -> None:
    assert isinstance(connect("dev://", tmp_path, now_ms), DevWallet)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("", "no scheme"),
        ("dev", "no scheme"),
        ("dev://here", "takes nothing behind it"),
        ("dev://?balance=5", 'unknown option "balance"'),
        ("cln://127.0.0.1", 'unknown scheme "cln"'),
    ],
)
def test_mistakes(tmp_path: Path, url: str, sentence: str) -> None:
    with pytest.raises(WalletConfigError, match=sentence):
        connect(url, tmp_path, now_ms)
