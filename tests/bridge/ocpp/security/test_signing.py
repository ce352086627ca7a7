"""A charger gets its certificate from a whole Strom, comes in with it, and renews it in time."""

from __future__ import annotations

import ssl
from base64 import b64encode
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest
from cryptography.hazmat.primitives import serialization
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus
from websockets.typing import Subprotocol

from agent.config.tables import load
from bridge.app import App
from bridge.charger_security import ISSUED_FOLDER
from tests.bridge.cli.command import Strom
from tests.bridge.cli.conftest import strom as strom
from tests.bridge.ocpp.obedient import ObedientCharger
from tests.bridge.ocpp.pki import Authority as Pki
from tests.bridge.ocpp.security.test_authority import curve_key, key_file, request
from tests.bridge.ocpp.wire import now_ms
from tests.strom_toml import DAY, LOCAL, charge_point

PASSWORD = "0123456789abcdef0123"
TLS = """
[ocpp]
tls_listen = "127.0.0.1:0"
certificate = "server.pem"
key = "server.key"
client_ca = "chargers.pem"
{authority}
"""
CONFIG = LOCAL + TLS + DAY + charge_point(more="{point}")
SIGNS = """
ca_certificate = "chargers.pem"
ca_key = "chargers.key"
certificate_days = {days}
"""
PROFILE_2 = 'security_profile = 2\npassword_file = "cp001"'
PROFILE_3 = "security_profile = 3"


def written(folder: Path, point: str, *, days: int | None = 365) -> Pki:
    """The files of a Strom with TLS; with `days` it signs certificates for so many.

    Returns:
        The authority of its own certificate.
    """
    server, chargers = Pki(folder, "servers"), Pki(folder, "chargers", PKI)
    server.server()
    key_file(chargers)
    assert chargers.file.exists()
    (folder / "cp001").write_text(PASSWORD)
    (folder / "cp001").chmod(0o600)
    authority = "" if days is None else SIGNS.format(days=days)
    (folder / "strom.toml").write_text(CONFIG.format(authority=authority, point=point))
    return server


@asynccontextmanager
async def serving(
    folder: Path, point: str, *, days: int | None = 365
) -> AsyncGenerator[tuple[App, Pki]]:
    """The same at work."""
    server = written(folder, point, days=days)
    async with App.open(load(folder / "strom.toml"), now_ms) as app:
        yield app, server


PKI = Pki(Path()).ca


@asynccontextmanager
async def charger(
    port: int,
    trusts: ssl.SSLContext | None,
    called: str = "CP001",
    *,
    password: str = "",
    version: str = "1.6",
) -> AsyncGenerator[ObedientCharger]:
    """A charger that booted, over TLS where it trusts somebody."""
    shown = b64encode(f"{called}:{password}".encode()).decode()
    async with (
        connect(
            f"{'ws' if trusts is None else 'wss'}://127.0.0.1:{port}/ocpp/{called}",
            ssl=trusts,
            subprotocols=[Subprotocol(f"ocpp{version}")],
            additional_headers={"Authorization": f"Basic {shown}"} if password else {},
            proxy=None,
            close_timeout=1,
        ) as socket,
        anyio.create_task_group() as group,
    ):
        made = ObedientCharger(socket, version)
        group.start_soon(made.run, group)
        await made.boot()
        yield made
        group.cancel_scope.cancel()


async def until_kept(folder: Path, chain: str) -> None:
    file = folder / "data" / ISSUED_FOLDER / "CP001.pem"
    while not file.exists() or file.read_text() != chain:
        await anyio.sleep(0.01)


@pytest.mark.parametrize(
    ("version", "called"), [("1.6", "CP001"), ("2.0.1", "CP001"), ("1.6", "DE*ABC*E1:2")]
)
async def test_from_a_password_to_a_certificate_and_the_next_one(
    tmp_path: Path, version: str, called: str
) -> None:
    key = curve_key()
    itself = f'charger_id = "{called}"\n'
    async with serving(tmp_path, itself + PROFILE_2, days=20) as (app, server):
        port, trusts = app.ocpp_tls_port, server.trusting()
        async with charger(port, trusts, called, password=PASSWORD, version=version) as here:
            asked = {"csr": request(key, called)}
            if version == "2.0.1":
                asked["certificateType"] = "ChargingStationCertificate"
            assert await here.say("SignCertificate", asked) == {"status": "Accepted"}
            signed = await here.heard("CertificateSigned")
            await until_kept(tmp_path, signed["certificateChain"])
            # Once in a while is enough.
            assert await here.say("SignCertificate", asked) == {"status": "Rejected"}
            assert app.security.expiries()["CP001"] > now_ms()
    own = tmp_path / "own.pem", tmp_path / "own.key"
    own[0].write_text(signed["certificateChain"])
    own[1].write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    async with serving(tmp_path, itself + PROFILE_3, days=20) as (app, server):
        port, showing = app.ocpp_tls_port, server.trusting(own)
        # It is known before it came in, and that it expires in less than 30 days.
        assert "expires in" in app.alerts.current()["certificate CP001"]
        with pytest.raises(InvalidStatus):
            async with charger(port, server.trusting(), called, version=version):
                pass
        async with charger(port, showing, called, version=version) as here:
            trigger = "ExtendedTriggerMessage" if version == "1.6" else "TriggerMessage"
            wanted = (await here.heard(trigger))["requestedMessage"]
            assert wanted.startswith("SignCharg")
            asked = {"csr": request(curve_key(), called)}
            assert await here.say("SignCertificate", asked) == {"status": "Accepted"}
            await until_kept(tmp_path, (await here.heard("CertificateSigned"))["certificateChain"])


async def test_who_gets_no_certificate(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    rejected = {"status": "Rejected"}
    asked = {"csr": request(curve_key(), "CP001")}
    async with (
        serving(tmp_path, PROFILE_2, days=None) as (app, server),
        charger(app.ocpp_tls_port, server.trusting(), password=PASSWORD) as here,
    ):
        assert await here.say("SignCertificate", asked) == rejected
        assert "Strom is no authority" in caplog.text
    async with serving(tmp_path, 'password_file = "cp001"') as (app, server):
        async with charger(app.ocpp_port, None, password=PASSWORD) as here:
            assert await here.say("SignCertificate", asked) == rejected
            assert "it came without TLS" in caplog.text
        async with charger(
            app.ocpp_tls_port, server.trusting(), password=PASSWORD, version="2.0.1"
        ) as here:
            vehicles = asked | {"certificateType": "V2GCertificate"}
            assert await here.say("SignCertificate", vehicles) == rejected
            assert "Strom signs no V2GCertificate" in caplog.text
            other = {"csr": request(curve_key(), "CP002")}
            assert await here.say("SignCertificate", other) == rejected
            assert "it is for 'CP002'" in caplog.text
    async with (
        serving(tmp_path, "") as (app, server),
        charger(app.ocpp_tls_port, server.trusting()) as here,
    ):
        assert await here.say("SignCertificate", asked) == rejected
        assert "neither a password nor a certificate" in caplog.text
    assert not (tmp_path / "data" / ISSUED_FOLDER).exists()


async def test_who_asked_wrongly_may_ask_again_at_once(tmp_path: Path) -> None:
    async with (
        serving(tmp_path, PROFILE_2) as (app, server),
        charger(app.ocpp_tls_port, server.trusting(), password=PASSWORD) as here,
    ):
        other = {"csr": request(curve_key(), "CP002")}
        assert await here.say("SignCertificate", other) == {"status": "Rejected"}
        asked = {"csr": request(curve_key(), "CP001")}
        assert await here.say("SignCertificate", asked) == {"status": "Accepted"}
        assert await here.heard("CertificateSigned")


async def test_a_certificate_that_is_not_taken_is_told_of(tmp_path: Path) -> None:
    async with (
        serving(tmp_path, PROFILE_2) as (app, server),
        charger(app.ocpp_tls_port, server.trusting(), password=PASSWORD) as here,
    ):
        here.answers["CertificateSigned"] = {"status": "Rejected"}
        asked = {"csr": request(curve_key(), "CP001")}
        assert await here.say("SignCertificate", asked) == {"status": "Accepted"}
        while "certificate refused CP001" not in app.alerts.current():
            await anyio.sleep(0.01)
    assert not (tmp_path / "data" / ISSUED_FOLDER).exists()


def test_check_tells_who_signs_and_whether_it_can(strom: Strom, tmp_path: Path) -> None:
    written(tmp_path, PROFILE_2, days=90)
    ran = strom("check")
    assert ran.code == 0, ran.err
    assert "ca_key      signs chargers' certificates for 90 days each, " in ran.out
    (tmp_path / "chargers.key").write_bytes((tmp_path / "server.key").read_bytes())
    ran = strom("check")
    assert ran.code == 1
    assert "chargers.key is not the key of" in ran.err
    (tmp_path / "chargers.key").chmod(0o644)
    written(tmp_path, PROFILE_2, days=90)
    (tmp_path / "chargers.key").chmod(0o644)
    assert "chargers.key can be read by other users" in strom("check").err
