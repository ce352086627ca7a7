"""Direct messages answered: who asks decides what he may have, before anything is done.

A session obeys only its payer. Everybody else learns what the charge point shows to all.

What changes something is noted in the journal before it is done, with what it is about: after
a crash in the middle the same message comes again, and is brought to its end and no further.
"""

from __future__ import annotations

import logging
from contextlib import suppress
from dataclasses import dataclass

from agent.charge_point import ChargePointAgent
from agent.journal import codec
from agent.journal.errors import JournalError, JournalUnusable
from agent.journal.nostr_book import Begun
from agent.links import Links, SessionLinks, links_of
from agent.machine.events import Payer
from agent.machine.model import SessionState
from agent.machine.money import MSAT_PER_SAT
from agent.machine.refund import COMMITTED
from agent.nostr.ears import Heard
from agent.notary import pack
from agent.ports.charge_point import ChargePointView
from agent.ports.charger import ChargerCommand
from agent.ports.errors import AgentError, Refused, StopNotStored
from agent.ports.quotes import Origin, QuoteRequest
from agent.ports.site import SessionView
from agent.site import Site
from agent.talk import replies
from agent.talk.commands import (
    Command,
    Disable,
    Enable,
    Help,
    ListSessions,
    Price,
    Receipt,
    Refund,
    Reset,
    SetTariff,
    Start,
    Status,
    Stop,
    StopAt,
    TopUp,
    Unknown,
    Unlock,
    parse,
)
from agent.talk.memories import GREETINGS, Memories, Memory
from agent.talk.wording import refusal_sentence
from agent.talk.words import DEFAULT_LANGUAGE, Words, words

OLDEST_COMMAND_MS = 300_000
"""A command older than this was meant for another moment; relays deliver late."""

_TIMELY = (Start, TopUp, Stop, StopAt, Refund, Reset, Unlock, Enable, Disable, SetTariff)
_OPERATORS_OWN = (ListSessions, Reset, Unlock, Enable, Disable)

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Turn:
    """One message to be answered, and all that is needed for that."""

    heard: Heard
    point: ChargePointAgent
    view: ChargePointView
    words: Words
    operator: bool


class Conversation:
    """Answers direct messages.

    Args:
        site: the charge points.
        public_url: under which drivers reach the pages, without a slash at its end.
        operators: hex public keys of those who may command.
        language: for those whose words do not tell theirs.
    """

    def __init__(
        self,
        site: Site,
        public_url: str,
        operators: frozenset[str],
        language: str = DEFAULT_LANGUAGE,
    ) -> None:
        self._language = language
        self._site = site
        self._public_url = public_url.rstrip("/")
        self._operators = operators
        self._memories = Memories()

    async def answer(self, charge_point_id: str, heard: Heard) -> str:
        """Act on a message and give the answer; "" for none."""
        memory = self._memories.of(charge_point_id, heard.sender)
        if memory.echoes(heard.text):
            return ""
        spoken = parse(heard.text)
        memory.language = spoken.language or memory.language
        if isinstance(spoken.command, Help | Unknown):
            asked = spoken.command == Help()
            # No bot has paid; a driver who is not understood at once tries other words.
            patient = asked or await self._is_driver(charge_point_id, heard.sender)
            if not memory.may_help(self._site.commons.clock(), GREETINGS if patient else 1):
                return ""
        told = await self._told(charge_point_id, heard, spoken.command, memory)
        memory.answers.append(told)
        return told

    async def _told(
        self, charge_point_id: str, heard: Heard, command: Command, memory: Memory
    ) -> str:
        """Act on a command and say what became of it, whatever that is."""
        language = words(memory.language or self._language)
        point = self._site.charge_point(charge_point_id)
        turn = _Turn(
            heard=heard,
            point=point,
            view=await point.view(),
            words=language,
            operator=heard.sender in self._operators,
        )
        try:
            return await self._act(turn, command)
        except Refused as refusal:
            return refusal_sentence(refusal, language)
        except AgentError as error:
            return replies.sentence(str(error))
        except StopNotStored as error:
            log.error("%s: a stop by message is not stored: %s", charge_point_id, error)
            return language("web.stop_not_stored")
        except JournalUnusable as error:
            log.error("%s: a message cannot be acted on: %s", charge_point_id, error)
            return language("web.not_stored")
        except JournalError:
            # It is not dealt with: relays bring it again.
            raise
        except Exception:
            # What Strom does wrong with one driver's words must not keep it from all others'.
            log.exception("%s: a message went wrong, which is Strom's own fault", charge_point_id)
            return language("dm.failed")

    async def _is_driver(self, charge_point_id: str, sender: str) -> bool:
        """Whether somebody charges here, or is owed something."""
        own = await self._site.owned.sessions_of(charge_point_id, sender)
        return any(session.closed_at_ms is None or session.owed_msat for session in own)

    async def _act(self, turn: _Turn, command: Command) -> str:
        age_ms = self._site.commons.clock() - turn.heard.sent_at_ms
        timely = isinstance(command, _TIMELY) and command != Refund() and not turn.heard.subject
        if timely and age_ms > OLDEST_COMMAND_MS:
            return turn.words("dm.too_old", minutes=OLDEST_COMMAND_MS // 60_000)
        if isinstance(command, _OPERATORS_OWN) and not turn.operator:
            return replies.short_help(turn.words, turn.view, operator=False)
        match command:
            case Help():
                return replies.short_help(turn.words, turn.view, operator=turn.operator)
            case Unknown():
                told = replies.short_help(turn.words, turn.view, operator=turn.operator)
                return replies.joined(turn.words("dm.not_understood"), told)
            case Price():
                return replies.price(turn.words, turn.view)
            case Status():
                return await self._status(turn)
            case Start(amount_sat, connector):
                return await self._start(turn, amount_sat, connector)
            case TopUp(amount_sat):
                return await self._top_up(turn, amount_sat)
            case Stop():
                return await self._stop(turn)
            case StopAt(target):
                return await self._stop_at(turn, target)
            case Refund(target):
                return await self._refund(turn, target)
            case Receipt():
                return await self._receipt(turn)
            case ListSessions():
                return replies.session_list(turn.words, await self._site.office.open_sessions())
            case Reset():
                return await self._charger(turn, ChargerCommand.RESET, 0)
            case Unlock(connector):
                return await self._unlock(turn, connector)
            case Enable():
                return await self._charger(turn, ChargerCommand.ENABLE, 0)
            case Disable():
                return await self._charger(turn, ChargerCommand.DISABLE, 0)
            case SetTariff(name):
                return await self._set_tariff(turn, name)

    async def _sessions(self, turn: _Turn) -> list[SessionView]:
        """The sender's own sessions here: open ones first, then the newest."""
        return await self._site.owned.sessions_of(turn.point.id, turn.heard.sender)

    def _links(self, session: SessionView) -> SessionLinks:
        return links_of(self._public_url, session.charge_point, session.secret)

    def _no_session(self, turn: _Turn) -> str:
        told = replies.public_status(turn.words, turn.view)
        return replies.joined(turn.words("dm.no_session"), told)

    async def _status(self, turn: _Turn) -> str:
        for session in (await self._sessions(turn))[:1]:
            if session.closed_at_ms is None or session.owed_msat:
                now_ms = self._site.commons.clock()
                return replies.own_status(turn.words, session, self._links(session), now_ms)
        return replies.public_status(turn.words, turn.view)

    async def _start(self, turn: _Turn, amount_sat: int | None, connector: int | None) -> str:
        if amount_sat is None:
            return replies.ask_amount(turn.words, turn.view, topup=False)
        return await self._invoice(turn, amount_sat, connector, None)

    async def _top_up(self, turn: _Turn, amount_sat: int | None) -> str:
        own = await self._sessions(turn)
        if not own:
            return self._no_session(turn)
        if own[0].closed_at_ms is not None:
            told = turn.words("dm.how_to_start", amount=replies.usual_sat(turn.view))
            return replies.joined(turn.words("dm.not_running"), told)
        if amount_sat is None:
            return replies.ask_amount(turn.words, turn.view, topup=True)
        return await self._invoice(turn, amount_sat, own[0].connector, own[0].secret)

    async def _invoice(
        self, turn: _Turn, amount_sat: int, connector: int | None, topup_secret: str | None
    ) -> str:
        """Ask for a quote, and give its invoice and the LNURL that does the same."""
        amount_msat = amount_sat * MSAT_PER_SAT
        refusal = replies.amount_refused(turn.words, turn.view, amount_msat)
        if refusal:
            return refusal
        quote = await turn.point.quote(
            QuoteRequest(
                amount_msat=amount_msat,
                origin=Origin.MESSAGE,
                connector=connector,
                payer=Payer(turn.heard.sender),
                topup_secret=topup_secret,
                reply=turn.heard.protocol,
                language=turn.words.language,
            )
        )
        lnurl = Links(self._public_url).lnurl(quote.charge_point, quote.connector)
        if quote.topup:
            lnurl = links_of(self._public_url, quote.charge_point, quote.secret).topup_lnurl
        unplug_first = turn.view.unplug_first(quote.connector)
        return replies.invoice(turn.words, quote, lnurl, unplug_first=unplug_first)

    async def _begin(self, turn: _Turn, subject: str) -> None:
        """Note that a message is being acted on, and what it is about."""
        heard = turn.heard
        if not heard.subject:
            begun = Begun(heard.id, turn.point.id, subject, codec.encode(heard))
            await self._site.commons.journal.nostr.begin(begun)

    async def _begin_stop(self, turn: _Turn, subject: str) -> None:
        """The same for a stop, which need not wait for the disk: it tells itself what is stored."""
        with suppress(JournalUnusable):
            await self._begin(turn, subject)

    async def _stop(self, turn: _Turn) -> str:
        own = await self._sessions(turn)
        if own:
            return await self._stop_own(turn, _begun_with(turn, own) or own[0])
        if turn.operator:
            told = replies.session_list(turn.words, await self._site.office.open_sessions())
            return replies.joined(told, turn.words("dm.op_which"))
        return self._no_session(turn)

    async def _stop_own(self, turn: _Turn, session: SessionView) -> str:
        running = session.closed_at_ms is None and session.state != SessionState.STOPPING
        if running:
            await self._begin_stop(turn, session.id)
            await self._site.owned.stop(session.secret)
        elif turn.heard.subject != session.id:
            if session.closed_at_ms is None:
                return turn.words("dm.stopping")
            told = replies.money_back(turn.words, session, self._links(session))
            return replies.joined(turn.words("dm.not_running"), told)
        charged = session.started_at_ms is not None
        return turn.words("dm.stop_done" if charged else "dm.stop_cancelled")

    async def _stop_at(self, turn: _Turn, target: str) -> str:
        """An operator's stop of any session; of a driver only that of his own."""
        if not turn.operator:
            own = await self._sessions(turn)
            begun = _begun_with(turn, own)
            if begun or (own and _is_at(own[0], target, turn.point.id)):
                return await self._stop_own(turn, begun or own[0])
            return self._no_session(turn)
        sessions = await self._site.office.open_sessions()
        begun, _, place = turn.heard.subject.partition(" ")
        meant = [session for session in sessions if _is_at(session, begun or target, turn.point.id)]
        if begun and not meant:
            return turn.words("dm.op_stopped", id=begun, place=place)
        if not meant:
            return turn.words("dm.op_no_match", target=target[:40])
        if len(meant) > 1:
            told = replies.session_list(turn.words, meant)
            return replies.joined(told, turn.words("dm.op_which"))
        place = replies.place(meant[0])
        await self._begin_stop(turn, f"{meant[0].id} {place}")
        await self._site.office.stop_by_operator(meant[0].id)
        return turn.words("dm.op_stopped", id=meant[0].id, place=place)

    async def _refund(self, turn: _Turn, target: str) -> str:
        own = await self._sessions(turn)
        if not own:
            return self._no_session(turn)
        begun = _begun_with(turn, own)
        if begun is not None and not _owes_freely(begun):
            amount_msat = begun.owed_msat or begun.refunded_msat
            return turn.words("dm.refund_sending", amount=turn.words.sat(amount_msat))
        session = begun or next((s for s in own if _owes_freely(s)), own[0])
        if session.closed_at_ms is None:
            return turn.words("dm.refund_after_stop")
        if not target or not session.owed_msat:
            return replies.money_back(turn.words, session, self._links(session))
        await self._begin(turn, session.id)
        await self._site.owned.send_refund(session.secret, target)
        return turn.words("dm.refund_sending", amount=turn.words.sat(session.owed_msat))

    async def _receipt(self, turn: _Turn) -> str:
        own = await self._sessions(turn)
        if not own:
            return self._no_session(turn)
        if own[0].closed_at_ms is None:
            told = await self._status(turn)
            return replies.joined(turn.words("dm.receipt_later"), told)
        secret = own[0].secret
        signed = await self._site.owned.signed_receipt(secret)
        return replies.receipt(turn.words, await self._site.owned.receipt(secret), pack(signed))

    async def _unlock(self, turn: _Turn, connector: int | None) -> str:
        known = [c.id for c in turn.view.connectors]
        if connector is None and len(known) > 1:
            return turn.words("dm.op_which_connector", connector=known[0])
        return await self._charger(turn, ChargerCommand.UNLOCK, connector or known[0])

    async def _charger(self, turn: _Turn, command: ChargerCommand, connector: int) -> str:
        if turn.heard.subject and command in (ChargerCommand.RESET, ChargerCommand.UNLOCK):
            # What a charger did before the crash is not known, and not to be done again.
            return turn.words("dm.op_interrupted")
        await self._begin(turn, command)
        done = await turn.point.command(command, connector)
        match command:
            case ChargerCommand.ENABLE:
                told = turn.words("dm.op_on")
            case ChargerCommand.DISABLE:
                told = turn.words("dm.op_off")
            case _:
                return turn.words("dm.op_done" if done else "dm.op_not_done")
        return told if done else replies.joined(told, turn.words("dm.op_unconfirmed"))

    async def _set_tariff(self, turn: _Turn, name: str) -> str:
        """A driver who writes "tariff" and more wants to know what it costs."""
        if not turn.operator:
            return replies.price(turn.words, turn.view)
        known = sorted(self._site.config.tariffs)
        if name.lower() not in [tariff.lower() for tariff in known]:
            return turn.words("dm.op_tariff_unknown", name=name[:40], known=", ".join(known))
        await self._begin(turn, name)
        tariff = await self._site.office.set_tariff(turn.point.id, name)
        told = turn.words("dm.op_tariff", name=tariff.name)
        return replies.joined(told, replies.prices(turn.words, tariff))


def _is_at(session: SessionView, target: str, here: str) -> bool:
    """Whether a session is meant by its id, its charge point, its place or a connector here."""
    wanted = target.lower()
    place = replies.place(session).lower()
    if wanted in (session.id.lower(), session.charge_point.lower(), place):
        return True
    return session.charge_point == here and wanted == str(session.connector)


def _begun_with(turn: _Turn, own: list[SessionView]) -> SessionView | None:
    """The session that a message was about when it was acted on before a crash."""
    return next((session for session in own if session.id == turn.heard.subject), None)


def _owes_freely(session: SessionView) -> bool:
    """Whether a session owes money on which nothing is decided yet."""
    closed = session.closed_at_ms is not None
    return closed and any(refund.state not in COMMITTED for refund in session.refunds)
