from __future__ import annotations

from dataclasses import replace

import pytest

from nips.errors import InvalidEvent
from nips.event import Coordinate
from nips.status import (
    KIND_CONNECTOR_STATUS,
    ConnectorState,
    Price,
    UserStatus,
    connector_status,
    deletion,
    deletion_of,
    is_expired,
    parse_connector_status,
    parse_user_status,
    user_status,
)
from tests.nips.support import NOW_S, key_of

CHARGER = key_of("charger")
STATE = ConnectorState(
    charge_point="CP001",
    connector=1,
    status="Charging",
    updated_at=NOW_S,
    expires_at=NOW_S + 900,
    text="Charging, free in about 20 minutes",
    title="Old Mill",
    location="Mill Road 1",
    connector_type="IEC_62196_T2",
    max_power_w=22_000,
    power_w=11_040,
    energy_wh=5_300,
    free_at=NOW_S + 1200,
    prices=(Price("energy", "0.45", "EUR", "kWh"), Price("flat", "100", "SAT", "session")),
    lud16="cp001.1@x.org",
    geohashes=("u33", "u33d"),
)


def test_a_connectors_state_is_read_back() -> None:
    event = CHARGER.sign_template(connector_status(STATE), NOW_S)
    assert event.kind == KIND_CONNECTOR_STATUS
    assert event.coordinate == Coordinate(30716, CHARGER.pubkey, "CP001:1")
    assert parse_connector_status(event) == STATE
    assert not is_expired(event, NOW_S)
    assert is_expired(event, NOW_S + 900)


def test_a_state_may_say_little() -> None:
    bare = ConnectorState("CP001", 2, "Available", NOW_S, NOW_S + 900)
    assert parse_connector_status(CHARGER.sign_template(connector_status(bare), NOW_S)) == bare


@pytest.mark.parametrize("name", ["IEC_60309_2_single_16", "IEC_60309_2_three_64"])
def test_connector_types_that_ocpi_writes_in_small_letters_are_read_back(name: str) -> None:
    state = replace(STATE, connector_type=name)
    assert parse_connector_status(CHARGER.sign_template(connector_status(state), NOW_S)) == state


def test_words_that_ocpp_does_not_know_are_not_written() -> None:
    with pytest.raises(InvalidEvent):
        connector_status(replace(STATE, status="Sleeping"))


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("d", ("CP001",)),
        ("d", (":1",)),
        ("d", ("CP001:x",)),
        ("status", ("available",)),
        ("status", ()),
        ("updated_at", ("-5",)),
        ("updated_at", ("9" * 30,)),
        ("expiration", ("soon",)),
    ],
)
def test_a_wrong_state_is_refused(name: str, values: tuple[str, ...]) -> None:
    tags = [tag for tag in connector_status(STATE).tags if tag[0] != name] + [(name, *values)]
    with pytest.raises(InvalidEvent):
        parse_connector_status(CHARGER.sign(30716, "", tags, NOW_S))


@pytest.mark.parametrize(
    "tag",
    [
        ("power", "much"),
        ("power", "-1"),
        ("power", "\uff11\uff12"),
        ("power", "1", "2"),
        ("energy", "1.5"),
        ("free_at", "soon"),
        ("connector",),
        ("connector", "Type 2"),
        ("connector", "IEC_62196_T2", "22 kW"),
        ("price",),
        ("price", "energy", "0.45", "EUR"),
        ("price", "energy", "0,45", "EUR", "kWh"),
        ("price", "energy", "-0.45", "EUR", "kWh"),
        ("price", "energy", "1e3", "EUR", "kWh"),
        ("price", "energy", "0.45", "euro", "kWh"),
        ("lud16", "cp001"),
        ("g",),
        ("g", "U33"),
        ("status", "Available"),
        ("d", "CP001:2"),
        ("title", "another"),
    ],
)
def test_a_state_is_read_whole_or_not_at_all(tag: tuple[str, ...]) -> None:
    template = connector_status(STATE)
    once = {"status", "d", "title"}
    kept = [
        known
        for known in template.tags
        if known[0] != tag[0] or known[0] in once or tag == ("power", "1", "2")
    ]
    with pytest.raises(InvalidEvent):
        parse_connector_status(CHARGER.sign(30716, STATE.text, [*kept, tag], NOW_S))


def test_tags_that_are_not_known_are_passed_over() -> None:
    tags = [*connector_status(STATE).tags, ("x",), ("evse", "DE*ABC*E1")]
    assert parse_connector_status(CHARGER.sign(30716, STATE.text, tags, NOW_S)) == STATE


def test_a_user_status_is_read_back() -> None:
    shown = UserStatus("Available - 0.45 EUR/kWh", "https://x.org/cp/CP001", NOW_S + 900)
    assert parse_user_status(CHARGER.sign_template(user_status(shown), NOW_S)) == shown
    bare = UserStatus("hello")
    assert parse_user_status(CHARGER.sign_template(user_status(bare), NOW_S)) == bare


@pytest.mark.parametrize("parse", [parse_user_status, parse_connector_status])
def test_a_parser_takes_its_own_kind_only(parse: object) -> None:
    assert callable(parse)
    with pytest.raises(InvalidEvent, match="kind"):
        parse(CHARGER.sign(1, "", [], NOW_S))


def test_a_deletion_names_events_and_addresses() -> None:
    status = CHARGER.sign_template(connector_status(STATE), NOW_S)
    note = CHARGER.sign(1, "x", [], NOW_S)
    template = deletion([status, note], "removed")
    assert template.content == "removed"
    assert template.tags == (
        ("e", status.id),
        ("e", note.id),
        ("a", f"30716:{CHARGER.pubkey}:CP001:1"),
        ("k", "1"),
        ("k", "30716"),
    )
    assert deletion_of([status.coordinate]).tags == (
        ("a", f"30716:{CHARGER.pubkey}:CP001:1"),
        ("k", "30716"),
    )
