"""A lab's side of one exchange, with whoever decides for it, and a station that takes what it is sent."""

import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from contract.exchange import Answer, Ask, CommandResult
from contract.sentence import sentence
from controller.clock import Clock
from controller.core.asking import Outgoing
from controller.core.fleet import Timings
from controller.discovery import Hint, Hints
from controller.failures import Address
from controller.live import Live, View
from controller.sync import Sync
from tests.integration.station_kit import LAB, Keys
from tests.unit.controller.facts import answer, report

PATIENCE_S = 30.0
HOLD_S = 1.0


@dataclass
class Decided:
    """Whoever decides for the lab: says what the test says and keeps what it was told."""

    elsewhere: list[Address] = field(default_factory=list)
    certificate: bytes | str = "not now"
    moves: list[Address] = field(default_factory=list)
    misleadings: list[Address] = field(default_factory=list)
    aheads: list[int] = field(default_factory=list)
    lists_ahead: list[int] = field(default_factory=list)
    requests: list[bytes] = field(default_factory=list)

    def candidates(self, _: str) -> Iterable[Address]:
        return tuple(self.elsewhere)

    def moved(self, _: str, address: Address) -> None:
        self.moves.append(address)

    def misled(self, _: str, address: Address) -> None:
        self.misleadings.append(address)

    def renewal(self, _: str, request: bytes) -> bytes | str:
        self.requests.append(request)
        return self.certificate

    def ahead(self, _: str, revision: int) -> None:
        self.aheads.append(revision)

    def list_ahead(self, _: str, number: int) -> None:
        self.lists_ahead.append(number)


class Desk:
    """A lab's side of one exchange, with what is seen of it."""

    def __init__(self, keys: Keys) -> None:
        self.keys = keys
        self.live = Live(Clock(), Timings.of_hold(HOLD_S))
        self.sync = Sync(LAB, HOLD_S, keys.tls(), Clock(), self.live)
        self.decided = Decided()

    def start(self, address: Address, out: Outgoing | None = None) -> None:
        self.live.add("pc-01", address, None, None)
        self.sync.start("pc-01", address, out or Outgoing(), self.decided)

    def seen(self, what: Callable[[View], bool]) -> View:
        """Wait until the station is seen so."""

        def now() -> View:
            view = self.live.one("pc-01")
            assert view is not None
            return view

        assert self.live.wait(lambda: what(now()), PATIENCE_S), now()
        return now()


class Memory:
    """A station that takes what it is sent and holds its answer while it has no news."""

    def __init__(self) -> None:
        self.changed = threading.Condition()
        self.status = report()
        self.count = 0
        self.revocations = 0
        self.extra: dict[str, Any] = {}

    def __call__(self, ask: Ask) -> Answer:
        with self.changed:
            results: tuple[CommandResult, ...] = ()
            if ask.desired is not None:
                self.become(
                    desired_revision=int(ask.desired.payload), applied_revision=int(ask.desired.payload)
                )
            if ask.revocations is not None:
                self.revocations = int(ask.revocations)
            if ask.commands:
                results = tuple(
                    CommandResult(c.payload.decode(), True, sentence("done")) for c in ask.commands
                )
            if ask.hold_s:
                self.changed.wait_for(lambda: ask.seen != f"n{self.count}", ask.hold_s)
            return answer(
                status=self.status,
                news=f"n{self.count}",
                revocation_number=self.revocations,
                results=results,
                **self.extra,
            )

    def become(self, **changes: Any) -> None:
        """Something changed that a technician wants to see at once."""
        with self.changed:
            self.status = report(**changes)
            self.count += 1
            self.changed.notify_all()


def until_true(true: Callable[[], bool]) -> None:
    pause = threading.Event()
    for _ in range(int(PATIENCE_S / 0.05)):
        if true():
            return
        pause.wait(0.05)
    raise AssertionError("waited in vain")


class Listening(Decided):
    """Decides by what is said on the LAN, as the controller does."""

    def __init__(self) -> None:
        super().__init__()
        self._lock = threading.Lock()
        self._hints = Hints()

    def say(self, address: Address) -> None:
        with self._lock:
            self._hints.add(Hint("pc-01", address), 0)

    def candidates(self, station: str) -> Iterable[Address]:
        with self._lock:
            return [one.address for one in self._hints.of(station, 0)]

    def misled(self, station: str, address: Address) -> None:
        with self._lock:
            self._hints.misled(station, address)
