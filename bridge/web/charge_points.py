"""The pages that anyone may see: the list of charge points, and each of them."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response

from agent.machine.money import MSAT_PER_SAT
from agent.ports.charge_point import ChargePointView
from agent.ports.quotes import Origin, QuoteRequest
from agent.talk.wording import example_msat
from bridge.web.context import BadForm, Context, amount_msat_of, form
from bridge.web.drawn_map import draw_map

_NICE_SATS = (500, 1_000, 2_000, 5_000, 10_000, 20_000, 50_000, 100_000)
_OFFERED_WH = (5_000, 10_000, 20_000, 40_000)


def offered_sats(view: ChargePointView) -> list[int]:
    """Four amounts in sat to choose from: round ones near useful amounts of energy."""
    least = -(-view.min_payment_msat // MSAT_PER_SAT)
    most = view.max_payment_msat // MSAT_PER_SAT
    costs_msat = [example_msat(view.tariff, energy_wh) for energy_wh in _OFFERED_WH]
    if costs_msat[0] < costs_msat[-1]:
        wanted = [_rounded(cost_msat // MSAT_PER_SAT) for cost_msat in costs_msat]
    else:
        wanted = list(_NICE_SATS[1:5])
    return sorted({min(most, max(least, amount)) for amount in wanted})


def _rounded(sats: int) -> int:
    """Up to two leading digits, the second of them 0 or 5."""
    if sats < 10:
        return max(1, sats)
    step = 5 * 10 ** (len(str(sats)) - 2)
    return -(-sats // step) * step


def routes(context: Context) -> APIRouter:
    """The routes of these pages."""
    router = APIRouter(include_in_schema=False)

    @router.get("/")
    async def index(request: Request) -> Response:
        context.look(request)
        views = [
            await context.site.charge_point(name).view() for name in context.site.charge_point_ids()
        ]
        return context.renderer.page(
            request,
            "index.html",
            views=views,
            drawn=draw_map(views, context.settings.tile_url),
            tile_credit=context.settings.tile_credit,
        )

    @router.get("/cp/{name}")
    async def charge_point(request: Request, name: str) -> Response:
        context.look(request)
        point, view, connector = await context.named(name)
        return context.renderer.page(
            request,
            "charge_point.html",
            view=view,
            connector=connector,
            obstacle=await point.obstacle(connector),
            offered=offered_sats(view),
            photo=bool(view.picture),
            play=context.play is not None,
        )

    @router.get("/cp/{name}/state")
    async def state(request: Request, name: str) -> Response:
        """The live part of the page, for the page's script."""
        context.look(request)
        point, view, connector = await context.named(name)
        return context.renderer.page(
            request,
            "charge_point/state.html",
            view=view,
            connector=connector,
            obstacle=await point.obstacle(connector),
        )

    @router.post("/cp/{name}/invoice")
    async def invoice(request: Request, name: str) -> Response:
        context.order(request)
        point, view, connector = await context.named(name)
        fields = await form(request)
        said = context.words(request)
        quote = await point.quote(
            QuoteRequest(
                amount_msat=amount_msat_of(fields, view, said),
                origin=Origin.LNURL,
                connector=_chosen(fields, connector),
                language=said.language,
            )
        )
        return RedirectResponse(f"/s/{quote.secret}/pay/{quote.payment_hash}", 303)

    @router.get("/.well-known/nostr.json")
    async def nostr_json(request: Request) -> Response:
        """NIP-05: https://github.com/nostr-protocol/nips/blob/master/05.md."""
        asked = request.query_params.get("name")
        names: dict[str, str] = {}
        for charge_point_id in context.site.charge_point_ids():
            if asked is None or asked.lower() == charge_point_id.lower():
                view = await context.site.charge_point(charge_point_id).view()
                names[charge_point_id.lower()] = view.pubkey
        relays = {pubkey: list(context.settings.relays) for pubkey in names.values()}
        return JSONResponse(
            {"names": names, "relays": relays}, headers={"Access-Control-Allow-Origin": "*"}
        )

    return router


def _chosen(fields: dict[str, str], connector: int | None) -> int | None:
    text = fields.get("connector", "")
    if not text:
        return connector
    if not (text.isascii() and text.isdecimal() and len(text) <= 2):
        raise BadForm("There is no such connector.")
    return int(text)
