"""What a citizen's programs may reach: the lab's hosts through the gate on the PC, and nothing else.

Tried as the kiosk user with curl and ping, judged by the other side's log. Root on
the same PC does the same and gets through, or the rest would prove nothing.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.lab.rig import Machine
from tests.lab.rig.host import say
from tests.lab.site import LAYER, Site, wait_for
from tests.lab.www import Web, web

pytestmark = [pytest.mark.lab, pytest.mark.timeout(300)]

GATE = "http://127.0.0.1:8118"
UNIT = "lab-proxy.service"
TABLE = ["nft", "list", "table", "inet", "lab_kiosk"]
OPEN, CLOSED = "portale.test", "altrove.test"


@dataclass(frozen=True)
class Room:
    """A PC under the shipped profile, in a lab that allows one of two sites."""

    site: Site
    machine: Machine
    allowed: Web
    other: Web

    def curl(self, *arguments: str, user: str | None = "kiosk") -> str:
        """The HTTP status a user gets; 000 for no answer at all."""
        argv = ["curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "--max-time", "3", *arguments]
        return self.machine.run(argv, user=user, check=False).stdout.strip()


@pytest.fixture(scope="module")
def room(lab_of_ten: Site) -> Iterator[Room]:
    server, net, machine = lab_of_ten.server, lab_of_ten.lab.network.net, lab_of_ten.pc(4)
    with (
        web(server, OPEN, f"{net}.21", (30, 125, 50), CLOSED) as allowed,
        web(server, CLOSED, f"{net}.22", (180, 20, 20), OPEN) as other,
    ):
        hosts = machine.root / "etc/hosts"
        before = hosts.read_text()
        hosts.write_text(before + f"{allowed.address} {OPEN}\n{other.address} {CLOSED}\n")
        try:
            yield Room(lab_of_ten, machine, allowed, other)
        finally:
            hosts.write_text(before)


@pytest.fixture
def filtered(site: Site, room: Room) -> Room:
    site.write_layer(f"{LAYER}allow: [.{OPEN}]\n")
    site.publish()
    return room


def holds(room: Room) -> bool:
    """Whether nothing but the gate's listed host can be reached."""
    return (
        room.curl("-x", GATE, f"http://{OPEN}/listed") == "200"
        and room.curl("-x", GATE, f"http://{CLOSED}/not-listed") == "403"
        and room.curl(f"http://{room.allowed.address}/direct") == "000"
    )


def test_the_kiosk_reaches_listed_hosts_by_the_gate_and_nothing_else(filtered: Room) -> None:
    room, machine = filtered, filtered.machine
    neighbour = room.site.pc(5).address
    wait_for(lambda: holds(room), 20, "the filter in force")
    for url in (
        f"http://{room.other.address}/direct",
        f"https://{neighbour}:7443/",
        f"https://{machine.address}:7443/",
        "https://127.0.0.1:7443/",
        "http://[::1]:7443/",
    ):
        assert room.curl("-k", url) == "000", url
        assert room.curl("-k", "-x", GATE, url) in ("000", "403"), url
    assert room.curl("-x", GATE, "-p", f"http://{OPEN}:80/") == "000", "TLS goes to port 443 only"
    for argv in (
        ["ping", "-c1", "-W2", neighbour],
        ["python3", "-c", f"import socket; socket.create_connection(({neighbour!r}, 22), 3)"],
        [
            *("python3", "-c"),
            f"import socket; s = socket.socket(2, 2); s.connect(({neighbour!r}, 9)); s.send(b'x')",
        ],
    ):
        assert machine.run(argv, user="kiosk", check=False).returncode != 0, argv
        machine.run(argv)  # the control: root may
    assert room.other.visits() == []
    assert "/listed" in room.allowed.visits()
    assert "/direct" not in room.allowed.visits()
    assert room.curl(f"http://{room.other.address}/root", user=None) == "200"


@pytest.mark.parametrize(
    "spoil",
    [
        ["nft", "flush", "ruleset"],
        ["nft", "add", "rule", "inet", "lab_kiosk", "kiosk", "accept"],
        ["nft", "insert", "rule", "inet", "lab_kiosk", "output", "accept"],
        ["systemctl", "stop", UNIT],
        ["systemctl", "kill", "--signal=KILL", UNIT],
        # The agent may stop it before it has started: the job is cancelled then.
        ["sh", "-c", f"echo '^.*$' >/etc/lab-agent/proxy/hosts; systemctl restart {UNIT} || :"],
    ],
    ids=" ".join,
)
def test_what_is_changed_behind_the_lab_is_put_back(filtered: Room, spoil: list[str]) -> None:
    wait_for(lambda: holds(filtered), 20, "the filter in force")
    filtered.machine.run(spoil)
    began = time.monotonic()
    wait_for(lambda: holds(filtered), 20, "the filter in force again")
    say(f"the filter holds again {time.monotonic() - began:.2f} s after `{' '.join(spoil)}`")
    wait_for(lambda: "Nothing to change" in filtered.machine.run(["lab-agent", "plan"]).stdout, 20, "calm")


def test_hosts_that_come_keep_the_gates_process_and_hosts_that_go_end_it_with_its_connections(
    filtered: Room,
) -> None:
    gate = filtered.machine.pid_of(UNIT)
    filtered.site.write_layer(f"{LAYER}allow: [.{OPEN}, .{CLOSED}]\n")
    filtered.site.publish()
    wait_for(lambda: filtered.curl("-x", GATE, f"http://{CLOSED}/now") == "200", 10, "the new host is open")
    assert filtered.curl("-x", GATE, f"http://{OPEN}/still") == "200"
    assert filtered.machine.pid_of(UNIT) == gate
    filtered.site.write_layer(f"{LAYER}allow: [.{CLOSED}]\n")
    filtered.site.publish()
    wait_for(lambda: filtered.curl("-x", GATE, f"http://{CLOSED}/late") == "200", 10, "the gate again")
    assert filtered.curl("-x", GATE, f"http://{OPEN}/late") == "403"
    assert "/late" not in filtered.allowed.visits()
    gone, gate = gate, filtered.machine.pid_of(UNIT)
    assert gate != gone
    os.kill(gate, signal.SIGKILL)
    filtered.machine.successor(UNIT, gate)


def test_a_pc_that_is_let_go_has_no_filter_left(filtered: Room) -> None:
    machine = filtered.machine
    assert machine.run(TABLE, check=False).returncode == 0
    filtered.site.labctl("unpair", machine.name)
    wait_for(lambda: machine.run(TABLE, check=False).returncode != 0, 30, "the table is gone")
    wait_for(
        lambda: machine.run(["systemctl", "is-active", UNIT], check=False).stdout.strip() == "inactive",
        *(30, "the gate is closed"),
    )
    assert filtered.curl(f"http://{filtered.other.address}/free") == "200"
