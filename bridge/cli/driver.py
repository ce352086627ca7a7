"""`strom` for the driver: zap, dm and pay, as any client of the same protocols does them."""

from __future__ import annotations

import io
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated

import anyio
import httpx
import segno
import typer
from rich.text import Text

from agent.machine.money import MSAT_PER_SAT
from bridge.cli.output import Mistake, can_draw_codes, err, out
from bridge.driver.key import open_key
from bridge.driver.lnurl import Invoice, client, facts_of, invoice, pay_offer, url_of
from bridge.driver.nip05 import pubkey_of
from bridge.driver.nostr import NostrDriver, connected
from bridge.driver.purse import Purse
from nips.errors import InvalidKey, InvalidZapReceipt
from nips.identity import decode_nprofile, decode_npub
from nips.zaps import KIND_ZAP_RECEIPT, check_receipt

PANEL = "For the driver"
DEFAULT_RELAYS = ("wss://relay.damus.io", "wss://nos.lol", "wss://relay.primal.net")

Relays = Annotated[
    list[str] | None,
    typer.Option("--relay", help="A relay to use; may be given more than once.", metavar="URL"),
]
NsecFile = Annotated[
    Path | None,
    typer.Option(help="Your key; without it one is made and kept.", metavar="FILE"),
]
PayWith = Annotated[
    str | None,
    typer.Option(help="Pay with the play money of the Strom at URL.", metavar="URL"),
]
Wait = Annotated[int, typer.Option(help="Seconds to wait for the answer.", min=0, max=3600)]


def register(app: typer.Typer) -> None:
    """Add the driver's commands."""
    for command in (zap, dm, pay):
        app.command(rich_help_panel=PANEL)(command)


def zap(
    charge_point: Annotated[str, typer.Argument(help="npub, nprofile or lightning address.")],
    sats: Annotated[int, typer.Argument(help="How much, in sat.", min=1)],
    comment: Annotated[str, typer.Option(help="Words for the charge point.")] = "",
    relay: Relays = None,
    nsec_file: NsecFile = None,
    anonymous: Annotated[bool, typer.Option(help="Zap with a key used only once.")] = False,
    pay_with: PayWith = None,
    wait: Wait = 120,
) -> None:
    """Zap a charge point: show the invoice, and wait for its receipt."""
    anyio.run(_zap, charge_point, sats, comment, relay, nsec_file, anonymous, pay_with, wait)


def dm(
    charge_point: Annotated[str, typer.Argument(help="npub, nprofile or lightning address.")],
    words: Annotated[list[str], typer.Argument(help="What to say, such as status or start 5000.")],
    nip04: Annotated[bool, typer.Option("--nip04", help="Use NIP-04 instead of NIP-17.")] = False,
    relay: Relays = None,
    nsec_file: NsecFile = None,
    wait: Wait = 20,
) -> None:
    """Write to a charge point and show what it answers."""
    said = " ".join(words).strip()
    if not said:
        raise Mistake("say something, such as status")
    anyio.run(_dm, charge_point, said, nip04, relay, nsec_file, wait)


def pay(
    target: Annotated[str, typer.Argument(help="Invoice, LNURL or lightning address.")],
    sats: Annotated[
        int | None, typer.Argument(help="How much, in sat; an invoice says it itself.", min=1)
    ] = None,
    comment: Annotated[str, typer.Option(help="Words for the payee.")] = "",
    pay_with: PayWith = None,
) -> None:
    """Show an invoice to be paid, or pay it with play money."""
    anyio.run(_pay, target, sats, comment, pay_with)


async def _zap(
    charge_point: str,
    sats: int,
    comment: str,
    relays: list[str] | None,
    nsec_file: Path | None,
    anonymous: bool,
    pay_with: str | None,
    wait_s: int,
) -> None:
    async with client() as http, _driver(http, charge_point, relays, nsec_file) as (me, pubkey):
        address = charge_point if "@" in charge_point else (await me.profile(pubkey)).lud16
        if not address:
            raise Mistake("this charge point's profile has no lightning address (lud16)")
        offer = await pay_offer(http, address)
        if offer.zapper is None:
            raise Mistake(f'{address} takes no zaps; "strom pay {address}" pays without nostr')
        amount_msat = sats * MSAT_PER_SAT
        request = me.zap_request(
            pubkey, amount_msat, comment, lnurl=url_of(address), anonymous=anonymous
        )
        await me.listen(pubkey)
        asked = await invoice(http, offer, amount_msat, zap_request=request)
        await _settle(http, asked, pay_with)
        receipt = await me.event(
            lambda event: event.kind == KIND_ZAP_RECEIPT and event.tag("bolt11") == asked.bolt11,
            wait_s,
        )
        try:
            check_receipt(
                receipt,
                recipient_pubkey=pubkey,
                issuer_pubkey=offer.zapper,
                network=asked.facts.network,
            )
        except InvalidZapReceipt as error:
            raise Mistake(f"the receipt is not valid: {error}") from None
        out.print(Text(f"Zapped {sats:,} sat. Receipt {receipt.id}"))


async def _dm(
    charge_point: str,
    words: str,
    nip04: bool,
    relays: list[str] | None,
    nsec_file: Path | None,
    wait_s: int,
) -> None:
    async with client() as http, _driver(http, charge_point, relays, nsec_file) as (me, pubkey):
        await me.introduce()
        await me.listen(pubkey)
        protocol = "nip04" if nip04 else "nip17"
        message_id = await me.say(pubkey, words, protocol)
        if wait_s:
            answer = await me.answer(pubkey, message_id, wait_s)
            out.print(Text(answer.text))


async def _pay(target: str, sats: int | None, comment: str, pay_with: str | None) -> None:
    async with client() as http:
        bolt11 = target.strip().lower().removeprefix("lightning:")
        if bolt11.startswith("ln") and not bolt11.startswith("lnurl"):
            await _settle(http, Invoice(bolt11, facts_of(bolt11)), pay_with)
            return
        offer = await pay_offer(http, target)
        if sats is None:
            raise Mistake(
                f"say how much: {offer.min_msat // MSAT_PER_SAT:,} to "
                f"{offer.max_msat // MSAT_PER_SAT:,} sat, for: {offer.text}"
            )
        asked = await invoice(http, offer, sats * MSAT_PER_SAT, comment=comment)
        await _settle(http, asked, pay_with)


async def _settle(http: httpx.AsyncClient, asked: Invoice, pay_with: str | None) -> None:
    """Pay an invoice with play money, or show it to be paid with another wallet."""
    if pay_with is None:
        if can_draw_codes(err.encoding):
            err.print(Text(_qr(f"LIGHTNING:{asked.bolt11.upper()}")), soft_wrap=True)
        out.print(Text(asked.bolt11))
    else:
        preimage = await Purse(http, pay_with).pay(asked.bolt11)
        sats = (asked.facts.amount_msat or 0) // MSAT_PER_SAT
        out.print(Text(f"Paid {sats:,} sat of play money. Preimage {preimage}"))
    for more in (asked.message, asked.url):
        if more:
            out.print(Text(more))


def _qr(content: str) -> str:
    drawn = io.StringIO()
    segno.make(content, error="l", micro=False).terminal(drawn, compact=True, border=2)
    return drawn.getvalue()


@asynccontextmanager
async def _driver(
    http: httpx.AsyncClient,
    charge_point: str,
    relays: Sequence[str] | None,
    nsec_file: Path | None,
) -> AsyncGenerator[tuple[NostrDriver, str]]:
    """The driver on his relays, and the charge point's public key (hex)."""
    found = list(relays or ())
    try:
        if "@" in charge_point:
            pubkey, hints = await pubkey_of(http, charge_point)
        elif charge_point.removeprefix("nostr:").startswith("nprofile1"):
            pubkey, hints = decode_nprofile(charge_point)
        else:
            pubkey, hints = decode_npub(charge_point), ()
    except InvalidKey:
        raise Mistake("expected an npub, an nprofile or a lightning address") from None
    path = nsec_file or Path(typer.get_app_dir("strom")) / "driver.nsec"
    identity, made = open_key(path, make=nsec_file is None)
    if made:
        err.print(Text(f"Made a key for you: {path}. The session it pays for is yours."))
    async with connected(
        identity, found or hints or DEFAULT_RELAYS, lambda: time.time_ns() // 1_000_000
    ) as driver:
        yield driver, pubkey
