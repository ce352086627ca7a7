"""Strom killed with SIGKILL in the middle of the main job, and started again on the same data.

A real process, a real charge point over a real socket, a driver over HTTP: whatever the
moment of the kill, every paid msat is charged, paid back or owed, and nothing is paid twice.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e.served import PAID_SAT, Strom, strom_and_charger

MOMENTS = ("paid", "charging", "stopping", "claimed")


@pytest.mark.parametrize("moment", MOMENTS)
async def test_killed_and_started_again(tmp_path: Path, moment: str) -> None:
    async with strom_and_charger(tmp_path) as (strom, charger):

        async def restart_at(now: str) -> None:
            if now == moment:
                strom.kill()
                # As if the charger had found out only now: it need not wait for its next try.
                await charger.go_offline()
                await strom.start()
                await charger.come_back()
                await charger.until(lambda: charger.online)

        await charger.plug_in()
        bolt11, page = await strom.invoice()
        assert "preimage" in await strom.post("/dev/pay", {"pr": bolt11})
        await restart_at("paid")

        async def charged() -> bool:
            session = await strom.get(page)
            return session.get("state") == "CLOSED" or session.get("energy_wh", 0) > 300

        await strom.until(charged)
        await restart_at("charging")
        assert (await strom.http.post(f"{page}/stop")).status_code < 400
        await restart_at("stopping")
        session = await strom.ends(page)
        assert session["paid_msat"] == PAID_SAT * 1000
        assert 0 < session["cost_msat"] <= session["paid_msat"]

        offer = await strom.get(_withdraw_url(page))
        amount_msat = offer["maxWithdrawable"]
        assert amount_msat == session["owed_msat"]
        mine = await strom.post("/dev/invoice", {"amount_msat": amount_msat})
        joint = "&" if "?" in offer["callback"] else "?"
        claim = f"{offer['callback']}{joint}k1={offer['k1']}&pr={mine['pr']}"
        assert (await strom.get(claim))["status"] == "OK"
        await restart_at("claimed")
        assert (await strom.get(claim))["status"] == "OK"
        second = await strom.post("/dev/invoice", {"amount_msat": amount_msat})
        again = f"{offer['callback']}{joint}k1={offer['k1']}&pr={second['pr']}"
        assert (await strom.get(again))["status"] == "ERROR"

        async def repaid() -> bool:
            return (await strom.get(page))["owed_msat"] == 0

        await strom.until(repaid)
        after = await strom.get(page)
        rounding_msat = after["paid_msat"] - after["cost_msat"] - amount_msat
        assert 0 <= rounding_msat < 1000
        assert await _was_paid(strom, mine["payment_hash"])
        assert not await _was_paid(strom, second["payment_hash"])


async def _was_paid(strom: Strom, payment_hash: str) -> bool:
    answer = await strom.http.get(f"/dev/invoice/{payment_hash}")
    return answer.json()["paid"] is True


def _withdraw_url(page: str) -> str:
    return "/lnurl/cp001?s=" + page.rpartition("/")[2]
