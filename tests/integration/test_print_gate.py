"""The gate before the printer and the enforcer's count: asked by a real gate, kept in a real journal."""

import os
import selectors
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from agent.clock import SystemClock
from agent.core.pages import MAX_LINE
from agent.core.session import Sitting
from agent.host import Host
from agent.journal import Journal
from agent.pages import Pages
from agent.print_door import MAX_PEERS, PrintDoor
from agent.session_runner import Sessions
from agent.settings import Paths
from contract.wire import encode
from tests.integration.enforcer_kit import GENEROUS_S, eventually

PICTURE = b"\xff\xd8\xff\xe0 a picture is one page"
BACKEND = """#!/bin/sh
printf '%s\\n' "$DEVICE_URI" "$CONTENT_TYPE" "$FINAL_CONTENT_TYPE" "$@" >> {folder}/told
{then}
"""
PRINTS = 'cat "$6" >> {folder}/paper'
IS_OFF = "exit 1"
BREAKS = 'head -c 1 "$6" >> {folder}/paper; exit 1'
WAITS = "trap 'exit 0' TERM; touch {folder}/waits; sleep 20 & wait"
DEAF = "trap '' TERM; touch {folder}/waits; exec sleep 60"
GATE = """
import sys
from pathlib import Path
from agent.helpers import print_gate
print_gate.DOOR, print_gate.BACKENDS, print_gate.PATIENCE_S = {door!r}, {backends!r}, 5.0
print_gate.Asked.__init__.__defaults__ = ({door!r}, 5.0)
sys.exit(print_gate.main(sys.argv[1:]))
"""
ADDRESS = "counted-ipp://10.0.0.9:631/ipp/print"


class Pc:
    """A prefix with a session under way, and a stand-in for CUPS' own program."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.paths = Paths(folder)
        self.limit: int | None = 3
        self.free = threading.Event()
        """Whether the enforcer answers, or is busy with something else."""
        self.free.set()
        (folder / "backend").mkdir()
        (folder / "backend/ppd").write_text('*cupsFilter2: "image/jpeg image/jpeg 0 -"\n')
        self.printer(PRINTS)
        self.paths.run.mkdir(parents=True)
        (self.paths.run / "boot").write_text("b")
        self.sits("1")

    def sits(self, session: str) -> None:
        """Somebody sits there; the enforcer must not run."""
        journal = Journal(self.paths.enforcer_state / "journal.sqlite")
        sitting = Sitting(phase="active", session=session, boot="b")
        journal.set_sitting(encode(sitting), None, datetime.now(UTC))
        journal.close()

    def printer(self, then: str) -> None:
        """What becomes of a document that is sent."""
        program = self.folder / "backend/ipp"
        program.write_text(BACKEND.format(folder=self.folder, then=then.format(folder=self.folder)))
        program.chmod(0o755)

    @contextmanager
    def enforcer(self) -> Iterator[list[Pages]]:
        """The enforcer's count and its door, in a thread."""
        made: list[Pages] = []
        wake, waker = socket.socketpair()
        thread = threading.Thread(target=self._serve, args=(made, wake))
        thread.start()
        try:
            eventually(lambda: bool(made), "the door")
            yield made
        finally:
            waker.close()
            thread.join()

    def _serve(self, made: list[Pages], wake: socket.socket) -> None:
        journal = Journal(self.paths.enforcer_state / "journal.sqlite")
        clock, host = SystemClock(journal.last_entry), Host(self.folder)
        sessions = Sessions(
            user="kiosk", paths=self.paths, host=host, journal=journal, clock=clock, log=print
        )
        pages = Pages(sessions, clock, limit=self._limit, log=print)
        with selectors.DefaultSelector() as selector:
            door = PrintDoor(self.paths.print_socket, real=False, selector=selector, pages=pages, log=print)
            door.open()
            ended: list[bool] = []
            selector.register(wake, selectors.EVENT_READ, lambda: ended.append(True))
            made.append(pages)
            while not ended:
                for key, _ in selector.select():
                    key.data()
            door.close()
        journal.close()

    def _limit(self) -> int | None:
        self.free.wait(GENEROUS_S)
        return self.limit

    def print(self, document: bytes = PICTURE, copies: int = 1, options: str = "") -> int:
        """What CUPS runs for one document; the exit code."""
        process = self.start(copies, options)
        process.communicate(document, timeout=GENEROUS_S)
        return process.returncode

    def start(self, copies: int = 1, options: str = "") -> "subprocess.Popen[bytes]":
        """The same, and it still wants its document."""
        code = GATE.format(door=str(self.paths.print_socket), backends=str(self.folder / "backend"))
        arguments = ("ipp", "7", "kiosk", "Dichiarazione-riservata", str(copies), options)
        environment = {**os.environ, "DEVICE_URI": ADDRESS, "TMPDIR": str(self.folder)}
        environment["PPD"] = str(self.folder / "backend/ppd")
        return subprocess.Popen(
            (sys.executable, "-c", code, *arguments), env=environment, stdin=subprocess.PIPE
        )

    @property
    def paper(self) -> bytes:
        """All that was printed."""
        file = self.folder / "paper"
        return file.read_bytes() if file.exists() else b""

    @property
    def told(self) -> list[str]:
        """What CUPS' own program was given, all in all."""
        file = self.folder / "told"
        return file.read_text().splitlines() if file.exists() else []


@pytest.fixture
def pc(tmp_path: Path) -> Pc:
    return Pc(tmp_path)


def test_up_to_the_limit_and_not_beyond_through_restarts_until_the_next_session(pc: Pc) -> None:
    with pc.enforcer() as [pages]:
        assert pc.print(copies=2) == 0
        assert str(pages.told()) == "Sent to the printer. Pages left in this session: 1."
    with pc.enforcer() as [pages]:
        assert pages.told() is None
        assert pc.print(copies=2) == 5, "the job is cancelled, the printer goes on"
        assert str(pages.told()) == (
            "Not printed. Pages to print: 2. Pages left in this session: 1. Ask the operator."
        )
        assert pc.print() == 0
        assert pc.print() == 5
    assert pc.paper == PICTURE * 2
    pc.sits("2")
    with pc.enforcer():
        assert pc.print(copies=3) == 0


def test_the_printer_learns_no_title_no_name_and_no_option_that_makes_pages(pc: Pc) -> None:
    with pc.enforcer():
        pc.print(copies=2, options="job-sheets=standard,standard copies=9 sides=one-sided")
    assert pc.told[:3] == ["ipp://10.0.0.9:631/ipp/print", "image/jpeg", "image/jpeg"]
    assert pc.told[3:8] == ["7", "lab", "document", "2", "sides=one-sided"]
    assert pc.told[8].startswith("/dev/fd/")


def test_many_at_once_share_the_limit(pc: Pc) -> None:
    with pc.enforcer():
        gates = [pc.start() for _ in range(6)]
        for gate in gates:
            assert gate.stdin is not None
            gate.stdin.write(PICTURE)
            gate.stdin.close()
        assert sorted(gate.wait(GENEROUS_S) for gate in gates) == [0, 0, 0, 5, 5, 5]
    assert len(pc.paper) == 3 * len(PICTURE)


@pytest.mark.parametrize(("then", "left"), [(IS_OFF, 3), (BREAKS, 2), (PRINTS, 2)])
def test_what_the_printer_never_got_is_given_back(pc: Pc, then: str, left: int) -> None:
    pc.printer(then)
    with pc.enforcer():
        pc.print()
    pc.printer(PRINTS)
    with pc.enforcer():
        assert pc.print(copies=left + 1) == 5
        assert pc.print(copies=left) == 0


@pytest.mark.parametrize("then", [WAITS, DEAF])
def test_a_citizen_who_calls_a_waiting_print_off_gets_the_pages_back(pc: Pc, then: str) -> None:
    pc.printer(then)
    with pc.enforcer():
        gate = pc.start(copies=3)
        assert gate.stdin is not None
        gate.stdin.write(PICTURE)
        gate.stdin.close()
        eventually((pc.folder / "waits").exists, "the printer is waited for")
        pc.printer(PRINTS)
        assert pc.print() == 5
        gate.send_signal(signal.SIGTERM)
        gate.wait(GENEROUS_S)
        assert pc.print(copies=3) == 0


def test_what_has_no_count_does_not_go_where_pages_are_counted(pc: Pc) -> None:
    with pc.enforcer() as [pages]:
        assert pc.print(b"\x1b%-12345X@PJL SET COPIES=50\n") == 5
        assert "could not be counted" in str(pages.told())
        assert pc.print(b"\x89PNG\r\n\x1a\n what this printer does not take, so that it would guess") == 5
        pc.limit = None
        assert pc.print(b"a technician's own words") == 0
    assert pc.paper == b"a technician's own words"
    assert pc.told[1] == "application/octet-stream"


def test_nothing_goes_while_nobody_answers_and_nothing_is_left_of_it(pc: Pc) -> None:
    assert pc.print() == 6, "cupsd tries again later"
    assert pc.paper == b""
    with pc.enforcer():
        pc.print()
    names = {path.name for path in pc.folder.iterdir()}
    assert names == {"backend", "paper", "told", "run", "var"}, "no copy of what was printed"


def test_a_print_waits_for_an_enforcer_that_starts_anew(pc: Pc) -> None:
    gate = pc.start()
    assert gate.stdin is not None
    gate.stdin.write(PICTURE)
    gate.stdin.close()
    time.sleep(1)
    with pc.enforcer():
        assert gate.wait(GENEROUS_S) == 0


@pytest.mark.parametrize(
    "line",
    [
        b'{"ask": "print", "pages": -5}\n',
        b'{"ask": "unsent", "pages": 1}\n',
        b"\xff\n",
        b" " * (MAX_LINE + 1),
        b'{"ask": "print", "pages": 1}\n{"ask": "print", "pages": 1}\n{"ask": "print", "pages": 1}\n',
    ],
)
def test_nonsense_at_the_door_counts_nothing_and_gives_nothing_back(pc: Pc, line: bytes) -> None:
    with pc.enforcer():
        assert pc.print(copies=2) == 0
        with socket.socket(socket.AF_UNIX) as link:
            link.settimeout(GENEROUS_S)
            link.connect(str(pc.paths.print_socket))
            link.sendall(line)
            link.shutdown(socket.SHUT_WR)
            while link.recv(100):
                pass
        assert pc.print(copies=2) == 5


def test_a_print_that_is_called_off_before_the_answer_costs_nothing(pc: Pc) -> None:
    """The question waits at the door of an enforcer that is busy, and who asked has gone."""
    with pc.enforcer():
        pc.free.clear()
        for _ in range(20):
            link = socket.socket(socket.AF_UNIX)
            link.connect(str(pc.paths.print_socket))
            link.sendall(b'{"ask": "print", "pages": 1}\n')
            link.close()
        pc.free.set()
        assert pc.print(copies=3) == 0


def test_who_comes_and_says_nothing_keeps_nobody_out_for_long(pc: Pc) -> None:
    with pc.enforcer():
        idle = []
        for _ in range(MAX_PEERS):
            link = socket.socket(socket.AF_UNIX)
            link.connect(str(pc.paths.print_socket))
            idle.append(link)
        for link in idle:
            link.close()
        assert pc.print() == 0
