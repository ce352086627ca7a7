"""The first password is replaced over OCPP, and no charger is ever locked out by that."""

from __future__ import annotations

import logging
import stat
from base64 import b64encode
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus
from websockets.typing import Subprotocol

from agent.config.tables import load
from bridge.app import App
from bridge.ocpp.security.passwords import LENGTH
from bridge.simulator import SimulatedChargePoint
from tests.bridge.ocpp.wire import RawCharger, now_ms
from tests.ports import free_port
from tests.strom_toml import DAY, SERVED, charge_point

FIRST = "the-first-password"
ROTATED = 'password_file = "secrets/CP001"\nrotate_password = true\n'
FILE = SERVED + DAY + charge_point(more=ROTATED)


def prepared(folder: Path) -> Path:
    (folder / "secrets").mkdir()
    (folder / "secrets" / "CP001").write_text(FIRST)
    (folder / "secrets" / "CP001").chmod(0o600)
    (folder / "strom.toml").write_text(FILE.format(http_port=free_port()))
    return folder


@asynccontextmanager
async def opened(folder: Path) -> AsyncGenerator[App]:
    async with App.open(load(folder / "strom.toml"), now_ms) as app:
        yield app


def kept(folder: Path) -> Path:
    """The file of the new password."""
    return folder / "data" / "ocpp-passwords" / "CP001.json"


def dialled(app: App, password: bytes | str, subprotocol: str = "ocpp1.6") -> connect:
    secret = password.encode() if isinstance(password, str) else password
    return connect(
        f"ws://127.0.0.1:{app.ocpp_port}/ocpp/CP001",
        subprotocols=[Subprotocol(subprotocol)],
        additional_headers={"Authorization": f"Basic {b64encode(b'CP001:' + secret).decode()}"},
        proxy=None,
    )


async def refused(app: App, password: str) -> bool:
    try:
        async with dialled(app, password):
            return False
    except InvalidStatus as caught:
        return caught.response.status_code == 401


async def asked_for_password(raw: RawCharger, answer: object = None) -> dict[str, Any]:
    """Boot, and answer all that is asked until the new password comes; returns that call.

    That one is answered with `answer`: not at all when it is None, with a CALLERROR of that
    code when it is a text.
    """
    await raw.boot()
    while True:
        frame = await raw.asked()
        payload = frame[3]
        if payload.get("key") == "AuthorizationKey":
            if isinstance(answer, str):
                no_details: dict[str, str] = {}
                await raw.send([4, frame[1], answer, "", no_details])
            elif answer is not None:
                await raw.send([3, frame[1], answer])
            return payload
        empty: dict[str, Any] = {"configurationKey": []}
        await raw.send([3, frame[1], empty if frame[2] == "GetConfiguration" else {}])


async def settled(condition: Callable[[], bool]) -> None:
    with anyio.fail_after(20):
        while not condition():
            await anyio.sleep(0.01)


async def rotated(app: App) -> str:
    """A charger that takes its new password; returns that."""
    async with dialled(app, FIRST) as socket:
        asked = await asked_for_password(RawCharger(socket), {"status": "Accepted"})
    return bytes.fromhex(asked["value"]).decode()


def is_void(caplog: pytest.LogCaptureFixture) -> bool:
    return "CP001 has its new password: the first one is void" in caplog.text


async def test_a_charger_gets_a_password_that_nobody_has_seen(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    folder = prepared(tmp_path)
    async with opened(folder) as app:
        new = await rotated(app)
        assert len(new) == LENGTH
        assert new.isalnum()
        assert stat.S_IMODE(kept(folder).stat().st_mode) == 0o600
        assert stat.S_IMODE(kept(folder).parent.stat().st_mode) == 0o700
        assert not await refused(app, FIRST)
        async with dialled(app, new) as socket:
            await RawCharger(socket).boot()
            await settled(lambda: is_void(caplog))
        assert await refused(app, FIRST)
        assert "it shows its first password again" in app.alerts.current()["password CP001"]
        for way in (new, new.encode().hex(), new.encode().hex().upper()):
            assert not await refused(app, way)
        await settled(lambda: not app.alerts.current())
    said = caplog.text + (folder / "data" / "ocpp-log" / "CP001.log").read_text()
    assert "AuthorizationKey" in said
    for secret in (new, new.encode().hex(), new.encode().hex().upper(), FIRST):
        assert secret not in said
    async with opened(folder) as app:
        assert await refused(app, FIRST)
        assert not await refused(app, new)


@pytest.mark.parametrize("answer", [None, {"status": "Accepted"}, {"status": "RebootRequired"}])
async def test_both_count_until_the_charger_has_come_with_the_new_one(
    tmp_path: Path, answer: dict[str, Any] | None
) -> None:
    """Whether it answered or not: what it has after that, nobody knows."""
    folder = prepared(tmp_path)
    values: set[str] = set()
    for _ in range(2):
        async with opened(folder) as app:
            async with dialled(app, FIRST) as socket:
                values.add((await asked_for_password(RawCharger(socket), answer))["value"])
            assert not await refused(app, FIRST)
    [value] = values
    async with opened(folder) as app:
        assert not await refused(app, value)


@pytest.mark.parametrize(
    "answer",
    [{"status": "NotSupported"}, {"status": "Rejected"}, None],
)
async def test_a_charger_that_refuses_keeps_its_password(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, answer: dict[str, Any] | None
) -> None:
    """With a status, or with a CALLERROR."""
    async with opened(prepared(tmp_path)) as app:
        async with dialled(app, FIRST) as socket:
            raw = RawCharger(socket)
            await asked_for_password(raw, answer or "NotSupported")
            await settled(lambda: "keeps its first password" in caplog.text)
        for _ in range(2):
            async with dialled(app, FIRST) as socket:
                await RawCharger(socket).boot()
        assert caplog.text.count("keeps its first password: the charger refused") == 1


async def test_another_first_password_lets_a_replaced_charger_in(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    folder = prepared(tmp_path)
    async with opened(folder) as app:
        new = await rotated(app)
        async with dialled(app, new) as socket:
            await RawCharger(socket).boot()
            await settled(lambda: is_void(caplog))
        (folder / "secrets" / "CP001").write_text("of-another-machine")
        assert await refused(app, FIRST)
        assert not await refused(app, new)
        async with dialled(app, "of-another-machine") as socket:
            asked = await asked_for_password(RawCharger(socket), {"status": "Accepted"})
        newer = bytes.fromhex(asked["value"]).decode()
        assert newer != new
        assert not await refused(app, newer)
        await settled(lambda: caplog.text.count("the first one is void") == 2)
        assert await refused(app, "of-another-machine")
        assert await refused(app, new)
        kept(folder).unlink()
        assert not await refused(app, "of-another-machine")


async def test_without_rotation_both_count_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    folder = prepared(tmp_path)
    async with opened(folder) as app:
        new = await rotated(app)
        assert not await refused(app, new)
        await settled(lambda: is_void(caplog))
    file = folder / "strom.toml"
    file.write_text(file.read_text().replace("rotate_password = true", ""))
    async with opened(folder) as app:
        assert not await refused(app, new)
        assert not await refused(app, FIRST)


async def test_a_stored_password_that_cannot_be_read_lets_nobody_in(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = prepared(tmp_path)
    async with opened(folder) as app:
        kept(folder).parent.mkdir(parents=True)
        kept(folder).write_text("{")
        with pytest.raises(InvalidStatus) as caught:
            async with dialled(app, FIRST):
                pass
        assert caught.value.response.status_code == 500
    assert f"{kept(folder)} cannot be read" in caplog.text


async def test_ocpp_201_gets_it_as_it_is(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    folder = prepared(tmp_path)
    async with opened(folder) as app:
        async with dialled(app, FIRST, "ocpp2.0.1") as socket:
            raw = RawCharger(socket)
            station = {"model": "Raw", "vendorName": "Frames"}
            await raw.call("BootNotification", {"chargingStation": station, "reason": "PowerUp"})
            new = ""
            while not new:
                frame = await raw.asked()
                data = frame[3].get("setVariableData", [])
                results = [
                    {k: one[k] for k in ("component", "variable")} | {"attributeStatus": "Accepted"}
                    for one in data
                ]
                await raw.send([3, frame[1], {"setVariableResult": results}])
                for one in data:
                    if one["variable"]["name"] == "BasicAuthPassword":
                        assert one["component"]["name"] == "SecurityCtrlr"
                        new = one["attributeValue"]
        assert not await refused(app, new)
        await settled(lambda: is_void(caplog))
        assert await refused(app, FIRST)
    assert new not in (folder / "data" / "ocpp-log" / "CP001.log").read_text()


async def test_not_while_it_charges(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    folder = prepared(tmp_path)
    async with opened(folder) as app, dialled(app, FIRST) as socket:
        raw = RawCharger(socket)
        status = {"connectorId": 1, "errorCode": "NoError", "status": "Charging"}
        await raw.call("StatusNotification", status)
        await settled(lambda: "gets its new password once it does not charge" in caplog.text)
    assert not kept(folder).exists()


async def test_the_simulated_charge_point_comes_back_with_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    folder = prepared(tmp_path)
    async with opened(folder) as app, anyio.create_task_group() as group:
        url = f"ws://127.0.0.1:{app.ocpp_port}/ocpp"
        charger = SimulatedChargePoint(url, "CP001", password=FIRST)
        group.start_soon(charger.run)
        await settled(lambda: is_void(caplog))
        with anyio.fail_after(20):
            await charger.until(lambda: charger.online)
        group.cancel_scope.cancel()
