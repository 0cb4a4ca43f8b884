"""Where agents say they are: mDNS, and hosts that a technician named.

Hints only, never about who. Whoever shouts on the LAN can add a few addresses
to try and nothing else: what is kept is bounded, nothing is displaced before
it was tried in vain, and a goodbye makes nobody forget a station.
"""

import logging
import socket
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

from zeroconf import (
    IPVersion,
    RecordUpdate,
    RecordUpdateListener,
    ServiceBrowser,
    ServiceInfo,
    ServiceStateChange,
    Zeroconf,
)

from contract.identity import DEFAULT_PORT, SERVICE_TYPE, is_label
from controller.clock import Clock
from controller.failures import Address

log = logging.getLogger(__name__)

_SRV = 33
"""Type of the record that says where a service is (RFC 2782)."""

CANDIDATES = 8
"""Addresses kept for one id: more than any PC has, few enough to try them all in seconds."""
IDS = 2000
LIFE_S = 600.0
"""A hint not repeated for so long is dropped; agents repeat theirs well within (DNS-SD's TTL is 120 s)."""
RESOLVE_MS = 1500
SETTLED_S = 1.5
"""After so long a browser has heard everybody who is there; later ones announce themselves."""
PROBE_S = 2.0


@dataclass(frozen=True)
class Hint:
    """Somebody says that `id` is at `address`. `paired`: that it belongs to a lab; None: did not say."""

    id: str
    address: Address
    version: str = ""
    paired: bool | None = None
    answers: bool | None = None
    """For a host that a technician named: whether something listens there."""


@dataclass(frozen=True)
class _Kept:
    """A hint, when it was last given (monotonic seconds), and whether it was tried and led nowhere."""

    hint: Hint
    at: float
    in_vain: bool = False


class Hints:
    """What is remembered. `now` is monotonic seconds; not safe for threads by itself."""

    def __init__(self) -> None:
        self._by_id: dict[str, dict[Address, _Kept]] = {}

    def add(self, hint: Hint, now: float, *, ours: bool = False) -> bool:
        """Remember a hint; returns whether it was taken. One known already is refreshed.

        Where the list of an id is full, the one that was longest known of those tried in vain yields
        its place: a liar displaces nobody who was not tried, and cannot keep the places either.
        `ours`: a station of the lab, for which there is room however many strangers there are.
        """
        if hint.id not in self._by_id and len(self._by_id) >= IDS and not ours:
            self._forget_old(now)
            if len(self._by_id) >= IDS:
                return False
        known = self._by_id.setdefault(hint.id, {})
        self._expire(known, now)
        old = known.get(hint.address)
        if old is None and len(known) >= CANDIDATES:
            in_vain = next((address for address, kept in known.items() if kept.in_vain), None)
            if in_vain is None:
                return False
            del known[in_vain]
        known[hint.address] = _Kept(hint, now, in_vain=old is not None and old.in_vain)
        return True

    def misled(self, station: str, address: Address) -> None:
        """The station was not there: the hint stays, and yields its place to the next."""
        known = self._by_id.get(station, {})
        if address in known:
            known[address] = replace(known[address], in_vain=True)

    def of(self, station: str, now: float) -> list[Hint]:
        """Hints about one id, the freshest first."""
        known = self._by_id.get(station, {})
        self._expire(known, now)
        return [kept.hint for kept in sorted(known.values(), key=lambda kept: -kept.at)]

    def all(self, now: float) -> list[Hint]:
        """Every hint, by id."""
        return [hint for station in sorted(self._by_id) for hint in self.of(station, now)]

    def _forget_old(self, now: float) -> None:
        for station, known in list(self._by_id.items()):
            self._expire(known, now)
            if not known:
                del self._by_id[station]

    @staticmethod
    def _expire(known: dict[Address, _Kept], now: float) -> None:
        for address, kept in list(known.items()):
            if now - kept.at > LIFE_S:
                del known[address]


class Discovery:
    """mDNS on the lab's networks. `found` is called, from a thread of zeroconf's, for each hint taken."""

    def __init__(
        self,
        interfaces: Iterable[str],
        clock: Clock,
        found: Callable[[Hint], object],
        ours: Callable[[str], bool],
    ) -> None:
        """`ours` says whether an id is a station of the lab."""
        self._interfaces = tuple(interfaces)
        self._clock = clock
        self._found = found
        self._ours = ours
        self._lock = threading.Lock()
        self._heard = threading.Condition(self._lock)
        self._hints = Hints()
        self._named: dict[Address, Hint] = {}
        self._zeroconf: Zeroconf | None = None
        self._browser: ServiceBrowser | None = None
        self._resolvers = ThreadPoolExecutor(max_workers=4, thread_name_prefix="resolve")
        self._started = clock.monotonic()
        self.problem = ""

    def start(self) -> None:
        """Begin to listen; where the network has no multicast, say so in `problem` and go on without."""
        self._started = self._clock.monotonic()
        try:
            if self._interfaces:
                self._zeroconf = Zeroconf(interfaces=list(self._interfaces))
            else:
                self._zeroconf = Zeroconf(ip_version=IPVersion.V4Only)
            self._zeroconf.add_listener(_Announcements(self._announced), None)
            self._browser = ServiceBrowser(self._zeroconf, SERVICE_TYPE, handlers=[self._on_change])
        except OSError as error:
            self.problem = error.strerror or str(error)
            log.warning("no multicast: %s; PCs are found by --add and --address only", self.problem)

    def stop(self) -> None:
        """Listen no more."""
        self._resolvers.shutdown(wait=False, cancel_futures=True)
        if self._zeroconf is not None:
            self._zeroconf.close()

    def candidates(self, station: str) -> list[Address]:
        """Where a station may be, by what is said."""
        with self._lock:
            hints = self._hints.of(station, self._clock.monotonic())
            named = [hint.address for hint in self._named.values() if hint.id == station]
        return list(dict.fromkeys([*(hint.address for hint in hints), *named]))

    def misled(self, station: str, address: Address) -> None:
        """It was not at one of its candidates."""
        with self._lock:
            self._hints.misled(station, address)

    def unnamed(self) -> list[Address]:
        """Hosts that a technician named and of which nobody knows yet who they are."""
        with self._lock:
            return [hint.address for hint in self._named.values() if not hint.id]

    def learned(self, address: Address, station: str) -> None:
        """The agent at a named host said who it is."""
        with self._lock:
            if address in self._named:
                self._named[address] = Hint(station, address, answers=True)

    def hints(self, wait_s: float) -> list[Hint]:
        """All that is known; waits (at most so long) only where listening has just begun."""
        end = self._clock.monotonic() + wait_s
        with self._heard:
            settled = self._started + SETTLED_S
            while (now := self._clock.monotonic()) < min(end, settled):
                self._heard.wait(min(end, settled) - now)
            return [*self._hints.all(now), *self._named.values()]

    def add_host(self, address: Address) -> Hint:
        """Remember a host that a technician named, and look whether something listens there."""
        try:
            with socket.create_connection((address.host, address.port), timeout=PROBE_S):
                answers = True
        except OSError:
            answers = False
        label = address.host.partition(".")[0].lower()
        with self._lock:
            known = self._named.get(address)
            said = known.id if known else (label if is_label(label) and not label.isdigit() else "")
            hint = Hint(said, address, answers=answers)
            if address in self._named or len(self._named) < IDS:
                self._named[address] = hint
        if hint.id:
            self._found(hint)
        return hint

    # zeroconf's thread

    def _on_change(
        self, zeroconf: Zeroconf, service_type: str, name: str, state_change: ServiceStateChange
    ) -> None:
        if state_change is ServiceStateChange.Removed:
            return  # a goodbye can be forged, and a PC that is really gone is noticed by its silence
        info = ServiceInfo(service_type, name)
        if not info.load_from_cache(zeroconf):
            self._resolvers.submit(self._resolve, zeroconf, info)

    def _announced(self, zeroconf: Zeroconf, name: str) -> None:
        """Somebody says where it is, for the first time or again."""
        info = ServiceInfo(SERVICE_TYPE, name)
        if info.load_from_cache(zeroconf):
            self._take(info)

    def _resolve(self, zeroconf: Zeroconf, info: ServiceInfo) -> None:
        try:
            if info.request(zeroconf, RESOLVE_MS):
                self._take(info)
        except Exception:  # whatever a stranger's packet does to the library, it is only a hint
            log.debug("an announcement could not be resolved", exc_info=True)

    def _take(self, info: ServiceInfo) -> None:
        text = {key: value or b"" for key, value in info.properties.items()}
        station = text.get(b"id", b"").decode("ascii", "replace")
        if not is_label(station):
            return
        paired = {b"unpaired": False, b"paired": True}.get(text.get(b"pairing", b""))
        version = "".join(c for c in text.get(b"version", b"").decode("ascii", "replace") if c.isprintable())[
            :32
        ]
        ours = self._ours(station)
        for host in info.parsed_scoped_addresses()[:CANDIDATES]:
            hint = Hint(station, Address(host, info.port or DEFAULT_PORT), version, paired)
            with self._heard:
                taken = self._hints.add(hint, self._clock.monotonic(), ours=ours)
                self._heard.notify_all()
            if taken or ours:
                self._found(hint)


class _Announcements(RecordUpdateListener):
    """Sees every announcement. ServiceBrowser tells of changes only, and a PC that was switched off
    hard comes back with the words it had before."""

    def __init__(self, announced: Callable[[Zeroconf, str], None]) -> None:
        self._announced = announced
        self._heard: dict[str, Zeroconf] = {}

    def async_update_records(self, zc: Zeroconf, now: float, records: list[RecordUpdate]) -> None:
        """Before the cache has them."""
        for update in records:
            record = update.new
            if record.type == _SRV and record.name.endswith(SERVICE_TYPE):
                self._heard[record.name] = zc

    def async_update_records_complete(self) -> None:
        """Now it has."""
        heard, self._heard = self._heard, {}
        for name, zc in heard.items():
            self._announced(zc, name)
