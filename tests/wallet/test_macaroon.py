"""Reading what a macaroon allows; one of them was baked by a real lnd."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.wallet.lnd_node import EVERYTHING, make_macaroon
from wallet.macaroon import InvalidMacaroon, permissions


def test_permissions_are_read() -> None:
    assert permissions(make_macaroon(EVERYTHING)) == EVERYTHING


def test_permissions_for_single_methods_are_read() -> None:
    only = frozenset({("uri", "/lnrpc.Lightning/AddInvoice")})
    assert permissions(make_macaroon(only)) == only


@given(st.binary(max_size=300))
def test_other_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(InvalidMacaroon):
        permissions(b"\x01" + data)


@given(st.integers(0, 150))
def test_a_cut_macaroon_is_refused(length: int) -> None:
    with pytest.raises(InvalidMacaroon):
        permissions(make_macaroon(EVERYTHING)[: min(length, 100)])
