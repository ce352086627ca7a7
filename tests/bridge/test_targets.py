"""What people write where money goes, and the web address behind it."""

from __future__ import annotations

import pytest

from bridge.targets import NoTarget, target_url
from nips import bech32

LNURL = bech32.encode("lnurl", b"https://example.com/a")


@pytest.mark.parametrize(
    ("target", "url"),
    [
        ("cp001@charge.example.com", "https://charge.example.com/.well-known/lnurlp/cp001"),
        (" Me.2+x@Wallet.example ", "https://wallet.example/.well-known/lnurlp/me.2+x"),
        ("CP001@127.0.0.1:8080", "http://127.0.0.1:8080/.well-known/lnurlp/cp001"),
        ("lightning:cp001@example.com", "https://example.com/.well-known/lnurlp/cp001"),
        ("lnurlp://example.com/lnurl/cp001", "https://example.com/lnurl/cp001"),
        ("LNURLP://example.com/p/1", "https://example.com/p/1"),
        ("lnurlw://127.0.0.1:8080/x?s=1", "http://127.0.0.1:8080/x?s=1"),
        ("lnurlp://[::1]:8080/x", "http://[::1]:8080/x"),
        ("https://example.com/lnurl/cp001", "https://example.com/lnurl/cp001"),
        (LNURL, "https://example.com/a"),
        (LNURL.upper(), "https://example.com/a"),
        (f"LIGHTNING://{LNURL}", "https://example.com/a"),
        (f"https://x.example/cp?lightning={LNURL}", "https://example.com/a"),
    ],
)
def test_every_form_of_a_target(target: str, url: str) -> None:
    assert target_url(target) == url


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        ("", "expected a lightning address"),
        ("hello", "expected a lightning address"),
        ("npub1xyz", "expected a lightning address"),
        ("@", "expected a lightning address"),
        ("a@b@c", "expected a lightning address"),
        ("ftp://x", "expected a lightning address"),
        ("lnurlp://", "expected a lightning address"),
        ("https://", "expected a lightning address"),
        ("lnurlp://[x", "not a web address"),
        ("lnurl1qqqqqq", "wrong or missing letter"),
        ("LNURL1!!!", "wrong or missing letter"),
        (bech32.encode("lnurl", b"\xff"), "wrong or missing letter"),
        ("https://x.example/cp?lightning=hello", "expected a lightning address"),
        ("x" * 3000, "too long"),
    ],
)
def test_what_is_no_target(target: str, reason: str) -> None:
    with pytest.raises(NoTarget, match=reason):
        target_url(target)
