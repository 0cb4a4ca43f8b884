"""labctl from the first command to the last, against the real controller and a real agent below prefixes.

Everything is a process of its own here, as on a lab's server and a PC; the
network is loopback, without mDNS.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import pytest

from tests.unit.cli.lab import environment, labctl

T = TypeVar("T")
PATIENCE_S = 60
"""For a loaded machine; nothing here is measured."""


@dataclass
class Lab:
    """A controller below `root` and one agent below `pc`, listening on `port`."""

    root: Path
    pc: Path
    port: int

    def labctl(self, *arguments: str, before: str = "") -> subprocess.CompletedProcess[str]:
        """labctl, at this lab's door."""
        return labctl(*arguments, door=self.door, before=before)

    @property
    def door(self) -> Path:
        """The controller's socket."""
        return self.root / "run/lab-controller/door.sock"

    @property
    def address(self) -> str:
        """Where the agent is."""
        return f"127.0.0.1:{self.port}"

    @property
    def code(self) -> str:
        """What the PC's screen shows."""
        return (self.pc / "run/lab-agent/code").read_text().split()[0]


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """A lab with nothing done yet but `labctl init`."""
    home = tmp_path_factory.mktemp("l")  # short, because a Unix socket's path is
    lab = Lab(home / "s", home / "p", _free_port())
    made = labctl("init", "--root", str(lab.root), "--lab", "prova", "--name", "Sala di prova")
    assert made.returncode == 0, made.stderr
    _only_loopback(lab.root / "etc/lab-controller/lab.toml")
    settings = lab.pc / "etc/lab-agent/agent.toml"
    settings.parent.mkdir(parents=True)
    settings.write_text(
        f'station = "pc-03"\nport = {lab.port}\ninterfaces = ["127.0.0.1"]\nannounce = false\n'
    )
    programs = (("controller.main", lab.root), ("agent.main", lab.pc))
    started = [_start(module, root, home) for module, root in programs]
    try:
        _until(lambda: lab.labctl("status").returncode == 0)
        _until((lab.pc / "run/lab-agent/code").exists)
        yield lab
    finally:
        for process in started:
            process.send_signal(signal.SIGTERM)
        for process in started:
            process.wait(30)


def test_the_main_job_of_a_technician(lab: Lab) -> None:
    """Found, paired, told what to be, seen to be it, explained, and let go."""
    assert "labctl discover" in lab.labctl("status").stdout

    found = lab.labctl("discover", "--add", lab.address, "--timeout", "0", "--json")
    assert lab.address in [f"{item['address']}:{item['port']}" for item in json.loads(found.stdout)["found"]]

    wrong = lab.labctl(
        "pair", "pc-03", "000001" if lab.code != "000001" else "000002", "--address", lab.address
    )
    assert wrong.returncode == 1
    assert "That is not the code of pc-03." in wrong.stderr

    paired = _until(lambda: _when_done(lab.labctl("pair", "pc-03", lab.code, "--address", lab.address)))
    assert paired.stdout.startswith("pc-03 at ")

    _until(lambda: _status(lab)["presence"] == "online")
    early = lab.labctl("profile", "assign", "training", "pc-03")
    assert "labctl profile publish training" in early.stderr
    published = lab.labctl("profile", "publish", "citizen", "--why", "the first", "--wait", str(PATIENCE_S))
    assert published.returncode == 0, published.stdout + published.stderr
    _until(lambda: _status(lab)["applied"] == _status(lab)["desired"] > 0)
    italian = labctl("status", "--json", door=lab.door, LANG="it_IT.UTF-8")
    said = {one["type"]: one["message"] for one in json.loads(italian.stdout)["stations"][0]["conditions"]}
    assert said["EnforcerLost"] == "Tutte e due le parti dell'agente sono in funzione."
    assert said["Converged"] == f"la revisione {_status(lab)['applied']} è in vigore"
    policies = lab.pc / "etc/chromium/policies/managed"
    assert list(policies.glob("*.json"))

    layer = lab.root / "etc/lab-controller/layers/pc/pc-03.yaml"
    layer.parent.mkdir()
    layer.write_text("allow: [.www.example.it]\n")
    assert ".www.example.it" in lab.labctl("profile", "diff", "citizen").stdout
    changed = lab.labctl("profile", "publish", "citizen", "--wait", str(PATIENCE_S))
    assert "Applied on 1 PC: pc-03" in changed.stdout
    assert any(".www.example.it" in file.read_text() for file in policies.glob("*.json"))
    explained = lab.labctl("profile", "explain", "pc-03", "www.example.it")
    assert "layers/pc/pc-03.yaml:1" in explained.stdout

    again = lab.labctl("profile", "publish", "citizen")
    assert "No PC has anything to change." in again.stdout
    back = lab.labctl("profile", "rollback", "citizen", "--wait", str(PATIENCE_S))
    assert back.returncode == 0
    assert not any(".www.example.it" in file.read_text() for file in policies.glob("*.json"))
    history = lab.labctl("profile", "history", "citizen", "--json")
    assert len(json.loads(history.stdout)["publications"]) >= 3

    lab.labctl("profile", "publish", "training")
    given = lab.labctl("profile", "assign", "training", "pc-03", "--wait", str(PATIENCE_S))
    assert (given.returncode, _status(lab)["profile"]) == (0, "training"), given.stderr
    taken_back = lab.labctl("profile", "assign", "none", "pc-03", "--wait", str(PATIENCE_S))
    assert (taken_back.returncode, _status(lab)["profile"]) == (0, "citizen"), taken_back.stderr

    let_go = lab.labctl("unpair", "pc-03")
    assert "has forgotten the lab" in let_go.stdout, let_go.stderr
    assert "labctl discover" in lab.labctl("status").stdout
    _until((lab.pc / "run/lab-agent/code").exists)


def test_a_broken_file_stops_a_publication_with_its_line(lab: Lab) -> None:
    layer = lab.root / "etc/lab-controller/layers/lab.yaml"
    layer.write_text("allow: [.www.example.it]\nalow: []\n")
    try:
        for command in ("check", "publish"):
            done = lab.labctl("profile", command, "citizen")
            assert done.returncode == 1
            assert "lab.yaml:2" in done.stdout + done.stderr
            assert "allow" in done.stdout + done.stderr
    finally:
        layer.unlink()


def test_groups_of_pcs_that_are_not_there(lab: Lab) -> None:
    done = lab.labctl("group", "set", "courses", "pc-77")
    assert done.returncode == 1
    assert "pc-77" in done.stderr


def test_a_host_that_does_not_resolve(lab: Lab) -> None:
    done = lab.labctl("discover", "--add", "no-such-pc.invalid", "--timeout", "0")
    assert "Traceback" not in done.stderr
    assert "no-such-pc.invalid" in done.stdout + done.stderr


def test_the_doctor_of_a_lab(lab: Lab) -> None:
    done = lab.labctl("doctor", "--json")
    checks = {check["name"]: check for check in json.loads(done.stdout)["checks"]}
    assert checks["door"]["ok"] is True
    assert all(check["hint"] for check in checks.values() if check["ok"] is False)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can step down to a stranger")
def test_a_stranger_is_refused_with_the_way_in(lab: Lab) -> None:
    for folder in (
        lab.root.parent,
        *lab.door.parents[: len(lab.door.parts) - len(lab.root.parent.parts) - 1],
    ):
        folder.chmod(0o755)
    lab.root.parent.parent.chmod(0o755)
    lab.root.parent.parent.parent.chmod(0o755)
    done = lab.labctl("status", before="import os, controller.cli.status; os.setuid(65534)")
    assert done.returncode == 1
    assert "You are in neither of the groups" in done.stderr


def _when_done(done: subprocess.CompletedProcess[str]) -> subprocess.CompletedProcess[str] | None:
    return done if done.returncode == 0 else None


def _status(lab: Lab) -> dict[str, Any]:
    station: dict[str, Any]
    (station,) = json.loads(lab.labctl("status", "--json").stdout)["stations"]
    return station


def _start(module: str, root: Path, home: Path) -> subprocess.Popen[bytes]:
    run = ["run"] if module == "agent.main" else []
    with (home / f"{module}.log").open("wb") as log:
        return subprocess.Popen(
            [
                sys.executable,
                "-c",
                f"from {module} import main; raise SystemExit(main())",
                *run,
                "--root",
                str(root),
            ],
            env=environment(),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )


def _only_loopback(settings: Path) -> None:
    text = settings.read_text()
    assert "interfaces = []" in text
    settings.write_text(text.replace("interfaces = []", 'interfaces = ["127.0.0.1"]', 1))


def _free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


def _until(what: Callable[[], T | None]) -> T:
    deadline = time.monotonic() + PATIENCE_S
    while not (value := what()):
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.2)
    return value
