"""LUD-04 challenges: ours, fresh, answered once, and told only to the browser that asked."""

from __future__ import annotations

import pytest
from coincurve import PrivateKey
from lnurl.helpers import lnurlauth_signature

from bridge.linking import Linking, LinkingError
from tests.agent.world import ManualClock

KEY = PrivateKey(b"\x07" * 32)


def test_a_signed_challenge_proves_the_key() -> None:
    linking = Linking(ManualClock())
    k1 = linking.challenge("browser")
    key, signature = lnurlauth_signature(k1, KEY.secret)
    assert linking.answer(k1, "browser") is None
    assert linking.prove(k1, key.upper(), signature) == key
    assert linking.answer(k1, "browser") == key
    assert linking.answer(k1, "another browser") is None
    with pytest.raises(LinkingError, match="used already"):
        linking.prove(k1, key, signature)


def test_a_challenge_expires() -> None:
    clock = ManualClock()
    linking = Linking(clock)
    k1 = linking.challenge()
    key, signature = lnurlauth_signature(k1, KEY.secret)
    clock.advance(16 * 60)
    with pytest.raises(LinkingError, match="expired"):
        linking.prove(k1, key, signature)


def test_a_challenge_of_somebody_else_is_not_ours() -> None:
    k1 = Linking(ManualClock()).challenge()
    key, signature = lnurlauth_signature(k1, KEY.secret)
    with pytest.raises(LinkingError, match="not one of ours"):
        Linking(ManualClock()).prove(k1, key, signature)


@pytest.mark.parametrize("k1", ["", "zz", "00", "00" * 32, "00" * 33])
def test_what_is_no_challenge(k1: str) -> None:
    with pytest.raises(LinkingError):
        Linking(ManualClock()).prove(k1, "02" + "11" * 32, "30")


@pytest.mark.parametrize("key", ["", "02", "02" + "ff" * 32, "05" + "11" * 32, "zz" * 33])
def test_what_is_no_key(key: str) -> None:
    linking = Linking(ManualClock())
    k1 = linking.challenge()
    _, signature = lnurlauth_signature(k1, KEY.secret)
    with pytest.raises(LinkingError, match="does not belong"):
        linking.prove(k1, key, signature)
