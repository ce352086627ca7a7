"""The console's pages about one charge point, in a real browser and over real HTTP, against a whole
Strom with a charger on a real socket."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest
from playwright.async_api import Browser, expect

from agent.talk.words import LANGUAGES
from bridge.charger_sheet import LogQuery
from bridge.control.client import ask
from bridge.ocpp.message_log import MESSAGE_LOG_FOLDER
from bridge.ocpp.timestamps import STEADY_APART_MS, STEADY_TIMES
from bridge.overview import spoken
from tests.bridge.ocpp.obedient import ObedientCharger
from tests.bridge.web.browser import DESK, PHONE, visiting
from tests.bridge.web.test_journey import Eyes
from tests.bridge.whole import METER_START, Whole, ready, whole

PASSWORD = "a-long-password"
SECRET = "0123456789abcdef0123"
POINT = """
ocpp_settings = { HeartbeatInterval = 77, NumberOfConnectors = 4 }
password_file = "cp001"
"""
KEYS = {
    "HeartbeatInterval": ("300", True),
    "NumberOfConnectors": ("1", False),
    "MeterValueSampleInterval": ("300", False),
    "MeterValuesSampledData": ("Energy.Active.Import.Register", False),
    "AuthorizationKey": ("hunter2", True),
}


@asynccontextmanager
async def lived_in(folder: Path) -> AsyncGenerator[tuple[Whole, ObedientCharger]]:
    """A Strom whose charger has been through something."""
    (folder / "admin").write_text(PASSWORD)
    (folder / "cp001").write_text(SECRET)
    strom = 'admin_password_file = "admin"'
    async with (
        whole(folder, strom=strom, point=POINT) as here,
        ready(here, dict(KEYS), password=SECRET) as charger,
    ):
        await here.until(lambda: here.app.alerts.current())
        quote, first = await here.charging(charger, 400)
        await here.sample(charger, first, register=METER_START + 1_000, after_s=600)
        await here.sample(charger, first, register=4, after_s=60)
        await here.stop(charger, quote, first, 504, after_s=600)
        quote, second = await here.charging(charger, 1_000)
        await here.sample(charger, second, register=METER_START + 2_000, after_s=600)
        await here.stop(charger, quote, second, METER_START + 2_000)
        for kind, info in (
            ("SettingSystemTime", ""),
            ("TamperDetectionActivated", "the <b>lid</b> is open"),
        ):
            event = {"type": kind, "timestamp": here.at(), "techInfo": info}
            assert await charger.say("SecurityEventNotification", event) == {}
        # Late by the same time again and again: its clock is, and not what it kept.
        status = {"connectorId": 1, "errorCode": "NoError", "status": "Available"}
        for _ in range(STEADY_TIMES):
            here.clock.advance(STEADY_APART_MS / 1000)
            late = status | {"timestamp": here.at(-190)}
            assert await charger.say("StatusNotification", late) == {}
        error = {"errorCode": "PowerMeterFailure", "info": "<i>no answer</i>"}
        await charger.say("StatusNotification", status | error | {"timestamp": here.at(-190)})
        await charger.say("DataTransfer", {"vendorId": "Acme", "data": "<script>alert(1)</script>"})
        await written(here, "alert(1)")
        yield here, charger


async def written(here: Whole, text: str) -> None:
    """Return once the message log on the disk has something."""
    folder = here.folder / "data" / MESSAGE_LOG_FOLDER
    while not spoken(folder, "CP001", LogQuery(1, text=text)):
        await anyio.sleep(0.02)


async def sign_in(here: Whole) -> None:
    answer = await here.http.post("/admin/sign-in", data={"password": PASSWORD})
    assert answer.status_code == 303


async def test_who_has_not_signed_in_sees_nothing(tmp_path: Path) -> None:
    async with lived_in(tmp_path) as (here, _):
        for path in ("/admin/cp/cp001", "/admin/cp/cp001/log", "/admin/cp/nothing"):
            answer = await here.http.get(path)
            assert answer.status_code == 403
            assert "Acme" not in answer.text


async def test_all_about_a_charger(tmp_path: Path) -> None:
    async with lived_in(tmp_path) as (here, _):
        await sign_in(here)
        answer = await here.http.get("/admin/cp/cp001")
        assert answer.status_code == 200
        page = " ".join(answer.text.split())
        for part in (
            # Its nameplate, and how it is connected.
            "<dd>Acme Wall One</dd>",
            "<dd>1.2.3</dd>",
            "<dd>S-1</dd>",
            "<dd>OCPP 1.6</dd>",
            "</span>Answers</span>",
            "3 min slow",
            "<dd>1: password</dd>",
            # What it says is wrong.
            "PowerMeterFailure: &lt;i&gt;no answer&lt;/i&gt; (for 0 s)",
            "CP001: connector 1 reports PowerMeterFailure",
            # What differs from the file and what follows.
            "Compared",
            '<code>NumberOfConnectors</code> <span class="tag">read-only</span>',
            "Its meter is read every 300 s: up to 1.83 kWh can go beyond a credit",
            # What operators were told.
            "CP001 does not take its configuration",
            # How bills were decided.
            "Meter: 40,000 Wh at the start, 504 Wh at the end",
            "The register began anew at 4 Wh after 41,000 Wh.",
            "166 Wh beyond the credit, 50 sat",
            "<strong>2.00 kWh</strong> 600 sat",
            # What it reported, and what was said.
            "<strong>TamperDetectionActivated</strong> the &lt;b&gt;lid&lt;/b&gt; is open",
            "&lt;script&gt;alert(1)&lt;/script&gt;",
        ):
            assert part in page, part
        assert page.index("TamperDetectionActivated") < page.index("SettingSystemTime")
        assert "As wanted: 1" in page
        assert SECRET not in page


async def test_a_charger_that_never_came(tmp_path: Path) -> None:
    async with lived_in(tmp_path) as (here, _):
        await sign_in(here)
        page = (await here.http.get("/admin/cp/CP002")).text
        for part in (
            "Not connected",
            ">never</dd>",
            "It has not said yet what it is.",
            "Not compared yet.",
            "Nothing was charged yet.",
            "None was reported.",
            "Nothing was said yet.",
        ):
            assert part in page, part
        assert (await here.http.get("/admin/cp/cp009")).status_code == 404


async def test_one_that_went_away_is_remembered(tmp_path: Path) -> None:
    async with lived_in(tmp_path) as (here, charger):
        await sign_in(here)
        await charger.close()
        while "Not connected" not in (page := (await here.http.get("/admin/cp/cp001")).text):
            await anyio.sleep(0.02)
        here.clock.advance(180)
        page = (await here.http.get("/admin/cp/cp001")).text
        assert "3 min ago" in page
        assert "Acme Wall One" in page


async def test_the_messages_are_searched(tmp_path: Path) -> None:
    async with lived_in(tmp_path) as (here, charger):
        await sign_in(here)
        asked = {"charge_point": "CP001", "action": "GetConfiguration"}
        await ask(here.folder / "data", "ocpp", asked)
        await charger.say("DataTransfer", {"vendorId": "the last"})
        await written(here, "the last")

        async def shown(**query: str) -> str:
            answer = await here.http.get("/admin/cp/cp001/log", params=query)
            assert answer.status_code == 200
            return answer.text

        every = await shown()
        assert "hunter2" not in every
        assert "TriggerMessage" not in await shown(text="metervalues")
        found = await shown(**{"from": "charger", "text": "StopTransaction"})
        assert found.count("<strong>StopTransaction</strong>") == 2
        assert 'aria-label="Strom"' not in found
        answers = await shown(**{"from": "strom", "text": "StopTransaction"})
        assert answers.count("<em>answer</em>") == 2
        assert "No message is like that." in await shown(text="no such thing")
        assert 'value="&#34;&gt;&lt;script&gt;"' in await shown(text='"><script>')
        for bad in ({"from": "nobody"}, {"before": "soon"}, {"before": "-1"}):
            assert (await here.http.get("/admin/cp/cp001/log", params=bad)).status_code == 400


async def test_older_messages_are_a_link_away(tmp_path: Path) -> None:
    async with lived_in(tmp_path) as (here, charger):
        await sign_in(here)
        for number in range(120):
            here.clock.advance(1)
            await charger.say("DataTransfer", {"vendorId": f"Number {number}"})
        await written(here, "Number 119")
        first = (await here.http.get("/admin/cp/cp001/log?from=charger&text=number")).text
        assert "Number 119" in first
        assert "Number 20&" in first
        assert "Number 19&" not in first
        link = first.partition('href="?')[2].partition('"')[0].replace("&amp;", "&")
        second = (await here.http.get(f"/admin/cp/cp001/log?{link}")).text
        assert "Number 19&" in second
        assert "Number 20&" not in second


@pytest.mark.parametrize("language", LANGUAGES)
async def test_in_every_language(tmp_path: Path, language: str) -> None:
    async with lived_in(tmp_path) as (here, _):
        await sign_in(here)
        for path in ("/admin", "/admin/cp/cp001", "/admin/cp/cp002", "/admin/cp/cp001/log"):
            answer = await here.http.get(path, headers={"Accept-Language": language})
            assert f'<html lang="{language}">' in answer.text


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [PHONE, DESK], ids=["phone", "desk"])
async def test_in_a_browser_without_script(
    tmp_path: Path, browser: Browser, node_modules: Path, size: tuple[int, int], scheme: str
) -> None:
    """axe-core needs scripts of its own: with them it looks, without them everything works."""
    async with lived_in(tmp_path) as (here, _):
        home = str(here.http.base_url)
        for script in (True, False):
            async with visiting(browser, home, size=size, scheme=scheme, script=script) as watched:
                page = watched.page
                kind = "" if script else "-noscript"
                eyes = Eyes(watched, f"{size[0]}-{scheme}{kind}", node_modules if script else None)
                await page.goto("/admin")
                await page.get_by_label("Password").fill(PASSWORD)
                await page.get_by_role("button", name="Sign in").click()
                await expect(page.get_by_role("heading", level=1)).to_have_text("Charge points")
                await eyes.look("console")
                await page.get_by_role("link", name="Old Mill, west wall").click()
                await expect(page.get_by_role("heading", level=1)).to_have_text(
                    "Old Mill, west wall"
                )
                await eyes.look("charger")
                await page.get_by_role("link", name="All messages").click()
                await page.get_by_label("From").select_option("the charger")
                await page.get_by_label("Contains").fill("StopTransaction")
                await page.get_by_role("button", name="Show").click()
                await page.locator("summary").first.click()
                await expect(page.locator("pre").first).to_contain_text('"meterStop"')
                await eyes.look("log")
