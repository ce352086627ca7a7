"""OCPP settings in the operator's file: of a charge point, and of a model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from agent.config.errors import ConfigError
from agent.config.models import OcppModelConfig, overridden
from agent.config.tables import Config, checked


def read(settings: object, **model: object) -> Config:
    point = {"id": "CP001", "name": "Mill", "tariff": "day", "ocpp_settings": settings}
    raw: dict[str, Any] = {
        "tariffs": {"day": {}},
        "charge_points": [point],
        "ocpp_models": [{"settings": settings, **model}],
    }
    return checked(raw, Path("strom.toml"))


def test_values_may_be_numbers_and_switches() -> None:
    config = read({"A": "x", "B": 7, "C": True, "D.E": "y"}, vendor="Acme*")
    assert config.charge_points[0].ocpp_settings == {"A": "x", "B": "7", "C": "true", "D.E": "y"}
    assert config.ocpp_models[0].settings == config.charge_points[0].ocpp_settings


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ("x", "expected keys and values"),
        ({"A": 1.5}, "a whole number, true or false as the value of A"),
        ({"A": "x" * 1001}, "expected text of at most 1000 characters"),
        ({"Abc": "x", "aBC": "y"}, "expected aBC once, in whatever case"),
        ({"": "x"}, "expected keys of 1 to 220 characters"),
        ({"authorizationkey": "hunter2"}, "a password has its place in password_file"),
        ({"SecurityCtrlr.BasicAuthPassword": "hunter2"}, "has its place in password_file"),
    ],
)
def test_what_is_no_setting_is_refused(settings: object, said: str) -> None:
    with pytest.raises(ConfigError) as refused:
        read(settings)
    assert said in str(refused.value)
    assert "hunter2" not in str(refused.value)
    assert len(refused.value.problems) == 2


def test_an_unknown_key_of_a_model_is_refused() -> None:
    with pytest.raises(ConfigError, match="vendr is not a key that Strom knows"):
        read({}, vendr="Acme")


@pytest.mark.parametrize(
    ("globs", "fits"),
    [
        ({}, True),
        ({"vendor": "ACME"}, True),
        ({"vendor": "acme", "model": "wall *"}, True),
        ({"model": "Wall"}, False),
        ({"vendor": "Acme", "firmware": "2.*"}, False),
        ({"vendor": "Acm?", "firmware": "1.*"}, True),
    ],
)
def test_which_chargers_a_model_is_for(globs: dict[str, str], fits: bool) -> None:
    assert OcppModelConfig.model_validate(globs).fits("Acme", "Wall One", "1.2") is fits


@pytest.mark.parametrize(
    ("globs", "many"),
    [
        ({}, True),
        ({"vendor": "Acme"}, True),
        ({"vendor": "Acme", "model": "Wall ?"}, True),
        ({"vendor": "[AB]cme", "model": "Wall"}, True),
        ({"vendor": "Acme", "model": "Wall", "firmware": "1.*"}, False),
    ],
)
def test_whether_a_model_is_one_make_s_alone(globs: dict[str, str], many: bool) -> None:
    assert OcppModelConfig.model_validate(globs).is_for_many is many


def test_a_key_is_the_same_in_any_case() -> None:
    """Chargers do not tell them apart: both would be set in turn."""
    assert overridden({"HeartbeatInterval": "77", "A": "1"}, {"heartbeatinterval": "60"}) == {
        "A": "1",
        "heartbeatinterval": "60",
    }
