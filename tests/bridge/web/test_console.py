"""The operator's console over real HTTP: who has the password sees and stops, nobody else."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from pathlib import Path

import pytest
from playwright.async_api import Browser, expect

from agent.machine.events import ConnectorStatus
from agent.machine.model import SessionState
from agent.talk.words import words
from bridge.web.console import COOKIE, SIGNED_IN_MS
from tests.agent.world import ManualClock
from tests.bridge.http_world import HttpWorld, serving
from tests.bridge.web.browser import visiting

PASSWORD = "a-long-password"


@pytest.fixture
async def world(tmp_path: Path) -> AsyncGenerator[HttpWorld]:
    async with serving(tmp_path, password=PASSWORD) as served:
        yield served


async def sign_in(world: HttpWorld, password: str = PASSWORD) -> int:
    answer = await world.http.post("/admin/sign-in", data={"password": password})
    return answer.status_code


async def test_without_a_password_there_is_no_console(tmp_path: Path) -> None:
    async with serving(tmp_path) as served:
        nothing = await served.http.get("/no-such-page")
        for path in ("/admin", "/admin/poster/cp001"):
            answer = await served.http.get(path)
            assert (answer.status_code, answer.text) == (404, nothing.text)


async def test_who_has_not_signed_in_sees_and_does_nothing(world: HttpWorld) -> None:
    view = await world.charging()
    page = await world.http.get("/admin")
    assert 'type="password"' in page.text
    assert view.id not in page.text
    assert (await world.http.post("/admin/stop", data={"session": view.id})).status_code == 403
    assert (await world.http.get("/admin/poster/cp001")).status_code == 403
    assert (await world.site.owned.session(view.secret)).state == SessionState.CHARGING


async def test_the_operator_sees_what_runs_and_what_is_owed_and_stops(world: HttpWorld) -> None:
    owed = await world.charging(sats=1000, energy_wh=1000)
    await world.end(owed, 1000)
    view = await world.session(connector=2)
    await world.start(view)
    assert await sign_in(world) == 303
    page = (await world.http.get("/admin")).text
    assert "CP001.2" in page
    assert view.id in page
    assert view.secret not in page
    assert owed.id in page
    assert "700\N{NO-BREAK SPACE}sat" in page
    assert "play money" in page.lower()
    answer = await world.http.post("/admin/stop", data={"session": view.id})
    assert answer.headers["location"] == "/admin"
    assert (await world.site.owned.session(view.secret)).state == SessionState.STOPPING


async def test_the_operator_sees_what_hinders_a_charge(world: HttpWorld) -> None:
    await world.charging()
    await sign_in(world)
    sentence = words("en")("hindrance.faulted")
    assert sentence not in (await world.http.get("/admin")).text
    await world.point.connector_status(1, ConnectorStatus.FAULTED, world.clock())
    assert sentence in (await world.http.get("/admin")).text


async def test_a_form_of_another_site_does_nothing(world: HttpWorld) -> None:
    view = await world.charging()
    await sign_in(world)
    for headers in (
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "null", "Sec-Fetch-Site": "cross-site"},
        {"Origin": "null", "Sec-Fetch-Site": "same-site"},
    ):
        answer = await world.http.post("/admin/stop", data={"session": view.id}, headers=headers)
        assert answer.status_code == 403, headers
    assert (await world.site.owned.session(view.secret)).state == SessionState.CHARGING


async def test_the_buttons_work_in_a_browser(world: HttpWorld, browser: Browser) -> None:
    """A page without Referer sends its forms with the Origin "null"."""
    view = await world.charging()
    async with visiting(browser, world.url) as watched:
        page = watched.page
        await page.goto("/admin")
        await page.get_by_label("Password").fill(PASSWORD)
        await page.get_by_role("button", name="Sign in").click()
        await page.get_by_role("button", name="Stop").click()
        await expect(page.get_by_text("Stopping")).to_be_visible()
        assert (await world.site.owned.session(view.secret)).state == SessionState.STOPPING
        await page.get_by_role("button", name="Sign out").click()
        await expect(page.get_by_label("Password")).to_be_visible()


async def test_posters_are_given_out(world: HttpWorld) -> None:
    await sign_in(world)
    pdf = await world.http.get("/admin/poster/cp001.2?paper=A4&language=de")
    assert pdf.content.startswith(b"%PDF-")
    assert 'filename="cp001.2-A4.pdf"' in pdf.headers["content-disposition"]
    svg = await world.http.get("/admin/poster/cp001?format=svg")
    assert 'width="105.0mm"' in svg.text
    for query in ("paper=A5", "format=doc", "language=xx"):
        assert (await world.http.get(f"/admin/poster/cp001?{query}")).status_code == 400
    assert (await world.http.get("/admin/poster/cp009")).status_code == 404


async def test_guessing_is_slow(world: HttpWorld) -> None:
    assert [await sign_in(world, "wrong") for _ in range(6)] == [403] * 5 + [429]
    assert await sign_in(world) == 429


async def test_a_session_of_the_console_ends(tmp_path: Path) -> None:
    clock = ManualClock()
    async with serving(tmp_path, password=PASSWORD, clock=clock) as world:
        await sign_in(world)
        cookie = world.http.cookies[COOKIE]
        assert "console" in (await world.http.get("/admin")).text.lower()
        clock.now_ms += SIGNED_IN_MS
        assert 'type="password"' in (await world.http.get("/admin")).text
        clock.now_ms += 60_000
        await sign_in(world)
        world.http.cookies.set(COOKIE, cookie, domain="127.0.0.1", path="/admin")
        await world.http.post("/admin/sign-out")
        assert 'type="password"' in (await world.http.get("/admin")).text
