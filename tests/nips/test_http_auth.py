from __future__ import annotations

import base64

import pytest

from nips.errors import InvalidHttpAuth
from nips.http_auth import MAX_REMEMBERED, HttpAuth, authorization
from tests.nips.support import NOW_S, key_of

ADMIN = key_of("admin")
URL = "https://charge.example.com/admin?x=1"


def at(seconds: int) -> HttpAuth:
    return HttpAuth(lambda: seconds * 1000)


def test_a_request_is_let_in_once() -> None:
    auth = at(NOW_S)
    header = authorization(ADMIN, URL, "post", NOW_S, b"body")
    assert auth.verify(header, URL, "POST", b"body") == ADMIN.pubkey
    with pytest.raises(InvalidHttpAuth, match="before"):
        auth.verify(header, URL, "POST", b"body")


def header_of(
    kind: int = 27235, created_at: int = NOW_S, tags: list[list[str]] | None = None
) -> str:
    tags = [["u", URL], ["method", "GET"]] if tags is None else tags
    event = ADMIN.sign(kind, "", tags, created_at)
    return "Nostr " + base64.b64encode(event.to_json().encode()).decode()


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        ("", "expected a header"),
        ("Basic abc", "expected a header"),
        ("Nostr " + "A" * 10_000, "expected a header"),
        ("Nostr !!!", "no valid event"),
        ("Nostr e30=", "no valid event"),
        ("Nostr ////", "no valid event"),
        (header_of(kind=1), "kind 1"),
        (header_of(created_at=NOW_S - 61), "60 seconds"),
        (header_of(created_at=NOW_S + 61), "60 seconds"),
        (header_of(tags=[["u", URL + "&y=2"], ["method", "GET"]]), "URL"),
        (header_of(tags=[["method", "GET"]]), "URL"),
        (header_of(tags=[["u", URL], ["u", URL], ["method", "GET"]]), "URL"),
        (header_of(tags=[["u", URL], ["method", "POST"]]), "method"),
        (header_of(tags=[["u", URL]]), "method"),
        (header_of(tags=[["u", URL], ["method", "GET"], ["payload", "00"]]), "body"),
    ],
)
def test_each_rule(header: str, reason: str) -> None:
    with pytest.raises(InvalidHttpAuth, match=reason):
        at(NOW_S).verify(header, URL, "GET")


def test_a_body_must_be_named() -> None:
    with pytest.raises(InvalidHttpAuth, match="body"):
        at(NOW_S).verify(authorization(ADMIN, URL, "POST", NOW_S), URL, "POST", b"body")


def test_the_memory_is_bounded_and_forgets_what_is_too_old_anyway() -> None:
    now = [NOW_S]
    auth = HttpAuth(lambda: now[0] * 1000)
    auth._used = {str(number): NOW_S + 60 for number in range(MAX_REMEMBERED)}  # pyright: ignore[reportPrivateUsage]
    with pytest.raises(InvalidHttpAuth, match="too many"):
        auth.verify(authorization(ADMIN, URL, "GET", NOW_S), URL, "GET")
    now[0] += 61
    assert auth.verify(authorization(ADMIN, URL, "GET", now[0]), URL, "GET") == ADMIN.pubkey
