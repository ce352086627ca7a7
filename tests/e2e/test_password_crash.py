"""A charger's password is replaced while Strom is killed at each step: it always gets in again."""

from __future__ import annotations

import asyncio
import json
from base64 import b64encode
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidStatus, WebSocketException
from websockets.typing import Subprotocol

from tests.e2e.killed import PASSWORD_STEPS
from tests.e2e.served import Strom

FIRST = "the-first-password"


class Firmware:
    """A charger with a password in its flash.

    `takes_it_silently` is one that stores the new password and whose answer is lost.
    """

    def __init__(self, url: str, takes_it_silently: bool) -> None:
        self.password = FIRST
        self.was_refused = False
        self._url = url
        self._takes_it_silently = takes_it_silently

    async def visit(self) -> None:
        """Come in, boot, and do what is asked, until a new password was taken or it is over.

        The password comes first, if at all: whoever asks for the configuration is past it.
        """
        credentials = b64encode(f"CP001:{self.password}".encode()).decode()
        try:
            async with connect(
                f"{self._url}/CP001",
                subprotocols=[Subprotocol("ocpp1.6")],
                additional_headers={"Authorization": f"Basic {credentials}"},
                proxy=None,
            ) as socket:
                boot = {"chargePointVendor": "x", "chargePointModel": "y"}
                await socket.send(json.dumps([2, "b", "BootNotification", boot]))
                async with asyncio.timeout(2):
                    while await self._obey(socket, json.loads(await socket.recv())):
                        pass
        except InvalidStatus:
            self.was_refused = True
        except (WebSocketException, OSError, TimeoutError):
            return

    async def _obey(self, socket: ClientConnection, frame: list[Any]) -> bool:
        """Answer one frame; False once there is a new password, or none to come."""
        if frame[0] != 2:
            return True
        if frame[3].get("key") != "AuthorizationKey":
            await socket.send(json.dumps([3, frame[1], {"configurationKey": []}]))
            return frame[2] != "GetConfiguration"
        self.password = bytes.fromhex(frame[3]["value"]).decode()
        if not self._takes_it_silently:
            await socket.send(json.dumps([3, frame[1], {"status": "Accepted"}]))
            # Strom may die of this answer; it must have come there.
            await (await socket.ping())
        return False


@pytest.mark.parametrize("takes_it_silently", [False, True])
@pytest.mark.parametrize("step", PASSWORD_STEPS)
async def test_nobody_is_locked_out(tmp_path: Path, step: str, takes_it_silently: bool) -> None:
    strom = Strom(tmp_path, program="tests.e2e.killed")
    (tmp_path / "first").write_text(FIRST)
    with (tmp_path / "strom.toml").open("a") as file:
        file.write('password_file = "first"\nrotate_password = true\n')
    charger = Firmware(strom.ocpp_url, takes_it_silently)
    try:
        await strom.start(STROM_KILL_AT=step)
        for _ in range(3):
            await charger.visit()
        async with asyncio.timeout(10):
            await strom.until(strom.has_died)
        assert not charger.was_refused
        await strom.start()
        for _ in range(3):
            await charger.visit()
        assert not charger.was_refused
        assert charger.password != FIRST
        stranger = Firmware(strom.ocpp_url, takes_it_silently)
        await stranger.visit()
        assert stranger.was_refused
    finally:
        await strom.close()
