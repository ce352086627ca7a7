"""The operator's file: what is read from it, and that nothing breaks it."""

from __future__ import annotations

import re
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from agent.config.errors import ConfigError
from agent.config.tables import (
    TEMPLATE,
    ChargePointConfig,
    Config,
    NostrConfig,
    SessionsConfig,
    StromConfig,
    TariffConfig,
    WalletConfig,
    checked,
    load,
)
from tests.agent.config.files import NPUB, POINT, SECOND, written


def test_an_empty_file_has_every_default(tmp_path: Path) -> None:
    config = load(written(tmp_path, ""))
    assert config.strom.http_listen == "127.0.0.1:8080"
    assert config.sessions.start_timeout_s == 120
    assert config.charge_points == ()


def test_the_file_of_the_contract_is_read(tmp_path: Path) -> None:
    (tmp_path / "secrets").mkdir()
    for name in ("admin", "CP001"):
        (tmp_path / "secrets" / name).write_text("0123456789abcdef\n")
    config = load(
        written(
            tmp_path,
            f"""
[strom]
public_url = "https://charge.example.com"
http_listen = "127.0.0.1:8080"
ocpp_listen = "127.0.0.1:9000"
data_dir = "data"
admin_password_file = "secrets/admin"
[nostr]
relays = ["wss://relay.example.com"]
embedded_relay = "127.0.0.1:7777"
operators = ["{NPUB}"]
[wallet]
url = "dev://"
[sessions]
start_timeout_s = 120
min_payment_sat = 100
max_payment_sat = 200000
[tariffs.day]
currency = "SAT"
energy_per_kwh = 300
time_per_hour = 0
idle_per_minute = 0
idle_grace_minutes = 10
flat = 0
[[charge_points]]
id = "CP001"
name = "Old Mill, west wall"
about = "..."
picture = "https://example.com/mill.jpg"
website = "https://example.com"
location = {{ latitude = 52.5, longitude = 13.4, address = "Mill Lane 1", geohash_length = 9 }}
tariff = "day"
password_file = "secrets/CP001"
connectors = [{{ id = 1, type = "IEC_62196_T2", max_power_w = 22000 }}]
""",
        )
    )
    [point] = config.charge_points
    assert point.location is not None
    assert (point.location.latitude, point.location.geohash_length) == (52.5, 9)
    assert config.strom.public_url == "https://charge.example.com"
    assert config.nostr.operators == (NPUB,)


def test_paths_start_at_the_files_folder_and_so_do_their_defaults(tmp_path: Path) -> None:
    config = load(written(tmp_path, '[strom]\ndata_dir = "journal"\n'))
    assert config.base_dir == tmp_path
    assert config.strom.data_dir == tmp_path / "journal"
    assert config.nostr.seed_file == tmp_path / "secrets" / "seed"
    assert load(written(tmp_path, "")).strom.data_dir == tmp_path / "data"
    assert load(written(tmp_path, '[strom]\ndata_dir = "/var/x"')).strom.data_dir == Path("/var/x")


def test_a_place_is_published_coarsely_unless_told_otherwise(tmp_path: Path) -> None:
    config = load(written(tmp_path, POINT + "location = { latitude = 1, longitude = 2.5 }"))
    location = config.charge_points[0].location
    assert location is not None
    assert location.geohash_length == 5
    assert (location.latitude, location.longitude) == (1.0, 2.5)


def test_chargers_may_call_themselves_what_no_id_can_be(tmp_path: Path) -> None:
    swapped = POINT + 'charger_id = "CP002"' + SECOND + 'charger_id = "CP001"'
    assert [one.called for one in load(written(tmp_path, swapped)).charge_points] == [
        "CP002",
        "CP001",
    ]
    odd = POINT + 'charger_id = "DE*ABC*E1:2 (b)"' + SECOND
    assert [one.called for one in load(written(tmp_path, odd)).charge_points] == [
        "DE*ABC*E1:2 (b)",
        "CP002",
    ]


def test_a_byte_order_mark_is_no_mistake(tmp_path: Path) -> None:
    path = tmp_path / "strom.toml"
    path.write_bytes(b"\xef\xbb\xbf" + POINT.encode())
    assert load(path).charge_points[0].id == "CP001"


def test_a_config_made_in_code_is_checked_too() -> None:
    with pytest.raises(ValueError, match="expected a tariff of this file"):
        Config.model_validate(
            {"charge_points": [{"id": "CP001", "name": "x", "tariff": "day"}], "tariffs": {}}
        )


def test_a_tariff_is_frozen_in_msat() -> None:
    frozen = TariffConfig(
        energy_per_kwh=Decimal("300.125"), flat=Decimal(2), idle_grace_minutes=3
    ).frozen("day")
    assert (frozen.name, frozen.energy_per_kwh_msat, frozen.flat_msat) == ("day", 300_125, 2_000)
    assert frozen.idle_grace_ms == 180_000


_SCALAR = st.one_of(
    st.booleans(),
    st.integers(),
    st.floats(),
    st.decimals(),
    st.text(max_size=20),
    st.datetimes(),
    st.sampled_from(["ws://[", "http://x:99999", "https://x@", "127.0.0.1:٣", "npub1\x00"]),
)
_VALUE = st.recursive(
    _SCALAR,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=6,
)
_KEYS = sorted(
    {
        key
        for model in (Config, StromConfig, NostrConfig, WalletConfig, SessionsConfig)
        for key in model.model_fields
    }
    | set(ChargePointConfig.model_fields)
)
_TABLE = st.dictionaries(st.sampled_from(_KEYS), _VALUE, max_size=4)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.fixed_dictionaries(
        {},
        optional={
            "strom": _TABLE | _VALUE,
            "nostr": _TABLE | _VALUE,
            "sessions": _TABLE,
            "tariffs": _VALUE,
            "charge_points": st.lists(_TABLE | _VALUE, max_size=3) | _VALUE,
        },
    )
)
@example({"nostr": {"place_kinds": [Decimal("sNaN")]}})
def test_whatever_toml_holds_is_a_config_or_sentences(raw: dict[str, object]) -> None:
    try:
        checked(raw, Path("/nowhere/strom.toml"))
    except ConfigError as error:
        found = error.problems
    else:
        return
    assert found
    assert all(problem and "\n" not in problem for problem in found)


def test_the_template_is_valid(tmp_path: Path) -> None:
    config = load(written(tmp_path, TEMPLATE.read_text(encoding="utf-8")))
    assert [point.id for point in config.charge_points] == ["CP001"]


def test_the_optional_lines_of_the_template_are_valid_too(tmp_path: Path) -> None:
    (tmp_path / "secrets").mkdir()
    (tmp_path / "tls").mkdir()
    for name in ("admin", "CP001", "CP001.nsec", "chargers-ca.key"):
        (tmp_path / "secrets" / name).write_text("0123456789abcdef")
    for name in ("fullchain.pem", "privkey.pem", "chargers-ca.pem"):
        (tmp_path / "tls" / name).write_text("PEM")
    lines: list[str] = []
    for line in TEMPLATE.read_text(encoding="utf-8").splitlines():
        line = re.sub(r"^# (\[+[a-z_]+\]+)$", r"\1", line)
        example = re.fullmatch(r"# ([a-z_]+) = (\S+|\[.*\]|\{.*\}|\".*\")(  +.*)?", line)
        if example is None:
            lines.append(line)
            continue
        key, value = example.group(1), example.group(2).replace('"npub1..."', f'"{NPUB}"')
        lines = [kept for kept in lines if not kept.startswith(f"{key} = ")]
        lines.append(f"{key} = {value}")
    config = load(written(tmp_path, "\n".join(lines)))
    [point] = config.charge_points
    assert point.location is not None
    assert point.nsec_file == tmp_path / "secrets" / "CP001.nsec"
    assert config.strom.admin_password_file == tmp_path / "secrets" / "admin"
    assert config.nostr.operators == (NPUB,)
    assert config.fiat is not None
    assert config.ocpp_models
    assert config.map is not None
    tables = (
        config.strom,
        config.nostr,
        config.wallet,
        config.sessions,
        config.fiat,
        config.map,
        config.tariffs["standard"],
    )
    unused = [set(type(table).model_fields) - table.model_fields_set for table in tables]
    assert unused == [set()] * len(tables), "the template does not mention these"
