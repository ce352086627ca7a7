"""Rounds of paying in and paying back over each backend, Strom killed at one step of each.

    python -m tests.e2e.payouts --rounds 200

runs that many, spread over the backends that are there, and prints what was found.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import sys
import tempfile
from collections import Counter
from collections.abc import AsyncGenerator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import anyio
import httpx

from bridge.simulator.charge_point import SimulatedChargePoint
from tests.e2e.killed import HOLD_STEPS, PAYOUT_STEPS
from tests.e2e.served import PAID_SAT, Strom
from tests.wallet.backends.lnbits import LnbitsPeer
from tests.wallet.backends.lnd import NodePeer, lnd_url
from tests.wallet.clock import now_ms
from tests.wallet.contract import Peer
from tests.wallet.lnbits_server import LnbitsServer, install, lnbits_server
from tests.wallet.lnd_server import lnd_server
from tests.wallet.nwc_service import nwc_service
from wallet.connect import connect

PAID_MSAT = PAID_SAT * 1000
START_S = 60


@dataclass
class Till:
    """A backend, and what went in and out of it so far.

    Attributes:
        url: of Strom's wallet.
        peer: the driver's wallet; None where Strom itself plays it (dev).
        holds: whether its payments can be held.
    """

    name: str
    url: str
    peer: Peer | None = None
    holds: bool = False
    in_msat: int = 0
    out_msat: int = 0
    deaths: Counter[str] = field(default_factory=Counter[str])


class DevPeer:
    """The driver's side of the play-money wallet, over HTTP."""

    def __init__(self, strom: Strom) -> None:
        self._strom = strom

    async def pay(self, bolt11: str) -> str:
        return str((await self._strom.post("/dev/pay", {"pr": bolt11}))["preimage"])

    async def invoice(self, amount_msat: int | None, *, expiry_s: int = 3600) -> tuple[str, str]:
        del expiry_s
        made = await self._strom.post("/dev/invoice", {"amount_msat": amount_msat})
        return made["pr"], made["payment_hash"]

    async def paid(self, payment_hash: str) -> bool:
        answer = await self._strom.get(f"/dev/invoice/{payment_hash}")
        return answer["paid"] is True


async def round_of(till: Till, folder: Path, step: str) -> None:
    """One session, killed at a step of its payout or of the taking of its payment.

    Everything the driver paid is charged or comes back to him, once.
    """
    hold = "always" if step in HOLD_STEPS else "off"
    strom = Strom(folder, till.url, hold, "tests.e2e.killed")
    peer = till.peer or DevPeer(strom)
    try:
        await strom.start(STROM_KILL_AT=step)
        async with anyio.create_task_group() as group:
            charger = SimulatedChargePoint(strom.ocpp_url, "CP001", connectors=1, speed=100)
            group.start_soon(charger.run)
            await strom.until(strom.online)
            if step in HOLD_STEPS:
                page = await _held(strom, charger, peer)
            else:
                page = await unplugged(strom, peer)
            till.in_msat += PAID_MSAT
            till.out_msat += await _paid_back(strom, peer, page, step)
            till.deaths[step] += 1
            group.cancel_scope.cancel()
    finally:
        await strom.close()


async def round_of_lost_request(till: Till, folder: Path) -> None:
    """Killed before the wallet was asked, and back once the invoice has expired.

    The driver's money is owed again, by itself, and comes on another invoice, once.
    """
    strom = Strom(folder, till.url, "off", "tests.e2e.killed")
    peer = till.peer or DevPeer(strom)
    try:
        await strom.start(STROM_KILL_AT="before send")
        async with anyio.create_task_group() as group:
            charger = SimulatedChargePoint(strom.ocpp_url, "CP001", connectors=1, speed=100)
            group.start_soon(charger.run)
            await strom.until(strom.online)
            page = await unplugged(strom, peer)
            till.in_msat += PAID_MSAT
            lost, lost_hash = await peer.invoice(PAID_MSAT, expiry_s=60)
            with suppress(httpx.TransportError):
                await strom.get(await claim_url(strom, page, lost))
            await strom.until(strom.has_died)
            await strom.start(STROM_AHEAD_MS="3600000")

            async def is_owed_again() -> bool:
                return (await strom.get(page))["refund"]["state"] == "FAILED"

            await strom.until(is_owed_again)
            bolt11, payment_hash = await peer.invoice(PAID_MSAT, expiry_s=86_400)
            assert (await strom.get(await claim_url(strom, page, bolt11)))["status"] == "OK"

            async def settled() -> bool:
                return (await strom.get(page))["owed_msat"] == 0

            await strom.until(settled)
            assert await peer.paid(payment_hash)
            assert not await peer.paid(lost_hash)
            till.out_msat += PAID_MSAT
            group.cancel_scope.cancel()
    finally:
        strom.kill()
        await strom.http.aclose()


async def claim_url(strom: Strom, page: str, bolt11: str) -> str:
    """The URL by which a wallet claims a refund to an invoice (LUD-03)."""
    offer = await strom.get("/lnurl/cp001?s=" + page.rpartition("/")[2])
    joint = "&" if "?" in offer["callback"] else "?"
    return f"{offer['callback']}{joint}k1={offer['k1']}&pr={bolt11}"


async def unplugged(strom: Strom, peer: Peer) -> str:
    """A session that was paid and stopped before the car was plugged in: all of it is owed."""
    bolt11, page = await strom.invoice()
    await peer.pay(bolt11)

    async def opened() -> bool:
        return (await strom.get(page)).get("paid_msat") == PAID_MSAT

    await strom.until(opened)
    await strom.http.post(f"{page}/stop")
    assert (await strom.ends(page))["owed_msat"] == PAID_MSAT
    return page


async def _held(strom: Strom, charger: SimulatedChargePoint, peer: Peer) -> str:
    """A session whose payment was held; Strom dies in taking it, and takes it all the same."""
    bolt11, page = await strom.invoice()
    paying = asyncio.create_task(_pay_for_sure(peer, bolt11))
    try:

        async def reserved() -> bool:
            return (await strom.get(page)).get("held_msat") == PAID_MSAT

        await strom.until(reserved)
        await charger.plug_in()
        await strom.until(strom.has_died)
        await strom.start()

        async def taken() -> bool:
            session = await strom.get(page)
            return session.get("paid_msat") == PAID_MSAT and session.get("energy_wh", 0) > 100

        await strom.until(taken)
        await paying
    finally:
        paying.cancel()
    await strom.http.post(f"{page}/stop")
    await strom.ends(page)
    return page


async def _pay_for_sure(peer: Peer, bolt11: str) -> None:
    """Pay; where the driver's wallet lives in Strom (dev), it is asked again after the kill."""
    while True:
        try:
            await peer.pay(bolt11)
        except httpx.TransportError:
            await anyio.sleep(0.05)
        else:
            return


async def _paid_back(strom: Strom, peer: Peer, page: str, step: str) -> int:
    """Claim what is owed through the kill and the restart; returns what came, in msat."""
    offer = await strom.get("/lnurl/cp001?s=" + page.rpartition("/")[2])
    amount_msat = int(offer["maxWithdrawable"])
    bolt11, payment_hash = await peer.invoice(amount_msat)
    joint = "&" if "?" in offer["callback"] else "?"
    claim = f"{offer['callback']}{joint}k1={offer['k1']}&pr={bolt11}"
    if step in PAYOUT_STEPS:
        with suppress(httpx.TransportError):
            await strom.get(claim)
        await strom.until(strom.has_died)
        await strom.start()
    # What the driver's wallet does when no answer came: it hands in the same invoice again.
    assert (await strom.get(claim))["status"] == "OK"

    async def settled() -> bool:
        return (await strom.get(page))["owed_msat"] == 0

    await strom.until(settled)
    session = await strom.get(page)
    assert session["refunded_msat"] == amount_msat
    rounding_msat = session["paid_msat"] - session["cost_msat"] - amount_msat
    assert 0 <= rounding_msat < 1000
    assert await peer.paid(payment_hash)
    return amount_msat


async def check_balance(till: Till, folder: Path, before_msat: int) -> None:
    """The backend's own books: what came in, less what went back, and nothing else."""
    assert await balance_msat(till, folder) == before_msat + till.in_msat - till.out_msat


async def balance_msat(till: Till, folder: Path) -> int:
    wallet = connect(till.url, folder / "data", now_ms)
    await wallet.open()
    try:
        return (await wallet.info()).balance_msat or 0
    finally:
        await wallet.close()


@asynccontextmanager
async def tills(folder: Path, names: Sequence[str]) -> AsyncGenerator[list[Till]]:
    """The backends of these names, running."""
    async with AsyncExitStack() as stack:
        found: list[Till] = []
        if "dev" in names:
            found.append(Till("dev", "dev://", holds=True))
        if "lnd" in names:
            server, peer = await stack.enter_async_context(lnd_server())
            url = lnd_url(server, folder, server.node.bake())
            found.append(Till("lnd", url, NodePeer(peer), holds=True))
        if "lnbits" in names or "nwc" in names:
            install()
            backend = await stack.enter_async_context(lnbits_server(folder / "lnbits-server"))
            driver = await backend.account("driver", funds_sat=10_000_000)
            if "lnbits" in names:
                found.append(await _lnbits_till(backend, LnbitsPeer(backend.url, driver), folder))
            if "nwc" in names:
                ours = await backend.account("operator over nwc")
                service = await stack.enter_async_context(nwc_service(backend, ours))
                file = folder / "connection"
                file.touch(mode=0o600)
                file.write_text(service.connection + "\n")
                found.append(Till("nwc", f"nwc-file:{file}", LnbitsPeer(backend.url, driver)))
        yield found


async def _lnbits_till(server: LnbitsServer, peer: Peer, folder: Path) -> Till:
    ours = await server.account("operator")
    key_file = folder / "key"
    key_file.touch(mode=0o600)
    key_file.write_text(ours.adminkey + "\n")
    return Till("lnbits", f"lnbits+{server.url}?key_file={key_file}", peer)


async def play(folder: Path, names: Sequence[str], rounds: int) -> list[Till]:
    """Play rounds over the backends, each step in its turn; returns what was found."""
    async with tills(folder, names) as found:
        turns = [
            (till, step)
            for step in (*PAYOUT_STEPS, *HOLD_STEPS)
            for till in found
            if till.holds or step in PAYOUT_STEPS
        ]
        before: dict[str, int] = {}
        for till in found:
            (folder / till.name).mkdir()
            before[till.name] = await balance_msat(till, folder / till.name)
        for till, step in itertools.islice(itertools.cycle(turns), rounds):
            with anyio.fail_after(START_S):
                await round_of(till, folder / till.name, step)
        for till in found:
            await check_balance(till, folder / till.name, before[till.name])
        return found


async def main(rounds: int, names: Sequence[str]) -> None:
    """Print what was found."""
    with tempfile.TemporaryDirectory() as folder:
        for till in await play(Path(folder), names, rounds):
            deaths = ", ".join(f"{step} {count}" for step, count in till.deaths.items())
            sys.stdout.write(
                f"{till.name}: killed {till.deaths.total()} times ({deaths}); "
                f"{till.in_msat // 1000} sat in, {till.out_msat // 1000} sat back, "
                "the backend's balance agrees\n"
            )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=28)
    parser.add_argument("--backends", nargs="+", default=["dev", "lnd", "lnbits", "nwc"])
    chosen = parser.parse_args()
    anyio.run(main, chosen.rounds, chosen.backends)
