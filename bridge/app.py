"""The composition root: one running Strom, from the operator's file to open ports."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from functools import partial
from urllib.parse import urlsplit

import anyio
from starlette.routing import Route
from starlette.types import ASGIApp

from agent.alerts import Alerts
from agent.clock import Clock
from agent.config.keys import identity_left, identity_of, open_identities
from agent.config.models import Wishes, overridden
from agent.config.secret_files import read_secret
from agent.config.tables import Config
from agent.config.values import LOOPBACK_HOSTS
from agent.journal.guard import held
from agent.journal.journal import JOURNAL_FILE, Journal
from agent.leaving import left_behind
from agent.links import Links
from agent.nostr.presence import Presence
from agent.ports.charger import Nameplate
from agent.site import Site
from agent.talk.announcer import Announcer
from agent.talk.conversation import Conversation
from agent.tariff.rate import ExchangeRate
from bridge.charger_security import ChargerSecurity
from bridge.control.lines import SOCKET_FILE
from bridge.control.server import controlled
from bridge.faces import public_faces
from bridge.fetch import Fetcher
from bridge.http_server import HttpServer, listening
from bridge.limits import Rate
from bridge.linking import Linking
from bridge.lnurl.server import LnurlServer, LnurlSettings
from bridge.metrics import routes as metrics_routes
from bridge.ocpp.message_log import MESSAGE_LOG_FOLDER, MessageLog
from bridge.ocpp.server import OcppServer
from bridge.operating import commands
from bridge.overview import Overview
from bridge.payees import LnurlPayees
from bridge.prices.bitcoin import OPERATOR, SOURCES, BitcoinPrice, rate_of
from bridge.wallets import wallet_of
from bridge.web.app import create_app
from bridge.web.console import Console
from bridge.web.render import WebSettings
from nips.embedded_relay import EmbeddedRelay
from nips.identity import Identity, decode_npub
from wallet.base import Wallet, WalletUnavailable
from wallet.dev import DevWallet

TRANSACTION_NAMES_FILE = "ocpp-names"

_UNLIMITED = Rate(burst=100_000, per_minute=6_000_000)
"""For a Strom that only this machine can reach."""

log = logging.getLogger(__name__)


class App:
    """A running Strom; see `open`.

    Attributes:
        config: the operator's file.
        site: its charge points.
        wallet: where the money is.
        presence: its side of nostr.
        identities: of each charge point, by its id.
        alerts: what is wrong now.
        security: certificates and passwords of the chargers' connections.
        http_port: of the pages, LNURL and NIP-05.
        ocpp_port: of the chargers.
        ocpp_tls_port: of those that come over TLS; 0 without.
        relay_url: of the embedded relay; "" without one.
    """

    def __init__(
        self,
        config: Config,
        site: Site,
        wallet: Wallet,
        presence: Presence,
        identities: dict[str, Identity],
        alerts: Alerts,
        security: ChargerSecurity,
    ) -> None:
        self.alerts = alerts
        self.security = security
        self.config = config
        self.site = site
        self.wallet = wallet
        self.presence = presence
        self.identities = identities
        self.http_port = 0
        self.ocpp_port = 0
        self.ocpp_tls_port = 0
        self.relay_url = ""

    @classmethod
    @asynccontextmanager
    async def open(
        cls, config: Config, clock: Clock, steady: Clock | None = None
    ) -> AsyncGenerator[App]:
        """Start everything that the operator's file asks for; leaving the context stops it.

        Args:
            config: the operator's file; its paths are absolute or start here.
            clock: Unix milliseconds.
            steady: see `agent.site.Site`.

        Raises:
            CannotListen: an address is in use or not ours.
            JournalError, KeyFileError, WalletConfigError, NostrError:
                each with a sentence for the operator.
        """
        async with AsyncExitStack() as stack:
            identities = open_identities(config)
            journal_path = config.strom.data_dir / JOURNAL_FILE
            stack.enter_context(held(journal_path))
            journal = Journal.open(journal_path)
            stack.callback(journal.close)
            http = stack.enter_context(listening("strom.http_listen", config.strom.http_listen))
            relays, relay_url = await _relays(config, stack)
            wallet = await _wallet(config, clock, stack)
            left = left_behind(config, journal)
            leaving = {
                point.id: identity
                for point in left.points
                if (identity := identity_left(config, point)) is not None
            }
            announcer = Announcer(config.strom.public_url, journal, config.strom.language)
            operators = frozenset(decode_npub(npub) for npub in config.nostr.operators)
            presence = Presence(
                config,
                identities,
                journal,
                clock,
                relays,
                announcer.announce,
                operators,
                partial(identity_of, config),
                leaving,
            )
            stack.push_async_callback(presence.close)
            links = Links(config.strom.public_url)
            price = _bitcoin_price(config, clock)
            alerts = Alerts(clock, presence.tell_operators)
            security = ChargerSecurity(config, clock, alerts, left.points)
            payees = LnurlPayees(allow_loopback=_is_local(config))
            site = Site(
                config,
                faces=public_faces(config, identities, relays),
                journal=journal,
                wallet=wallet,
                clock=clock,
                herald=presence.press,
                voice=presence.voice.deliver,
                payees=payees,
                providers=payees,
                address_of=presence.directory.lightning_address,
                rate=_fixed_rate(config, clock) if price is None else price.rate,
                identities={**leaving, **identities},
                alerts=alerts,
                left=left,
                steady=steady,
            )
            announcer.speak_for(site)
            app = cls(config, site, wallet, presence, identities, alerts, security)
            app.relay_url = relay_url
            conversation = Conversation(
                site, config.strom.public_url, operators, config.strom.language
            )
            await stack.enter_async_context(site.running())
            messages = MessageLog(config.strom.data_dir / MESSAGE_LOG_FOLDER, clock)
            ocpp = OcppServer(
                site,
                config.strom.ocpp_listen,
                security.policy,
                clock,
                guard=security,
                log=messages,
                tls=security.tls,
                settings=app.ocpp_settings,
                called={point.called: point.id for point in config.charge_points},
                leaving=site.leaving.by_charger,
                names_file=config.strom.data_dir / TRANSACTION_NAMES_FILE,
                alerts=alerts,
            )
            site.leaving.on_gone(ocpp.send_away)
            site.on_clock_set(ocpp.clock_was_set)
            await ocpp.start()
            stack.push_async_callback(ocpp.close)
            app.ocpp_port, app.ocpp_tls_port = ocpp.port, ocpp.tls_port
            chargers = Overview(
                config,
                site,
                lines=ocpp.desk,
                links=ocpp.links,
                upkeep=ocpp.upkeep,
                security=security,
                troubles=alerts,
            )
            asked = commands(site, site.office, ocpp.desk, chargers)
            await stack.enter_async_context(controlled(config.strom.data_dir / SOCKET_FILE, asked))
            metrics = metrics_routes(
                site.office,
                presence,
                ocpp,
                clock,
                security.expiries,
                charge_points=len(config.charge_points),
            )
            web = _web(config, site, relays, links, wallet, clock, metrics, chargers)
            app.http_port = http.getsockname()[1]
            group = await stack.enter_async_context(anyio.create_task_group())
            stack.callback(group.cancel_scope.cancel)
            group.start_soon(messages.run)
            group.start_soon(security.run)
            if price is not None:
                group.start_soon(price.run)
            await presence.run(group, site.view, conversation.answer, site.outside, alerts)
            server = HttpServer(web, config.strom.trusted_proxies)
            await group.start(server.run, http)
            yield app

    def ocpp_settings(self, charge_point_id: str, nameplate: Nameplate) -> Wishes:
        """The OCPP configuration keys that the operator wants a charge point to have."""
        plate = (nameplate.vendor, nameplate.model, nameplate.firmware)
        wanted: dict[str, str] = {}
        own: set[str] = set()
        for model in self.config.ocpp_models:
            if model.fits(*plate):
                wanted = overridden(wanted, model.settings)
                own |= set() if model.is_for_many else model.settings.keys()
        settings = next(
            (p.ocpp_settings for p in self.config.charge_points if p.id == charge_point_id),
            dict[str, str](),
        )
        return Wishes(overridden(wanted, settings), frozenset(own | settings.keys()))


async def _relays(config: Config, stack: AsyncExitStack) -> tuple[tuple[str, ...], str]:
    """All relays of the operator's file, the embedded one opened first; and its URL."""
    if config.nostr.embedded_relay is None:
        return config.nostr.relays, ""
    host, _, port = config.nostr.embedded_relay.rpartition(":")
    relay = EmbeddedRelay(host.strip("[]"), int(port), config.strom.data_dir / "relay")
    await relay.open()
    stack.push_async_callback(relay.close)
    return (relay.url, *config.nostr.relays), relay.url


async def _wallet(config: Config, clock: Clock, stack: AsyncExitStack) -> Wallet:
    wallet = wallet_of(config, clock)
    stack.push_async_callback(wallet.close)
    try:
        await wallet.open()
    except WalletUnavailable as error:
        log.warning("the wallet does not answer yet; payments are refused until it does: %s", error)
    return wallet


def _bitcoin_price(config: Config, clock: Clock) -> BitcoinPrice | None:
    """Who asks what Bitcoin costs, where that is wanted."""
    fiat = config.fiat
    if fiat is None or fiat.btc_price is not None:
        return None
    sources = [SOURCES[name] for name in fiat.sources]
    return BitcoinPrice(fiat.currency, sources, Fetcher(), clock)


def _fixed_rate(config: Config, clock: Clock) -> Callable[[], ExchangeRate | None]:
    """The exchange rate that stands in the operator's file; none where none does."""
    fiat = config.fiat
    if fiat is None or fiat.btc_price is None:
        return lambda: None
    fixed = rate_of(fiat.currency, fiat.btc_price, clock(), (OPERATOR,))
    return lambda: fixed


def _web(
    config: Config,
    site: Site,
    relays: Sequence[str],
    links: Links,
    wallet: Wallet,
    clock: Clock,
    metrics: Sequence[Route],
    chargers: Overview,
) -> ASGIApp:
    linking = Linking(clock)
    sealed = config.sessions.success_action == "aes"
    lnurl_settings = LnurlSettings(links, language=config.strom.language, sealed=sealed)
    web_settings = WebSettings(links, relays, language=config.strom.language)
    if config.map is not None:
        web_settings = replace(
            web_settings, tile_url=config.map.tiles, tile_credit=config.map.credit
        )
    if _is_local(config):
        lnurl_settings = replace(lnurl_settings, looks=_UNLIMITED, invoices=_UNLIMITED)
        web_settings = replace(web_settings, looks=_UNLIMITED, orders=_UNLIMITED)
    return create_app(
        site,
        web_settings,
        linking=linking,
        clock=clock,
        play=wallet if isinstance(wallet, DevWallet) else None,
        operators=_console(config, site, chargers),
        routes=[*LnurlServer(site, lnurl_settings, linking, clock).routes, *metrics],
    )


def _console(config: Config, site: Site, chargers: Overview) -> Console | None:
    """The operator's console, where his file names its password."""
    file = config.strom.admin_password_file
    return None if file is None else Console(read_secret(file), site.office, chargers)


def _is_local(config: Config) -> bool:
    """Whether this Strom can only be reached from its own machine: a demo or a test."""
    return urlsplit(config.strom.public_url).hostname in LOOPBACK_HOSTS
