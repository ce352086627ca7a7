"""A driver's or operator's words to a command. Pure.

What is not clear is Unknown. Above all nothing stops, switches or changes a price by words
that are negated, asked, put off, quoted or taken back.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from agent.talk.utterance import Clause, Kind, Part, Utterance, understand
from agent.talk.vocabulary import Role


@dataclass(frozen=True, slots=True)
class Help:
    """What can I say?"""


@dataclass(frozen=True, slots=True)
class Price:
    """What does it cost?"""


@dataclass(frozen=True, slots=True)
class Status:
    """How is it going; is it free?"""


@dataclass(frozen=True, slots=True)
class Start:
    """Charge for an amount; None where none was named."""

    amount_sat: int | None = None
    connector: int | None = None


@dataclass(frozen=True, slots=True)
class Stop:
    """End my session."""


@dataclass(frozen=True, slots=True)
class TopUp:
    """Add an amount to my session; None where none was named."""

    amount_sat: int | None = None


@dataclass(frozen=True, slots=True)
class Refund:
    """Send back what is owed to me, to an address, LNURL or invoice; "" where none was named."""

    target: str = ""


@dataclass(frozen=True, slots=True)
class Receipt:
    """What did I pay for?"""


@dataclass(frozen=True, slots=True)
class ListSessions:
    """Operator: which sessions are open?"""


@dataclass(frozen=True, slots=True)
class StopAt:
    """Operator: end a session by its id, or the one at a charge point or connector."""

    target: str


@dataclass(frozen=True, slots=True)
class Reset:
    """Operator: restart the charger."""


@dataclass(frozen=True, slots=True)
class Unlock:
    """Operator: release the cable; None where no connector was named."""

    connector: int | None = None


@dataclass(frozen=True, slots=True)
class Enable:
    """Operator: take new sessions again."""


@dataclass(frozen=True, slots=True)
class Disable:
    """Operator: take no new sessions."""


@dataclass(frozen=True, slots=True)
class SetTariff:
    """Operator: sell by another tariff of the file from now on."""

    name: str


@dataclass(frozen=True, slots=True)
class Unknown:
    """Not understood, or not surely."""


Command = (
    Help
    | Price
    | Status
    | Start
    | Stop
    | TopUp
    | Refund
    | Receipt
    | ListSessions
    | StopAt
    | Reset
    | Unlock
    | Enable
    | Disable
    | SetTariff
    | Unknown
)


@dataclass(frozen=True, slots=True)
class Spoken:
    """What was said, and in which language: "en", "de", or "" when the words do not tell."""

    command: Command
    language: str


_SWITCHES: dict[Role, Callable[[int | None], Command]] = {
    Role.RESET: lambda _: Reset(),
    Role.UNLOCK: Unlock,
    Role.ENABLE: lambda _: Enable(),
    Role.DISABLE: lambda _: Disable(),
}
_BESIDES_STOP = frozenset(
    {Role.START, Role.TOPUP, Role.UNLOCK, Role.RESET, Role.ENABLE, Role.DISABLE, Role.TARIFF}
)
_QUESTIONS = frozenset({Role.HOW, Role.ASK})
_HARMLESS = frozenset({Role.FILLER, Role.MENTION, Role.JOIN, Role.NEAR, Role.CHARGE})


def parse(text: str) -> Spoken:
    """The command in a message; never raises."""
    heard = understand(text)
    if heard is None:
        return Spoken(Unknown(), "")
    command = _Reading(heard).command()
    if not heard.parts and "?" in text:
        command = Help()
    return Spoken(command, heard.language)


@dataclass(frozen=True, slots=True)
class _Figures:
    """The numbers of a message; `clear` is False where it is not sure what they mean."""

    amount_sat: int | None
    connector: int | None
    clear: bool = True


class _Reading:
    """One message, read for what it asks."""

    def __init__(self, heard: Utterance) -> None:
        self._heard = heard
        self._parts = heard.parts
        self._roles = frozenset(part.role for part in self._parts if part.kind is Kind.PHRASE)
        self._targets = [part.text for part in self._parts if part.kind is Kind.TARGET]
        self._names = [part.text for part in self._parts if part.kind is Kind.NAME]
        self._numbers = [part for part in self._parts if part.kind is Kind.NUMBER]

    def command(self) -> Command:
        """What the message asks for."""
        if Role.STOP in self._roles:
            return self._stop()
        if self._targets:
            return self._refund_to()
        if Role.REFUND in self._roles:
            return self._refund()
        if Role.RECEIPT in self._roles and Role.START not in self._roles:
            return Receipt()
        if Role.TARIFF in self._roles:
            return self._tariff()
        switches = [role for role in _SWITCHES if role in self._roles]
        if switches:
            return self._switch(switches)
        if Role.SESSIONS in self._roles:
            return ListSessions()
        return self._about_charging()

    def _stop(self) -> Command:
        if Role.HOW in self._roles or (Role.HELP in self._roles and _QUESTIONS & self._roles):
            return Help()
        if not self._is_meant(Role.STOP) or self._roles & _BESIDES_STOP:
            return Unknown()
        connectors = [part.value for part in self._parts if part.kind is Kind.CONNECTOR]
        numbers = [part.text for part in self._numbers if part.unit == ""]
        which = [*self._names, *(str(value) for value in connectors), *numbers]
        if len(self._numbers) > len(numbers) or len(which) > 1 or len(self._targets) > 1:
            return Unknown()
        if which:
            return Unknown() if self._targets else StopAt(which[0])
        others = self._others()
        said = [part for part in self._parts if part.role not in _HARMLESS]
        if len(said) == 2 and len(others) == 1 and said[0].role is Role.STOP:
            return StopAt(others[0].text)
        halting = any(p.text.casefold() == "halt" for p in self._parts if p.role is Role.STOP)
        return Unknown() if halting and others else Stop()

    def _refund_to(self) -> Command:
        doubts = {Role.NOT, Role.NO, Role.RETRACT, Role.HOW, Role.ASK, Role.DEFER, Role.QUOTE}
        elsewhere = {Role.START, Role.TOPUP, Role.RECEIPT, Role.PRICE, Role.TARIFF, *_SWITCHES}
        if len(self._targets) > 1 or self._numbers or self._roles & (doubts | elsewhere):
            return Unknown()
        if self._roles & {Role.REFUND, Role.PAY} or not self._others():
            return Refund(self._targets[0])
        return Unknown()

    def _refund(self) -> Command:
        """Asking after a refund changes nothing, so it need not be put well."""
        if self._roles & {Role.START, Role.TOPUP, Role.TARIFF, *_SWITCHES}:
            return Unknown()
        return Help() if Role.HOW in self._roles and Role.HELP in self._roles else Refund()

    def _tariff(self) -> Command:
        said = [part for part in self._parts if part.role not in _HARMLESS]
        said = [part for part in said if part.role is not Role.CHANGE]
        if Role.CHANGE in self._roles and not self._is_meant(Role.TARIFF):
            return Unknown()
        if len(said) != 2 or said[0].role is not Role.TARIFF or self._roles & _QUESTIONS:
            return Unknown() if Role.CHANGE in self._roles else Price()
        named = said[1].kind is Kind.NAME or said[1].role is Role.OTHER
        return SetTariff(said[1].text) if named else Price()

    def _switch(self, switches: list[Role]) -> Command:
        others = self._roles & {Role.START, Role.TOPUP, Role.PRICE}
        if len(switches) > 1 or others or not self._is_meant(switches[0]):
            return Unknown()
        connectors = [part.value for part in self._parts if part.kind is Kind.CONNECTOR]
        numbers = [part.value for part in self._numbers if part.unit == ""]
        which = [*connectors, *numbers]
        if len(which) > 1 or len(numbers) < len(self._numbers):
            return Unknown()
        return _SWITCHES[switches[0]](which[0] if which else None)

    def _about_charging(self) -> Command:
        figures = self._figures()
        asks_how = Role.HOW in self._roles
        wants_more = Role.TOPUP in self._roles or (
            Role.CREDIT in self._roles and figures.amount_sat is not None
        )
        if Role.HELP in self._roles and not (wants_more or Role.START in self._roles):
            return self._greeted()
        if wants_more:
            return Help() if asks_how else self._top_up(figures)
        if Role.PRICE in self._roles:
            return Price()
        if self._roles & {Role.STATUS, Role.CREDIT} and Role.START not in self._roles:
            return Status()
        if self._roles & {Role.START, Role.CHARGE}:
            return Help() if asks_how else self._start(figures)
        return Unknown()

    def _greeted(self) -> Command:
        """A greeting before something else is only that."""
        if self._roles & {Role.PRICE}:
            return Price()
        if self._roles & {Role.STATUS, Role.CREDIT}:
            return Status()
        figures = self._figures()
        if Role.CHARGE in self._roles and figures.amount_sat is not None:
            return self._start(figures)
        return Help()

    def _top_up(self, figures: _Figures) -> Command:
        if not figures.clear or self._roles & {Role.NOT, Role.RETRACT, Role.QUOTE, Role.START}:
            return Unknown()
        if figures.amount_sat is None and self._others():
            return Unknown()
        return TopUp(figures.amount_sat)

    def _start(self, figures: _Figures) -> Command:
        role = Role.START if Role.START in self._roles else Role.CHARGE
        if self._roles & _QUESTIONS and not self._roles & {Role.NOT, Role.RETRACT}:
            return Status()
        sure = figures.clear and self._is_meant(role)
        if not sure or (role is Role.CHARGE and figures.amount_sat is None and self._others()):
            return Unknown()
        return Start(figures.amount_sat, figures.connector)

    def _others(self) -> list[Part]:
        """The words that are not understood."""
        return [
            part for part in self._parts if part.kind is Kind.PHRASE and part.role is Role.OTHER
        ]

    def _figures(self) -> _Figures:
        """Amount and connector; the first bare number is the amount."""
        unclear = _Figures(None, None, clear=False)
        connectors = [part.value for part in self._parts if part.kind is Kind.CONNECTOR]
        if len(connectors) > 1 or any(
            part.value is None for part in self._numbers if part.unit != "?"
        ):
            return unclear
        connector = connectors[0] if connectors else None
        marked = [part.value for part in self._numbers if part.unit == "sat"]
        bare = [part.value for part in self._numbers if part.unit == ""]
        if len(marked) > 1 or len(marked) + len(bare) > 2:
            return unclear
        amounts = [*marked, *bare]
        if len(amounts) == 2:
            amount, second = amounts
            if connector is not None or amount is None or second is None:
                return unclear
            if second > 99 or amount < 100:
                return unclear
            return _Figures(amount, second)
        return _Figures(amounts[0] if amounts else None, connector)

    def _is_meant(self, role: Role) -> bool:
        """Whether a word that does something is neither negated, asked, put off nor quoted."""
        if Role.RETRACT in self._roles:
            return False
        reached = False
        for sentence in self._heard.sentences:
            negated = False
            said = [part.role for clause in sentence for part in clause]
            if role in said and Role.DEFER in said:
                return False
            for clause in sentence:
                here = any(part.role is role for part in clause)
                if here and (negated or not _is_plain(clause, role)):
                    return False
                if not here and reached and _only_denies(clause):
                    return False
                negated = negated or _negates(clause, sentence[0] is clause and not reached)
                reached = reached or here
            if negated and not reached and _only_denies(sentence[-1]) and len(sentence) == 1:
                return False
        return reached


def _is_plain(clause: Clause, role: Role) -> bool:
    """Whether a clause asks for what its word means, right now."""
    roles = [part.role for part in clause]
    first = roles.index(role)
    if any(r in (Role.NOT, Role.NO, Role.ASK, Role.HOW) for r in roles):
        return False
    if Role.QUOTE in roles[:first]:
        return False
    if role is Role.STOP and first and roles[first - 1] is Role.MENTION:
        return False
    for part, following in zip(clause[first:], clause[first + 1 :], strict=False):
        if part.role is Role.NEAR and following.kind is not Kind.CONNECTOR:
            return False
    return clause[-1].role is not Role.NEAR


def _negates(clause: Clause, opening: bool) -> bool:
    """Whether a clause may negate what follows it; an opening "No," does not."""
    roles = [part.role for part in clause]
    if Role.NOT in roles:
        return True
    return Role.NO in roles and not (opening and len(roles) == 1)


def _only_denies(clause: Clause) -> bool:
    """Whether a clause says no and nothing else, or ends with it."""
    denying = [part for part in clause if part.role in (Role.NOT, Role.NO)]
    if not denying:
        return False
    content = [part for part in clause if part.role in (Role.OTHER,)]
    return not content or clause[-1] is denying[-1]
