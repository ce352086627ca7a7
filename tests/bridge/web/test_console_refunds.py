"""What became of a refund that no wallet can tell about, said on the operator's console."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from pathlib import Path

import pytest
from msgspec.structs import replace
from playwright.async_api import Browser, expect

from agent.doubts import DOUBT
from agent.machine.model import Session
from agent.machine.refund import Refund, RefundState
from tests.agent.journal.journals import opened_at
from tests.agent.unconfirmed import HASH, stored, unknown
from tests.bridge.http_world import HttpWorld, serving
from tests.bridge.web.browser import visiting
from tests.bridge.web.test_console import PASSWORD, sign_in


@pytest.fixture
async def session(tmp_path: Path) -> Session:
    return await stored(tmp_path / "strom.db", unknown(amount_msat=995_000), Refund(2, 5_000))


@pytest.fixture
async def world(tmp_path: Path, session: Session) -> AsyncGenerator[HttpWorld]:
    assert session.refunds
    async with serving(tmp_path, password=PASSWORD) as served:
        yield served


@pytest.mark.parametrize(
    ("button", "answer", "left"),
    [
        ("It arrived", "it arrived. Nothing more is owed.", ["DUE"]),
        ("It did not arrive", "it did not arrive. It is owed again.", ["FAILED", "DUE"]),
    ],
)
async def test_the_operator_says_what_became_of_it(
    world: HttpWorld, browser: Browser, button: str, answer: str, left: list[str]
) -> None:
    async with visiting(browser, world.url) as watched:
        page = watched.page
        await page.goto("/admin")
        await page.get_by_label("Password").fill(PASSWORD)
        await page.get_by_role("button", name="Sign in").click()
        asked = page.get_by_text("What became of it?")
        await expect(asked).to_have_count(1)
        await expect(page.get_by_role("button", name=button)).to_be_hidden()
        await asked.click()
        await expect(page.get_by_text(HASH)).to_be_visible()
        await page.get_by_role("button", name=button).click()
        await expect(page.get_by_role("heading", name=answer)).to_be_visible()
        await page.get_by_role("link", name="Back to the console").click()
        await expect(page.get_by_text("What became of it?")).to_have_count(0)
        assert not watched.complaints
    assert sorted(one.state for one in world.site.office.owed()) == sorted(left)


async def test_what_may_have_been_paid_already_is_asked_about(tmp_path: Path) -> None:
    session = await stored(tmp_path / "strom.db", Refund(1, 5_000))
    async with opened_at(tmp_path / "strom.db") as journal:
        await journal.set_setting(f"{DOUBT}{session.id}", "1 payments")
    async with serving(tmp_path, password=PASSWORD) as world:
        await sign_in(world)
        page = (await world.http.get("/admin")).text
        assert "Look there whether this refund was among it" in page
        word = {"session": session.id, "refund_no": "1", "became": "lost"}
        said = await world.http.post("/admin/refund", data=word)
        assert "It is owed again" in said.text
        page = (await world.http.get("/admin")).text
    assert "not claimed yet" in page
    assert "Look there" not in page


async def test_of_one_that_is_on_its_way_nothing_is_asked(tmp_path: Path) -> None:
    sending = replace(unknown(), state=RefundState.SENDING)
    await stored(tmp_path / "strom.db", sending)
    async with serving(tmp_path, password=PASSWORD) as world:
        await sign_in(world)
        page = (await world.http.get("/admin")).text
    assert "on its way" in page
    assert "What became of it?" not in page


@pytest.mark.parametrize(
    ("fields", "status", "sentence"),
    [
        ({"refund_no": "1", "became": "arrived", "session": "nobody"}, 404, ""),
        ({"refund_no": "1", "became": "maybe"}, 400, "whether it arrived or is lost"),
        ({"refund_no": "0", "became": "arrived"}, 400, "which refund"),
        ({"refund_no": "9" * 5_000, "became": "arrived"}, 400, ""),
        ({}, 400, "which refund"),
        ({"refund_no": "3", "became": "arrived"}, 409, "Back to the console"),
    ],
)
async def test_what_makes_no_sense_changes_nothing(
    world: HttpWorld, session: Session, fields: dict[str, str], status: int, sentence: str
) -> None:
    before = world.site.office.owed()
    await sign_in(world)
    told = await world.http.post("/admin/refund", data={"session": session.id} | fields)
    assert told.status_code == status
    assert sentence in told.text
    assert world.site.office.owed() == before


async def test_nobody_else_says_so(world: HttpWorld, session: Session) -> None:
    fields = {"session": session.id, "refund_no": "1", "became": "arrived"}
    before = world.site.office.owed()
    assert (await world.http.post("/admin/refund", data=fields)).status_code == 403
    await sign_in(world)
    headers = {"Origin": "https://evil.example"}
    told = await world.http.post("/admin/refund", data=fields, headers=headers)
    assert told.status_code == 403
    assert world.site.office.owed() == before
