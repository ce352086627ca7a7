"""A driver whom the relays of the charge point do not know: his zap says where he is found."""

from __future__ import annotations

from pathlib import Path

import anyio
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from nips.profile import Profile, profile
from tests.bridge.far_server import far_server
from tests.e2e.relay_world import PAID_MSAT, Place, charging_place
from tests.nips.support import now_s, serving


async def test_he_is_written_to_and_paid_where_his_zap_says(tmp_path: Path) -> None:
    """He heard nothing, and his change waited for ever behind a link that he had never seen."""
    here: list[Place] = []

    async def his_wallet(request: Request) -> Response:
        if "amount" in request.query_params:
            amount_msat = int(request.query_params["amount"])
            invoice, _ = await here[0].wallet.driver_invoice(amount_msat)
            return JSONResponse({"pr": invoice, "routes": []})
        offer = {"tag": "payRequest", "minSendable": 1000, "maxSendable": 10**9}
        return JSONResponse(offer | {"callback": str(request.url), "metadata": "[]"})

    async with (
        serving() as ours,
        serving() as his,
        far_server(his_wallet) as url,
        charging_place(tmp_path, [ours.url], his.url) as place,
    ):
        here.append(place)
        me = place.driver.identity
        shown = profile(Profile(name="Dora", lud16=f"dora@{url.partition('://')[2]}"))
        await place.send(me.sign_template(shown, now_s()))
        with anyio.fail_after(60):
            await place.starts_charging()
            (session,) = await place.app.site.owned.sessions_of("CP001", me.pubkey)
            assert session.paid_msat == PAID_MSAT
            await place.app.site.owned.stop(session.secret)
            await place.told("came back to you")
        (session,) = await place.app.site.owned.sessions_of("CP001", me.pubkey)
        assert session.owed_msat == 0 < session.refunded_msat
