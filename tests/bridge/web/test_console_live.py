"""The console's pages follow what happens: over real websockets, and in a real browser."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from contextlib import suppress
from pathlib import Path

import pytest
from playwright.async_api import Browser, expect
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from agent.machine.events import ConnectorStatus
from agent.machine.model import SessionState
from bridge.web import console_live
from bridge.web.console import COOKIE
from bridge.web.console_live import MAX_VIEWERS_PER_PAGE
from bridge.web.parts import CLOSE_SIGNED_OUT, CLOSE_TOO_MANY, CLOSE_UNKNOWN
from tests.bridge.http_world import HttpWorld, real_clock, serving
from tests.bridge.web.browser import DESK, Watched, visiting
from tests.bridge.whole import ready, whole

PASSWORD = "a-long-password"


@pytest.fixture(autouse=True)
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    """What changed is sent after a pause, which is no test's subject."""
    monkeypatch.setattr(console_live, "LEAST_PAUSE_S", 0.05)


@pytest.fixture
async def world(tmp_path: Path) -> AsyncGenerator[HttpWorld]:
    async with serving(tmp_path, password=PASSWORD, clock=real_clock) as served:
        yield served


async def sign_in(world: HttpWorld) -> None:
    answer = await world.http.post("/admin/sign-in", data={"password": PASSWORD})
    assert answer.status_code == 303


def live(world: HttpWorld, path: str = "/admin", **headers: str) -> connect:
    cookie = world.http.cookies.get(COOKIE)
    known = {"Cookie": f"{COOKIE}={cookie}"} if cookie else {}
    url = world.url.replace("http", "ws", 1)
    return connect(f"{url}{path}/live", additional_headers=known | headers)


async def parts(socket: ClientConnection) -> dict[str, str]:
    return json.loads(await socket.recv())


async def part(socket: ClientConnection, name: str, has: str) -> str:
    """A part once it has some text."""
    while True:
        html = (await parts(socket)).get(name, "")
        if has in html:
            return html


async def close_code(socket: ClientConnection) -> int | None:
    with suppress(ConnectionClosed):
        while True:
            await socket.recv()
    return socket.close_code


@pytest.mark.parametrize("path", ["/admin", "/admin/cp/cp001"])
async def test_who_has_not_signed_in_hears_nothing(world: HttpWorld, path: str) -> None:
    async with live(world, path) as socket:
        with pytest.raises(ConnectionClosed):
            await socket.recv()
        assert socket.close_code == CLOSE_SIGNED_OUT
    await sign_in(world)
    with pytest.raises(InvalidStatus, match="403"):
        async with live(world, path, Origin="https://evil.example"):
            pass


async def test_without_a_password_nothing_is_live(tmp_path: Path) -> None:
    async with serving(tmp_path) as world:
        with pytest.raises(InvalidStatus, match="404"):
            async with live(world):
                pass


async def test_the_overview_has_all_parts_first_then_what_changed(world: HttpWorld) -> None:
    view = await world.charging(energy_wh=1000)
    await sign_in(world)
    async with live(world) as socket:
        first = await parts(socket)
        assert set(first) == {"troubles", "running", "owed", "point-cp001", "point-cp002"}
        assert "1.00 kWh" in first["running"]
        assert view.secret not in str(first)
        await world.meter(view, 1500)
        second = await parts(socket)
        assert "1.50 kWh" in second["running"]
        assert not {"troubles", "owed", "point-cp002"} & set(second)
        await world.end(view, 1500)
        last = second
        while view.id not in last.get("owed", ""):
            last |= await parts(socket)
        assert view.id not in last["running"]


async def test_the_wallet_is_asked_now_and_then(
    world: HttpWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(console_live, "WALLET_EVERY_S", 0)
    await sign_in(world)
    async with live(world) as socket:
        assert "play money" in (await parts(socket))["wallet"].lower()


async def test_a_trouble_and_its_end_are_shown(world: HttpWorld) -> None:
    await sign_in(world)
    alerts = world.site.commons.alerts
    async with live(world) as overview:
        assert "<section" not in (await parts(overview))["troubles"]
        alerts.raised("fire", "CP001 is <b>on fire</b>")
        assert "CP001 is &lt;b&gt;on fire&lt;/b&gt;.</li>" in (await parts(overview))["troubles"]
        alerts.cleared("fire", "It is out.")
        assert "<section" not in (await parts(overview))["troubles"]


async def test_a_charge_point_follows_its_connectors_and_charges(world: HttpWorld) -> None:
    await sign_in(world)
    async with live(world, "/admin/cp/CP001") as socket:
        first = await parts(socket)
        assert {"head", "connection", "charger", "charges", "messages"} <= set(first)
        await world.point.connector_status(2, ConnectorStatus.FAULTED, world.clock())
        assert "Faulted" in await part(socket, "charger", "Faulted")
        view = await world.charging(energy_wh=1000)
        assert "11.0" in await part(socket, "charger", "kW")
        await world.end(view, 1000)
        assert "1.00 kWh" in await part(socket, "charges", view.id)


async def test_it_ends_with_the_visit(world: HttpWorld) -> None:
    await sign_in(world)
    async with live(world) as overview, live(world, "/admin/cp/cp001") as charger:
        await parts(overview)
        await parts(charger)
        await world.http.post("/admin/sign-out")
        await world.point.connector_status(1, ConnectorStatus.FAULTED, world.clock())
        for socket in (overview, charger):
            with pytest.raises(ConnectionClosed):
                await socket.recv()
            assert socket.close_code == CLOSE_SIGNED_OUT


async def test_who_asks_for_what_is_not_there_or_too_often(world: HttpWorld) -> None:
    await sign_in(world)
    async with live(world, "/admin/cp/cp009") as socket:
        assert await close_code(socket) == CLOSE_UNKNOWN
    sockets = [await live(world) for _ in range(MAX_VIEWERS_PER_PAGE)]
    async with live(world) as socket:
        assert await close_code(socket) == CLOSE_TOO_MANY
    for socket in sockets:
        await socket.close()


async def enter(watched: Watched, path: str = "/admin") -> None:
    page = watched.page
    await page.goto("/admin")
    await page.get_by_label("Password").fill(PASSWORD)
    await page.get_by_role("button", name="Sign in").click()
    await expect(page.get_by_role("heading", level=1)).to_have_text("Charge points")
    await page.goto(path)


async def test_the_overview_in_a_browser(world: HttpWorld, browser: Browser) -> None:
    first = await world.charging(energy_wh=500)
    second = await world.session(connector=2)
    await world.start(second)
    async with visiting(browser, world.url, size=DESK) as watched:
        await enter(watched)
        page = watched.page
        running = page.locator("#running")
        button = running.locator(f"[data-key='{second.id}']").get_by_role("button")
        await button.focus()
        await world.meter(first, 800)
        await expect(running).to_contain_text("0.80 kWh")
        await expect(button).to_be_focused()
        # The charge above it ends: the button under the finger is still the same charge's.
        await world.end(first, 900)
        await expect(running).not_to_contain_text("0.80 kWh")
        await expect(button).to_be_focused()
        await expect(page.locator("#owed")).to_contain_text(first.id)
        await page.keyboard.press("Enter")
        await page.wait_for_load_state()
        await expect(running).to_contain_text("Stopping")
        assert (await world.site.owned.session(second.secret)).state == SessionState.STOPPING
        world.drop_connections()
        await world.point.connector_status(1, ConnectorStatus.FAULTED, world.clock())
        await expect(page.locator("#point-cp001")).to_contain_text("Out of order")
        await expect(page.locator("#link")).to_have_text("")
        assert watched.strangers == []


async def test_a_charger_that_comes_and_goes_in_a_browser(
    tmp_path: Path, browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(console_live, "TICK_S", 0.5)
    (tmp_path / "admin").write_text(PASSWORD)
    async with (
        whole(tmp_path, strom='admin_password_file = "admin"') as here,
        visiting(browser, str(here.http.base_url), size=DESK) as watched,
    ):
        await enter(watched, "/admin/cp/cp001")
        page = watched.page
        badge, messages = page.locator("#head .badge"), page.locator("#messages")
        await expect(badge).to_have_text("Not connected")
        async with ready(here) as charger:
            await expect(badge).to_have_text("Answers")
            await expect(page.locator("#charger")).to_contain_text("Acme Wall One")
            await here.charging(charger, 400)
            await expect(page.locator("#charger")).to_contain_text("Charging")
            start = messages.get_by_role("listitem").filter(has_text="meterStart")
            await start.locator("summary").click()
            await expect(start.locator("pre")).to_be_visible()
            status = {"connectorId": 1, "errorCode": "NoError", "status": "SuspendedEV"}
            await charger.say("StatusNotification", status | {"timestamp": here.at()})
            await expect(page.locator("#charger")).to_contain_text("SuspendedEV")
            await expect(messages).to_contain_text("SuspendedEV")
            await expect(start.locator("pre")).to_be_visible()
            await expect(messages.locator("details[open]")).to_have_count(1)
        await expect(badge).to_have_text("Not connected")
        assert watched.complaints == []


async def test_who_signs_out_elsewhere_is_shown_the_door(
    world: HttpWorld, browser: Browser
) -> None:
    async with visiting(browser, world.url) as watched:
        await enter(watched, "/admin/cp/cp001")
        page = watched.page
        other = await page.context.new_page()
        await other.goto("/admin")
        await other.get_by_role("button", name="Sign out").click()
        await expect(other.get_by_label("Password")).to_be_visible()
        await world.point.connector_status(1, ConnectorStatus.FAULTED, world.clock())
        await expect(page.get_by_label("Password")).to_be_visible()
