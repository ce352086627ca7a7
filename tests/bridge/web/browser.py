"""Headless Chromium for tests: the system's own, skipped aloud where there is none."""

from __future__ import annotations

import shutil
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Browser, ConsoleMessage, Page, Request, async_playwright

PHONE, DESK = (390, 844), (1280, 800)


def chromium_path() -> str:
    """Where Chromium is; skips the test when it is nowhere."""
    for name in ("chromium", "chromium-browser", "google-chrome"):
        path = shutil.which(name)
        if path is not None:
            return path
    pytest.skip("needs Chromium (Debian: apt-get install chromium)")


@asynccontextmanager
async def chromium() -> AsyncGenerator[Browser]:
    """A running browser."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=chromium_path(), args=["--no-sandbox"]
        )
        try:
            yield browser
        finally:
            await browser.close()


class Watched:
    """A page of which every complaint and every request is remembered."""

    def __init__(self, page: Page, home: str) -> None:
        self.page = page
        self.complaints: list[str] = []
        self.strangers: list[str] = []
        self._home = home
        page.on("console", self._heard)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("request", self._asked)

    def _heard(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(message.text)

    def _asked(self, request: Request) -> None:
        ours = (self._home, self._home.replace("http", "ws", 1), "data:")
        if not request.url.startswith(ours):
            self.strangers.append(request.url)


@asynccontextmanager
async def visiting(
    browser: Browser,
    home: str,
    *,
    size: tuple[int, int] = PHONE,
    scheme: str = "light",
    script: bool = True,
    language: str = "en-GB",
) -> AsyncGenerator[Watched]:
    """A fresh visitor with his own cookies and settings."""
    context = await browser.new_context(
        base_url=home,
        viewport={"width": size[0], "height": size[1]},
        color_scheme="dark" if scheme == "dark" else "light",
        java_script_enabled=script,
        locale=language,
        device_scale_factor=2 if size == PHONE else 1,
    )
    try:
        yield Watched(await context.new_page(), home)
    finally:
        await context.close()


async def serious_findings(page: Page, node_modules: Path) -> list[str]:
    """What axe-core finds that is serious or worse."""
    source = (node_modules / "axe-core" / "axe.min.js").read_text(encoding="utf-8")
    await page.evaluate(source)
    found: list[str] = await page.evaluate(
        """async () => (await axe.run()).violations
        .filter((v) => ["serious", "critical"].includes(v.impact))
        .map((v) => v.id + ": " + v.nodes.map((n) => n.html.slice(0, 160)).join(" | "))"""
    )
    return found


async def slow_3g(page: Page) -> None:
    """Throttle a page to 400 kbit/s with 400 ms of latency."""
    session = await page.context.new_cdp_session(page)
    conditions: dict[str, Any] = {
        "offline": False,
        "latency": 400,
        "downloadThroughput": 50_000,
        "uploadThroughput": 50_000,
    }
    for method, parameters in (
        ("Network.enable", {}),
        ("Network.emulateNetworkConditions", conditions),
    ):
        await session.send(method, parameters)  # pyright: ignore[reportUnknownMemberType]
