"""Publishing in bad weather: PCs away, cables cut, a controller and a PC that lose their power half way."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator

import pytest

from tests.lab.rig import Machine
from tests.lab.rig.host import say
from tests.lab.site import LAYER, Site, wait_for

pytestmark = [pytest.mark.lab, pytest.mark.timeout(300)]

HOLDS = """
import sqlite3, sys, time
journal = sqlite3.connect("file:/var/lib/lab-agent/enforcer/journal.sqlite?mode=ro", uri=True)
while not any(sys.argv[1].encode() in row[0] for row in journal.execute("SELECT payload FROM desired")):
    time.sleep(0.001)
print("held", flush=True)
"""
FILL = """
fallocate -l $(($(stat -f -c %a*%S /) - 8388608)) /var/fill
cat /dev/zero >/var/fill.rest 2>/dev/null
while head -c 4096 /dev/zero >>/var/fill.last 2>/dev/null && sync /var/fill.last; do :; done
"""
ALLOW = "etc/chromium/policies/managed/60-lab-allow.json"


def accepted(machine: Machine, since: str) -> list[int]:
    """Revisions the enforcer wrote into its log since then, in order."""
    lines = machine.run(
        ["journalctl", "--unit=lab-enforcer", f"--since={since}", "--output=cat", "--no-pager"]
    ).stdout.splitlines()
    return [int(line.split()[1]) for line in lines if line.endswith("is wanted")]


def clock(machine: Machine) -> str:
    return machine.run(["date", "+%F %T"]).stdout.strip()


def allowing(host: str) -> str:
    return f"{LAYER}allow: [.{host}]\n"


def allows(machine: Machine, host: str) -> bool:
    return f'".{host}"' in (machine.root / ALLOW).read_text()


def test_a_pc_away_during_ten_publications_returns_to_the_last_only(site: Site) -> None:
    machine = site.pc(3)
    before, since = site.row(machine.name)["applied"], clock(machine)
    time.sleep(1)  # the log is asked by full seconds
    site.lab.cut(machine.name)
    for number in range(10):
        site.write_layer(allowing(f"edizione-{number}.test"))
        answer = site.publish("--wait", "0", check=False)  # nobody was waited for
        assert machine.name in answer["changed"]
    last = answer["revision"]
    assert last >= before + 10
    assert accepted(machine, since) == []
    site.lab.heal(machine.name)
    began = time.monotonic()
    wait_for(lambda: site.row(machine.name)["applied"] == last, 60, f"revision {last} on {machine.name}")
    say(f"{machine.name} has the last of ten revisions {time.monotonic() - began:.1f} s after its return")
    assert accepted(machine, since) == [last]
    assert allows(machine, "edizione-9.test")


def test_a_cable_cut_in_the_middle_of_a_push_delays_that_pc_and_nobody_else(site: Site) -> None:
    machine = site.pc(7)
    for number, delay in enumerate((0.0, 0.15, 0.4)):
        site.write_layer(allowing(f"taglio-{number}.test"))
        argv = ["labctl", "profile", "publish", "citizen", "--wait", "3"]
        with site.server.popen(argv) as publishing:
            wait_for(lambda: edited(site) is False, 30, "the publication")
            time.sleep(delay)
            site.lab.drop(machine.name)
            said = publishing.communicate(timeout=60)[0].decode()
        assert "pc-08" in said, said
        others = [row for row in site.ask("/v1/status")["stations"] if row["id"] != machine.name]
        assert all(row["applied"] == row["desired"] for row in others)
        assert "Nothing to change" in machine.run(["lab-agent", "plan"]).stdout, "whatever it holds is whole"
        site.lab.heal(machine.name)
        site.settle()
        assert allows(machine, f"taglio-{number}.test")


def edited(site: Site) -> bool | None:
    """Whether the lab's files say something that is not published; None while nobody can tell."""
    profiles = site.ask("/v1/profiles").get("profiles", [])
    return next((one["edited"] for one in profiles if one["name"] == "citizen"), None)


@pytest.mark.parametrize(
    "delay",
    [
        *(0.35, 0.5, 0.7),
        *(pytest.param(number / 20, marks=pytest.mark.long) for number in range(26)),
    ],
)
def test_a_controller_killed_while_it_publishes_to_ten_has_done_all_of_it_or_nothing(
    site: Site, delay: float
) -> None:
    host = f"morte-{time.time_ns()}.test"
    site.write_layer(allowing(host))
    before = {row["id"]: row["applied"] for row in site.ask("/v1/status")["stations"]}
    controller = site.server.pid_of("lab-controller.service")
    with site.server.popen(["labctl", "profile", "publish", "citizen"]) as publishing:
        time.sleep(delay)
        os.kill(controller, signal.SIGKILL)
        said = b" ".join(publishing.communicate(timeout=60)).decode()
    assert "Traceback" not in said
    wait_for(lambda: edited(site) is not None, 30, "the controller's return")
    recorded = not edited(site)
    site.settle()
    holding = [machine.name for machine in site.lab.pcs() if allows(machine, host)]
    assert holding == ([machine.name for machine in site.lab.pcs()] if recorded else [])
    for row in site.ask("/v1/status")["stations"]:
        assert (row["applied"] > before[row["id"]]) == recorded
    say(f"killed {delay:.2f} s after the key press: the publication {'stands' if recorded else 'never was'}")


@pytest.mark.parametrize("delay", [0.0, 0.02, pytest.param(0.1, marks=pytest.mark.long)])
def test_a_pc_that_loses_its_power_while_it_applies_ends_in_the_new_revision(
    site: Site, delay: float
) -> None:
    machine = site.pc(8)
    host = f"buio-{time.time_ns()}.test"
    site.write_layer(allowing(host))
    with (
        machine.popen(["python3", "-c", HOLDS, host]) as journal,
        site.server.popen(["labctl", "profile", "publish", "citizen", "--wait", "3"]) as publishing,
    ):
        assert journal.stdout is not None
        assert journal.stdout.readline() == b"held\n"
        time.sleep(delay)
        machine.crash()
        publishing.communicate(timeout=60)
    machine.poweron()
    wait_for(lambda: allows(machine, host), 30, "the new revision in force")
    site.settle()
    assert "Nothing to change" in machine.run(["lab-agent", "plan"]).stdout


@pytest.fixture
def full_disk(site: Site) -> Iterator[Machine]:
    """A PC without a byte left on its disk."""
    machine = site.pc(9)
    # A fresh write-ahead log: an old one has room of its own, in which SQLite writes without asking the disk.
    machine.run(["systemctl", "restart", "lab-enforcer"])
    site.settle()
    try:
        machine.run(["sh", "-c", FILL])
        yield machine
    finally:
        machine.run(["sh", "-c", "rm -f /var/fill*"])


def test_a_journal_on_a_full_disk_does_nothing_half_and_recovers(site: Site, full_disk: Machine) -> None:
    machine = full_disk
    held = site.row(machine.name)["applied"]
    policy = (machine.root / ALLOW).read_bytes()
    site.write_layer(allowing("pieno.test"))
    answer = site.publish("--wait", "5", check=False)
    assert machine.name not in answer["applied"]
    wait_for(lambda: site.condition(machine.name, "JournalFailed").get("status"), 30, "JournalFailed")
    said = site.condition(machine.name, "JournalFailed")["message"]
    assert "make room" in said, said
    row = site.row(machine.name)
    assert (row["applied"], row["state"]) == (held, "out-of-service")
    assert (machine.root / ALLOW).read_bytes() == policy
    others = [other for other in site.ask("/v1/status")["stations"] if other["id"] != machine.name]
    assert all(other["applied"] == other["desired"] for other in others)

    machine.run(["sh", "-c", "rm /var/fill*"])
    site.settle(120)
    assert allows(machine, "pieno.test")
    assert site.condition(machine.name, "JournalFailed").get("status") is not True
