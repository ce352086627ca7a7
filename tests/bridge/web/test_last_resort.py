"""What nobody thought of: the driver gets a page that leads back, and the log all of it."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import Message, Receive, Scope, Send

from bridge.web.last_resort import LastResort
from tests.bridge.http_world import serving

SECRET = "a" * 22


async def _fails(request: Request) -> Response:
    raise LookupError(f"nobody thought of {request.method}")


async def test_a_driver_gets_a_page_that_leads_back(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """He got "Internal Server Error" and nothing else."""
    route = Route(f"/s/{SECRET}/fails", _fails)
    async with serving(tmp_path, routes=[route]) as world:
        answer = await world.http.get(f"/s/{SECRET}/fails", headers={"Accept-Language": "de"})
        machine = await world.http.get(f"/s/{SECRET}/fails", headers={"Accept": "application/json"})
    assert answer.status_code == 500
    assert "Nichts ist verloren" in answer.text
    assert f'href="/s/{SECRET}">' in answer.text
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert list(machine.json()) == ["error"]
    failures = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert [record.getMessage() for record in failures] == ["GET /s failed"] * 2
    assert failures[0].exc_info is not None
    assert SECRET not in caplog.text


async def _answered_by(app_error: Exception, *, begins: bool = False) -> list[str]:
    sent: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        del scope, receive
        if begins:
            await send({"type": "http.response.start", "status": 200, "headers": []})
        raise app_error

    async def receive() -> Message:
        return {"type": "http.request"}

    async def send(message: Message) -> None:
        sent.append(message["type"])

    scope: Scope = {"type": "http", "method": "GET", "path": "/", "headers": []}
    await LastResort(app, lambda _: PlainTextResponse("sorry", 500))(scope, receive, send)
    return sent


async def test_nobody_is_answered_who_is_gone() -> None:
    assert await _answered_by(ClientDisconnect()) == []
    assert "http.response.body" in await _answered_by(LookupError())


async def test_an_answer_that_has_begun_is_not_begun_again() -> None:
    with pytest.raises(LookupError):
        await _answered_by(LookupError(), begins=True)
