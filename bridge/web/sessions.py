"""The driver's own pages: paying, watching, topping up, stopping, getting the rest back."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response

from agent.links import Links
from agent.machine.model import SessionState
from agent.machine.money import whole_sats_msat
from agent.machine.refund import RefundState
from agent.ports.errors import Refused, UnknownChargePoint, UnknownSession
from agent.ports.quotes import Origin, Quote, QuoteRequest
from agent.ports.site import RefundView, SessionView
from agent.talk.words import Words
from bridge.web.charge_points import offered_sats
from bridge.web.context import Context, amount_msat_of, checked_secret, form, wants_json
from bridge.web.curve import PowerCurve

_NO_STORE = {"Cache-Control": "no-store"}
CLAIMABLE = frozenset({RefundState.DUE, RefundState.OFFERED, RefundState.FAILED})


def current_refund(view: SessionView) -> RefundView | None:
    """The refund that matters now: the one still on its way, else the last one paid."""
    waiting = [item for item in view.refunds if item.state != RefundState.PAID]
    return (waiting or list(view.refunds) or [None])[-1]


def left_msat(view: SessionView) -> int:
    """What would go back if the session ended now, in whole satoshi."""
    return whole_sats_msat(view.credit_msat)


def withdrawable_msat(view: SessionView) -> int:
    """What the payer can withdraw by LNURL now; 0 when nothing. While a charge goes on that is less
    than what is left, by what may flow until it has stopped."""
    refund = current_refund(view)
    if view.state == SessionState.CLOSED:
        return refund.amount_msat if refund and refund.state in CLAIMABLE else 0
    if refund is None or refund.state in CLAIMABLE:
        return view.claimable_msat
    return 0


def set_aside_msat(view: SessionView) -> int:
    """What is left of an open session's credit and cannot be withdrawn now, since it may flow until
    the charge has stopped; what of it does not goes back afterwards."""
    if view.state == SessionState.CLOSED or not view.claimable_msat:
        return 0
    return whole_sats_msat(max(0, view.credit_msat - view.held_msat)) - view.claimable_msat


def session_json(view: SessionView, links: Links) -> dict[str, Any]:
    """A session as its owner's programs read it."""
    refund = current_refund(view)
    amount_msat = withdrawable_msat(view)
    lnurl = links.lnurl(view.charge_point, secret=view.secret) if amount_msat else None
    return {
        "state": view.state,
        "charge_point": view.charge_point,
        "connector": view.connector,
        "energy_wh": view.energy_wh,
        "power_w": view.power_w,
        "paid_msat": view.paid_msat,
        "held_msat": view.held_msat,
        "cost_msat": view.cost_msat,
        "owed_msat": view.owed_msat,
        "refunded_msat": view.refunded_msat,
        "rounding_msat": view.rounding_msat,
        "refund": {
            "state": refund.state if refund else None,
            "amount_msat": amount_msat or (refund.amount_msat if refund else 0),
            "lnurl": lnurl,
            "set_aside_msat": set_aside_msat(view),
        },
        "obstacle": view.obstacle,
        "unplug_first": view.unplug_first,
        "opened_at_ms": view.opened_at_ms,
        "start_deadline_ms": view.start_deadline_ms,
        "started_at_ms": view.started_at_ms,
        "closed_at_ms": view.closed_at_ms,
        "credit_ends_at_ms": view.credit_ends_at_ms,
        "events": [
            {"at_ms": event.at_ms, "kind": event.kind, "detail": event.detail}
            for event in view.events
        ],
    }


def happenings(view: SessionView, said: Words) -> list[tuple[int, str]]:
    """When what happened, in words; what a driver need not know is left out."""
    lines: list[tuple[int, str]] = []
    for event in view.events:
        variant = event.detail.get("by") or event.detail.get("status")
        if "arrived" in event.detail:
            variant = "arrived" if event.detail["arrived"] else "lost"
        key = f"event.{event.kind}.{variant}" if variant else f"event.{event.kind}"
        if said.has(key):
            amount = said.sat(event.detail.get("amount_msat") or 0)
            lines.append((event.at_ms, said(key, amount=amount)))
    return lines


def fragment_values(
    context: Context, view: SessionView, said: Words, curve: PowerCurve
) -> dict[str, Any]:
    """What the parts of a session page are rendered from."""
    return {
        "curve": curve.draw(),
        "view": view,
        "happenings": happenings(view, said),
        "refund": current_refund(view),
        "left_msat": left_msat(view),
        "withdrawable_msat": withdrawable_msat(view),
        "is_open": view.state != SessionState.CLOSED,
        "play": context.play is not None,
    }


FRAGMENTS = ("now", "curve", "actions", "account")


def routes(context: Context) -> APIRouter:
    """The routes of these pages."""
    router = APIRouter(include_in_schema=False)

    @router.get("/s/{secret}")
    async def session(request: Request, secret: str) -> Response:
        context.look(request)
        view = await context.site.owned.session(checked_secret(secret))
        if wants_json(request):
            return JSONResponse(session_json(view, context.settings.links), headers=_NO_STORE)
        try:
            point = await context.site.charge_point(view.charge_point).view()
        except UnknownChargePoint:
            # It has left the file: what is owed is still paid back here.
            point = None
        curve = PowerCurve(await context.site.owned.power_curve(secret))
        return context.renderer.page(
            request,
            "session.html",
            point=point,
            offered=[] if point is None else offered_sats(point),
            **fragment_values(context, view, context.words(request), curve),
        )

    @router.post("/s/{secret}/stop")
    async def stop(request: Request, secret: str) -> Response:
        context.order(request)
        await context.site.owned.stop(checked_secret(secret))
        return await _after(request, secret)

    @router.post("/s/{secret}/topup")
    async def top_up(request: Request, secret: str) -> Response:
        context.order(request)
        view = await context.site.owned.session(checked_secret(secret))
        if view.state in (SessionState.STOPPING, SessionState.CLOSED):
            raise Refused(context.words(request)("lnurl.session_over"))
        point = context.site.charge_point(view.charge_point)
        amount_msat = amount_msat_of(
            await form(request), await point.view(), context.words(request)
        )
        quote = await point.quote(
            QuoteRequest(
                amount_msat=amount_msat,
                origin=Origin.LNURL,
                connector=view.connector,
                topup_secret=view.secret,
                language=context.words(request).language,
            )
        )
        return RedirectResponse(f"/s/{quote.secret}/pay/{quote.payment_hash}", 303)

    @router.post("/s/{secret}/refund")
    async def refund(request: Request, secret: str) -> Response:
        context.order(request)
        fields = await form(request)
        await context.site.owned.send_refund(checked_secret(secret), fields.get("target", ""))
        return await _after(request, secret)

    @router.get("/s/{secret}/pay/{payment_hash}")
    async def pay(request: Request, secret: str, payment_hash: str) -> Response:
        context.look(request)
        quote = await _quote(secret, payment_hash)
        settled = quote.settled_at_ms is not None and await _is_credited(quote)
        if wants_json(request):
            answer = {"settled": settled, "expires_at_ms": quote.expires_at_ms}
            return JSONResponse(answer, headers=_NO_STORE)
        if settled:
            return RedirectResponse(f"/s/{secret}", 303)
        return context.renderer.page(
            request,
            "pay.html",
            quote=quote,
            point=await context.site.charge_point(quote.charge_point).view(),
            expired=quote.expires_at_ms <= context.clock(),
            play=context.play is not None,
        )

    async def _is_credited(quote: Quote) -> bool:
        try:
            view = await context.site.owned.session(quote.secret)
        except UnknownSession:
            return False
        return quote.payment_hash in view.payment_hashes

    async def _quote(secret: str, payment_hash: str) -> Quote:
        quote = await context.site.owned.quote_of(payment_hash)
        if quote.secret != checked_secret(secret):
            raise UnknownSession("No payment belongs to this link.")
        return quote

    if context.play is not None:
        play = context.play

        @router.post("/s/{secret}/pay/{payment_hash}/play")
        async def play_pay(request: Request, secret: str, payment_hash: str) -> Response:
            """The button that pays with play money."""
            context.order(request)
            quote = await _quote(secret, payment_hash)
            await play.driver_pay(quote.bolt11)
            return RedirectResponse(f"/s/{secret}/pay/{payment_hash}", 303)

        @router.post("/s/{secret}/refund/play")
        async def play_refund(request: Request, secret: str) -> Response:
            """The button that takes the refund with play money."""
            context.order(request)
            offer = await context.site.owned.offer_refund(checked_secret(secret))
            invoice, _ = await play.driver_invoice(offer.amount_msat)
            await context.site.owned.claim_refund(offer.k1, invoice)
            return await _after(request, secret)

    async def _after(request: Request, secret: str) -> Response:
        if not wants_json(request):
            return RedirectResponse(f"/s/{secret}", 303)
        view = await context.site.owned.session(secret)
        return JSONResponse(session_json(view, context.settings.links), headers=_NO_STORE)

    return router
