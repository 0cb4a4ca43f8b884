"""A whole lab in the rig: server and PCs with today's code, made and run as technicians do it."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

from tests.lab.install import app_layer
from tests.lab.rig import Lab, Machine
from tests.lab.rig.files import Content, enable

LAB_ID = "prova"
PC_UNITS = ("lab-enforcer.service", "lab-agent.service")
T = TypeVar("T")
VENDOR = "/usr/lib/systemd/system"

LAYER = """\
# The PCs of this lab are containers that share one kernel: only its network parameters are their own.
# On a real PC none of this is needed.
kernel:
  kernel.sysrq: null
  fs.suid_dumpable: null
  kernel.yama.ptrace_scope: null
  kernel.dmesg_restrict: null
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
        self.server.run(["mkdir", "-p", "/etc/lab-controller/layers"])
        self.server.run(["tee", "/etc/lab-controller/layers/lab.yaml"], input=text)

    def labctl(
        self, *arguments: str, check: bool = True, timeout: float = 90
    ) -> subprocess.CompletedProcess[str]:
        """labctl as root on the server."""
        return self.server.run(["labctl", *arguments], check=check, timeout=timeout)

    def status(self) -> dict[str, dict[str, Any]]:
        """`labctl status --json`, the stations by id."""
        told = json.loads(self.labctl("status", "--json").stdout)
        return {station["id"]: station for station in told["stations"]}

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
    if station is not None:
        files["/etc/lab-agent/agent.toml"] = f'station = "{station}"\n'
    return files


def wait_for(look: Callable[[], T], seconds: float, what: str) -> T:
    """What `look` gives as soon as it gives something; AssertionError after `seconds`."""
    end = time.monotonic() + seconds
    while True:
        found = look()
        if found:
            return found
        if time.monotonic() > end:
            raise AssertionError(f"{what}: not within {seconds:.0f} s")
        time.sleep(0.1)
