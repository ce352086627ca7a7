"""`strom demo`: a whole Strom on this machine, two simulated charge points, and a driver.

Everything listens on loopback and lives in a temporary folder. Nothing outside is contacted.
"""

from __future__ import annotations

import re
import socket
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio
from rich.console import Console
from rich.text import Text

from agent.config.tables import Config, checked
from agent.notary import PACKED
from agent.talk.words import words
from bridge.app import App
from bridge.demo.story import Story, Sums, identities
from bridge.demo.timeline import Chapter, Heading, Lane, Moment, Way
from bridge.driver.errors import DriverError
from bridge.driver.lnurl import client
from bridge.driver.nostr import connected
from bridge.driver.purse import Purse
from bridge.groups import leaves
from bridge.signals import until_told
from bridge.simulator import SimulatedChargePoint
from nips.dms import DirectMessage
from nips.errors import InvalidEvent
from nips.event import NostrEvent
from nips.status import KIND_CONNECTOR_STATUS, parse_connector_status

SPEED = 120
_STORY_S = 120.0
_PLUG_IN_AFTER_S = 3.0
_LEAVE_AFTER_S = 5.0
_english = words("en")
_LONG_CODE = re.compile(r"\b(ln[a-z0-9]{10})[a-z0-9]{40,}([a-z0-9]{4})\b", re.IGNORECASE)
"""An invoice or an LNURL: a phone makes a button of it."""

_SIGNED = re.compile(rf"\b{PACKED}[A-Za-z0-9_-]+")

_POINTS = (
    ("CP001", "Old Mill, west wall", "At the mill pond. Zap me and I charge.", 52.5200, 13.4050),
    ("CP002", "Old Mill, car park", "Two steps from the bakery.", 52.5203, 13.4061),
)


def demo_config(folder: Path, http_port: int, ocpp_port: int, relay_port: int) -> Config:
    """The operator's file of the demo; a port of 0 takes a free one."""
    http_port = http_port or _free_port()
    return checked(
        {
            "strom": {
                "public_url": f"http://127.0.0.1:{http_port}",
                "http_listen": f"127.0.0.1:{http_port}",
                "ocpp_listen": f"127.0.0.1:{ocpp_port}",
                "data_dir": "data",
            },
            "nostr": {"embedded_relay": f"127.0.0.1:{relay_port}"},
            "wallet": {"url": "dev://"},
            "tariffs": {"demo": {"energy_per_kwh": 300}},
            "charge_points": [
                {
                    "id": name,
                    "name": title,
                    "about": about,
                    "tariff": "demo",
                    "location": {"latitude": latitude, "longitude": longitude},
                    # Energy flows faster than time there.
                    "connectors": [{"id": 1, "max_power_w": 22_000}],
                }
                for name, title, about, latitude, longitude in _POINTS
            ],
        },
        folder / "strom.toml",
    )


@dataclass
class Narrator:
    """Prints the timeline as things happen.

    Attributes:
        clock: seconds since any fixed moment.
        follows: the charge point whose OCPP messages are shown, once it is known.
    """

    console: Console
    clock: Callable[[], float] = time.monotonic
    follows: str = _POINTS[0][0]
    _began: float = 0.0
    _statuses: dict[str, str] = field(default_factory=dict[str, str])
    _energy_wh: int = 0

    def begin(self) -> None:
        """Start the clock."""
        self._began = self.clock()
        self.console.print(Heading(), end="")

    def chapter(self, title: str) -> None:
        """What comes next."""
        self.console.print(Chapter(title), end="")

    def tell(self, lane: Lane, text: str, detail: str = "", way: Way = Way.NONE) -> None:
        """Something happened."""
        elapsed_ms = int((self.clock() - self._began) * 1000)
        self.console.print(Moment(elapsed_ms, lane, text, detail, way), end="")

    def heard(self, incoming: NostrEvent | DirectMessage) -> None:
        """Something came over nostr: a message, or a connector's state if it is a new one."""
        if isinstance(incoming, DirectMessage):
            protocol = incoming.protocol.upper().replace("NIP", "NIP-")
            words = _SIGNED.sub(f"{PACKED}…", incoming.text)
            words = _LONG_CODE.sub(lambda code: f"{code[1]}…{code[2]}", words)
            self.tell(Lane.NOSTR, words, f"({protocol})", Way.FROM)
        elif incoming.kind == KIND_CONNECTOR_STATUS:
            try:
                state = parse_connector_status(incoming)
            except InvalidEvent:
                return
            if self._statuses.get(state.identifier) != state.status:
                self._statuses[state.identifier] = state.status
                self.tell(Lane.NOSTR, f"status: {state.status}", "kind 30716", Way.FROM)

    def traced(self, charge_point: str) -> Callable[[bool, str, dict[str, Any]], None]:
        """Who tells the OCPP messages of a charge point."""

        def trace(sent: bool, action: str, payload: dict[str, Any]) -> None:
            if charge_point == self.follows and self._began:
                detail = self._ocpp_detail(action, payload)
                if detail is not None:
                    self.tell(Lane.OCPP, action, detail, Way.FROM if sent else Way.TO)

        return trace

    def _ocpp_detail(self, action: str, payload: dict[str, Any]) -> str | None:
        """What matters of a message; None for one that would only fill the page."""
        match action:
            case "StatusNotification":
                return str(payload["status"]) if payload["connectorId"] else None
            case "StartTransaction":
                self._energy_wh = 0
                return f"meter {int(payload['meterStart']):,} Wh"
            case "StopTransaction":
                return f"meter {int(payload['meterStop']):,} Wh, {payload['reason']}"
            case "RemoteStartTransaction":
                return f"connector {payload.get('connectorId', 1)}, tag {payload['idTag']}"
            case "RemoteStopTransaction":
                return f"transaction {payload['transactionId']}"
            case "MeterValues":
                return self._meter_detail(payload)
            case "BootNotification" | "GetConfiguration" | "Heartbeat":
                return None
            case _:
                return ""

    def _meter_detail(self, payload: dict[str, Any]) -> str | None:
        """Energy and power of a reading, for about one reading in each kWh."""
        values = {
            item["measurand"]: float(item["value"])
            for item in payload["meterValue"][0]["sampledValue"]
        }
        energy_wh = int(values.get("Energy.Active.Import.Register", 0))
        if energy_wh - self._energy_wh < 1000:
            return None
        self._energy_wh = energy_wh
        return f"{energy_wh:,} Wh, {_english.kw(int(values.get('Power.Active.Import', 0)))} kW"


async def run_demo(
    console: Console,
    *,
    once: bool,
    http_port: int = 0,
    ocpp_port: int = 0,
    relay_port: int = 0,
) -> bool:
    """Tell the story, then stay up with the web pages unless `once`.

    Returns:
        Whether the refund has settled and every msat is accounted for.
    """
    settled = False
    with tempfile.TemporaryDirectory(prefix="strom-demo-") as folder:
        config = demo_config(Path(folder), http_port, ocpp_port, relay_port)
        async with (
            App.open(config, _now_ms) as app,
            until_told(),
            anyio.create_task_group() as group,
        ):
            narrator = Narrator(console)
            chargers = {
                point.id: SimulatedChargePoint(
                    f"ws://127.0.0.1:{app.ocpp_port}/ocpp/{point.id}",
                    point.id,
                    max_power_w=22_000,
                    speed=SPEED,
                    trace=narrator.traced(point.id),
                )
                for point in config.charge_points
            }
            for charger in chargers.values():
                group.start_soon(charger.run)
            _introduce(console, app)
            settled = await _tell_story(narrator, app, chargers)
            if not once:
                for charger in chargers.values():
                    group.start_soon(_valet, charger)
                _invite(console, app)
                await anyio.sleep_forever()
            group.cancel_scope.cancel()
    return settled


async def _tell_story(
    narrator: Narrator, app: App, chargers: dict[str, SimulatedChargePoint]
) -> bool:
    dora, mallory = identities()
    relays = [app.relay_url]
    sums: Sums | None = None
    try:
        with anyio.fail_after(_STORY_S):
            async with (
                client() as http,
                connected(dora, relays, _now_ms, narrator.heard) as driver,
                connected(mallory, relays, _now_ms, _only_messages(narrator)) as bystander,
            ):
                narrator.begin()
                sums = await Story(
                    driver,
                    bystander,
                    http,
                    Purse(http, app.config.strom.public_url),
                    chargers,
                    narrator.tell,
                    narrator.chapter,
                ).run()
    except* (DriverError, TimeoutError) as errors:
        for error in leaves(errors):
            narrator.console.print(Text(f"\nThe story broke off: {error}", "bold red"))
    if sums is not None:
        _show_sums(narrator.console, sums)
    return sums is not None and sums.adds_up


def _only_messages(narrator: Narrator) -> Callable[[NostrEvent | DirectMessage], None]:
    def heard(incoming: NostrEvent | DirectMessage) -> None:
        if isinstance(incoming, DirectMessage):
            narrator.heard(incoming)

    return heard


async def _valet(charger: SimulatedChargePoint) -> None:
    """Plugs a car in after a payment and drives it away afterwards, for who tries the pages."""
    connector = charger.connectors[1]
    while True:
        await charger.until(lambda: bool(connector.awaited_tag))
        await anyio.sleep(_PLUG_IN_AFTER_S)
        await charger.plug_in()
        await charger.until(lambda: connector.status == "Finishing")
        await anyio.sleep(_LEAVE_AFTER_S)
        await charger.unplug()


def _introduce(console: Console, app: App) -> None:
    count = len(app.config.charge_points)
    console.print(
        Text.assemble(
            ("Strom demo", "bold"),
            f": {count} simulated charge points, play money, {SPEED} times real speed.\n",
            "Nothing leaves this machine.\n",
            (f"relay {app.relay_url}   pages {app.config.strom.public_url}\n", "dim"),
        )
    )


def _show_sums(console: Console, sums: Sums) -> None:
    console.print()
    lines = [
        ("Paid", sums.paid_msat, "by zap and top-up"),
        ("Charged", sums.cost_msat, f"for {_english.kwh(sums.energy_wh)} kWh"),
        ("Paid back", sums.refunded_msat, "over LNURL-withdraw"),
    ]
    lines.append(("Rounding", sums.rounding_msat, "less than one sat"))
    for label, amount_msat, note in lines:
        amount = _english.sat(amount_msat)
        console.print(
            Text.assemble(f"  {label:<10}", (f"{amount:>14}", "bold yellow"), f"   {note}")
        )
    verdict = "Every msat is accounted for." if sums.adds_up else "The sums do not add up."
    console.print(Text(f"  {verdict}", "green" if sums.adds_up else "bold red"))


def _invite(console: Console, app: App) -> None:
    console.print()
    for point in app.config.charge_points:
        url = f"{app.config.strom.public_url}/cp/{point.id.lower()}"
        console.print(Text.assemble(f"  {point.name:<22}", (url, "underline")))
    console.print(Text("\nPay there with play money and a car plugs itself in. Ctrl-C ends it."))


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
