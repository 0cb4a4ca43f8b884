"""The exchange with the whole lab: one link for each station, and what all of them share."""

import ssl
import threading
from collections.abc import Iterable, Mapping

from contract.exchange import CommandResult, Signed
from contract.sentence import sentence
from controller.agent_client import Reaper
from controller.channel import Shared
from controller.clock import Clock
from controller.core.asking import Outgoing
from controller.failures import Address, Failure
from controller.link import STACK_BYTES, Household, Link
from controller.live import Live


class Sync:
    """Every link. Methods may be called from any thread; none waits for a station but `command`."""

    def __init__(self, lab: str, hold_s: float, tls: ssl.SSLContext, clock: Clock, live: Live) -> None:
        threading.stack_size(STACK_BYTES)
        self._reaper = Reaper()
        self._shared = Shared(lab, hold_s, tls, clock, live, self._reaper)
        self._clock = clock
        self._lock = threading.Lock()
        self._links: dict[str, Link] = {}
        self._stopped = False

    @property
    def reaper(self) -> Reaper:
        """For connections outside the exchange (pairing)."""
        return self._reaper

    def start(self, station: str, address: Address, out: Outgoing, household: Household) -> None:
        """Begin to talk with a paired station; one that is talked with already is begun anew."""
        link = Link(station, address, out, self._shared, household)
        with self._lock:
            if self._stopped:
                return
            old = self._links.get(station)
            self._links[station] = link
            link.start()
        if old is not None:
            old.stop()

    def stop(self, station: str) -> None:
        """Talk with it no more."""
        with self._lock:
            link = self._links.pop(station, None)
        if link is not None:
            link.stop()

    def close(self, timeout_s: float = 5.0) -> None:
        """Stop them all, and wait until their threads are gone or the time is over."""
        with self._lock:
            self._stopped = True
            links = list(self._links.values())
            self._links.clear()
        for link in links:
            link.stop()
        end = self._clock.monotonic() + timeout_s
        for link in links:
            link.join(max(0.0, end - self._clock.monotonic()))
        self._reaper.close()

    def want(self, desired: Mapping[str, tuple[int, Signed]]) -> None:
        """New desired states: revision and sealed bytes by station. Those that talk get them at once."""
        for station, (revision, signed) in desired.items():
            link = self._link(station)
            if link is not None:
                link.change(revision=revision, desired=signed)

    def trust(self, tls: ssl.SSLContext, number: int, revocations: bytes) -> None:
        """A new revocation list or certificate of ours: used from the next connection on, and sent to all."""
        self._shared.tls = tls
        for link in self._all():
            link.change(revocation_number=number, revocations=revocations)

    def wake(self, station: str) -> None:
        """There is reason to think that it can be reached now."""
        link = self._link(station)
        if link is not None:
            link.wake()

    def command(
        self, station: str, command_id: str, signed: Signed, timeout_s: float
    ) -> CommandResult | Failure:
        """Have a command done; waits for its result."""
        link = self._link(station)
        if link is None:
            return Failure("away", sentence("The station is not known."))
        return link.command(command_id, signed, timeout_s)

    def oldest_beat_s(self) -> float:
        """Seconds since the laziest link last did anything: more than a minute is a bug."""
        now = self._clock.monotonic()
        return max((now - link.beat for link in self._all()), default=0.0)

    def _link(self, station: str) -> Link | None:
        with self._lock:
            return self._links.get(station)

    def _all(self) -> Iterable[Link]:
        with self._lock:
            return list(self._links.values())
