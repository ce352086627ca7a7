"""With play money only: a wallet for the driver over HTTP, for trying Strom out and for tests."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter
from pydantic import BaseModel, Field
from starlette.responses import JSONResponse, Response

from bridge.web.context import PlayWallet
from wallet.base import WalletError


class PayRequest(BaseModel):
    """An invoice to be paid."""

    pr: Annotated[str, Field(max_length=4096)]


class InvoiceRequest(BaseModel):
    """An invoice to be made."""

    amount_msat: Annotated[int, Field(gt=0, le=10**14)]


def routes(play: PlayWallet) -> APIRouter:
    """The routes of the driver's play wallet."""
    router = APIRouter(prefix="/dev", include_in_schema=False)

    @router.post("/pay")
    async def pay(payment: PayRequest) -> Response:
        """Pay an invoice as the driver; answers the preimage."""
        try:
            return JSONResponse({"preimage": await play.driver_pay(payment.pr)})
        except WalletError as error:
            return JSONResponse({"error": str(error)}, 400)

    @router.post("/invoice")
    async def invoice(wanted: InvoiceRequest) -> Response:
        """Make an invoice of the driver's wallet."""
        try:
            request, payment_hash = await play.driver_invoice(wanted.amount_msat)
        except WalletError as error:
            return JSONResponse({"error": str(error)}, 400)
        return JSONResponse({"pr": request, "payment_hash": payment_hash})

    @router.get("/invoice/{payment_hash}")
    async def invoice_state(payment_hash: str) -> Response:
        """Whether an invoice of the driver's wallet was paid."""
        try:
            return JSONResponse({"paid": await play.driver_invoice_paid(payment_hash)})
        except WalletError as error:
            return JSONResponse({"error": str(error)}, 404)

    return router
