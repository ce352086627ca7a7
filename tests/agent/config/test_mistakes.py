"""The operator's file: the sentence for each mistake in it."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.config.errors import ConfigError
from agent.config.tables import load
from tests.agent.config.files import NPUB, POINT, SECOND, only_problem, problems, written

WALLETS = (
    '"lnd://HOST:10009?tls_cert=FILE&macaroon=FILE", "lnbits+https://HOST?key_file=FILE", '
    '"nwc-file:FILE", or "dev://", which is play money'
)


def test_a_missing_file_names_the_command_that_writes_one(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match='does not exist; "strom init" writes one'):
        load(tmp_path / "strom.toml")


def test_a_folder_instead_of_a_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read: is a directory"):
        load(tmp_path)


def test_a_file_that_is_not_text(tmp_path: Path) -> None:
    path = tmp_path / "strom.toml"
    path.write_bytes(b"name = '\xff'")
    with pytest.raises(ConfigError, match=r"not UTF-8 text \(byte 9\)"):
        load(path)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "[strom]\ndata_dir = \n",
            "line 2, column 12 is not valid TOML: invalid value (text stands in quotes, "
            "true and false are in small letters)",
        ),
        (
            "a = 1\na = 2\n",
            "line 2, column 6 is not valid TOML: cannot overwrite a value "
            "(this key is there already)",
        ),
        (
            "[wallet]\na = 1\n[wallet]",
            "line 3, column 8 is not valid TOML: cannot declare wallet twice",
        ),
        (
            "[a.b]\n[a.b]",
            "line 2, column 5 is not valid TOML: cannot declare a.b twice",
        ),
        ("a = 'x", 'the file is not valid TOML: expected "\'" at the end of the file'),
    ],
)
def test_broken_toml_is_told_with_its_line(tmp_path: Path, text: str, expected: str) -> None:
    assert only_problem(tmp_path, text).startswith(expected)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            '[strom]\nhttp_listen = "8080"',
            'strom.http_listen = "8080": expected "host:port", such as "127.0.0.1:8080"',
        ),
        (
            '[strom]\ntrusted_proxies = ["caddy"]',
            'strom.trusted_proxies[0] = "caddy": expected an IP address or network, such as '
            '"127.0.0.1" or "10.0.0.0/8"',
        ),
        (
            '[fiat]\ncurrency = "euro"',
            'fiat.currency = "euro": expected a currency by its ISO 4217 code, such as "EUR"',
        ),
        (
            '[fiat]\ncurrency = "EUR"\nsources = ["kraken"]',
            "fiat.sources: expected at least two different sources: one alone may be wrong",
        ),
        (
            '[fiat]\ncurrency = "EUR"\nsources = ["kraken", "moon"]',
            'fiat.sources[1] = "moon": expected one of kraken, coinbase, bitstamp',
        ),
        (
            '[map]\ntiles = "https://tiles.example.com/"',
            'map.tiles = "https://tiles.example.com/": expected a tile URL, such as '
            '"https://tiles.example.com/{z}/{x}/{y}.png"',
        ),
        (
            "[tariffs.day]\ntax_percent = 190.5",
            "tariffs.day.tax_percent = 190.5: expected a number from 0 to 100 with at most 2 "
            "decimal places",
        ),
        (
            '[strom]\nhttp_listen = "::1:8080"',
            'strom.http_listen = "::1:8080": expected an IPv6 address in brackets, '
            'such as "[::1]:8080"',
        ),
        (
            '[strom]\nhttp_listen = "localhost:65536"',
            'strom.http_listen = "localhost:65536": expected "host:port", such as "127.0.0.1:8080"',
        ),
        (
            '[strom]\npublic_url = "charge.example.com"',
            'strom.public_url = "charge.example.com": expected a URL, '
            'such as "https://charge.example.com"',
        ),
        (
            '[strom]\npublic_url = "http://charge.example.com"',
            'strom.public_url = "http://charge.example.com": expected https:// '
            "(http:// is for loopback only)",
        ),
        (
            '[strom]\npublic_url = "https://example.com/strom"',
            'strom.public_url = "https://example.com/strom": expected nothing behind the host: '
            "lightning addresses are looked up at its root",
        ),
        (
            '[strom]\npublic_url = "https://user:hunter2@example.com"',
            "strom.public_url: expected a URL without a user name or password in it",
        ),
        ('[strom]\ndata_dir = ""', 'strom.data_dir = "": expected the path of a file or folder'),
        ("strom = 5", "strom = 5: expected a table, such as [strom]"),
        ('[strom]\nhttp_listn = "x"', "strom.http_listn is not a key that Strom knows; "),
        ("[tariff.day]", "tariff is not a key that Strom knows; "),
        ('[nostr]\nrelays = "wss://x"', 'nostr.relays = "wss://x": expected a list'),
        (
            '[nostr]\nrelays = ["https://x.example"]',
            'nostr.relays[0] = "https://x.example": expected a relay URL, '
            'such as "wss://relay.example.com"',
        ),
        (
            '[nostr]\nrelays = ["ws://relay.example.com"]',
            'nostr.relays[0] = "ws://relay.example.com": expected wss:// '
            "(ws:// is for loopback only)",
        ),
        (
            '[nostr]\noperators = ["alice"]',
            'nostr.operators[0] = "alice": expected a public key as "npub1..."',
        ),
        (
            f'[nostr]\noperators = ["{NPUB[:-1]}"]',
            f'nostr.operators[0] = "{NPUB[:60]}…": expected a public key as "npub1..."; '
            "a letter of this one is wrong or missing",
        ),
        (
            "[nostr]\nplace_kinds = [37515.0]",
            "nostr.place_kinds[0] = 37515.0: expected 37515 or 4326",
        ),
        ("[wallet]\nurl = 5", f"wallet.url: expected a wallet: {WALLETS}"),
        ('[wallet]\nurl = "lnd"', f"wallet.url: expected a wallet: {WALLETS}"),
        ("[wallet]\nauto_refund = 1", "wallet.auto_refund = 1: expected true or false"),
        (
            "[wallet]\nfee_limit_percent = 101",
            "wallet.fee_limit_percent = 101: expected a number from 0 to 100",
        ),
        (
            "[sessions]\nstart_timeout_s = 4",
            "sessions.start_timeout_s = 4: expected a whole number from 5 to 3600",
        ),
        (
            '[sessions]\nstart_timeout_s = "120"',
            'sessions.start_timeout_s = "120": expected a whole number from 5 to 3600',
        ),
        (
            "[sessions]\nstart_timeout_s = 120.5",
            "sessions.start_timeout_s = 120.5: expected a whole number from 5 to 3600",
        ),
        (
            "[sessions]\nmin_payment_sat = true",
            "sessions.min_payment_sat = true: expected a whole number from 1 to 100000000",
        ),
        (
            "[sessions]\nmin_payment_sat = 200\nmax_payment_sat = 100",
            "sessions.min_payment_sat = 200: expected at most max_payment_sat, 100",
        ),
        (
            '[tariffs.day]\ncurrency = "XAU"',
            'tariffs.day.currency = "XAU": expected "SAT": prices are in sat; [fiat] shows '
            "them in your currency too",
        ),
        (
            "[tariffs.day]\nenergy_per_kwh = -1",
            "tariffs.day.energy_per_kwh = -1: expected a number from 0 to 100000000 "
            "with at most 3 decimal places",
        ),
        (
            "[tariffs.day]\nenergy_per_kwh = 0.0005",
            "tariffs.day.energy_per_kwh = 0.0005: expected a number from 0 to 100000000 "
            "with at most 3 decimal places",
        ),
        (
            "[tariffs.day]\nflat = nan",
            "tariffs.day.flat = NaN: expected a number from 0 to 100000000 "
            "with at most 3 decimal places",
        ),
        ('[charge_points]\nid = "CP001"', "charge_points: expected a list of tables, each headed"),
        (
            '[[charge_points]]\nid = "CP001"\nname = "x"',
            'charge_points[0] "CP001" .tariff is missing',
        ),
        (
            '[[charge_points]]\nid = "CP001"\nname = "x"\ntariff = "day"',
            'charge_points[0] "CP001" .tariff = "day": expected a tariff of this file; '
            "add a table [tariffs.day]",
        ),
        (
            POINT + '[[charge_points]]\nid = "CP002"\nname = "x"\ntariff = "dya"',
            'charge_points[1] "CP002" .tariff = "dya": expected a tariff of this file; '
            'did you mean "day"?',
        ),
        (
            POINT + '[[charge_points]]\nid = "cp001"\nname = "x"\ntariff = "day"',
            'charge_points[1].id = "cp001": expected another id than charge_points[0].id has '
            "(upper and lower case are the same)",
        ),
        (
            POINT + 'charger_id = "ocpp/CP001"',
            'charge_points[0] "CP001" .charger_id = "ocpp/CP001": expected up to 100 letters '
            "without /: what the charger puts behind the URL that it is given",
        ),
        (
            POINT + 'charger_id = "DE*1"' + SECOND + 'charger_id = "de*1"',
            'charge_points[1] "CP002" .charger_id = "de*1": expected another one than '
            'charge_points[0] "CP001" has (upper and lower case are the same)',
        ),
        (
            POINT + SECOND + 'charger_id = "cp001"',
            'charge_points[1] "CP002" .charger_id = "cp001": expected another one than '
            'charge_points[0] "CP001" has (upper and lower case are the same)',
        ),
        (
            POINT.replace("CP001", "CP 1"),
            'charge_points[0].id = "CP 1": expected 1 to 48 letters, digits, - and _, '
            "the first a letter or digit: it is part of web and lightning addresses",
        ),
        (
            POINT.replace("Old Mill", " "),
            'charge_points[0] "CP001" .name = " ": expected text of 1 to 80 characters',
        ),
        (
            POINT.replace("Old Mill", "Old\\u0007Mill"),
            'charge_points[0] "CP001" .name = "Old\\u0007Mill": expected text without control '
            "characters",
        ),
        (
            POINT + 'picture = "mill.jpg"',
            'charge_points[0] "CP001" .picture = "mill.jpg": expected a web address, '
            'such as "https://example.com/"',
        ),
        (
            POINT + "location = { latitude = 91, longitude = 0 }",
            'charge_points[0] "CP001" .location.latitude = 91: expected a number from -90 to 90',
        ),
        (
            POINT + "location = { latitude = 52.5 }",
            'charge_points[0] "CP001" .location.longitude is missing',
        ),
        (
            POINT + "location = { latitude = 1, longitude = 1, geohash_length = 12 }",
            'charge_points[0] "CP001" .location.geohash_length = 12: expected a whole number '
            "from 3 to 9",
        ),
        (
            POINT + "connectors = []",
            'charge_points[0] "CP001" .connectors: expected at least one connector',
        ),
        (
            POINT + "connectors = [{ id = 1 }, { id = 1 }]",
            'charge_points[0] "CP001" .connectors: expected a different id for each connector',
        ),
        (
            POINT + 'connectors = [{ id = 1, type = "IEC_62196_t2" }]',
            'charge_points[0] "CP001" .connectors[0].type = "IEC_62196_t2": expected a connector '
            'type by its OCPI name; did you mean "IEC_62196_T2"?',
        ),
        (
            '[strom]\nocpp_listen = "127.0.0.1:8080"',
            'strom.ocpp_listen = "127.0.0.1:8080": expected another address than '
            "strom.http_listen has",
        ),
    ],
)
def test_each_mistake_gets_one_sentence(tmp_path: Path, text: str, expected: str) -> None:
    found = only_problem(tmp_path, text)
    assert found.startswith(expected)
    assert "\n" not in found
    assert "pydantic" not in found


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ('[strom]\nhttp_listn = "x"', '"http_listen"'),
        ("[strm]", '"strom"'),
        ("[tariffs.day]\nenergy_per_kw = 1", '"energy_per_kwh"'),
        (POINT + 'nam = "x"', '"name"'),
        (POINT + "location = { latitude = 1, longitude = 1, adress = 'x' }", '"address"'),
        (POINT + "connectors = [{ id = 1, typ = 'x' }]", '"type"'),
    ],
)
def test_an_unknown_key_is_compared_with_the_known_ones(
    tmp_path: Path, text: str, meant: str
) -> None:
    assert only_problem(tmp_path, text).endswith(f"; did you mean {meant}?")


def test_an_unknown_key_that_resembles_nothing_lists_the_known_ones(tmp_path: Path) -> None:
    found = only_problem(tmp_path, "[wallet]\nquux = 1")
    assert found.endswith(
        "; known are: auto_refund, fee_limit_min_sat, fee_limit_percent, hold, reserve_sat, url"
    )


def test_all_mistakes_are_told_at_once(tmp_path: Path) -> None:
    found = problems(
        tmp_path,
        """
[strom]
http_listn = "x"
[sessions]
start_timeout_s = 1
min_payment_sat = 9
max_payment_sat = 8
[tariffs.day]
flat = -1
[[charge_points]]
id = "CP001"
tariff = "night"
""",
    )
    assert [problem.split(" ")[0] for problem in found] == [
        "strom.http_listn",
        "sessions.start_timeout_s",
        "tariffs.day.flat",
        "charge_points[0]",
        "sessions.min_payment_sat",
        "charge_points[0]",
    ]
    error = ConfigError(Path("strom.toml"), found)
    assert str(error).startswith("strom.toml has 6 mistakes:\n  strom.http_listn is not")


def test_two_charge_points_cannot_be_one_identity(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("nsec1...")
    second = '[[charge_points]]\nid = "CP002"\nname = "x"\ntariff = "day"\nnsec_file = "key"'
    found = only_problem(tmp_path, POINT + 'nsec_file = "key"\n' + second)
    assert found == (
        'charge_points[1] "CP002" .nsec_file: expected another file than '
        'charge_points[0] "CP001" has: two charge points cannot be one identity'
    )


def test_the_language_is_one_that_strom_speaks(tmp_path: Path) -> None:
    assert load(written(tmp_path, '[strom]\nlanguage = "de"')).strom.language == "de"
    found = only_problem(tmp_path, '[strom]\nlanguage = "deutsch"')
    assert found == 'strom.language = "deutsch": expected one of en, de, nl, fr'


@pytest.mark.parametrize("address", ["Mill@x.example", "mill", "@x.example", "npub1@", 7])
def test_an_address_elsewhere_must_be_one(tmp_path: Path, address: object) -> None:
    shown = f'"{address}"' if isinstance(address, str) else address
    found = only_problem(tmp_path, POINT + f"lud16 = {shown}")
    assert found.startswith('charge_points[0] "CP001" .lud16')
    assert 'such as "name@provider.example"' in found


def test_an_address_elsewhere_is_not_here(tmp_path: Path) -> None:
    strom = '[strom]\npublic_url = "https://mill.example"\n'
    found = only_problem(tmp_path, strom + POINT + 'lud16 = "cp001@mill.example"')
    assert "expected an address at another server" in found
    config = load(written(tmp_path, strom + POINT + 'lud16 = "mill@provider.example"'))
    assert config.charge_points[0].lud16 == "mill@provider.example"


def test_a_path_that_cannot_be_looked_at_is_a_mistake(tmp_path: Path) -> None:
    """It ended each command in a traceback; the same befell whoever may not enter the folder."""
    too_long = "x" * 300
    assert only_problem(tmp_path, f'[nostr]\nseed_file = "{too_long}"').endswith(
        "cannot be read (file name too long) in " + str(tmp_path)
    )
    assert only_problem(tmp_path, f'[strom]\ndata_dir = "{too_long}"').endswith(
        "expected a folder: file name too long"
    )


@pytest.mark.parametrize(
    "name", ["می\u200cشود", "👩\u200d👧", "Borne n°\u00a05", "A\u202f:\u202fB"]
)
def test_names_of_every_language(tmp_path: Path, name: str) -> None:
    """What joins and parts letters was taken for a control character."""
    text = POINT.replace("Old Mill", name)
    assert load(written(tmp_path, text)).charge_points[0].name == name


@pytest.mark.parametrize("letter", ["\u202e", "\u200b", "\u0085", "\ufeff", "\u2028"])
def test_what_turns_or_hides_words_is_refused(tmp_path: Path, letter: str) -> None:
    found = only_problem(tmp_path, POINT.replace("Old Mill", f"Old{letter}Mill"))
    assert found.endswith("expected text without control characters")


def test_a_data_dir_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("")
    assert only_problem(tmp_path, "").endswith("expected a folder, and this is a file")
