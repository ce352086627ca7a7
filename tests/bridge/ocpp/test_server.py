"""Who may connect, and which connection counts."""

from __future__ import annotations

import logging
from typing import Any

import anyio
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus

from agent.ports.charger import ChargerCommand, StartOutcome, StopOutcome
from bridge.errors import CannotListen
from bridge.ocpp.limits import Limits
from bridge.ocpp.security.admission import may_enter
from bridge.ocpp.server import AuthPolicy, OcppServer
from tests.bridge.ocpp.recorder import RecordingSite
from tests.bridge.ocpp.wire import charger, now_ms, serving


async def refused(server: OcppServer, path: str = "/ocpp/CP001", **options: object) -> int:
    with pytest.raises(InvalidStatus) as caught:
        async with charger(server, path, **options):  # pyright: ignore[reportArgumentType]
            pass
    return caught.value.response.status_code


async def test_a_configured_charge_point_connects_and_boots() -> None:
    site = RecordingSite("CP001")
    async with serving(site) as server, charger(server) as raw:
        assert raw.socket.subprotocol == "ocpp1.6"
        answer = await raw.boot()
        assert answer["status"] == "Accepted"
        assert answer["currentTime"].endswith("Z")
        assert server.connected() == ("CP001",)


@pytest.mark.parametrize(
    "path", ["/ocpp/DE*ABC*E1:2%20b", "/ocpp/de%2Aabc%2ae1%3A2%20b", "/ocpp/CP001"]
)
async def test_a_charger_may_call_itself_what_no_id_can_be(path: str) -> None:
    site = RecordingSite("CP001", "CP002")
    called = {"DE*ABC*E1:2 b": "CP001", "CP002": "CP002"}
    async with serving(site, called=called) as server, charger(server, path) as raw:
        assert (await raw.boot())["status"] == "Accepted"
        assert server.connected() == ("CP001",)


async def test_what_a_charger_calls_itself_comes_before_an_id() -> None:
    called = {"CP002": "CP001", "CP001": "CP002"}
    site = RecordingSite("CP001", "CP002")
    async with serving(site, called=called) as server, charger(server, "/ocpp/CP001") as raw:
        await raw.boot()
        assert server.connected() == ("CP002",)


@pytest.mark.parametrize("path", ["/ocpp/NOBODY", "/ocpp/", "/", "/ocpp/%00", "/" + "x" * 900])
async def test_an_unknown_charge_point_is_refused(path: str) -> None:
    site = RecordingSite("CP001")
    async with serving(site) as server:
        assert await refused(server, path) == 404
        assert not site.points["CP001"].chargers


@pytest.mark.parametrize(
    ("path", "named"),
    [
        ("/ocpp/NOBODY?token=abc", "no charge point 'NOBODY'"),
        ("/ocpp", "no charge point 'ocpp'"),
        ("/", "no charge point without an id"),
        ("/ocpp", "no charge point 'ocpp': an id is wanted behind it, as in /ocpp/CP001"),
        ("/ocpp/a%1Bb", r"no charge point 'a\x1bb'"),
        ("/ocpp/DE*ABC*E1", "no charge point with charger_id = 'DE*ABC*E1' (from"),
        ("/ocpp/" + "x" * 400, "no charge point '" + "x" * 60 + "' (from"),
    ],
)
async def test_the_operator_reads_what_an_unknown_charger_calls_itself(
    path: str, named: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Its id is what he mistyped, here or there."""
    caplog.set_level(logging.INFO)
    async with serving(RecordingSite("CP001")) as server:
        assert await refused(server, path) == 404
    assert named in caplog.text


@pytest.mark.parametrize(
    ("code", "reason", "told"),
    [
        (1000, "", "the charger closed it\n"),
        (1001, "going to bed", "the charger closed it: 'going to bed'\n"),
        (4000, "", "the charger closed it, code 4000\n"),
    ],
)
async def test_the_log_tells_who_ended_a_connection(
    code: int, reason: str, told: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    async with serving(RecordingSite("CP001")) as server:
        async with charger(server) as raw:
            await raw.socket.close(code, reason)
        await server.close()
    assert f"CP001: the connection ended: {told}" in caplog.text


async def test_the_log_tells_of_a_connection_that_was_cut(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    site = RecordingSite("CP001")
    async with serving(site) as server, charger(server) as raw:
        await raw.boot()
        raw.socket.transport.abort()
        await site.points["CP001"].until(lambda: not site.points["CP001"].chargers)
    assert "the connection ended: it was lost without a word" in caplog.text


async def test_basic_authentication_is_demanded_where_a_password_is_configured() -> None:
    site = RecordingSite("CP001")
    async with serving(site, policy=AuthPolicy(password="00ff17")) as server:
        assert await refused(server) == 401
        assert await refused(server, credentials=b"CP001:wrong") == 401
        assert await refused(server, credentials=b"00ff17") == 401
        for password in (b"00ff17", b"00FF17", bytes.fromhex("00ff17"), b"00ff17".hex().encode()):
            async with charger(server, credentials=b"CP001:" + password) as raw:
                await raw.boot()


@pytest.mark.parametrize("header", ["Bearer x", "Basic !!!", "Basic", "", "Basic Og", "Basic Og=="])
def test_broken_authorization_headers_do_not_enter(header: str) -> None:
    assert not may_enter("secret", [header])


@pytest.mark.parametrize(
    ("offered", "version", "spoken"),
    [
        (("ocpp2.0.1", "ocpp1.6"), "", "ocpp2.0.1"),
        (("ocpp1.6", "ocpp2.0.1"), "", "ocpp1.6"),
        (("ocpp2.1", "OCPP2.0.1"), "", "OCPP2.0.1"),
        (("ocpp2.0.1", "ocpp1.6"), "ocpp1.6", "ocpp1.6"),
        (("ocpp1.6", "ocpp2.0.1"), "ocpp2.0.1", "ocpp2.0.1"),
        (None, "ocpp2.0.1", None),
        (None, "ocpp1.6", None),
        (("ocpp2.1",), "", 400),
        (("ocpp2.0",), "", 400),
        (("ocpp1.6",), "ocpp2.0.1", 400),
    ],
)
async def test_the_version_is_the_chargers_first_or_the_operators_only_one(
    offered: tuple[str, ...] | None, version: str, spoken: str | int | None
) -> None:
    policy = AuthPolicy(version=version)
    async with serving(RecordingSite("CP001"), policy=policy) as server:
        if isinstance(spoken, int):
            assert await refused(server, subprotocols=offered) == spoken
            return
        async with charger(server, subprotocols=offered) as raw:
            assert raw.socket.subprotocol == spoken
            is_201 = (spoken or version).lower() == "ocpp2.0.1"
            assert (await raw.exchange("TransactionEvent", {}))[0] == (3 if is_201 else 4)


async def test_subprotocols_without_ours_are_refused_and_a_missing_one_where_strict(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with serving(RecordingSite("CP001")) as server:
        assert await refused(server, subprotocols=("ocpp9.9",)) == 400
    strict = AuthPolicy(strict_subprotocol=True)
    async with serving(RecordingSite("CP001"), policy=strict) as server:
        assert await refused(server, subprotocols=None) == 400
        reason = "it offers no subprotocol, and strict_subprotocol demands one (from"
        assert f"CP001 was refused: {reason}" in caplog.text
        async with charger(server) as raw:
            await raw.boot()


async def test_a_port_in_use_is_one_sentence() -> None:
    site = RecordingSite("CP001")
    async with serving(site) as server:
        second = OcppServer(site, f"127.0.0.1:{server.port}", lambda _: AuthPolicy(), now_ms)
        with pytest.raises(CannotListen, match=r'127\.0\.0\.1:\d+" is in use: stop the'):
            await second.start()


async def test_remote_start_and_stop_on_the_wire() -> None:
    site = RecordingSite("CP001")
    point = site.points["CP001"]
    async with serving(site) as server, charger(server) as raw:
        await raw.boot()
        outcomes: list[object] = []
        async with anyio.create_task_group() as group:

            async def ask() -> None:
                outcomes.append(await point.charger.start(1, "TAG1"))
                outcomes.append(await point.charger.start(1, "TAG2"))
                outcomes.append(await point.charger.stop(7))
                outcomes.append(await point.charger.start(1, "TAG3"))
                outcomes.append(await point.charger.start(1, "x" * 21))

            group.start_soon(ask)
            frame = await raw.receive()
            assert frame[2:] == ["RemoteStartTransaction", {"connectorId": 1, "idTag": "TAG1"}]
            await raw.send([3, frame[1], {"status": "Accepted"}])
            frame = await raw.receive()
            await raw.send([3, "not-yours", {"status": "Accepted"}])
            await raw.send([3, frame[1], {"status": "Rejected"}])
            frame = await raw.receive()
            assert frame[2:] == ["RemoteStopTransaction", {"transactionId": 7}]
            await raw.send([3, frame[1], {"status": "Accepted"}])
            frame = await raw.receive()
            refusal: list[Any] = [4, frame[1], "InternalError", "", {}]
            await raw.send(refusal)
        assert outcomes == [
            StartOutcome.ACCEPTED,
            StartOutcome.REJECTED,
            StopOutcome.ACCEPTED,
            StartOutcome.UNKNOWN,
            StartOutcome.UNKNOWN,
        ]


async def test_commands_on_the_wire() -> None:
    site = RecordingSite("CP001")
    point = site.points["CP001"]
    async with serving(site) as server, charger(server) as raw:
        await raw.boot()
        expected = [
            (ChargerCommand.RESET, "Reset", {"type": "Soft"}, "Accepted"),
            (ChargerCommand.UNLOCK, "UnlockConnector", {"connectorId": 1}, "Unlocked"),
            (
                ChargerCommand.ENABLE,
                "ChangeAvailability",
                {"connectorId": 1, "type": "Operative"},
                "Scheduled",
            ),
            (
                ChargerCommand.DISABLE,
                "ChangeAvailability",
                {"connectorId": 1, "type": "Inoperative"},
                "Rejected",
            ),
        ]
        for command, action, payload, status in expected:
            done: list[bool] = []
            async with anyio.create_task_group() as group:

                async def ask(command: ChargerCommand = command, done: list[bool] = done) -> None:
                    done.append(await point.charger.command(command, 1))

                group.start_soon(ask)
                frame = await raw.receive()
                assert frame[2:] == [action, payload]
                await raw.send([3, frame[1], {"status": status}])
            assert done == [status != "Rejected"]


async def test_a_silent_charger_and_a_lost_one_give_unknown() -> None:
    site = RecordingSite("CP001")
    point = site.points["CP001"]
    async with (
        serving(site, limits=Limits(call_timeout_s=0.1)) as server,
        charger(server) as raw,
    ):
        await raw.boot()
        assert await point.charger.start(1, "TAG") is StartOutcome.UNKNOWN
    async with serving(site) as server, charger(server) as raw:
        await raw.boot()
        outcomes: list[StopOutcome] = []
        async with anyio.create_task_group() as group:

            async def ask() -> None:
                outcomes.append(await point.charger.stop(1))

            group.start_soon(ask)
            await raw.receive()
            raw.socket.transport.abort()
        assert outcomes == [StopOutcome.UNKNOWN]


async def test_a_start_and_a_stop_do_not_wait_for_an_answer_that_never_comes() -> None:
    """Some chargers never answer what they do not know: a credit would end meanwhile."""
    site = RecordingSite("CP001")
    point = site.points["CP001"]
    async with (
        serving(site, limits=Limits(call_timeout_s=600, patience_s=0.05)) as server,
        charger(server) as raw,
        anyio.create_task_group() as group,
    ):
        await raw.boot()
        group.start_soon(point.charger.command, ChargerCommand.UNLOCK, 1)
        assert (await raw.asked())[2] == "UnlockConnector"
        group.start_soon(point.charger.start, 1, "TAG")
        await raw.accept("RemoteStartTransaction")
        group.start_soon(point.charger.command, ChargerCommand.RESET, 0)
        group.start_soon(point.charger.stop, 7)
        await raw.accept("RemoteStopTransaction")
        assert raw.waiting == 0
        group.cancel_scope.cancel()


async def test_nothing_is_asked_before_the_first_answer_or_a_silence() -> None:
    """A charger restarts when it is called before its boot was accepted: evcc PR 27309."""
    site = RecordingSite("CP001")
    point = site.points["CP001"]
    async with (
        serving(site) as server,
        charger(server) as raw,
        anyio.create_task_group() as group,
    ):
        await point.until(lambda: bool(point.chargers))
        group.start_soon(point.charger.start, 1, "TAG")
        answer = await raw.boot()
        assert answer["status"] == "Accepted"
        frame = await raw.receive()
        await raw.send([3, frame[1], {"status": "Accepted"}])
    async with serving(site, limits=Limits(silence_s=0.05)) as server, charger(server) as raw:
        await point.until(lambda: bool(point.chargers))
        async with anyio.create_task_group() as group:
            group.start_soon(point.charger.start, 1, "TAG")
            frame = await raw.receive()
            await raw.send([3, frame[1], {"status": "Accepted"}])


async def test_the_newest_connection_owns_the_charge_point() -> None:
    site = RecordingSite("CP001")
    point = site.points["CP001"]
    async with serving(site) as server, charger(server) as old:
        await old.boot()
        first = point.charger
        async with charger(server) as new:
            await new.boot()
            with pytest.raises(ConnectionClosed), anyio.fail_after(10):
                await old.socket.recv()
            await point.until(lambda: first not in point.chargers)
            assert server.connected() == ("CP001",)
            assert len(point.chargers) == 1
            await new.call("Heartbeat", {})
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(server.desk.ask, "CP001", "ClearCache", dict[str, Any]())
                assert await new.accept("ClearCache") == {}
        await point.until(lambda: not point.chargers)
        assert server.connected() == ()


async def test_closing_the_server_detaches_everyone() -> None:
    site = RecordingSite("CP001")
    async with serving(site) as server, charger(server) as raw:
        await raw.boot()
        await server.close()
        assert not site.points["CP001"].chargers
        assert server.port == 0


async def test_a_charger_with_another_version_alone_is_told_which_are_spoken(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with serving(RecordingSite("CP001")) as server:
        with pytest.raises(InvalidStatus) as caught:
            async with charger(server, subprotocols=["ocpp2.1"]):
                pass
    assert caught.value.response.status_code == 400
    assert b"ocpp1.6 or ocpp2.0.1" in caught.value.response.body
    assert "it offers ocpp2.1, and neither" in caplog.text
