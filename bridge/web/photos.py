"""The operator's photos, handed on from here: a driver's browser asks no third party."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from bridge.fetch import Fetched, Fetcher, FetchError
from bridge.web.context import Context

_TYPES = frozenset({"image/jpeg", "image/png", "image/webp", "image/avif", "image/gif"})
_MAX_BYTES = 2_000_000
_KEEP_MS = 24 * 3_600_000
_TRY_AGAIN_MS = 10 * 60_000


def routes(context: Context, fetcher: Fetcher) -> APIRouter:
    """The photo of each charge point."""
    router = APIRouter(include_in_schema=False)
    kept: dict[str, tuple[int, Fetched | None]] = {}

    async def _photo(url: str) -> Fetched | None:
        until_ms, photo = kept.get(url, (0, None))
        if context.clock() < until_ms:
            return photo
        try:
            photo = await fetcher.get(url, max_bytes=_MAX_BYTES, accept="image/*")
        except FetchError:
            photo = None
        if photo is not None and photo.media_type not in _TYPES:
            photo = None
        kept[url] = (context.clock() + (_KEEP_MS if photo else _TRY_AGAIN_MS), photo)
        return photo

    @router.get("/cp/{name}/photo")
    async def photo(request: Request, name: str) -> Response:
        context.look(request)
        _, view, _ = await context.named(name)
        found = await _photo(view.picture) if view.picture else None
        if found is None:
            return Response(status_code=404)
        return Response(
            found.body,
            media_type=found.media_type,
            headers={"Cache-Control": "public, max-age=86400"},
        )

    return router
