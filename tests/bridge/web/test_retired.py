"""The driver's link when his charge point has left the file: his money still goes back."""

from __future__ import annotations

from pathlib import Path

from agent.machine.events import ConnectorStatus
from agent.ports.quotes import Origin, QuoteRequest
from tests.agent.world import ScriptedCharger
from tests.bridge.http_world import config, path_of, serving


async def test_the_link_stays_valid_until_the_refund_is_paid(tmp_path: Path) -> None:
    async with serving(tmp_path) as world:
        point = world.site.charge_point("CP002")
        await point.attach(ScriptedCharger())
        await point.connector_status(1, ConnectorStatus.AVAILABLE, world.clock())
        quote = await point.quote(QuoteRequest(1_000_000, Origin.LNURL, connector=1))
        await world.pay(quote.bolt11, quote.secret)
        await world.site.owned.stop(quote.secret)
    left = config().model_copy(update={"charge_points": config().charge_points[:1]})
    async with serving(tmp_path, settings=left) as world:
        for path in (f"/s/{quote.secret}", f"/s/{quote.secret}/receipt"):
            page = await world.http.get(path, headers={"Accept": "text/html"})
            assert page.status_code == 200
            assert "CP002" in page.text
        offer = await world.lnurl("/lnurl/cp002", s=quote.secret)
        assert offer["maxWithdrawable"] == 1_000_000
        bolt11, payment_hash = await world.wallet.driver_invoice(1_000_000)
        taken = await world.lnurl(path_of(str(offer["callback"])), k1=offer["k1"], pr=bolt11)
        assert taken == {"status": "OK"}
        while not await world.wallet.driver_invoice_paid(payment_hash):
            pass
        assert "no charge point" in await world.reason("/lnurl/cp002", s=quote.secret, topup=1)
