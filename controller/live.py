"""What is known of every station right now; shared by the threads that learn it and those that ask."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime

from contract.exchange import Answer
from contract.sentence import Sentence, sentence
from controller.clock import Clock
from controller.core.asking import Refused
from controller.core.fleet import Hearing, Presence, Timings, heard, presence, remembered, unsteady
from controller.failures import Address


@dataclass(frozen=True)
class Seen:
    """A station as it was last seen. `note`: what stands between it and us; `answer` may be an old one.

    `refused`: what it shall be, where it would not take that.
    """

    hearing: Hearing
    address: Address
    heard_at: datetime | None = None
    answer: Answer | None = None
    note: Sentence | None = None
    refused: Refused | None = None


@dataclass(frozen=True)
class View:
    """A station at one moment. `age_s`: seconds since it was heard."""

    id: str
    presence: Presence
    seen: Seen
    age_s: float | None
    note: Sentence | None


class Live:
    """The stations' present. Every method may be called from any thread."""

    def __init__(self, clock: Clock, timings: Timings) -> None:
        self._clock = clock
        self._timings = timings
        self._changed = threading.Condition()
        self._stations: dict[str, Seen] = {}
        self._watchers: set[Callable[[], object]] = set()

    def add(self, station: str, address: Address, answer: Answer | None, heard_at: datetime | None) -> None:
        """A paired station, with the last answer that the store has."""
        at = None
        if heard_at is not None:
            at = self._clock.monotonic() - max(0.0, (self._clock.now() - heard_at).total_seconds())
        with self._changed:
            self._stations[station] = Seen(remembered(at), address, heard_at, answer)
            self._tell()

    def forget(self, station: str) -> None:
        """It was unpaired."""
        with self._changed:
            self._stations.pop(station, None)
            self._tell()

    def heard(
        self,
        station: str,
        answer: Answer,
        address: Address,
        note: Sentence | None = None,
        refused: Refused | None = None,
    ) -> None:
        """The station answered, and proved to be at `address`. `refused`: see Seen."""
        now = self._clock.monotonic()
        with self._changed:
            old = self._stations.get(station)
            if old is None:
                return
            shown = presence(old.hearing, now, self._timings)
            hearing = heard(old.hearing, now, self._timings)
            new = Seen(hearing, address, self._clock.now(), answer, note, refused)
            self._stations[station] = new
            news = old.answer is None or old.answer.news != answer.news or old.answer.epoch != answer.epoch
            if (
                news
                or shown is not hearing.floor
                or (old.note, old.address, old.refused)
                != (
                    note,
                    address,
                    refused,
                )
            ):
                self._tell()

    def failed(self, station: str, note: Sentence) -> None:
        """No answer, or one that is worth nothing: a sentence says why."""
        with self._changed:
            old = self._stations.get(station)
            if old is None or old.note == note:
                return
            self._stations[station] = replace(old, note=note)
            self._tell()

    def view(self) -> list[View]:
        """Every station now, by id."""
        with self._changed:
            now = self._clock.monotonic()
            return [self._view(station, seen, now) for station, seen in sorted(self._stations.items())]

    def one(self, station: str) -> View | None:
        """One station now."""
        with self._changed:
            seen = self._stations.get(station)
            return self._view(station, seen, self._clock.monotonic()) if seen else None

    def wait(self, done: Callable[[], bool], timeout_s: float) -> bool:
        """Wait until `done()` holds, asked again at every change; returns whether it does.

        `done` may call `one` and `view`: the lock is one that the same thread may take twice.
        """
        with self._changed:
            return self._changed.wait_for(done, timeout_s)

    @contextmanager
    def watching(self, woken: Callable[[], object]) -> Iterator[None]:
        """Call `woken` at every change, from the thread that made it."""
        with self._changed:
            self._watchers.add(woken)
        try:
            yield
        finally:
            with self._changed:
                self._watchers.discard(woken)

    def _tell(self) -> None:
        self._changed.notify_all()
        for woken in self._watchers:
            woken()

    def _view(self, station: str, seen: Seen, now: float) -> View:
        shown = presence(seen.hearing, now, self._timings)
        age = None if seen.hearing.heard_at is None else max(0.0, now - seen.hearing.heard_at)
        note = seen.note
        missing = unsteady(seen.hearing, now, self._timings)
        if missing is not None:
            note = sentence(
                "Its link comes and goes; it counts as online after {count} s more without a gap.",
                count=round(missing),
            )
        return View(station, shown, seen, age, note)
