"""The receipt of a session: as a page, as PDF and as JSON."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from agent.ports import ChargePointView, Refused, SessionView
from agent.talk.wording import bill_line_detail, in_fiat, tax_line
from agent.talk.words import Words
from agent.tariff.model import MS_PER_MINUTE, tax_in_msat
from agent.tariff.rate import ExchangeRate
from bridge.paper.pdf import A4_MM, Sheet
from bridge.web.context import Context, checked_secret
from bridge.web.sessions import current_refund

_PRIVATE = {"Cache-Control": "no-store"}
_LEFT, _RIGHT = 25.0, 185.0
_SOFT, _INK, _VOLT = "#5a5e50", "#161811", "#d3f34b"


def receipt_json(view: SessionView, point: ChargePointView) -> dict[str, Any]:
    """A receipt for programs: amounts in msat, energy in Wh, times in Unix ms."""
    refund = current_refund(view)
    return {
        "session": view.id,
        "charge_point": {"id": point.id, "name": point.name, "address": point.address},
        "connector": view.connector,
        "opened_at_ms": view.opened_at_ms,
        "started_at_ms": view.started_at_ms,
        "closed_at_ms": view.closed_at_ms,
        "energy_wh": view.energy_wh,
        "duration_ms": duration_ms(view),
        "lines": [
            {
                "dimension": line.dimension,
                "quantity": line.quantity,
                "price_msat": line.price_msat,
                "amount_msat": line.amount_msat,
            }
            for line in view.bill
        ],
        "cost_msat": view.cost_msat,
        "tax": {
            "percent": view.tariff.tax_basis_points / 100,
            "included_msat": tax_in_msat(view.tariff, view.cost_msat),
        },
        "rate": _rate(view.tariff.rate),
        "paid_msat": view.paid_msat,
        "refunded_msat": view.refunded_msat,
        "owed_msat": view.owed_msat,
        "rounding_msat": view.rounding_msat,
        "refund_state": refund.state if refund else None,
        "payment_hashes": list(view.payment_hashes),
    }


def _rate(rate: ExchangeRate | None) -> dict[str, Any] | None:
    if rate is None:
        return None
    return {
        "currency": rate.currency,
        "msat_per_unit": rate.msat_per_unit,
        "at_ms": rate.at_ms,
        "sources": list(rate.sources),
    }


def duration_ms(view: SessionView) -> int:
    """How long charging took; 0 when it never began."""
    if view.started_at_ms is None or view.closed_at_ms is None:
        return 0
    return max(0, view.closed_at_ms - view.started_at_ms)


def duration(view: SessionView) -> str:
    """The same in hours and minutes."""
    minutes = duration_ms(view) // MS_PER_MINUTE
    return f"{minutes // 60}:{minutes % 60:02d} h"


def _day(at_ms: int | None) -> str:
    if at_ms is None:
        return "–"
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M UTC")


def receipt_pdf(view: SessionView, point: ChargePointView, said: Words, fiat: str) -> bytes:
    """A receipt on one A4 sheet.

    Args:
        fiat: the cost in fiat in words, "" for none.
    """
    with Sheet(A4_MM, said("web.receipt"), view.closed_at_ms or view.opened_at_ms) as sheet:
        sheet.box(0, 0, A4_MM[0], 6, _INK)
        sheet.box(0, 6, A4_MM[0], 1.4, _VOLT)
        sheet.text(_LEFT, 28, said("web.receipt"), 8, bold=True, colour=_INK)
        sheet.text(_LEFT, 38, point.name, 4.6, bold=True, colour=_INK)
        sheet.text(_LEFT, 44, point.address, 3.6, colour=_SOFT)
        y = 56.0
        for label, value in (
            (said("receipt.session"), view.id),
            (said("receipt.station"), f"{point.id} · {said('web.connector')} {view.connector}"),
            (said("receipt.began"), _day(view.started_at_ms)),
            (said("receipt.ended"), _day(view.closed_at_ms)),
            (said("receipt.duration"), duration(view)),
        ):
            sheet.text(_LEFT, y, label, 3.6, colour=_SOFT)
            sheet.text(_LEFT + 50, y, value, 3.6, colour=_INK)
            y += 6
        y = _amounts(sheet, y + 8, view, said, fiat)
        sheet.text(_LEFT, y + 4, said("receipt.hashes"), 3, colour=_SOFT)
        for payment_hash in view.payment_hashes[:20]:
            y += 5
            sheet.text(_LEFT, y + 4, payment_hash, 3, colour=_INK)
        return sheet.bytes()


def _amounts(sheet: Sheet, y: float, view: SessionView, said: Words, fiat: str) -> float:
    for line in view.bill:
        sheet.text(_LEFT, y, said(f"bill.{line.dimension.lower()}"), 4, colour=_INK)
        sheet.text(_LEFT + 50, y, bill_line_detail(line, said), 3.6, colour=_SOFT)
        sheet.text(_RIGHT, y, said.sat(line.amount_msat), 4, colour=_INK, align="right")
        sheet.line(_LEFT, y + 2.6, _RIGHT, 0.2, "#dddbd0")
        y += 8
    sheet.line(_LEFT, y - 5.4, _RIGHT, 0.6, _INK)
    sheet.text(_LEFT, y + 1, said("web.cost_final"), 4.6, bold=True, colour=_INK)
    sheet.text(_RIGHT, y + 1, said.sat(view.cost_msat), 4.6, bold=True, colour=_INK, align="right")
    y += 8
    if fiat:
        sheet.text(_RIGHT, y, f"≈ {fiat}", 3.6, colour=_SOFT, align="right")
        y += 7
    tax = tax_line(view.tariff, view.cost_msat, said)
    if tax is not None:
        sheet.text(_LEFT, y, tax.label, 3.6, colour=_SOFT)
        sheet.text(_RIGHT, y, tax.amount, 3.6, colour=_INK, align="right")
        y += 7
    for label, amount_msat in (
        (said("web.paid"), view.paid_msat),
        (said("web.returned"), view.refunded_msat),
        (said("web.owed"), view.owed_msat),
        (said("receipt.rounding"), view.rounding_msat),
    ):
        if amount_msat:
            sheet.text(_LEFT, y, label, 3.6, colour=_SOFT)
            sheet.text(_RIGHT, y, said.sat(amount_msat), 3.6, colour=_INK, align="right")
            y += 6
    return y + 6


def routes(context: Context) -> APIRouter:
    """The receipt in its three forms."""
    router = APIRouter(include_in_schema=False)

    async def _both(request: Request, secret: str) -> tuple[SessionView, ChargePointView]:
        context.look(request)
        view = await context.site.session(checked_secret(secret))
        if view.closed_at_ms is None:
            raise Refused(context.words(request)("receipt.not_yet"))
        return view, await context.site.charge_point(view.charge_point).view()

    @router.get("/s/{secret}/receipt")
    async def page(request: Request, secret: str) -> Response:
        view, point = await _both(request, secret)
        return context.renderer.page(
            request, "receipt.html", view=view, point=point, duration=duration(view)
        )

    @router.get("/s/{secret}/receipt.json")
    async def as_json(request: Request, secret: str) -> Response:
        view, point = await _both(request, secret)
        return JSONResponse(receipt_json(view, point), headers=_PRIVATE)

    @router.get("/s/{secret}/receipt.pdf")
    async def as_pdf(request: Request, secret: str) -> Response:
        view, point = await _both(request, secret)
        said = context.words(request)
        fiat = in_fiat(view.cost_msat, view.tariff, said)
        disposition = f'inline; filename="strom-{view.id}.pdf"'
        return Response(
            receipt_pdf(view, point, said, fiat),
            media_type="application/pdf",
            headers={**_PRIVATE, "Content-Disposition": disposition},
        )

    return router
