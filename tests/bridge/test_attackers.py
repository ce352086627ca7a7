"""Those who mean harm, all on nostr, against a whole Strom while an honest driver charges."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager, closing
from dataclasses import dataclass
from pathlib import Path

import anyio
import httpx
import pytest
from nostr_sdk import Nip44Version, PublicKey, nip44_encrypt
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from agent.machine.model import SessionState
from agent.nostr.ears import SENDER_BURST
from bridge.app import JOURNAL_FILE, App
from bridge.demo.run import demo_config
from bridge.driver.nostr import NostrDriver, connected
from bridge.simulator import SimulatedChargePoint
from nips.dms import DirectMessage, DmProtocol, write_message
from nips.event import NostrEvent
from nips.identity import Identity
from nips.profile import Profile, profile
from nips.relays import RelayPool
from tests.bridge.far_server import far_server
from tests.bridge.ocpp.wire import now_ms
from tests.bridge.waiting import until_free
from wallet.dev import DevWallet


@dataclass
class Mill:
    """A Strom with a charge under way, its driver, and a way for others to its relay."""

    app: App
    driver: NostrDriver
    pool: RelayPool
    stack: AsyncExitStack
    heard: list[DirectMessage]
    zap: str

    @property
    def point(self) -> str:
        return self.app.identities["CP001"].pubkey

    async def send(self, event: NostrEvent) -> None:
        acks = await self.pool.publish(event)
        assert all(ack.ok for ack in acks.values()), acks

    async def say(self, who: Identity, text: str, protocol: DmProtocol = "nip17") -> None:
        await self.send(write_message(who, self.point, text, protocol, now_ms() // 1000))

    async def somebody(self, who: Identity, heard: list[DirectMessage]) -> NostrDriver:
        def listen(incoming: NostrEvent | DirectMessage) -> None:
            if isinstance(incoming, DirectMessage):
                heard.append(incoming)

        one = await self.stack.enter_async_context(
            connected(who, (self.app.relay_url,), now_ms, listen)
        )
        await one.listen(self.point)
        return one

    async def answers(self, text: str = "status") -> str:
        """What the honest driver is told: his messages come after those sent before."""
        self.driver.forget_messages()
        await self.driver.say(self.point, text, "nip17")
        return (await self.driver.message(self.point, lambda _: True, 30)).text

    async def still_charging(self) -> None:
        told = await self.answers()
        assert "kWh" in told, told
        (session,) = await self.app.site.owned.sessions_of("CP001", self.driver.identity.pubkey)
        assert session.state == SessionState.CHARGING


@asynccontextmanager
async def mill(folder: Path) -> AsyncGenerator[Mill]:
    config = demo_config(folder, 0, 0, 0)
    config = config.model_copy(update={"charge_points": config.charge_points[:1]})
    async with AsyncExitStack() as stack:
        app = await stack.enter_async_context(App.open(config, now_ms))
        group = await stack.enter_async_context(anyio.create_task_group())
        stack.callback(group.cancel_scope.cancel)
        url = f"ws://127.0.0.1:{app.ocpp_port}/ocpp"
        charger = SimulatedChargePoint(url, "CP001", speed=20)
        group.start_soon(charger.run)
        await until_free(app.site)
        pool = RelayPool(now_ms, allow_loopback=True)
        await pool.open((app.relay_url,))
        stack.push_async_callback(pool.close)
        assert await pool.wait_connected(app.relay_url, 5)
        driver = Identity.generate()
        heard: list[DirectMessage] = []
        here = Mill(app, await _nobody(stack, app, driver, heard), pool, stack, heard, "")
        await here.driver.introduce()
        await here.driver.listen(here.point)
        here.zap = here.driver.zap_request(here.point, 50_000_000, "Hello!").to_json()
        quote = await app.site.charge_point("CP001").quote_zap(here.zap, 50_000_000, None)
        assert isinstance(app.wallet, DevWallet)
        await app.wallet.driver_pay(quote.bolt11)
        await charger.plug_in()
        await here.driver.message(here.point, lambda m: "Charging at connector" in m.text, 30)
        yield here


async def _nobody(
    stack: AsyncExitStack, app: App, who: Identity, heard: list[DirectMessage]
) -> NostrDriver:
    def listen(incoming: NostrEvent | DirectMessage) -> None:
        if isinstance(incoming, DirectMessage):
            heard.append(incoming)

    return await stack.enter_async_context(connected(who, (app.relay_url,), now_ms, listen))


def wrap(sealer: Identity, recipient: str, inside: str) -> NostrEvent:
    """A gift wrap around a seal by one key, with whatever inside."""

    def encrypted(sender: Identity, text: str) -> str:
        key = sender.keys.secret_key()
        return nip44_encrypt(key, PublicKey.parse(recipient), text, Nip44Version.V2)

    now_s, throwaway = now_ms() // 1000, Identity.generate()
    seal = sealer.sign(13, encrypted(sealer, inside), [], now_s).to_json()
    return throwaway.sign(1059, encrypted(throwaway, seal), [["p", recipient]], now_s)


def rumor(author: str, recipient: str, text: str, age_s: int = 0) -> str:
    return json.dumps(
        {
            "pubkey": author,
            "created_at": now_ms() // 1000 - age_s,
            "kind": 14,
            "tags": [["p", recipient]],
            "content": text,
        }
    )


async def test_nobody_speaks_for_the_driver(tmp_path: Path) -> None:
    async with mill(tmp_path) as here:
        mallory, victim = Identity.generate(), here.driver.identity.pubkey
        # A rumor in the driver's name, sealed by somebody else.
        await here.send(wrap(mallory, here.point, rumor(victim, here.point, "stop")))
        # His own sealed word, but meant for another charge point.
        other = Identity.generate().pubkey
        await here.send(wrap(here.driver.identity, here.point, rumor(victim, other, "stop")))
        # As deep and as long as a relay lets through.
        long = rumor(mallory.pubkey, here.point, "x" * 20_000)
        for inside in ("[" * 20_000, '{"a":' * 4_000, long):
            await here.send(wrap(mallory, here.point, inside))
        await here.say(mallory, "x" * 45_000, "nip04")
        # The bystander's own commands, in every form.
        heard: list[DirectMessage] = []
        bystander = await here.somebody(mallory, heard)
        for text in ("stop", "stop CP001", "stop CP001.1", "refund mallory@example.com", "reset"):
            await bystander.say(here.point, text, "nip17")
        await here.still_charging()
        secret = (await here.app.site.owned.sessions_of("CP001", victim))[0].secret
        assert not any(secret in message.text for message in heard)


async def test_a_flood_gets_few_answers_and_stops_nobody_else(tmp_path: Path) -> None:
    async with mill(tmp_path) as here:
        flooder = Identity.generate()
        heard: list[DirectMessage] = []
        await here.somebody(flooder, heard)
        for _ in range(3 * SENDER_BURST):
            await here.say(flooder, "price")
            await here.say(flooder, "price", "nip04")
        await here.still_charging()
        assert len(heard) <= SENDER_BURST + 2


async def test_a_message_that_cannot_be_stored_ends_nobodys_charge(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Anybody's word ended a Strom whose disk was full."""
    async with mill(tmp_path) as here:
        stranger = Identity.generate()
        heard: list[DirectMessage] = []
        await here.somebody(stranger, heard)
        file = here.app.config.strom.data_dir / JOURNAL_FILE
        with closing(sqlite3.connect(file)) as database:
            refusal = "SELECT RAISE(ABORT, 'database or disk is full')"
            database.execute(f"CREATE TRIGGER full BEFORE INSERT ON handled BEGIN {refusal}; END")
            await here.say(stranger, "price")
            with anyio.fail_after(20):
                while "a message cannot be stored" not in caplog.text:
                    await anyio.sleep(0.01)
            database.execute("DROP TRIGGER full")
        await here.say(stranger, "what does it cost?")
        with anyio.fail_after(20):
            while not heard:
                await anyio.sleep(0.01)
        await here.still_charging()


async def test_no_talk_with_bots_echoes_and_other_wrappings(tmp_path: Path) -> None:
    async with mill(tmp_path) as here:
        bot, echo = Identity.generate(), Identity.generate()
        shown = profile(Profile(name="robot", bot=True))
        await here.send(bot.sign_template(shown, now_ms() // 1000))
        bots: list[DirectMessage] = []
        echoes: list[DirectMessage] = []
        await here.somebody(bot, bots)
        await here.somebody(echo, echoes)
        await here.say(bot, "price")
        await here.say(bot, "help", "nip04")
        # One message in two wrappings is one message.
        inside = rumor(echo.pubkey, here.point, "price")
        await here.send(wrap(echo, here.point, inside))
        await here.send(wrap(echo, here.point, inside))
        while not echoes:
            await anyio.sleep(0.02)
        await here.say(echo, echoes[0].text)
        await here.still_charging()
        assert (len(bots), len(echoes)) == (0, 1)


async def test_change_goes_to_the_address_that_the_profile_has_now(tmp_path: Path) -> None:
    """Not to the one that is remembered from an hour ago, whoever has that by now."""
    async with mill(tmp_path) as here:
        wallet = here.app.wallet
        assert isinstance(wallet, DevWallet)
        asked: list[str] = []

        async def far_wallet(request: Request) -> Response:
            if not request.url.path.endswith("/callback"):
                name = request.url.path.rpartition("/")[2]
                offer = {"tag": "payRequest", "minSendable": 1000, "maxSendable": 10**9}
                offer |= {"callback": f"{request.base_url}{name}/callback", "metadata": "[]"}
                return JSONResponse(offer)
            asked.append(request.url.path)
            invoice, _ = await wallet.driver_invoice(int(request.query_params["amount"]))
            return JSONResponse({"pr": invoice, "routes": []})

        async with far_server(far_wallet) as url:
            host, now_s = url.partition("://")[2], now_ms() // 1000
            me = here.driver.identity
            shown = profile(Profile(name="Dora", lud16=f"old@{host}"))
            await here.send(me.sign_template(shown, now_s - 60))
            await here.answers()
            shown = profile(Profile(name="Dora", lud16=f"new@{host}"))
            await here.send(me.sign_template(shown, now_s))
            await here.driver.say(here.point, "stop", "nip17")
            await here.driver.message(here.point, lambda m: "came back" in m.text, 30)
            assert asked == ["/new/callback"]


async def test_an_old_start_does_nothing_and_says_so(tmp_path: Path) -> None:
    async with mill(tmp_path) as here:
        late = Identity.generate()
        heard: list[DirectMessage] = []
        await here.somebody(late, heard)
        await here.send(wrap(late, here.point, rumor(late.pubkey, here.point, "start 1000", 360)))
        while not heard:
            await anyio.sleep(0.02)
        assert "over 5 min old" in heard[0].text
        assert "lnbc" not in heard[0].text


async def test_a_zap_request_is_paid_once(tmp_path: Path) -> None:
    async with mill(tmp_path) as here:
        async with httpx.AsyncClient() as http:
            url = here.app.config.strom.public_url
            offer = (await http.get(f"{url}/.well-known/lnurlp/cp001")).json()
            query = {"amount": "50000000", "nostr": here.zap}
            answer = (await http.get(offer["callback"], params=query)).json()
        assert answer == {
            "status": "ERROR",
            "reason": "This zap was paid before: please zap again.",
        }
        await here.still_charging()
