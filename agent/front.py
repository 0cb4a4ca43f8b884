"""The front: the agent's unprivileged process, which holds the network and no rights.

    enforcer --state--> report --> news --> held Asks
    port: shut, plain (unpaired: pairing only) or TLS (paired: the exchange only)

Which of the three the port is follows from the enforcer's state. While the
enforcer has not been heard of since the start, the front's own certificate says
which lab it belongs to, so that a PC whose other half is broken is seen to be so.
"""

import asyncio
import logging
import signal
import socket
import sys
from datetime import UTC, datetime
from pathlib import Path

import ifaddr
import msgspec

from agent.announce import Announcer
from agent.api import Server
from agent.connection import Door, Route
from agent.core import status
from agent.exchange import Exchange, News, PairingDoor
from agent.facts import FactsReader
from agent.links import LinkWatch
from agent.local_client import EnforcerLink
from agent.notify import notify, watchdog_every_s
from agent.renewal import Renewal
from agent.settings import Paths, Settings
from agent.tls import Papers, Peer, Unusable, stranger
from contract.exchange import EXCHANGE_PATH
from contract.pairing import PAIR_FINISH_PATH, PAIR_START_PATH
from contract.status import Facts, StatusReport
from contract.wire import MAX_MESSAGE_BYTES

PAIRING_BYTES = 64 * 1024
"""Longest pairing message: three Blobs in base64 and then some."""

FACTS_FRESH_S = 1.0
"""Facts are read again after this, so that a burst of news does not read them for each."""

IP_FREEBIND = 15
"""linux/in.h: bind to an address that the PC does not have yet."""

_log = logging.getLogger("lab-agent.front")


class Front:
    """Everything the front is made of, wired together. Make it in a running event loop."""

    def __init__(self, settings: Settings, paths: Paths) -> None:
        self._settings = settings
        self._paths = paths
        self._loop = asyncio.get_running_loop()
        self._link = EnforcerLink(paths.socket, self._enforcer_changed)
        self._facts_reader = FactsReader(settings.kiosk_user)
        self._facts: Facts | None = None
        self._facts_at = 0.0
        self._skew: float | None = None
        self._papers = Papers(paths)
        self._renewal = Renewal(paths)
        self._asking: asyncio.Task[None] | None = None
        self._news = News()
        self._last: StatusReport | None = None
        self._notable: tuple[object, ...] = ()
        self._lab: str | None = None
        self._ca = b""
        self._server = Server(may_use=Cards(settings.interfaces))
        self._announcer: Announcer | None = None
        self._pairing = PairingDoor(self._link, self._news)
        self._exchange = Exchange(
            link=self._link,
            papers=self._papers,
            renewal=self._renewal,
            news=self._news,
            status=self.status,
            compared=self._compared,
            recheck=self._server.cut,
        )

    async def run(self) -> None:
        """Serve until cancelled. Raises OSError when the port cannot be had."""
        listeners = listening(self._settings)
        port = int(listeners[0].getsockname()[1])
        for listener in listeners:
            self._server.listen(listener)
        watch: LinkWatch | None = None
        tasks = [self._link.run(), self._beat()]
        if self._settings.announce:
            self._announcer = Announcer(self._settings.station, port, self._settings.interfaces)
            watch = LinkWatch(self._announcer.look)
            tasks.append(self._announcer.run())
        self._settle()
        _log.info("%s listens on port %d", self._settings.station, port)
        notify("READY=1")
        try:
            async with asyncio.TaskGroup() as group:
                for task in tasks:
                    group.create_task(task)
        finally:
            notify("STOPPING=1")
            if watch is not None:
                watch.close()
            await self._server.close()
            if self._announcer is not None:
                await self._announcer.close()

    def status(self) -> StatusReport:
        """The present report; the news are bumped if it is notably another."""
        now = self.now()
        enforcer = self._link.state
        identity = self._papers.identity
        seen = status.Seen(
            station=self._settings.station,
            facts=self._read_facts(now),
            enforcer=enforcer,
            link_up=self._link.up,
            link_for_s=self._link.for_s,
            certificate_expires=identity.expires if identity and self._lab else None,
        )
        self._last = status.report(seen, self._last, now)
        notable = status.notable(self._last, enforcer.lab if enforcer else "")
        if notable != self._notable:
            self._notable = notable
            self._news.bump()
        if self._lab and identity is not None:
            self._renew(identity.expires, now)
        return self._last

    def now(self) -> datetime:
        """UTC, and not before what the enforcer's journal says: a dead battery starts in 1970."""
        now = datetime.now(UTC)
        return max(now, self._link.state.at) if self._link.state else now

    def _read_facts(self, now: datetime) -> Facts:
        at = self._loop.time()
        if self._facts is None or at - self._facts_at >= FACTS_FRESH_S:
            self._facts, self._facts_at = self._facts_reader.read(now, self._skew, self._link.pid), at
        return self._facts

    def _compared(self, skew: float) -> None:
        self._skew = round(skew, 1)
        if self._facts is not None:
            self._facts = msgspec.structs.replace(self._facts, clock_skew_s=self._skew)

    def _renew(self, expires: datetime, now: datetime) -> None:
        if self._asking is None or self._asking.done():
            if not self._renewal.due(expires, now):
                return
            self._asking = self._loop.create_task(self._ask_for_certificate())

    async def _ask_for_certificate(self) -> None:
        await self._renewal.make_request(self._settings.station)
        self._news.bump()

    def _enforcer_changed(self) -> None:
        self._settle()
        self.status()
        # EnforcerLost begins and ends a while after the link turned.
        self._loop.call_later(max(status.LINK_BEGINS_S, status.LINK_ENDS_S) + 0.1, self.status)

    def _settle(self) -> None:
        """Make the port what the enforcer's state (or, without one, the own certificate) says."""
        enforcer = self._link.state
        if enforcer is not None:
            lab: str | None = enforcer.lab
            ca = enforcer.ca
        else:
            lab, ca = self._own_lab(), b""
        known = self._lab is None or self._ca in (b"", ca)
        if lab == self._lab and known:
            self._ca = ca
            return
        self._lab, self._ca = lab, ca
        if lab is None:
            self._server.open(None)
        elif not lab:
            self._server.open(
                Door(
                    {
                        PAIR_START_PATH: Route(self._pairing.start, PAIRING_BYTES),
                        PAIR_FINISH_PATH: Route(self._pairing.finish, PAIRING_BYTES),
                    }
                )
            )
        else:
            self._own_lab()

            def why_not(peer: Peer | None, lab: str = lab) -> str:
                return stranger(peer, lab, self.now())

            routes = {EXCHANGE_PATH: Route(self._exchange.answer, MAX_MESSAGE_BYTES)}
            self._server.open(Door(routes, self._papers.context, why_not))
        if self._announcer is not None and lab is not None:
            self._announcer.say("paired" if lab else "unpaired")

    def _own_lab(self) -> str | None:
        try:
            self._papers.context()
        except Unusable as error:
            if self._paths.identity_file.exists():  # unpaired PCs have none, and that is nothing to say
                _log.error("%s", error)
            return None
        identity = self._papers.identity
        return identity.lab if identity and identity.station == self._settings.station else None

    async def _beat(self) -> None:
        """Tell systemd's watchdog that the loop turns and the link to the enforcer is being kept."""
        every = watchdog_every_s()
        while True:
            if every is None:
                await asyncio.Event().wait()
            else:
                await asyncio.sleep(every)
            if self._link.alive:
                notify("WATCHDOG=1")


class Cards:
    """Whether a connection came in where the settings allow it, by its local address."""

    def __init__(self, interfaces: tuple[str, ...]) -> None:
        self._interfaces = frozenset(interfaces)

    def __call__(self, local: str) -> bool:
        """`local` is the PC's own address of the connection."""
        if not self._interfaces or local in self._interfaces:
            return True
        for adapter in ifaddr.get_adapters():
            if adapter.name in self._interfaces:
                texts = (ip.ip if isinstance(ip.ip, str) else ip.ip[0] for ip in adapter.ips)
                if local in texts:
                    return True
        return False


def listening(settings: Settings) -> list[socket.socket]:
    """The bound sockets: one for each address in the settings; for cards, or without any, one for all.

    An address that the PC does not have yet is bound to all the same. Raises
    OSError with a sentence when the port is taken.
    """
    addresses = [place for place in settings.interfaces if _is_address(place)]
    if len(addresses) < len(settings.interfaces) or not addresses:
        addresses = ["::" if _has_ipv6() else "0.0.0.0"]  # noqa: S104  # which cards count is checked at accept
    found: list[socket.socket] = []
    port = settings.port
    for address in addresses:
        listener = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_STREAM)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if listener.family == socket.AF_INET6:
                listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, address != "::")
            listener.setsockopt(socket.IPPROTO_IP, IP_FREEBIND, 1)
            listener.bind((address, port))
        except OSError as error:
            listener.close()
            for other in found:
                other.close()
            raise OSError(
                error.errno, f"The agent cannot listen on {address} port {port}: {error.strerror}."
            ) from None
        port = port or int(listener.getsockname()[1])
        found.append(listener)
    return found


def main(settings: Settings, paths: Paths) -> int:
    """Run the front until it is told to stop (SIGTERM, SIGINT); the exit code."""
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    try:
        asyncio.run(_until_told(settings, paths))
    except OSError as error:
        print(error.strerror or error, file=sys.stderr)  # noqa: T201  # the one sentence of a failed start
        return 1
    return 0


async def _until_told(settings: Settings, paths: Paths) -> None:
    front = asyncio.ensure_future(Front(settings, paths).run())
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, front.cancel)
    try:
        await front
    except asyncio.CancelledError:
        return


def _is_address(text: str) -> bool:
    family = socket.AF_INET6 if ":" in text else socket.AF_INET
    try:
        socket.inet_pton(family, text)
    except OSError:
        return False
    return True


def _has_ipv6() -> bool:
    return Path("/proc/net/if_inet6").exists()
