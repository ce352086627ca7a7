"""Wallet URLs: what they lead to, and one sentence for each mistake."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.wallet.clock import now_ms
from wallet.base import WalletConfigError
from wallet.connect import connect
from wallet.dev import DevWallet
from wallet.lnbits import LnbitsWallet


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


def test_lnbits(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "key").write_text("0123456789abcdef" * 2 + "\n")
    (tmp_path / "key").chmod(0o600)
    for url in (
        "lnbits+http://127.0.0.1:5000?key_file=key",
        "lnbits+http://[::1]:5000?key_file=key&network=regtest",
        "lnbits+https://lnbits.example.com/sub?key_file=key",
    ):
        wallet = connect(url, tmp_path, now_ms, base_dir=tmp_path)
        assert isinstance(wallet, LnbitsWallet)
    assert not caplog.text
    (tmp_path / "key").chmod(0o644)
    connect("lnbits+https://lnbits.example.com?key_file=key", tmp_path, now_ms, base_dir=tmp_path)
    assert "chmod 600" in caplog.text


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("lnbits+http://lnbits.example.com?key_file=key", "loopback only"),
        ("lnbits+https://?key_file=key", "names no host"),
        ("lnbits+https://host:port?key_file=key", "cannot be read"),
        ("lnbits+https://[host?key_file=key", "cannot be read"),
        ("lnbits+https://host", 'lacks the option "key_file"'),
        ("lnbits+https://host?key_file=", 'no value for the option "key_file"'),
        ("lnbits+https://host?key_file=key&key_file=key", 'option "key_file" twice'),
        ("lnbits+https://host?key_file=key&network=litecoin", 'unknown network "litecoin"'),
        ("lnbits+https://user:word@host?key_file=key", "no user and password"),
        ("lnbits+https://host?key_file=key#more", 'no "#" part'),
        ("lnbits+https://host?key_file=absent", "cannot be read: No such file"),
        ("lnbits+https://host?key_file=empty", "is empty"),
        ("lnbits+https://host?key_file=binary", "not a text file"),
        ("lnbits+https://host?key_file=other", "does not hold an LNbits key"),
        ("nostr+walletconnect://abc?secret=def", "nwc-file:FILE"),
    ],
)
def test_mistakes_with_files(tmp_path: Path, url: str, sentence: str) -> None:
    (tmp_path / "key").write_text("0123456789abcdef" * 2)
    (tmp_path / "empty").write_text(" \n")
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    (tmp_path / "other").write_text("hunter2-hunter2")
    with pytest.raises(WalletConfigError, match=sentence) as refused:
        connect(url, tmp_path, now_ms, base_dir=tmp_path)
    for secret in ("hunter2", "word@", "0123456789abcdef", "def"):
        assert secret not in str(refused.value).replace("by default", "")
