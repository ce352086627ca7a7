"""The story that the demo tells: a driver finds a charge point, zaps it, charges, gets change.

Everything he does goes over public protocols; only the plug is put in by hand.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

import anyio
import httpx

from agent.machine.money import MSAT_PER_SAT
from agent.talk.words import words
from bridge.demo.timeline import Lane, Way
from bridge.driver.errors import DriverError
from bridge.driver.lnurl import (
    Invoice,
    PayOffer,
    facts_of,
    invoice,
    pay_offer,
    url_of,
    withdraw,
    withdraw_offer,
)
from bridge.driver.nostr import NostrDriver
from bridge.driver.purse import Purse
from bridge.simulator import SimulatedChargePoint
from nips.dms import DirectMessage, DmProtocol
from nips.errors import InvalidZapReceipt
from nips.event import NostrEvent
from nips.identity import Identity, encode_npub
from nips.location import geohash_neighbourhood
from nips.status import ConnectorState
from nips.zaps import KIND_ZAP_RECEIPT, check_receipt

ZAP_SAT = 2_000
TOPUP_SAT = 1_000
STATUS_AT_WH = 1_500
STOP_AT_WH = 4_000
PATIENCE_S = 30.0
_POLL_S = 0.2
_INVOICE = re.compile(r"\bln(?!url)[a-z0-9]{100,}", re.IGNORECASE)
_LNURL = re.compile(r"\blnurl1[a-z0-9]+", re.IGNORECASE)

Tell = Callable[[Lane, str, str, Way], None]
_english = words("en")


@dataclass(frozen=True, slots=True)
class Sums:
    """What became of the money, in msat, and the energy in Wh; as the session page says."""

    paid_msat: int
    cost_msat: int
    refunded_msat: int
    rounding_msat: int
    owed_msat: int
    energy_wh: int

    @property
    def adds_up(self) -> bool:
        """Whether every msat is accounted for and nothing is owed any more."""
        spent = self.cost_msat + self.refunded_msat + self.rounding_msat
        return self.owed_msat == 0 and self.paid_msat == spent


@dataclass
class Story:
    """One driver, his tools, and who listens to his story.

    Attributes:
        chargers: the simulated charge points, by their ids: where he puts the plug in.
        tell: told each moment.
        chapter: told the title of what comes next.
    """

    driver: NostrDriver
    bystander: NostrDriver
    http: httpx.AsyncClient
    purse: Purse
    chargers: dict[str, SimulatedChargePoint]
    tell: Tell
    chapter: Callable[[str], None]

    async def run(self) -> Sums:
        """The whole story, until the refund has arrived.

        Raises:
            DriverError: something did not happen as it should.
        """
        pubkey, state = await self._find()
        offer, asked = await self._zap(pubkey, state)
        await self._check_receipt(pubkey, offer, asked)
        await self._plug_in(state)
        await self._energy(asked.url, STATUS_AT_WH)
        self.chapter("Ask and top up")
        await self._ask(pubkey, "status", "nip17")
        await self._top_up(pubkey)
        await self._energy(asked.url, STOP_AT_WH)
        self.chapter("Stop")
        await self._bystander_fails(pubkey)
        offer_text = await self._stop(pubkey)
        self.chapter("Get the change")
        await self._take_refund(pubkey, offer_text)
        await self.chargers[state.charge_point].unplug(state.connector)
        return await self._sums(asked.url)

    async def _find(self) -> tuple[str, ConnectorState]:
        self.chapter("Find")
        self._act("Dora looks on nostr for a charge point near 52.52, 13.40")
        near = geohash_neighbourhood(52.52, 13.40, 5)
        with anyio.move_on_after(PATIENCE_S):
            while True:
                found = [
                    entry
                    for entry in await self.driver.connectors(geohashes=near)
                    if entry[1].status == "Available"
                ]
                if len(found) == len(self.chargers):
                    break
                await anyio.sleep(_POLL_S)
            found.sort(key=lambda entry: entry[1].charge_point)
            for coordinate, state in found:
                price = ", ".join(
                    f"{price.amount} {price.currency.lower()}/{price.unit}"
                    for price in state.prices
                )
                self._say(
                    Lane.NOSTR,
                    f"{state.title}: {state.status}, {price}",
                    f"kind 30716 {_short(encode_npub(coordinate.pubkey))}",
                    Way.FROM,
                )
            coordinate, state = found[0]
            profile = await self.driver.profile(coordinate.pubkey)
            self._say(
                Lane.NOSTR,
                f'"{profile.about.splitlines()[0]}"',
                f"kind 0 {profile.lud16}",
                Way.FROM,
            )
            await self.driver.introduce()
            await self.driver.listen(coordinate.pubkey)
            return coordinate.pubkey, state
        raise DriverError("the charge points did not show up on the relay")

    async def _zap(self, pubkey: str, state: ConnectorState) -> tuple[PayOffer, Invoice]:
        self.chapter("Zap")
        self._act(f"Dora zaps {state.title} with {_sat(ZAP_SAT)}")
        offer = await pay_offer(self.http, state.lud16)
        if offer.zapper is None:
            raise DriverError("the charge point takes no zaps")
        request = self.driver.zap_request(
            pubkey, ZAP_SAT * MSAT_PER_SAT, "Hello!", lnurl=url_of(state.lud16)
        )
        self._say(Lane.NOSTR, 'zap request, "Hello!"', f"kind 9734 {request.id[:8]}", Way.TO)
        asked = await invoice(self.http, offer, ZAP_SAT * MSAT_PER_SAT, zap_request=request)
        self._say(Lane.LIGHTNING, f"invoice over {_sat(ZAP_SAT)}", _short(asked.bolt11), Way.FROM)
        await self._pay(asked.bolt11, ZAP_SAT)
        return offer, asked

    async def _check_receipt(self, pubkey: str, offer: PayOffer, asked: Invoice) -> None:
        def is_ours(event: NostrEvent) -> bool:
            return event.kind == KIND_ZAP_RECEIPT and event.tag("bolt11") == asked.bolt11

        receipt = await self.driver.event(is_ours, PATIENCE_S)
        try:
            check_receipt(
                receipt,
                recipient_pubkey=pubkey,
                issuer_pubkey=offer.zapper or "",
                network=asked.facts.network,
            )
        except InvalidZapReceipt as error:
            raise DriverError(f"the receipt is not valid: {error}") from None
        self._say(
            Lane.NOSTR, "zap receipt, signature and invoice verified",
            f"kind 9735 {receipt.id[:8]}", Way.FROM,
        )  # fmt: skip

    async def _plug_in(self, state: ConnectorState) -> None:
        self.chapter("Charge")
        self._act("Dora plugs her car in")
        await self.chargers[state.charge_point].plug_in(state.connector)

    async def _energy(self, session_url: str, energy_wh: int) -> None:
        """Return when that much has flowed, as the session page says."""
        await self._session(
            session_url, lambda session: _number(session, "energy_wh") >= energy_wh, "charge"
        )

    async def _ask(self, pubkey: str, text: str, protocol: DmProtocol) -> DirectMessage:
        self._act(f'Dora writes "{text}"')
        self.driver.forget_messages()
        await self.driver.say(pubkey, text, protocol)
        return await self.driver.message(
            pubkey, lambda message: message.protocol == protocol, PATIENCE_S
        )

    async def _top_up(self, pubkey: str) -> None:
        self._act(f'Dora writes "topup {TOPUP_SAT}"')
        await self.driver.say(pubkey, f"topup {TOPUP_SAT}", "nip17")
        answer = await self.driver.message(
            pubkey, lambda message: bool(_INVOICE.search(message.text)), PATIENCE_S
        )
        found = _INVOICE.search(answer.text)
        bolt11 = found[0].lower() if found else ""
        if facts_of(bolt11).amount_msat != TOPUP_SAT * MSAT_PER_SAT:
            raise DriverError("the invoice for the top-up is over another amount")
        await self._pay(bolt11, TOPUP_SAT)

    async def _bystander_fails(self, pubkey: str) -> None:
        self._act('Mallory, who walks by, writes "stop"')
        await self.bystander.introduce()
        await self.bystander.listen(pubkey)
        await self.bystander.say(pubkey, "stop", "nip17")
        await self.bystander.message(pubkey, lambda _: True, PATIENCE_S)

    async def _stop(self, pubkey: str) -> str:
        self._act('Dora writes "stop", from an older app (NIP-04)')
        self.driver.forget_messages()
        await self.driver.say(pubkey, "stop", "nip04")
        offer = await self.driver.message(
            pubkey, lambda message: bool(_LNURL.search(message.text)), PATIENCE_S
        )
        found = _LNURL.search(offer.text)
        return found[0] if found else ""

    async def _take_refund(self, pubkey: str, lnurl: str) -> None:
        offer = await withdraw_offer(self.http, lnurl)
        self._act(f"Dora's wallet follows the link and asks for {_sat_of(offer.max_msat)}")
        bolt11, payment_hash = await self.purse.invoice(offer.max_msat)
        self._say(Lane.LIGHTNING, "her invoice", _short(bolt11), Way.TO)
        self.driver.forget_messages()
        await withdraw(self.http, offer, bolt11)
        await self._wait_for_change(payment_hash, offer.max_msat)
        await self.driver.message(pubkey, lambda told: "came back" in told.text, PATIENCE_S)

    async def _wait_for_change(self, payment_hash: str, amount_msat: int) -> None:
        with anyio.move_on_after(PATIENCE_S):
            while True:
                if await self.purse.has_received(payment_hash):
                    back = f"{_sat_of(amount_msat)} are back"
                    self._say(Lane.LIGHTNING, back, "", Way.FROM)
                    return
                await anyio.sleep(_POLL_S)
        raise DriverError("the refund did not arrive")

    async def _sums(self, session_url: str) -> Sums:
        session = await self._session(
            session_url,
            lambda session: (
                str(session.get("state")).upper() == "CLOSED" and not _number(session, "owed_msat")
            ),
            "be settled",
        )
        return Sums(
            paid_msat=_number(session, "paid_msat"),
            cost_msat=_number(session, "cost_msat"),
            refunded_msat=_number(session, "refunded_msat"),
            rounding_msat=_number(session, "rounding_msat"),
            owed_msat=_number(session, "owed_msat"),
            energy_wh=_number(session, "energy_wh"),
        )

    async def _session(
        self, url: str, wanted: Callable[[dict[str, object]], bool], what: str
    ) -> dict[str, object]:
        """The session's page as JSON, once it is as wanted."""
        with anyio.move_on_after(PATIENCE_S):
            while True:
                answer = await self.http.get(url, headers={"accept": "application/json"})
                session = cast("dict[str, object]", answer.json())
                if wanted(session):
                    return session
                await anyio.sleep(_POLL_S)
        raise DriverError(f"the session did not {what} within {PATIENCE_S:g} s")

    async def _pay(self, bolt11: str, sats: int) -> None:
        payment_hash = facts_of(bolt11).payment_hash
        self._say(Lane.LIGHTNING, f"pays {_sat(sats)}", f"hash {payment_hash[:8]}", Way.TO)
        await self.purse.pay(bolt11)

    def _act(self, text: str) -> None:
        self._say(Lane.DRIVER, text)

    def _say(self, lane: Lane, text: str, detail: str = "", way: Way = Way.NONE) -> None:
        self.tell(lane, text, detail, way)


def identities() -> tuple[Identity, Identity]:
    """Keys for Dora and for Mallory."""
    return Identity.generate(), Identity.generate()


def _number(session: dict[str, object], key: str) -> int:
    value = session.get(key)
    return value if isinstance(value, int) else 0


def _sat(sats: int) -> str:
    return _sat_of(sats * MSAT_PER_SAT)


def _sat_of(amount_msat: int) -> str:
    return _english.sat(amount_msat)


def _short(text: str) -> str:
    return f"{text[:9]}…{text[-4:]}"
