"""From the sticker to the receipt in a real browser."""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator
from pathlib import Path

import anyio
import anyio.lowlevel
import pytest
from playwright.async_api import Browser, expect

from agent.machine.model import SessionState
from tests.bridge.http_world import HttpWorld, real_clock, serving
from tests.bridge.web.browser import (
    DESK,
    PHONE,
    Watched,
    serious_findings,
    slow_3g,
    visiting,
)

PICTURES = os.environ.get("STROM_PICTURES")
"""A folder in which to keep what the browser showed."""


@pytest.fixture
async def world(tmp_path: Path) -> AsyncGenerator[HttpWorld]:
    async with serving(tmp_path, clock=real_clock) as served:
        yield served


class Eyes:
    """Looks at each page on the way: pictures, and axe-core."""

    def __init__(self, watched: Watched, name: str, node_modules: Path | None) -> None:
        self.watched = watched
        self.name = name
        self.node_modules = node_modules

    async def look(self, what: str) -> None:
        page = self.watched.page
        if PICTURES:
            path = Path(PICTURES) / f"{what}-{self.name}.png"
            await page.screenshot(path=path, full_page=True)
        wide = await page.evaluate("document.documentElement.scrollWidth - innerWidth")
        assert wide <= 0, f"{what} is wider than the screen"
        if self.node_modules:
            assert await serious_findings(page, self.node_modules) == []
        assert self.watched.complaints == []
        assert self.watched.strangers == []


def secret_in(url: str) -> str:
    return url.partition("/s/")[2].partition("/")[0]


async def pay(world: HttpWorld, watched: Watched, eyes: Eyes, sats: int) -> None:
    """From the form to the invoice, paid with a wallet; the page moves on by itself."""
    page = watched.page
    await page.get_by_role("textbox", name="Another amount").fill(str(sats))
    await page.get_by_role("button", name="Pay with Lightning").click()
    await page.wait_for_url("**/pay/*")
    await eyes.look("pay")
    wallet_link = await page.get_by_role("link", name="Open in wallet").get_attribute("href")
    assert wallet_link is not None
    await world.wallet.driver_pay(wallet_link.removeprefix("lightning:"))
    await page.wait_for_url(lambda url: "/pay/" not in url)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [PHONE, DESK], ids=["phone", "desk"])
async def test_from_the_sticker_to_the_receipt(
    world: HttpWorld,
    browser: Browser,
    node_modules: Path,
    size: tuple[int, int],
    scheme: str,
) -> None:
    async with visiting(browser, world.url, size=size, scheme=scheme) as watched:
        page = watched.page
        eyes = Eyes(watched, f"{size[0]}-{scheme}", node_modules)
        await page.goto("/")
        await eyes.look("list")
        await page.goto(world.links.sticker("CP001"))
        await expect(page.get_by_role("heading", level=1)).to_have_text("Old Mill, west wall")
        await eyes.look("charge-point")

        await pay(world, watched, eyes, 2000)
        await expect(page.get_by_role("heading", level=1)).to_contain_text("Plug in")
        await eyes.look("plug-in")
        secret = secret_in(page.url)
        view = await world.site.owned.session(secret)

        await world.start(view)
        for step in range(1, 5):
            await world.meter(view, step * 250, 9000 + step * 500)
            await expect(page.locator("#now h1")).to_contain_text(f"{step * 0.25:.2f}")
        await expect(page.locator("#now")).to_contain_text("11.0 kW")
        await eyes.look("charging")

        await page.reload()
        await expect(page.locator("#now h1")).to_contain_text("1.00")
        await page.get_by_text("Top up", exact=True).click()
        await pay(world, watched, eyes, 1000)
        await expect(page.locator("#now")).to_contain_text("3,000")

        await page.get_by_role("button", name="Stop charging").click()
        await expect(page.locator("#now")).to_have_attribute("data-state", "STOPPING")
        await world.end(view, 1000)
        await expect(page.locator("#actions")).to_contain_text("2,700\N{NO-BREAK SPACE}sat go back")
        await eyes.look("refund")
        await page.get_by_role("button", name="play wallet").click()
        await expect(page.locator("#actions")).to_contain_text("2,700\N{NO-BREAK SPACE}sat came")
        await eyes.look("done")
        await page.get_by_role("link", name="Receipt").click()
        await expect(page.get_by_role("heading", level=1)).to_have_text("Receipt")
        await eyes.look("receipt")
        assert (await world.site.owned.session(secret)).owed_msat == 0


async def test_bad_reception_and_a_second_browser(world: HttpWorld, browser: Browser) -> None:
    view = await world.charging(sats=1000, energy_wh=500)
    async with visiting(browser, world.url) as one, visiting(browser, world.url) as other:
        for visitor in (one, other):
            await visitor.page.goto(f"/s/{view.secret}")
            await expect(visitor.page.locator("#now h1")).to_contain_text("0.50")
        world.drop_connections()
        await world.meter(view, 800)
        for visitor in (one, other):
            await expect(visitor.page.locator("#now h1")).to_contain_text("0.80")
            await expect(visitor.page.locator("#link")).to_have_text("")


async def test_what_is_typed_survives_live_changes(world: HttpWorld, browser: Browser) -> None:
    view = await world.charging(sats=1000, energy_wh=1000)
    await world.end(view, 1000)
    async with visiting(browser, world.url) as watched:
        page = watched.page
        await page.goto(f"/s/{view.secret}")
        field = page.get_by_role("textbox", name="Lightning address")
        await field.fill("me@wallet")
        await world.lnurl("/lnurl/cp001", s=view.secret)
        world.drop_connections()
        await page.evaluate("new Promise((done) => setTimeout(done, 50))")
        await expect(field).to_have_value("me@wallet")


async def test_everything_works_without_script(world: HttpWorld, browser: Browser) -> None:
    async with visiting(browser, world.url, script=False) as watched:
        page = watched.page
        await page.goto("/cp/cp001.1")
        await page.get_by_role("button", name="Pay with Lightning").click()
        await page.get_by_role("button", name="Pay with play money").click()
        secret = secret_in(page.url)
        while True:
            await page.goto(f"/s/{secret}")
            if await page.get_by_text("Plug in at connector 1").count():
                break
        view = await world.site.owned.session(secret)
        await world.start(view)
        await page.goto(f"/s/{secret}")
        await page.get_by_role("button", name="Stop charging").click()
        await world.end(view, 100)
        await page.goto(f"/s/{secret}")
        await page.get_by_role("button", name="play wallet").click()
        while not await page.get_by_text("came back to you").count():
            await page.goto(f"/s/{secret}")
        await page.get_by_role("link", name="Receipt").click()
        assert (await world.site.owned.session(secret)).state == SessionState.CLOSED


async def test_a_lost_link_is_found_again_by_the_preimage(
    world: HttpWorld, browser: Browser
) -> None:
    first = await world.lnurl("/lnurl/cp001")
    second = (await world.http.get(first["callback"], params={"amount": 500_000})).json()
    secret = secret_in(second["successAction"]["url"])
    await world.pay(second["pr"], secret)
    preimage = await world.wallet.driver_pay(second["pr"])
    async with visiting(browser, world.url) as watched:
        page = watched.page
        await page.goto("/cp/cp001")
        await page.get_by_role("link", name="Already paid?").click()
        await page.get_by_role("textbox", name="Preimage").fill("00" * 32)
        await page.get_by_role("button", name="Open my charge").first.click()
        await expect(page.get_by_role("heading", level=1)).to_contain_text("No payment here")
        await page.go_back()
        await page.get_by_role("textbox", name="Preimage").fill(preimage)
        await page.get_by_role("button", name="Open my charge").first.click()
        await page.wait_for_url(f"**/s/{secret}")


async def test_what_is_printed_is_dark_on_white_however_the_screen_is(
    world: HttpWorld, browser: Browser
) -> None:
    """Who looked at his receipt at night got grey letters on white."""
    async with visiting(browser, world.url, scheme="dark") as watched:
        await watched.page.goto(f"{world.url}/cp/cp001")
        lightness = "Number(getComputedStyle(document.querySelector('{}')).{}.match(/\\d+/)[0])"
        soft = lightness.format(".soft", "color")
        assert await watched.page.evaluate(soft) > 128
        await watched.page.emulate_media(media="print", color_scheme="dark")
        assert await watched.page.evaluate(soft) < 128
        assert await watched.page.evaluate(lightness.format(".card", "backgroundColor")) > 200


async def test_the_keyboard_reaches_everything(world: HttpWorld, browser: Browser) -> None:
    async with visiting(browser, world.url, size=DESK) as watched:
        page = watched.page
        await page.goto("/cp/cp001.1")
        await page.keyboard.press("Tab")
        assert await page.evaluate("document.activeElement.className") == "skip"
        reached: list[str] = []
        while "submit" not in reached:
            await page.keyboard.press("Tab")
            focused = "document.activeElement.type || document.activeElement.localName"
            reached.append(await page.evaluate(focused))
            assert len(reached) < 12, reached
        assert {"radio", "text", "submit"} <= set(reached)
        await page.keyboard.press("Enter")
        await page.wait_for_url("**/pay/*")


async def test_first_view_on_slow_3g(world: HttpWorld, browser: Browser) -> None:
    """400 kbit/s and 400 ms of latency, throttled by the browser; the best of five counts."""
    view = await world.charging(sats=1000, energy_wh=500)
    for path in ("/cp/cp001", f"/s/{view.secret}"):
        painted: list[float] = []
        for _ in range(5):
            async with visiting(browser, world.url) as watched:
                await slow_3g(watched.page)
                await watched.page.goto(path)
                await watched.page.wait_for_function(
                    "performance.getEntriesByName('first-contentful-paint').length"
                )
                painted.append(
                    await watched.page.evaluate(
                        "performance.getEntriesByName('first-contentful-paint')[0].startTime"
                    )
                )
        assert min(painted) < 1000, painted
        await anyio.lowlevel.checkpoint()
