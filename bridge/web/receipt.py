"""The receipt of a session: as a page, as PDF, and signed by the charge point as JSON."""

from __future__ import annotations

from datetime import UTC, datetime
from textwrap import wrap

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from agent.ports.errors import Refused
from agent.receipts import Receipt
from agent.signed_values import transparency_file
from agent.talk.evidence import evidence_details, evidence_line
from agent.talk.wording import bill_line_detail, in_fiat, tax_line
from agent.talk.words import Words
from agent.tariff.model import MS_PER_MINUTE
from bridge.paper.pdf import A4_MM, Sheet
from bridge.web.context import Context, checked_secret

_PRIVATE = {"Cache-Control": "no-store"}
_LEFT, _RIGHT = 25.0, 185.0
_SOFT, _INK, _VOLT = "#5a5e50", "#161811", "#d3f34b"


def duration(receipt: Receipt) -> str:
    """How long charging took, in hours and minutes."""
    minutes = receipt.duration_ms // MS_PER_MINUTE
    return f"{minutes // 60}:{minutes % 60:02d} h"


def _day(at_ms: int | None) -> str:
    if at_ms is None:
        return "–"
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M UTC")


def receipt_pdf(receipt: Receipt, said: Words, fiat: str) -> bytes:
    """A receipt on one A4 sheet.

    Args:
        fiat: the cost in fiat in words, "" for none.
    """
    with Sheet(A4_MM, said("web.receipt"), receipt.closed_at_ms) as sheet:
        seller = receipt.charge_point
        sheet.box(0, 0, A4_MM[0], 6, _INK)
        sheet.box(0, 6, A4_MM[0], 1.4, _VOLT)
        sheet.text(_LEFT, 28, said("web.receipt"), 8, bold=True, colour=_INK)
        sheet.text(_LEFT, 38, seller.name, 4.6, bold=True, colour=_INK)
        sheet.text(_LEFT, 44, seller.address, 3.6, colour=_SOFT)
        y = 56.0
        for label, value in (
            (said("receipt.session"), receipt.session),
            (said("receipt.station"), f"{seller.id} · {said('web.connector')} {receipt.connector}"),
            (said("receipt.began"), _day(receipt.started_at_ms)),
            (said("receipt.ended"), _day(receipt.closed_at_ms)),
            (said("receipt.duration"), duration(receipt)),
        ):
            sheet.text(_LEFT, y, label, 3.6, colour=_SOFT)
            sheet.text(_LEFT + 50, y, value, 3.6, colour=_INK)
            y += 6
        y = _amounts(sheet, _meter(sheet, y, receipt, said) + 8, receipt, said, fiat)
        for value in receipt.signed_values:
            told = f"{said('receipt.signed_values')}, {value.context}: SHA-256"
            sheet.text(_LEFT, y + 4, told, 3, colour=_SOFT)
            sheet.text(_LEFT, y + 9, value.sha256, 3, colour=_INK)
            y += 11
        sheet.text(_LEFT, y + 4, said("receipt.hashes"), 3, colour=_SOFT)
        for payment in receipt.payments[:20]:
            y += 5
            sheet.text(_LEFT, y + 4, payment.payment_hash, 3, colour=_INK)
        return sheet.bytes()


def _meter(sheet: Sheet, y: float, receipt: Receipt, said: Words) -> float:
    """Which readings decided the energy."""
    if receipt.meter is None:
        return y
    sheet.text(_LEFT, y, said("receipt.evidence"), 3.6, colour=_SOFT)
    told = (evidence_line(receipt.meter, said), *evidence_details(receipt.meter, said)[:6])
    for line in (row for text in told for row in wrap(text, 90)):
        y += 5
        sheet.text(_LEFT, y, line, 3.2, colour=_INK)
    return y + 6


def _amounts(sheet: Sheet, y: float, receipt: Receipt, said: Words, fiat: str) -> float:
    for line in receipt.lines:
        sheet.text(_LEFT, y, said(f"bill.{line.dimension.lower()}"), 4, colour=_INK)
        sheet.text(_LEFT + 50, y, bill_line_detail(line, said), 3.6, colour=_SOFT)
        sheet.text(_RIGHT, y, said.sat(line.amount_msat), 4, colour=_INK, align="right")
        sheet.line(_LEFT, y + 2.6, _RIGHT, 0.2, "#dddbd0")
        y += 8
    if receipt.waived_msat:
        sheet.text(_LEFT, y, said("receipt.waived"), 4, colour=_INK)
        waived = f"−{said.sat(receipt.waived_msat)}"
        sheet.text(_RIGHT, y, waived, 4, colour=_INK, align="right")
        y += 8
    sheet.line(_LEFT, y - 5.4, _RIGHT, 0.6, _INK)
    sheet.text(_LEFT, y + 1, said("web.cost_final"), 4.6, bold=True, colour=_INK)
    sheet.text(
        _RIGHT, y + 1, said.sat(receipt.cost_msat), 4.6, bold=True, colour=_INK, align="right"
    )
    y += 8
    if fiat:
        sheet.text(_RIGHT, y, f"≈ {fiat}", 3.6, colour=_SOFT, align="right")
        y += 7
    tax = tax_line(receipt.tariff, receipt.tax_msat, said)
    if tax is not None:
        sheet.text(_LEFT, y, tax.label, 3.6, colour=_SOFT)
        sheet.text(_RIGHT, y, tax.amount, 3.6, colour=_INK, align="right")
        y += 7
    for label, amount_msat in (
        (said("web.paid"), receipt.paid_msat),
        (said("web.returned"), receipt.refunded_msat),
        (said("web.owed"), receipt.owed_msat),
        (said("receipt.rounding"), receipt.rounding_msat),
    ):
        if amount_msat:
            sheet.text(_LEFT, y, label, 3.6, colour=_SOFT)
            sheet.text(_RIGHT, y, said.sat(amount_msat), 3.6, colour=_INK, align="right")
            y += 6
    return y + 6


def routes(context: Context) -> APIRouter:
    """The receipt in its three forms."""
    router = APIRouter(include_in_schema=False)

    async def _checked(request: Request, secret: str) -> str:
        context.look(request)
        view = await context.site.owned.session(checked_secret(secret))
        if view.closed_at_ms is None:
            raise Refused(context.words(request)("receipt.not_yet"))
        return view.secret

    @router.get("/s/{secret}/receipt")
    async def page(request: Request, secret: str) -> Response:
        receipt = await context.site.owned.receipt(await _checked(request, secret))
        said = context.words(request)
        meter = receipt.meter
        return context.renderer.page(
            request,
            "receipt.html",
            receipt=receipt,
            secret=secret,
            duration=duration(receipt),
            evidence_line=evidence_line(meter, said) if meter else "",
            evidence_details=evidence_details(meter, said) if meter else (),
        )

    @router.get("/s/{secret}/receipt.json")
    async def signed(request: Request, secret: str) -> Response:
        secret = await _checked(request, secret)
        receipt = await context.site.owned.receipt(secret)
        body = await context.site.owned.signed_receipt(secret)
        disposition = f'attachment; filename="strom-{receipt.session}.json"'
        headers = {**_PRIVATE, "Content-Disposition": disposition}
        return Response(body, media_type="application/json", headers=headers)

    @router.get("/s/{secret}/receipt.xml")
    async def for_transparency_software(request: Request, secret: str) -> Response:
        secret = await _checked(request, secret)
        receipt = await context.site.owned.receipt(secret)
        values = await context.site.owned.signed_values(secret)
        if not values:
            raise Refused(context.words(request)("receipt.no_signed_values"))
        disposition = f'attachment; filename="strom-{receipt.session}.xml"'
        headers = {**_PRIVATE, "Content-Disposition": disposition}
        body = transparency_file(values)
        return Response(body, media_type="application/xml", headers=headers)

    @router.get("/s/{secret}/receipt.pdf")
    async def as_pdf(request: Request, secret: str) -> Response:
        receipt = await context.site.owned.receipt(await _checked(request, secret))
        said = context.words(request)
        fiat = in_fiat(receipt.cost_msat, receipt.tariff, said)
        disposition = f'inline; filename="strom-{receipt.session}.pdf"'
        return Response(
            receipt_pdf(receipt, said, fiat),
            media_type="application/pdf",
            headers={**_PRIVATE, "Content-Disposition": disposition},
        )

    return router
