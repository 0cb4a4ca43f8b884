"""Announces the station by multicast DNS; the only room that imports zeroconf.

What is announced is a hint about where the station is, never about who it is.
So the name is not probed for: RFC 6762's three probes take 1.7 s, in which a PC
that was just switched on would not be seen, and what they protect, the
uniqueness of the instance's name, is settled by the certificate. Instead a
conflict is noticed when it happens (another host's records under our name) and
we go on under a name of our own, `pc-03-1f9c22a0`, with the same id in the TXT
record: a liar displaces nobody, a controller sees both and asks for keys. The
host name that the records point to is random from the start, so that it never
quarrels with the one that avahi defends for the same PC.
"""

import asyncio
import fcntl
import logging
import os
import socket
import struct
from collections.abc import Awaitable

import ifaddr
import msgspec
from zeroconf import (  # type: ignore[attr-defined]  # the DNS* are there, but unlisted for mypy
    DNSAddress,
    DNSOutgoing,
    DNSService,
    IPVersion,
    RecordUpdate,
    RecordUpdateListener,
    Zeroconf,
)
from zeroconf.asyncio import AsyncServiceInfo, AsyncZeroconf

from contract.identity import SERVICE_TYPE
from contract.version import VERSION
from contract.wire import CONTRACT

RENAME_EVERY_S = 10.0
"""Not to change the name more often than this, whatever a liar says."""

# linux/sockios.h, linux/if.h
_SIOCGIFFLAGS = 0x8913
_IFF_RUNNING = 0x40
_RESPONSE = 0x8400
"""DNS header flags of an authoritative response (RFC 6762, 18)."""

SAY_AGAIN_S = 1.5

AGAIN_AFTER_S = 5.0
"""What could not be announced is tried again after this."""

_log = logging.getLogger("lab-agent.front")
logging.getLogger("zeroconf").setLevel(logging.ERROR)


class Card(msgspec.Struct, frozen=True):
    """A network card that can be announced on, with its addresses as text."""

    index: int
    name: str
    v4: tuple[str, ...]
    v6: tuple[str, ...]


def cards(chosen: tuple[str, ...]) -> tuple[Card, ...]:
    """The cards with a link and an address; only those in `chosen` (names or addresses) if there are any."""
    found: list[Card] = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asker:
        adapters = [adapter for adapter in ifaddr.get_adapters() if _running(adapter.name, asker)]
    for adapter in adapters:
        if adapter.index is None:
            continue
        texts = [ip.ip if isinstance(ip.ip, str) else ip.ip[0] for ip in adapter.ips]
        if chosen and adapter.name not in chosen:
            texts = [text for text in texts if text in chosen]
        elif not chosen and adapter.name == "lo":
            continue
        v4 = tuple(text for text in texts if ":" not in text)
        v6 = tuple(text for text in texts if ":" in text)
        if v4 or v6:
            found.append(Card(adapter.index, adapter.name, v4, v6))
    return tuple(found)


class Announcer:
    """Keeps the announcement true: `say` when what is announced changed, `look` when the network did."""

    def __init__(self, station: str, port: int, interfaces: tuple[str, ...]) -> None:
        self._station = station
        self._port = port
        self._interfaces = interfaces
        self._pairing = ""
        self._wake = asyncio.Event()
        self._zeroconf: AsyncZeroconf | None = None
        self._info: AsyncServiceInfo | None = None
        self._ours: set[bytes] = set()
        """Every address announced so far: what comes back late of our own is no conflict."""
        self._said: tuple[object, ...] = ()
        self._tasks: set[asyncio.Future[None]] = set()
        self._token = os.urandom(4).hex()
        self._renamed = False
        self._conflict = False
        self._trouble = ""
        self._quiet_until = 0.0

    def say(self, pairing: str) -> None:
        """Announce the station as "unpaired" or "paired"; "" is not at all."""
        self._pairing = pairing
        self._wake.set()

    def look(self) -> None:
        """The network may have changed."""
        self._wake.set()

    async def run(self) -> None:
        """Keep announcing; never returns."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            try:
                await self._apply()
            except (OSError, RuntimeError) as error:
                # zeroconf raises both: port 5353 is somebody's alone, or a card has just gone.
                if str(error) != self._trouble:
                    self._trouble = str(error)
                    _log.warning("cannot announce: %s; trying on", error)
                self._said = ()
                asyncio.get_running_loop().call_later(AGAIN_AFTER_S, self._wake.set)
            else:
                self._trouble = ""

    async def close(self) -> None:
        """Say goodbye, so that browsers drop us at once, and end."""
        if self._zeroconf is not None:
            await self._zeroconf.async_close()
            self._zeroconf = self._info = None

    async def _apply(self) -> None:
        found = cards(self._interfaces)
        if self._zeroconf is None:
            if not found or not self._pairing:
                return
            self._zeroconf = AsyncZeroconf(interfaces=_places(found), ip_version=_versions(found))
            self._zeroconf.zeroconf.async_add_listener(_Ear(self), None)
        if self._conflict:
            self._conflict = False
            self._leave_name()
        if not found:  # no card has a link: there is nobody to tell, and nothing new to say
            self._said = ()
            await self._zeroconf.zeroconf.async_update_interfaces([])
            return
        info = self._make_info(found)
        said = (found, self._pairing, info.name)
        if said == self._said:
            return
        zeroconf, self._said = self._zeroconf, said
        for repetition in self._tasks:
            repetition.cancel()  # what was said before is not true any more
        await zeroconf.zeroconf.async_wait_for_start()
        before, self._info = self._info, info
        self._ours.update(info.addresses_by_version(IPVersion.All))
        if before is None:
            self._keep(await zeroconf.async_register_service(info, cooperating_responders=True))
        else:
            self._keep(await zeroconf.async_update_service(info))
        await zeroconf.zeroconf.async_update_interfaces(_places(found), _versions(found))
        self._take_back(info)
        self._keep(self._say_again(info))

    def _make_info(self, found: tuple[Card, ...]) -> AsyncServiceInfo:
        name = f"{self._station}-{self._token}" if self._renamed else self._station
        addresses = [address for card in found for address in card.v4 + card.v6]
        routable = [address for address in addresses if not address.lower().startswith("fe80:")]
        return AsyncServiceInfo(
            SERVICE_TYPE,
            f"{name}.{SERVICE_TYPE}",
            port=self._port,
            properties={
                "id": self._station,
                "version": VERSION,
                "contract": str(CONTRACT),
                "pairing": self._pairing,
            },
            server=f"{self._station}-{self._token}.local.",
            parsed_addresses=routable or addresses,
        )

    def _leave_name(self) -> None:
        """Drop the old name without a goodbye: that would take the other's records away as well."""
        if self._zeroconf is not None and self._info is not None:
            self._zeroconf.zeroconf.registry.async_remove(self._info)
        self._info = None
        self._token, self._renamed = os.urandom(4).hex(), True
        _log.warning(
            "somebody else announces %s; going on as %s-%s", self._station, self._station, self._token
        )

    async def _say_again(self, info: AsyncServiceInfo) -> None:
        """Once more after a while (RFC 6762, 8.3, wants a second between two announcements).

        Zeroconf's own three come within half a second, and a receiver that
        heard the same words in the last 0.8 s drops them: with a cable that is
        pulled and put back at once, the last word would be lost.
        """
        await asyncio.sleep(SAY_AGAIN_S)
        if self._zeroconf is not None:
            zeroconf = self._zeroconf.zeroconf
            zeroconf.async_send(zeroconf.generate_service_broadcast(info, None))
            self._take_back(info)

    def _take_back(self, info: AsyncServiceInfo) -> None:
        """Goodbye to addresses that are no longer ours: caches keep them for two minutes otherwise."""
        gone = self._ours.difference(info.addresses_by_version(IPVersion.All))
        if gone and self._zeroconf is not None:
            out = DNSOutgoing(_RESPONSE)
            past = AsyncServiceInfo(info.type, info.name, server=info.server, addresses=sorted(gone))
            for record in past.dns_addresses(override_ttl=0):
                out.add_answer_at_time(record, 0)
            self._zeroconf.zeroconf.async_send(out)

    def _keep(self, announcing: Awaitable[None]) -> None:
        """Let the repetitions go out while we go on."""
        task = asyncio.ensure_future(announcing)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def heard(self, records: list[RecordUpdate]) -> None:
        """Look whether somebody else's records carry our names."""
        info = self._info
        now = asyncio.get_running_loop().time()
        if info is None or now < self._quiet_until:
            return
        for update in records:
            record = update.new
            if isinstance(record, DNSService):
                foreign = record.key == info.key and record.server_key != info.server_key
            elif isinstance(record, DNSAddress):
                foreign = record.key == info.server_key and record.address not in self._ours
            else:
                continue
            if foreign and record.ttl > 0:
                self._quiet_until = now + RENAME_EVERY_S
                self._conflict = True
                self._wake.set()
                return


class _Ear(RecordUpdateListener):
    """Hands what zeroconf hears to the announcer."""

    def __init__(self, announcer: Announcer) -> None:
        self._announcer = announcer

    def async_update_records(self, zc: Zeroconf, now: float, records: list[RecordUpdate]) -> None:
        self._announcer.heard(records)


def _places(found: tuple[Card, ...]) -> list[str | int]:
    """Where zeroconf is to speak: a card's first IPv4 address, or its index where it has IPv6 only."""
    return [card.v4[0] if card.v4 else card.index for card in found]


def _versions(found: tuple[Card, ...]) -> IPVersion:
    """What zeroconf's sockets have to speak for `_places`."""
    v4 = any(card.v4 for card in found)
    v6 = any(not card.v4 for card in found)
    return IPVersion.All if v4 and v6 else IPVersion.V6Only if v6 else IPVersion.V4Only


def _running(name: str, asker: socket.socket) -> bool:
    """Whether a card is up and has a link (netdevice(7)); also false for one that has just gone."""
    try:
        answer = fcntl.ioctl(asker, _SIOCGIFFLAGS, struct.pack("16sH14x", name.encode(), 0))
    except OSError:
        return False
    return bool(struct.unpack("16sH14x", answer)[1] & _IFF_RUNNING)
