"""What the three services may do, as the kernel and systemd have it; and that neither half is missed long."""

from __future__ import annotations

import os
import re
import signal
from pathlib import Path

import pytest

from tests.lab.rig import Machine
from tests.lab.rig.host import say
from tests.lab.site import Site, wait_for

pytestmark = [pytest.mark.lab, pytest.mark.timeout(300)]

EXPOSURE = {
    "lab-controller": 1.5,
    "lab-agent": 2.0,
    "lab-enforcer": 5.0,
    "lab-wipe": 5.5,
    "lab-screen": 4.5,
    "lab-desktop": 1.0,
    "lab-session": 3.0,
    "lab-files": 5.5,
    "lab-stick-import@dev-labstick-sda1": 1.5,
    "lab-stick-export@dev-labstick-sda1": 1.5,
}
"""systemd-analyze's figure of each unit at most, of 10. Three are root for a living: the enforcer writes
/etc, the wipe sees and removes everybody's files, Xorg drives the card and the console."""


@pytest.mark.parametrize("unit", EXPOSURE)
def test_the_exposure_of_each_unit_is_bounded(site: Site, unit: str) -> None:
    machines = (site.server,) if unit == "lab-controller" else (site.pc(1), site.pc(10))
    for machine in machines:
        told = machine.run(["systemd-analyze", "security", "--no-pager", f"{unit}.service"]).stdout
        found = re.search(r"Overall exposure level for \S+: ([\d.]+)", told)
        assert found, told[-500:]
        say(f"{unit} on {machine.name}: exposure {found[1]}")
        assert float(found[1]) <= EXPOSURE[unit]
        assert machine.run(["systemd-analyze", "verify", f"{unit}.service"], check=False).stderr == ""


def process(machine: Machine, unit: str) -> dict[str, str]:
    """/proc/PID/status of a unit's main process."""
    text = Path(f"/proc/{machine.pid_of(f'{unit}.service')}/status").read_text()
    return {key: value.strip() for key, _, value in (line.partition(":") for line in text.splitlines())}


@pytest.mark.parametrize("number", [1, 10])
def test_the_front_has_no_rights(site: Site, number: int) -> None:
    machine = site.pc(number)
    front = process(machine, "lab-agent")
    assert front["Uid"].split()[0] != "0"
    for kind in ("CapInh", "CapPrm", "CapEff", "CapAmb"):
        assert int(front[kind], 16) == 0
    assert front["NoNewPrivs"] == "1"
    pid = machine.run(["systemctl", "show", "--property=MainPID", "--value", "lab-agent"]).stdout.strip()
    uid = front["Uid"].split()[0]
    for place in ("/etc/x", "/etc/chromium/policies/managed/x", "/usr/x", "/var/lib/lab-agent/enforcer/x"):
        touch = ["nsenter", f"--target={pid}", "--mount", "setpriv", f"--reuid={uid}", "--clear-groups"]
        assert machine.run([*touch, "touch", place], check=False).returncode != 0, place
        # Even as root the unit's own view of the system is read-only.
        assert machine.run([*touch[:3], "touch", "/etc/x"], check=False).returncode != 0
    for secret in ("/var/lib/lab-agent/enforcer", "/run/lab-agent/code"):
        assert machine.run(["ls", secret], user="lab-agent", check=False).returncode != 0


@pytest.mark.parametrize("number", [1, 10])
def test_the_enforcer_has_no_network(site: Site, number: int) -> None:
    machine = site.pc(number)
    shown = machine.run(
        ["systemctl", "show", "--property=RestrictAddressFamilies", "--value", "lab-enforcer"]
    ).stdout.split()
    assert set(shown) == {"AF_UNIX", "AF_NETLINK"}
    assert process(machine, "lab-enforcer")["Seccomp"] == "2"
    pid = machine.run(["systemctl", "show", "--property=MainPID", "--value", "lab-enforcer"]).stdout.strip()
    open_sockets = machine.run(["ss", "-tunap"]).stdout
    assert f"pid={pid}," not in open_sockets
    front = machine.run(["systemctl", "show", "--property=MainPID", "--value", "lab-agent"]).stdout.strip()
    assert f"pid={front}," in open_sockets, "the control: the other half's are seen"


@pytest.mark.parametrize("unit", ["lab-agent", "lab-enforcer"])
def test_either_half_of_the_agent_killed_comes_back_and_the_pc_stays_as_it_shall_be(
    site: Site, unit: str
) -> None:
    machine = site.pc(6)
    before, row = machine.pid_of(f"{unit}.service"), site.row(machine.name)
    os.kill(before, signal.SIGKILL)
    machine.successor(f"{unit}.service", before)
    wait_for(lambda: site.row(machine.name)["last_seen"] > row["last_seen"], 60, "an answer")
    site.settle()
    assert site.row(machine.name)["applied"] == row["applied"]
    assert "Nothing to change" in machine.run(["lab-agent", "plan"]).stdout


def test_a_killed_controller_comes_back_and_knows_its_pcs(site: Site) -> None:
    os.kill(site.server.pid_of("lab-controller.service"), signal.SIGKILL)
    wait_for(lambda: len(site.ask("/v1/status").get("stations", [])) == 10, 30, "the controller is back")
    site.settle()


def test_nothing_else_listens_to_the_network(site: Site) -> None:
    """On a PC the front's port and mDNS; on the server mDNS only."""
    for machine, ports in ((site.pc(1), {"7443", "5353"}), (site.server, {"5353"})):
        listening = machine.run(["ss", "-tulnpH"]).stdout.splitlines()
        ours = [line for line in listening if "lab-agent" in line or "lab-controller" in line]
        assert {line.split()[4].rpartition(":")[2] for line in ours} <= ports, ours
