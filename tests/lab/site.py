"""A whole lab in the rig: server and PCs with today's code, made and run as technicians do it."""

from __future__ import annotations

import http.client
import json
import socket
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

from tests.lab.install import app_layer
from tests.lab.rig import Lab, Machine, RigError
from tests.lab.rig.files import Content, enable

LAB_ID = "prova"
PC_UNITS = ("lab-enforcer.service", "lab-agent.service")
NO_CARD = Path(__file__).parent / "units/lab-screen.conf"
"""A drop-in: the PCs of the test lab have no graphics card, but Xvfb."""
OCCUPIED = ("reserved", "active", "ending", "wiping")
"""States in which a citizen sits there, or has just got up."""
T = TypeVar("T")
VENDOR = "/usr/lib/systemd/system"

KERNEL_LAYER = """\
# The PCs of this lab are containers that share one kernel: only its network parameters are their own.
# On a real PC none of this is needed.
kernel:
  kernel.sysrq: null
  fs.suid_dumpable: null
  kernel.yama.ptrace_scope: null
  kernel.dmesg_restrict: null
"""
LAYER = f"""{KERNEL_LAYER}\
# The base has no Chinese letters: a condition that is tried in test_drift.py, and in the way elsewhere.
locale:
  scripts: [latin, cyrillic, arabic]
"""


class Site:
    """A Lab and the software in it."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab

    @classmethod
    def make(cls, prefix: str, net: str, directory: Path, releases: Iterable[str] = ("bookworm",)) -> Site:
        """A site whose machines will carry today's code; nothing is started yet."""
        layers: dict[str, Path | None] = {release: app_layer(release) for release in releases}
        return cls(Lab(prefix, net, directory, app_layers=layers))

    @property
    def server(self) -> Machine:
        """The lab's server."""
        return self.lab.server

    def pc(self, number: int) -> Machine:
        """PC `number`, as pc-03 for 3."""
        return self.lab.machine(f"pc-{number:02d}")

    def up(self, pcs: int = 10) -> None:
        """Boot the server and `pcs` PCs, agents running, controller not yet there."""
        files = {f"pc-{number:02d}": pc_files() for number in range(1, pcs + 1)}
        self.lab.up(pcs, files={**files, "server": {}})

    def init(self, layer: str = LAYER) -> None:
        """`labctl init` on the server, and its controller started; nothing where that was done before."""
        if not self.server.run(["test", "-e", "/etc/lab-controller/lab.toml"], check=False).returncode:
            return
        self.labctl("init", "--lab", LAB_ID, "--name", "Sala di prova", "--comune", "Prova")
        self.write_layer(layer)
        address = self.server.address
        self.server.run(
            ["sed", "-i", f's/^servers = .*/servers = ["{address}"]/', "/etc/lab-controller/lab.toml"]
        )
        self.server.run(["systemctl", "enable", "--quiet", "--now", "lab-controller.service"], timeout=90)

    def write_layer(self, text: str) -> None:
        """The lab's own layer over every profile."""
        self.write_file("layers/lab.yaml", text)

    def layer_for(self, name: str, text: str) -> None:
        """One PC's own layer."""
        self.write_file(f"layers/pc/{name}.yaml", text)

    def write_file(self, path: str, text: str) -> None:
        """A file of the lab's, below /etc/lab-controller."""
        whole = f"/etc/lab-controller/{path}"
        self.server.run(["install", "-D", "-m", "644", "/dev/stdin", whole], input=text)

    def labctl(
        self, *arguments: str, check: bool = True, timeout: float = 90
    ) -> subprocess.CompletedProcess[str]:
        """labctl as root on the server."""
        return self.server.run(["labctl", *arguments], check=check, timeout=timeout)

    def status(self) -> dict[str, dict[str, Any]]:
        """`labctl status --json`, the stations by id."""
        told = json.loads(self.labctl("status", "--json").stdout)
        return {station["id"]: station for station in told["stations"]}

    def ask(self, path: str) -> dict[str, Any]:
        """What labctl's door answers to a GET, without labctl: for what is asked many times a second.

        Empty while nobody is at the door.
        """
        link = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        link.settimeout(10)
        asked = http.client.HTTPConnection("door")
        try:
            link.connect(str(self.server.root / "run/lab-controller/door.sock"))
            asked.sock = link
            asked.request("GET", path)
            answer: dict[str, Any] = json.loads(asked.getresponse().read())
        except (OSError, http.client.HTTPException, RigError):
            return {}
        finally:
            link.close()
        return answer

    def row(self, name: str) -> dict[str, Any]:
        """One PC's line of the status; empty where there is none (yet)."""
        rows = self.ask("/v1/status").get("stations", [])
        return next((row for row in rows if row["id"] == name), {})

    def condition(self, name: str, kind: str) -> dict[str, Any]:
        """One Condition of a PC, as the controller knows it; empty where it has not said it."""
        return next((one for one in self.row(name).get("conditions", []) if one["type"] == kind), {})

    def presence(self, name: str) -> str:
        """Online, stale or offline."""
        return str(self.row(name).get("presence", ""))

    def unwell(self) -> list[str]:
        """What is not as it shall be: a PC that is away, behind, or has something to complain of."""
        told = self.ask("/v1/status")
        if not told:
            return ["the controller does not answer"]
        troubles = [
            f"{row['id']}: {row['presence']}, {row['state']}, {row['applied']} of {row['desired']}"
            f", {row['note']}"
            for row in told["stations"]
            if row["presence"] != "online"
            or row["state"] in OCCUPIED
            or not row["desired"] == row["applied"] > 0
        ]
        return troubles + [
            f"{row['id']}: {one['type']}: {one['message']}"
            for row in told["stations"]
            for one in row["conditions"]
            if one["status"] != (one["type"] == "Converged")
        ]

    def settle(self, seconds: float = 60) -> None:
        """Wait until every PC is online, has applied what it shall be, complains of nothing and is free."""
        end = time.monotonic() + seconds
        while troubles := self.unwell():
            if time.monotonic() > end:
                raise AssertionError(f"after {seconds:.0f} s: {'; '.join(troubles)}")
            time.sleep(0.1)

    def mend(self, layer: str, pcs: int = 10) -> None:
        """Undo what tests do: faults, power, sessions, the lab's layer, PCs let go, machines beyond `pcs`."""
        known = {row["id"] for row in self.ask("/v1/status").get("stations", [])}
        for machine in self.lab.pcs()[pcs:]:
            if machine.name in known:
                self.labctl("unpair", machine.name, "--force")
            self.lab.remove(machine.name)
        off = [machine for machine in self.lab.machines() if not machine.is_up]
        for machine in self.lab.machines():
            self.lab.heal(machine.name)
            machine.switch_on()
        for machine in off:
            machine.wait_running()
        layers = self.server.root / "etc/lab-controller/layers"
        texts = {path: path.read_text() for path in layers.rglob("*.yaml")}
        if texts != {layers / "lab.yaml": layer}:
            for path in texts:
                path.unlink()
            self.write_layer(layer)
            self.publish()
        wait_for(lambda: self.ask("/v1/status"), 30, "the controller's answer")
        known = {row["id"] for row in self.ask("/v1/status")["stations"]}
        self.pair(
            machine for machine in self.lab.pcs() if self._is_free(machine) or machine.name not in known
        )
        for row in self.ask("/v1/status")["stations"]:
            if row["state"] in ("reserved", "active"):
                self.labctl("session", "end", row["id"], check=False)
            if any(one["type"] == "HelpWanted" and one["status"] for one in row["conditions"]):
                self.labctl("call", "answer", row["id"], check=False)
        self.settle()

    def _is_free(self, machine: Machine) -> bool:
        return (machine.root / "run/lab-agent/code").exists()

    def publish(self, *arguments: str, profile: str = "citizen", check: bool = True) -> dict[str, Any]:
        """`labctl profile publish --json`: what it answers."""
        done = self.labctl("profile", "publish", profile, "--json", *arguments, check=check)
        answer: dict[str, Any] = json.loads(done.stdout) if done.stdout else {}
        return answer

    def code(self, machine: Machine) -> str:
        """The pairing code, as read off the screen of a PC."""
        said = wait_for(lambda: machine.run(["lab-agent", "code"], check=False).stdout, 30, "a pairing code")
        return said.split()[0]

    def pair(self, machines: Iterable[Machine]) -> None:
        """Pair PCs side by side, each by the code on its screen."""

        def one(machine: Machine) -> None:
            wait_for(lambda: machine.name in self.labctl("discover", "--json").stdout, 30, machine.name)
            self.labctl("pair", machine.name, self.code(machine))

        with ThreadPoolExecutor(4) as pool:
            list(pool.map(one, machines))


def pc_files(station: str | None = None) -> Mapping[str, Content]:
    """What a PC has on its disk before its first boot, beside the layer: both units enabled."""
    files: dict[str, Content] = {}
    for unit in PC_UNITS:
        files |= enable(unit, where=VENDOR)
    files["/etc/systemd/system/lab-screen.service.d/50-lab.conf"] = NO_CARD.read_text()
    if station is not None:
        files["/etc/lab-agent/agent.toml"] = f'station = "{station}"\n'
    return files


def wait_for(look: Callable[[], T | None], seconds: float, what: str) -> T:
    """What `look` gives as soon as it gives something; AssertionError after `seconds`."""
    end = time.monotonic() + seconds
    while True:
        found = look()
        if found:
            return found
        if time.monotonic() > end:
            raise AssertionError(f"{what}: not within {seconds:.0f} s")
        time.sleep(0.1)


def wait_to_see(look: Callable[[], object], wanted: object, seconds: float, what: str) -> None:
    """Wait until `look` gives `wanted`; the AssertionError after `seconds` says what it gave last."""
    seen: list[object] = []

    def is_there() -> bool:
        seen[:] = [look()]
        return seen == [wanted]

    try:
        wait_for(is_there, seconds, what)
    except AssertionError as error:
        raise AssertionError(f"{error}: {seen[0]!r} and not {wanted!r}") from None
