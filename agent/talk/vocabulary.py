"""The words that drivers and operators use, in English and German, and what part each plays.

A phrase is one or several words; of phrases that start at the same word the longest counts.
`verb ... particle` is a German or English verb whose second half ends the clause.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from enum import Enum, auto


class Role(Enum):
    """What a phrase does in a sentence."""

    STOP = auto()
    START = auto()
    CHARGE = auto()
    TOPUP = auto()
    CREDIT = auto()
    REFUND = auto()
    PAY = auto()
    PRICE = auto()
    STATUS = auto()
    RECEIPT = auto()
    HELP = auto()
    SESSIONS = auto()
    RESET = auto()
    UNLOCK = auto()
    ENABLE = auto()
    DISABLE = auto()
    TARIFF = auto()
    CHANGE = auto()
    NOT = auto()
    NO = auto()
    HOW = auto()
    ASK = auto()
    DEFER = auto()
    NEAR = auto()
    RETRACT = auto()
    MENTION = auto()
    QUOTE = auto()
    JOIN = auto()
    FILLER = auto()
    OTHER = auto()


ENGLISH = {
    Role.STOP: """
        stop; halt; end; end it; abort; cancel; quit; terminate; finish; stop it
    """,
    Role.START: """
        start; begin; start charging; begin charging; start a charge; go ahead
    """,
    Role.CHARGE: "charge; charging; charge up; recharge; juice",
    Role.TOPUP: """
        topup; top-up; top up; top it up; add credit; refill; load credit; add; top ... up
    """,
    Role.CREDIT: "credit; balance",
    Role.REFUND: """
        refund; refunds; refunded; reimburse; reimbursement; money back; pay back; payback;
        cash out; cashout; payout; pay out; withdraw; withdrawal; give ... back; get ...
        back; pay ... back; send ... back; remainder; leftover; leftovers; my change; my
        money; remaining sats; sats back
    """,
    Role.PAY: "send; pay; transfer; return",
    Role.PRICE: """
        price; prices; pricing; cost; costs; how much; how expensive; rate; rates; fee;
        fees; free of charge; is it free of charge; price list
    """,
    Role.STATUS: """
        status; state; progress; how far; how long; remaining; left; still charging; is it
        charging; are you charging; is my car charging; available; availability; occupied;
        is it free; are you free; anything free; free connector; free connectors; busy; so
        far; how is it going; hows it going; kwh; already used; how much have i; how much is
        left; how much left; how much energy; how much did i; how much longer; how much
        credit; how much time; how much remains; is it done; are you done; done yet
    """,
    Role.RECEIPT: "receipt; receipts; bill; proof of payment",
    Role.HELP: """
        help; commands; hello; hi; hey; menu; instructions; usage; gm; good morning; good
        evening; options
    """,
    Role.SESSIONS: "sessions; list sessions; all sessions; open sessions; show sessions",
    Role.RESET: "reset; reboot; restart; power cycle",
    Role.UNLOCK: "unlock; release the cable; release the plug",
    Role.ENABLE: "enable; activate; turn ... on; switch ... on",
    Role.DISABLE: "disable; deactivate; turn ... off; switch ... off; out of service",
    Role.TARIFF: "tariff; tariffs",
    Role.CHANGE: "set; switch; change; use",
    Role.NOT: """
        not; dont; do not; never; without; cannot; cant; wont; isnt; arent; wasnt; doesnt;
        didnt; shouldnt; couldnt; wouldnt; mustnt; havent; hasnt; unable; neither; nor;
        nothing; aint; nobody; refuse to; stop stopping; dnt; dun
    """,
    Role.NO: "no; nope; nah",
    Role.HOW: "how; how do; how to; how can; how does",
    Role.ASK: """
        why; what; whats; which; where; wheres; who; whether; did; does; do i; do you; has;
        is; are; will; should; can i; could i; may i; might; am i; shall; would it; can it;
        could it; have you; would; whos
    """,
    Role.DEFER: """
        when; if; unless; until; till; before; after; once; later; tomorrow; as soon as;
        while; whenever; someday; tonight
    """,
    Role.NEAR: "at; in; by",
    Role.RETRACT: """
        wait; kidding; joking; rather; never mind; nevermind; forget it; just joking;
        changed my mind; ignore; undo; scratch that; my mistake; oops; instead
    """,
    Role.MENTION: """
        the; a; an; next; last; bus; full; pit; every; each; first; one; rest; tram; train;
        another; this; that; non; word; command; words; called; full-stop; wont; cannot
    """,
    Role.QUOTE: """
        type; write; say; says; saying; reply; tell; told; text; word; command; send me;
        answer; said he; he said; she said; they said; called
    """,
    Role.JOIN: "and; but; because; then; so; since; cause; as",
    Role.FILLER: """
        please; pls; plz; now; immediately; thanks; thank you; thx; ok; okay; yes; yeah;
        for; to; my; me; on; with; of; it; car; ev; vehicle; battery; right now; could you;
        can you; would you; will you please; i; im; id; id like; want; want to; would like;
        need; need to; like; just; the session; session; sessions please; sats; sat; dear;
        charger; station; everything; all; quick; quickly; asap; here; sir; lets; let us;
        kindly; up; some; worth; have to; must; you; your; about; give; get; show; tell me;
        show me; send me; give me; connector; plug; port; amount; more; another; the; a; an;
        this; that; today; hereby; from
    """,
}

GERMAN = {
    Role.STOP: """
        stopp; stop; stoppe; stoppen; anhalten; halt; beende; beenden; abbrechen; abbruch;
        schluss; schluss jetzt; aufhören; hör ... auf; höre ... auf; halte ... an; halt ...
        an; brich ... ab; breche ... ab; notstopp; not-stopp; nothalt; mach schluss; hör
        auf; höre auf
    """,
    Role.START: """
        start; starte; starten; starte das laden; beginne; beginnen; fang ... an; fange ...
        an; los; los gehts; leg los; fang an
    """,
    Role.CHARGE: """
        lade; laden; aufladen; aufzuladen; lade ... auf; geladen; ladung; ladevorgang;
        vollladen; volladen; strom
    """,
    Role.TOPUP: """
        guthaben aufladen; nachladen; nachlegen; aufstocken; aufstockung; auffüllen;
        guthaben erhöhen; nachzahlen; stocke ... auf; lege ... nach; lade ... nach; erhöhe
    """,
    Role.CREDIT: "guthaben; restguthaben; kontostand",
    Role.REFUND: """
        erstattung; rückerstattung; rückzahlung; erstatte; erstatten; zurückzahlen;
        zurückerstatten; auszahlen; auszahlung; geld zurück; restgeld; wechselgeld;
        restbetrag; zahle ... zurück; zahl ... zurück; zahle ... aus; zahl ... aus; gib ...
        zurück; mein geld; rückgeld; rücküberweisung; guthaben zurück; guthaben auszahlen;
        zurück
    """,
    Role.PAY: """
        sende; senden; schick; schicke; schicken; überweise; überweisen; zahle; zahl; zahlen
    """,
    Role.PRICE: """
        preis; preise; preisliste; kosten; kostet; was kostet; wie teuer; wieviel; wie viel;
        gebühr; gebühren; kostenlos; wie viel kostet; wieviel kostet; teuer
    """,
    Role.STATUS: """
        status; zustand; stand; fortschritt; wie weit; wie lange; restzeit; lädt; lädst du;
        frei; verfügbar; belegt; besetzt; noch übrig; übrig; läuft; wie läuft es; wie
        läufts; bisher; schon geladen; wieviel noch; wie viel noch; verbraucht; wie viel
        habe ich; wieviel habe ich; wie viel guthaben; wieviel guthaben; wie viel ist noch;
        wieviel ist noch; wie viel energie; wieviel energie; ist es fertig; bist du fertig;
        schon fertig
    """,
    Role.RECEIPT: """
        beleg; quittung; rechnung; bon; kassenbon; zahlungsbeleg; abrechnung; kassenzettel
    """,
    Role.HELP: """
        hilfe; befehle; hallo; hi; hey; moin; servus; guten tag; guten morgen; guten abend;
        anleitung; grüezi; grüß gott; kommandos
    """,
    Role.SESSIONS: "sitzungen; ladevorgänge; offene sitzungen; alle sitzungen",
    Role.RESET: """
        reset; neustart; neustarten; neu starten; zurücksetzen; rebooten; resette; starte
        ... neu
    """,
    Role.UNLOCK: """
        entriegeln; entriegle; entriegele; entsperren; entsperre; kabel freigeben; stecker
        freigeben
    """,
    Role.ENABLE: """
        aktivieren; aktiviere; einschalten; freischalten; schalte ... ein; schalt ... ein;
        in betrieb nehmen
    """,
    Role.DISABLE: """
        deaktivieren; deaktiviere; sperren; sperre; abschalten; ausschalten; schalte ...
        aus; schalt ... aus; schalte ... ab; außer betrieb
    """,
    Role.TARIFF: "tarif; tarife",
    Role.CHANGE: """
        setze; stelle; stell; wechsle; wechsel; ändere; nimm; umstellen; wechseln
    """,
    Role.NOT: """
        nicht; kein; keine; keinen; keinesfalls; niemals; nie; ohne; nimmer; nichts; keins;
        nich; weder; bloß nicht; ned; net
    """,
    Role.NO: "nein; nö; nee",
    Role.HOW: "wie; wie kann; wie geht",
    Role.ASK: """
        warum; wieso; weshalb; was; welche; welcher; welches; wo; wer; ob; hat; hast; ist;
        wird; wirst; soll; kann ich; darf ich; darf man; kann man; sollte; sollen; bist;
        kann es
    """,
    Role.DEFER: """
        wann; wenn; falls; sobald; bis; bevor; nachdem; später; morgen; erst; nachher;
        sofern; solange; irgendwann; heute abend
    """,
    Role.NEAR: "um; bei; in",
    Role.RETRACT: """
        warte; moment; scherz; spaß; quatsch; doch; vergiss es; egal; lieber; blödsinn;
        stattdessen; ignoriere; ignorieren; irrtum
    """,
    Role.MENTION: """
        der; ein; einen; einem; eine; nächster; nächste; nächsten; letzter; wort; befehl;
        dem; jeder; jeden
    """,
    Role.QUOTE: """
        schreib; schreibe; tippe; tipp; sag; sage; sagen; sagt; antworte; wort; befehl;
        schreiben; antworten; heißt
    """,
    Role.JOIN: "und; aber; weil; denn; dann; also; sondern; da",
    Role.FILLER: """
        bitte; ok; okay; sats; sat; jetzt; sofort; danke; vielen dank; ja; gern; gerne; für;
        an; am; das; die; den; mit; auf; ich; mein; meine; meinen; meinem; auto; wagen;
        akku; batterie; kannst du; könntest du; würdest du; kannst; könntest; möchte; will;
        mir; mich; es; einmal; mal; du; von; zu; anschluss; stecker; gleich; schnell;
        ladesäule; säule; e-auto; alles; bitteschön; dankeschön; können sie; könnten sie;
        sie; hier; ihn; nun; noch; uns; wir; kannste; zeig; zeige; gib; sitzung;
        ladesitzung; muss; brauche; betrag; heute; der; ladestation; im; wäre; nett; lieb;
        haben; hätte; für meinen
    """,
}

CONTRACT = frozenset(
    {"help", "price", "status", "start", "stop", "topup", "refund", "receipt", "sessions"}
    | {"reset", "unlock", "enable", "disable", "tariff"}
)
"""The words that work in every language, so that they tell none."""

LANGUAGES = {"en": ENGLISH, "de": GERMAN}

_UMLAUTS = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue"})
_APOSTROPHES = str.maketrans({"'": None, "\N{RIGHT SINGLE QUOTATION MARK}": None, "`": None})


def fold(word: str) -> str:
    """A word as it is compared: without case, umlauts spelled out, without apostrophes."""
    composed = unicodedata.normalize("NFKC", word).casefold()
    return composed.translate(_UMLAUTS).translate(_APOSTROPHES)


@dataclass(frozen=True, slots=True)
class Phrase:
    """A phrase of the vocabulary.

    Attributes:
        words: folded, in their order.
        particle: the word that ends the clause of a split verb; "" for an ordinary phrase.
        roles: what it does, by the language in which it does it.
    """

    words: tuple[str, ...]
    particle: str
    roles: dict[str, Role]

    def role(self, language: str) -> Role:
        """What it does in a text of this language; "" where the language is not known."""
        return self.roles.get(language) or next(iter(self.roles.values()))


def _by_first_word() -> dict[str, tuple[Phrase, ...]]:
    index: dict[str, dict[tuple[tuple[str, ...], str], Phrase]] = {}
    for language, listed_by_role in LANGUAGES.items():
        for role, listed in listed_by_role.items():
            for entry in listed.split(";"):
                head, _, particle = fold(entry).partition("...")
                words = tuple(head.split())
                phrases = index.setdefault(words[0], {})
                phrase = phrases.setdefault(
                    (words, particle.strip()), Phrase(words, particle.strip(), {})
                )
                phrase.roles.setdefault(language, role)
    return {
        first: tuple(sorted(phrases.values(), key=lambda p: (-len(p.words), not p.particle)))
        for first, phrases in index.items()
    }


PHRASES = _by_first_word()
"""All phrases by their first word: the longest first, split verbs before plain ones."""
