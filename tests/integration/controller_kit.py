"""A whole lab on loopback: the real lab-controller and real agents, each below a prefix of its own."""

import http.client
import json
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from controller.init import init_lab
from controller.paths import Paths

PATIENCE_S = 60.0
"""For what takes a second on an idle machine. No test measures time."""


def until(what: Callable[[], Any], why: str) -> Any:
    """Wait until `what()` is true and return it; fail with `why`."""
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end:
        found = what()
        if found:
            return found
        time.sleep(0.05)
    raise AssertionError(f"waited {PATIENCE_S:.0f} s for: {why}")


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("lab-controller", timeout=PATIENCE_S + 30)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


@dataclass
class DoorAnswer:
    """What the door said."""

    status: int
    body: Any


class Process:
    """A program of ours with its log in a file."""

    def __init__(self, argv: list[str], log: Path) -> None:
        self.command = [sys.executable, "-m", *argv]
        self.log = log
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(self.command, stdout=log, stderr=log, start_new_session=True)

    def text(self) -> str:
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def kill(self, number: int) -> None:
        """Send a signal to the process and its children, and wait until it is gone."""
        if self.process is not None and self.process.poll() is None:
            os.killpg(self.process.pid, number)
            self.process.wait(PATIENCE_S)
        self.process = None

    def stop(self) -> None:
        """Ask it to end."""
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(15)
            except subprocess.TimeoutExpired:
                self.kill(9)
        self.process = None


class Agent(Process):
    """A real agent, both halves, below a prefix; nothing of it is announced."""

    def __init__(self, folder: Path, station: str) -> None:
        self.id = station
        self.root = folder / station
        settings = self.root / "etc/lab-agent/agent.toml"
        settings.parent.mkdir(parents=True, exist_ok=True)
        self._settings = settings
        self.listen(0)
        super().__init__(["agent.main", "run", "--root", str(self.root)], folder / f"{station}.log")

    def listen(self, port: int) -> None:
        """Which port it takes at its next start; 0 is any."""
        self._settings.write_text(
            f'station = "{self.id}"\nport = {port}\ninterfaces = ["127.0.0.1"]\nannounce = false\n'
        )

    def up(self) -> Self:
        """Start it and wait until it listens."""
        before = self.text().count("listens on port")
        self.start()
        until(lambda: self.text().count("listens on port") > before, f"{self.id} listening; {self.text()}")
        return self

    @property
    def port(self) -> int:
        return int(re.findall(r"listens on port (\d+)", self.text())[-1])

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def code(self) -> str:
        """The digits on its screen."""
        file = self.root / "run/lab-agent/code"
        text = until(lambda: file.exists() and file.read_text(), f"the code of {self.id}")
        found = re.search(r"\d{3} ?\d{3}", text)
        assert found is not None
        return found[0].replace(" ", "")


class Controller(Process):
    """The real lab-controller below a prefix."""

    def __init__(self, folder: Path, lab: str = "fontana", hold_s: float = 2.0) -> None:
        self.root = folder / "server"
        self.paths = Paths(self.root)
        init_lab(self.paths, lab, "Sala pubblica", "Fontana", datetime.now(UTC))
        text = self.paths.settings.read_text()
        text = text.replace("interfaces = []", 'interfaces = ["127.0.0.1"]')
        self.paths.settings.write_text(text.replace("hold_s = 12", f"hold_s = {hold_s}"))
        super().__init__(["controller.main", "--root", str(self.root)], folder / "server.log")

    def up(self) -> Self:
        """Start it and wait until its door is open."""
        self.start()
        until(self._answers, f"the door; {self.text()}")
        return self

    def _answers(self) -> bool:
        try:
            return self.ask("GET", "/v1/whoami").status == 200
        except OSError:
            return False

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> DoorAnswer:
        """One request at the door; headers with _ for -."""
        connection = _UnixConnection(self.paths.door)
        try:
            data = None if body is None else json.dumps(body)
            sent = {name.replace("_", "-"): value for name, value in headers.items()}
            connection.request(method, path, data, {"Content-Type": "application/json", **sent})
            answer = connection.getresponse()
            return DoorAnswer(answer.status, json.loads(answer.read()))
        finally:
            connection.close()

    def done(self, method: str, path: str, body: Any = None) -> Any:
        """One request that must succeed; its body."""
        answer = self.ask(method, path, body)
        assert answer.status == 200, (method, path, answer.body, self.text()[-2000:])
        return answer.body

    def pair(self, agent: Agent) -> Any:
        """Pair an agent by the code on its screen."""
        body = {"code": agent.code(), "address": agent.address}
        return self.done("POST", f"/v1/stations/{agent.id}/pair", body)

    def station(self, station: str) -> Any:
        """A station's line in status; None where it is not of the lab."""
        found = self.done("GET", "/v1/status")["stations"]
        return next((one for one in found if one["id"] == station), None)

    def layer(self, text: str) -> None:
        """Write the lab's own layer."""
        (self.paths.etc / "layers/lab.yaml").write_text(text)

    def publish(self, profile: str = "citizen", wait_s: float = PATIENCE_S) -> Any:
        """Publish, and wait for the PCs that are there."""
        return self.done("POST", f"/v1/profiles/{profile}/publish", {"why": "test", "wait_s": wait_s})


class Lab:
    """A controller and some agents, started and ended together."""

    def __init__(self, folder: Path, count: int) -> None:
        self.controller = Controller(folder)
        self.agents = [Agent(folder, f"pc-{number:02}") for number in range(1, count + 1)]

    def __enter__(self) -> Self:
        try:
            for agent in self.agents:
                agent.up()
            self.controller.up()
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()

    def pair(self) -> None:
        """Pair every agent."""
        for agent in self.agents:
            self.controller.pair(agent)

    def _end(self) -> None:
        self.controller.stop()
        for agent in self.agents:
            agent.stop()
