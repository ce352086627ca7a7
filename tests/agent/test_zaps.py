"""What a zap is for: by address, by zapped event, by comment; and whose it is."""

from __future__ import annotations

import pytest

from agent.zaps import Zap, named_connector, read_zap
from nips.errors import InvalidZapRequest
from nips.event import Coordinate, NostrEvent
from nips.identity import Identity
from nips.private_zaps import private_zap_request
from nips.zaps import parse_zap_request, zap_request

POINT, PAYER = Identity.generate(), Identity.generate()
RELAYS = ("wss://relay.example.com",)
NOW_S = 1_800_000_000


def read(event: NostrEvent, addressed: int | None = None) -> Zap:
    request = parse_zap_request(
        event.to_json(), recipient_pubkey=POINT.pubkey, amount_msat=1000, own_relays=()
    )
    return read_zap(
        request, charge_point="CP001", connectors=(1, 2), addressed=addressed, identity=POINT
    )


def zapped(
    comment: str = "", identifier: str = "", kind: int = 30716, *, anonymous: bool = False
) -> NostrEvent:
    coordinate = Coordinate(kind, POINT.pubkey, identifier) if identifier else None
    return zap_request(
        PAYER,
        recipient_pubkey=POINT.pubkey,
        amount_msat=1000,
        relays=RELAYS,
        comment=comment,
        created_at=NOW_S,
        coordinate=coordinate,
        anonymous=anonymous,
    )


@pytest.mark.parametrize(
    ("comment", "connector"),
    [
        ("", None),
        ("connector 2", 2),
        ("Connector #2 please", 2),
        ("#2", 2),
        ("2", 2),
        (" 2. ", 2),
        ("Säule 2", 2),
        ("an Anschluss Nr. 1 bitte", 1),
        ("Ladesäule: 2!", 2),
        ("prise n° 2", 2),
        ("aansluiting 2", 2),
        ("borne 1", 1),
        ("charge 2 kWh", None),
        ("2 sats", None),
        ("connector 2.5", None),
        ("connector 1 or connector 2", None),
        ("#7 is my lucky number", None),
        ("7", None),
        ("##2", None),
        ("a#2", None),
        ("reconnector 2", None),
        ("#1 charger in town", 1),
        ("connector " + "9" * 400, None),
        ("\N{HIGH VOLTAGE SIGN}" * 300 + "#2", None),
    ],
)
def test_the_comment_may_name_a_connector(comment: str, connector: int | None) -> None:
    assert named_connector(comment, (1, 2)) == connector


def test_a_connector_in_words_that_is_not_here_is_refused() -> None:
    with pytest.raises(InvalidZapRequest, match="no connector 7 here, only 1, 2"):
        read(zapped("connector 7"))


def test_the_zapped_state_names_the_connector_and_counts_more_than_words() -> None:
    assert read(zapped(identifier="CP001:2")).connector == 2
    assert read(zapped("connector 1", identifier="CP001:2")).connector == 2
    assert read(zapped(identifier="CP001:2", kind=30402)).connector == 2
    assert read(zapped(identifier="CP001:2"), addressed=2).connector == 2
    assert read(zapped("connector 2"), addressed=1).connector == 1
    assert read(zapped(identifier="general", kind=30315)).connector is None


@pytest.mark.parametrize("identifier", ["CP002:1", "CP001:3", "CP001:x", "CP001", "CP001:1\n"])
def test_a_zapped_event_of_no_connector_here_is_refused(identifier: str) -> None:
    with pytest.raises(InvalidZapRequest, match="no connector that is here"):
        read(zapped(identifier=identifier))


def test_a_zap_that_contradicts_its_address_is_refused() -> None:
    with pytest.raises(InvalidZapRequest, match="for connector 2, but was sent to connector 1"):
        read(zapped(identifier="CP001:2"), addressed=1)


def test_whose_it_is() -> None:
    assert read(zapped()).payer == PAYER.pubkey
    assert read(zapped(anonymous=True)).payer is None


def private(recipient: Identity = POINT) -> NostrEvent:
    return private_zap_request(
        PAYER,
        recipient_pubkey=recipient.pubkey,
        amount_msat=1000,
        relays=RELAYS,
        comment="bitte an Säule 2",
        created_at=NOW_S,
    )


def test_a_private_zap_belongs_to_the_payer_that_it_proves() -> None:
    zap = read(private())
    assert (zap.payer, zap.comment, zap.connector) == (PAYER.pubkey, "bitte an Säule 2", 2)
    assert zap.language == "de"
    assert zap.request.signer != PAYER.pubkey


def test_a_private_zap_that_proves_nobody_is_an_anonymous_one() -> None:
    thief = Identity.generate()
    stolen = next(tag for tag in private(Identity.generate()).tags if tag[0] == "anon")
    forged = thief.sign(9734, "", [["relays", *RELAYS], ["p", POINT.pubkey], stolen], NOW_S)
    zap = read(forged)
    assert zap.payer is None
