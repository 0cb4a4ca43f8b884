"""The real enforcer as a process below a prefix, and a client that speaks its socket's messages."""

import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from agent.core.messages import (
    BeginPairing,
    Call,
    Deliver,
    Delivered,
    EndPairing,
    EnforcerState,
    PairingBegun,
    PairingEnded,
    Reply,
    Request,
    Return,
    Watch,
)
from contract.desired import Resources
from contract.wire import decode, encode
from tests.integration.lab_keys import ControllerHalf, LabKeys

GENEROUS_S = 30.0
_HEAD = struct.Struct(">I")


def eventually(look: Callable[[], bool], what: str) -> None:
    """Wait until `look` is true; fails after a generous time."""
    end = time.monotonic() + GENEROUS_S
    while not look():
        assert time.monotonic() < end, f"{what}: not within {GENEROUS_S:.0f} s"
        time.sleep(0.01)


class Socket:
    """A front's end of the enforcer's socket."""

    def __init__(self, path: Path) -> None:
        self._link = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._link.settimeout(GENEROUS_S)
        self._link.connect(str(path))
        self._stream = self._link.makefile("rb")
        self._number = 0
        self.state: EnforcerState | None = None

    def ask(self, request: Request) -> Reply:
        """Send one request and wait for its reply; states that come meanwhile are kept."""
        self._number += 1
        self.send(encode(Call(number=self._number, request=request)))
        while True:
            told = self.receive()
            if told.number == self._number:
                return told.reply

    def send(self, frame: bytes) -> None:
        """Send a frame as it is."""
        self._link.sendall(_HEAD.pack(len(frame)) + frame)

    def send_raw(self, data: bytes) -> None:
        """Send bytes that need not be a frame."""
        self._link.sendall(data)

    def receive(self) -> Return:
        """The next frame; EOFError when the enforcer has hung up."""
        head = self._stream.read(_HEAD.size)
        if len(head) < _HEAD.size:
            raise EOFError
        told = decode(Return, self._stream.read(_HEAD.unpack(head)[0]))
        if isinstance(told.reply, EnforcerState):
            self.state = told.reply
        return told

    def until(self, true: Callable[[EnforcerState], bool]) -> EnforcerState:
        """The first state of which `true` holds; the station must be watched."""
        while self.state is None or not true(self.state):
            self.receive()
        return self.state

    def close(self) -> None:
        """Hang up."""
        self._stream.close()
        self._link.close()


class Enforcer:
    """A running enforcer below `root`."""

    def __init__(self, root: Path, station: str = "pc-01") -> None:
        self.root = root
        settings = root / "etc/lab-agent/agent.toml"
        if not settings.exists():
            settings.parent.mkdir(parents=True, exist_ok=True)
            settings.write_text(f'station = "{station}"\n')
        self.process: subprocess.Popen[bytes] | None = None
        self.start()

    @property
    def code(self) -> str:
        """What the screen shows."""
        return (self.root / "run/lab-agent/code").read_text().split()[0]

    def start(self) -> None:
        """Start it and wait for its socket."""
        path = self.root / "run/lab-agent/enforcer.sock"
        path.unlink(missing_ok=True)
        self.process = subprocess.Popen(
            [sys.executable, "-m", "agent.main", "enforcer", "--root", str(self.root)]
        )
        eventually(path.exists, "the enforcer's socket")

    def kill(self) -> None:
        """kill -9."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def socket(self) -> Socket:
        """A new connection that watches."""
        link = Socket(self.root / "run/lab-agent/enforcer.sock")
        link.ask(Watch())
        link.until(lambda _state: True)
        return link


@contextmanager
def enforcer(root: Path) -> Iterator[Enforcer]:
    """An enforcer for the length of a test."""
    running = Enforcer(root)
    try:
        yield running
    finally:
        running.kill()


def pair(running: Enforcer, link: Socket, keys: LabKeys) -> None:
    """Pair it with a lab by the code on its screen."""
    controller = ControllerHalf(keys, running.code)
    begun = link.ask(BeginPairing(start=controller.start))
    assert isinstance(begun, PairingBegun), begun
    ended = link.ask(EndPairing(finish=controller.finish(begun.offer)))
    assert isinstance(ended, PairingEnded), ended
    link.until(lambda state: state.lab == keys.lab)


def apply(link: Socket, keys: LabKeys, revision: int, resources: Resources) -> EnforcerState:
    """Deliver a revision and wait until it is in force."""
    told = link.ask(Deliver(signed=keys.desired("pc-01", revision, resources)))
    assert isinstance(told, Delivered), told
    assert told.accepted, told.message
    return link.until(lambda state: state.applied_revision == revision)


def lab_agent(running: Enforcer, *arguments: str) -> subprocess.CompletedProcess[str]:
    """A command of `lab-agent` on that PC."""
    command = [sys.executable, "-m", "agent.main", arguments[0], "--root", str(running.root), *arguments[1:]]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
