"""The operator's photo comes from here, whoever keeps it."""

from __future__ import annotations

from pathlib import Path

import pytest
from starlette.requests import Request
from starlette.responses import Response

from tests.bridge.far_server import far_server
from tests.bridge.http_world import config, serving

PNG = b"\x89PNG\r\n\x1a\n" + b"0" * 100


@pytest.mark.parametrize(
    ("media_type", "status"), [("image/png", 200), ("image/svg+xml", 404), ("text/html", 404)]
)
async def test_only_pictures_are_handed_on(tmp_path: Path, media_type: str, status: int) -> None:
    asked: list[str] = []

    async def answer(request: Request) -> Response:
        asked.append(request.url.path)
        return Response(PNG, media_type=media_type)

    async with (
        far_server(answer) as url,
        serving(tmp_path, settings=config(f"{url}/mill.png")) as world,
    ):
        page = (await world.http.get("/cp/cp001")).text
        assert 'src="/cp/cp001/photo"' in page
        assert url not in page
        photos = [await world.http.get("/cp/cp001/photo") for _ in range(3)]
        assert [photo.status_code for photo in photos] == [status] * 3
        assert len(asked) == 1
        if status == 200:
            assert photos[0].content == PNG
            assert photos[0].headers["x-content-type-options"] == "nosniff"


async def test_no_photo(tmp_path: Path) -> None:
    async with serving(tmp_path) as world:
        assert "/photo" not in (await world.http.get("/cp/cp001")).text
        assert (await world.http.get("/cp/cp001/photo")).status_code == 404
