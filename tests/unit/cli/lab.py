"""A real door (the controller's own application and server) over use cases that only recite.

labctl runs against it as its own process, so what is tested is what a
technician meets: arguments, HTTP, rendering, exit code, standard error.
"""

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

from controller import door_models as m
from controller import payment_models as pm
from controller import profile_models as prof
from controller.door import make_app, make_server
from controller.door_callers import Door
from controller.problems import Problem
from controller.services import Services

NOW = datetime(2026, 11, 24, 9, 21, 7, tzinfo=UTC)
Answer = TypeVar("Answer")
ROOT = Path(__file__).parents[3]


def station(number: int, **changes: Any) -> m.StationStatus:
    """A PC to which nothing has happened, but for `changes`."""
    usual: dict[str, Any] = {
        "id": f"pc-{number:02}",
        "presence": "online",
        "state": "available",
        "profile": "citizen",
        "desired": 12,
        "applied": 12,
        "load": 0.08,
        "memory": 0.31,
        "last_seen": NOW - timedelta(seconds=2),
        "age_s": 2.0,
        "address": f"192.0.2.{number}",
        "conditions": [],
        "note": "",
    }
    return m.StationStatus(**(usual | changes))


def condition(kind: str, message: str, status: bool = True) -> m.Condition:
    """A condition since an hour."""
    return m.Condition(
        type=kind, status=status, reason="Because", message=message, since=NOW - timedelta(hours=1)
    )


def ten() -> list[m.StationStatus]:
    """Ten PCs on a middling day."""
    stations = {number: station(number) for number in range(1, 11)}
    stations[3] = station(3, applied=11, load=0.9, state="active")
    stations[4] = station(4, conditions=[condition("DiskPressure", "/ is 96 % full.")])
    stations[6] = station(6, presence="stale", age_s=17.0)
    stations[7] = station(
        7,
        presence="offline",
        age_s=7500.0,
        applied=9,
        last_seen=NOW - timedelta(seconds=7500),
        load=None,
        memory=None,
    )
    stations[9] = station(
        9,
        state="out-of-service",
        conditions=[condition("Converged", "Chromium's policy could not be written.", status=False)],
    )
    return list(stations.values())


@dataclass
class Reciting(Services):
    """Use cases that answer what they were given, and keep every call.

    A function is called for its answer, a Problem is raised.
    """

    stations: list[m.StationStatus] = field(default_factory=ten)
    answers: dict[str, Any] = field(default_factory=dict)
    calls: list[tuple[Any, ...]] = field(default_factory=list)

    def _recite(self, kind: type[Answer], name: str, *arguments: Any) -> Answer:
        self.calls.append((name, *arguments))
        answer = self.answers.get(name)
        if callable(answer):
            answer = answer()
        if isinstance(answer, Exception):
            raise answer
        if not isinstance(answer, kind):
            raise Problem("missing", f"Nobody taught me {name}.", "Teach me.")
        return answer

    def status(self) -> m.Status:
        return m.Status(
            lab="fontana", name="Biblioteca di Fontana", at=NOW, revision=12, stations=self.stations
        )

    @contextmanager
    def watching(self, woken: Callable[[], object]) -> Iterator[None]:
        yield

    def inventory(self) -> m.Inventory:
        return self._recite(m.Inventory, "inventory")

    def discover(self, hosts: Sequence[str], timeout_s: float) -> m.Discovered:
        return self._recite(m.Discovered, "discover", tuple(hosts), timeout_s)

    def pair(self, station: str, code: str, address: str | None) -> m.Paired:
        return self._recite(m.Paired, "pair", station, code, address)

    def unpair(self, station: str, *, force: bool) -> m.Unpaired:
        return self._recite(m.Unpaired, "unpair", station, force)

    def session(self, station: str) -> m.SessionOut:
        return self._recite(m.SessionOut, "session", station)

    def start_session(self, station: str, who: str, wait_s: float) -> m.SessionOut:
        return self._recite(m.SessionOut, "start_session", station, wait_s)

    def end_session(self, station: str, who: str, wait_s: float) -> m.SessionOut:
        return self._recite(m.SessionOut, "end_session", station, wait_s)

    def answer_call(self, station: str, who: str) -> m.CallAnswered:
        return self._recite(m.CallAnswered, "answer_call", station)

    def payments(self, station: str | None) -> pm.Payments:
        return self._recite(pm.Payments, "payments", station)

    def open_payment(self, station: str, minutes: int, why: str, who: str, wait_s: float) -> pm.PaymentOut:
        return self._recite(pm.PaymentOut, "open_payment", station, minutes, why, wait_s)

    def close_payment(self, station: str, who: str, wait_s: float) -> pm.PaymentOut:
        return self._recite(pm.PaymentOut, "close_payment", station, wait_s)

    def explain(self, station: str) -> prof.Explained:
        return self._recite(prof.Explained, "explain", station)

    def profiles(self) -> prof.Profiles:
        item: dict[str, Any] = {"source": "shipped", "published": 4, "edited": False, "assigned": ["lab"]}
        names = ("citizen", "business", "training", "operator", "maintenance")
        return prof.Profiles(
            profiles=[prof.ProfileItem(name=name, title=name.title(), **item) for name in names]
        )

    def check(self) -> prof.Check:
        return self._recite(prof.Check, "check")

    def profile(self, name: str) -> prof.ProfileText:
        return self._recite(prof.ProfileText, "profile", name)

    def publications(self, name: str) -> prof.Publications:
        return self._recite(prof.Publications, "publications", name)

    def diff(self, name: str) -> prof.Diff:
        return self._recite(prof.Diff, "diff", name)

    def publish(self, name: str, who: str, why: str, wait_s: float) -> prof.Rolled:
        return self._recite(prof.Rolled, "publish", name, why, wait_s)

    def rollback(self, name: str, to: int | None, who: str, why: str, wait_s: float) -> prof.Rolled:
        return self._recite(prof.Rolled, "rollback", name, to, why, wait_s)

    def assign(self, target: str, profile: str | None, who: str, wait_s: float) -> prof.Rolled:
        return self._recite(prof.Rolled, "assign", target, profile, wait_s)

    def groups(self) -> prof.Groups:
        return self._recite(prof.Groups, "groups")

    def set_group(self, name: str, stations: Sequence[str]) -> prof.GroupSet:
        return self._recite(prof.GroupSet, "set_group", name, tuple(stations))

    def doctor(self) -> m.Doctor:
        return self._recite(m.Doctor, "doctor")

    def rekey(self, who: str) -> m.Doctor:
        return self._recite(m.Doctor, "rekey")

    def update_spid(
        self, providers: Sequence[m.SpidProvider], published: date | None, *, force: bool
    ) -> m.SpidOut:
        return self._recite(m.SpidOut, "update_spid", tuple(providers), published, force)


@contextmanager
def open_door(services: Services, path: Path) -> Iterator[Path]:
    """Serves `services` at the socket `path` while the block runs."""
    door = Door(socket=path, technicians="lab-technicians", operators="lab-operators")
    opened = threading.Event()
    server = make_server(make_app(services, door), door, opened.set)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    if not opened.wait(30):
        raise TimeoutError("the door did not open")
    try:
        yield path
    finally:
        server.should_exit = True
        thread.join(30)


def environment(door: Path | None = None, **more: str) -> dict[str, str]:
    """What labctl's process sees of the world: English, no colour, the door."""
    plain = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "LANG": "C.UTF-8", "PYTHONPATH": str(ROOT)}
    return plain | ({"LABCTL_DOOR": str(door)} if door else {}) | more


MAIN = "from controller.cli.main import main; main()"
ARGV = (sys.executable, "-c", MAIN)
"""labctl as a process of its own, by the interpreter of the tests."""


def labctl(
    *arguments: str, door: Path | None = None, before: str = "", stdin: str = "", **more: str
) -> subprocess.CompletedProcess[str]:
    """Runs labctl with its output in pipes; `before` is Python for its process, `more` its environment."""
    return subprocess.run(
        [sys.executable, "-c", f"{before}\n{MAIN}", *arguments],
        env=environment(door, **more),
        input=stdin,
        capture_output=True,
        text=True,
        encoding="utf-8",
        errors="replace",
        timeout=60,
        check=False,
    )
