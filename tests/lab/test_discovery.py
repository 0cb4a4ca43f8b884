"""Finding PCs, and not being found by liars: mDNS is a hint about where, never about who."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from contract.version import VERSION
from tests.lab.conftest import PCS
from tests.lab.rig import Machine
from tests.lab.site import Site, pc_files, wait_for

pytestmark = [pytest.mark.lab, pytest.mark.timeout(300)]

LIAR = "pc-66"
UNHEARD = "pc-12"
"""No other test has a PC of this name: the controller remembers for ten minutes what it once heard."""
ANNOUNCE = """
import socket, sys, time
from zeroconf import IPVersion, ServiceInfo, Zeroconf
station, name, address, port = sys.argv[1:]
service = "_lab-agent._tcp.local."
zeroconf = Zeroconf(interfaces=[address], ip_version=IPVersion.V4Only)
zeroconf.register_service(
    ServiceInfo(
        service, f"{name}.{service}", port=int(port), server="bugiardo.local.", parsed_addresses=[address],
        properties={"id": station, "version": "0.1.0", "contract": "1", "pairing": "paired"},
    ),
    cooperating_responders=True,
)
print("said", flush=True)
time.sleep(3600)
"""
TLS = """
import http.server, ssl, sys
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(sys.argv[1])
server = http.server.ThreadingHTTPServer(("0.0.0.0", 7443), http.server.BaseHTTPRequestHandler)
server.socket = context.wrap_socket(server.socket, server_side=True)
print("listens", flush=True)
server.serve_forever()
"""


def browsed(site: Site) -> dict[str, dict[str, str]]:
    """What avahi on the server sees: by station id, the TXT record with `port` and `address`."""
    found: dict[str, dict[str, str]] = {}
    for line in site.server.run(["avahi-browse", "-rpt", "_lab-agent._tcp"]).stdout.splitlines():
        fields = line.split(";")
        if fields[0] == "=" and fields[2] == "IPv4":
            text = dict(pair.split("=", 1) for pair in fields[9].replace('"', "").split())
            found[text["id"]] = {**text, "port": fields[8], "address": fields[7]}
    return found


def discovered(site: Site, *arguments: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(site.labctl("discover", "--json", *arguments).stdout)["found"]
    return found


def test_avahi_sees_the_ten_with_what_they_say_of_themselves(site: Site) -> None:
    ids = [f"pc-{number:02d}" for number in range(1, PCS + 1)]
    wait_for(lambda: sorted(browsed(site)) == ids, 30, "ten announcements")
    for name, said in browsed(site).items():
        assert (said["version"], said["pairing"], said["port"]) == (VERSION, "paired", "7443")
        assert said["address"] == site.lab.machine(name).address
    found = discovered(site)
    assert [one["id"] for one in found] == ids
    assert all(one["verified"] for one in found)


def test_a_pc_with_another_address_is_online_again_by_itself(site: Site) -> None:
    machine = site.pc(3)
    before = machine.address
    for address in (f"{site.lab.network.net}.203", before):
        machine.set_address(address)
        wait_for(lambda: site.row(machine.name)["address"].startswith(address), 60, f"an answer at {address}")  # noqa: B023  # waited for at once
        wait_for(lambda: site.presence(machine.name) == "online", 30, "online")
        assert browsed(site)[machine.name]["address"] == address


def test_two_cards_and_the_first_ones_cable_cut(site: Site) -> None:
    machine, server = site.pc(8), site.server
    server.add_nic("eth1", "10.81.0")
    machine.add_nic("eth1", "10.81.0")
    try:
        site.lab.cut(machine.name, nic="eth0")
        second = machine.nic("eth1").address
        wait_for(lambda: site.row(machine.name)["address"].startswith(second), 60, "an answer on the second")
        wait_for(lambda: site.presence(machine.name) == "online", 30, "online")
        site.lab.heal(machine.name)
        site.settle()
        site.lab.cut(machine.name, nic="eth1")
        first = machine.address
        wait_for(lambda: site.row(machine.name)["address"].startswith(first), 60, "an answer on the first")
    finally:
        site.lab.heal(machine.name)
        machine.remove_nic("eth1")
        server.remove_nic("eth1")


def test_a_network_without_multicast(site: Site) -> None:
    """A PC that mDNS does not show is paired by naming its host, and lives as the others do."""
    new = site.lab.start(UNHEARD, files=pc_files(), wait=False)
    site.lab.drop(new.name, match="udp dport 5353")  # long before its agent is up
    new.wait_running()
    code = site.code(new)
    assert new.name not in [one["id"] for one in discovered(site)]
    done = site.labctl("pair", new.name, code, check=False)
    assert done.returncode == 1
    assert "--address" in done.stderr, done.stderr
    found = discovered(site, "--add", new.address)
    assert [one["address"] for one in found if one["address"] == new.address] == [new.address]
    site.labctl("pair", new.name, code)
    site.settle()
    new.reboot()
    site.settle()
    row = site.row(new.name)
    assert (row["profile"], row["state"]) == ("citizen", "available")


@pytest.fixture
def liar(site: Site) -> Machine:
    """A PC on the same LAN that is not of the lab: no agent runs, its root does what it wants."""
    return site.lab.start(LIAR)


@contextmanager
def saying(machine: Machine, station: str, name: str, address: str, port: int) -> Iterator[None]:
    argv = ["/opt/lab-agent/bin/python", "-c", ANNOUNCE, station, name, address, str(port)]
    with machine.popen(argv) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"said\n"
        yield


@contextmanager
def serving(machine: Machine, names: str) -> Iterator[None]:
    """A TLS server at the agent's port, with a certificate it made itself."""
    make = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 9 -subj /CN=x"
    make += f" -addext subjectAltName=DNS:{names} -keyout /root/key -out /root/cert 2>/dev/null"
    machine.run(["sh", "-c", f"{make} && cat /root/key /root/cert >/root/both"])
    with machine.popen(["python3", "-c", TLS, "/root/both"]) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"listens\n"
        yield


@pytest.mark.parametrize("name", ["pc-03", pytest.param("pc-03-altro", marks=pytest.mark.long)])
def test_a_forged_announcement_gains_nothing_displaces_nobody_and_is_told(
    site: Site, liar: Machine, name: str
) -> None:
    """The liar says it is pc-03: under the very name, which forces a conflict, and under another."""
    with serving(liar, "pc-03.station.prova.lab.internal"), saying(liar, "pc-03", name, liar.address, 7443):

        def heard() -> dict[str, dict[str, Any]]:
            found = {one["address"]: one for one in discovered(site) if one["id"] == "pc-03"}
            return found if liar.address in found else {}

        both = wait_for(heard, 30, "both announcements")
        true, false = both[site.pc(3).address], both[liar.address]
        assert (true["verified"], false["verified"]) == (True, False)
        assert "More than one" in false["note"], false
        assert site.presence("pc-03") == "online"
        assert site.row("pc-03")["address"].startswith(site.pc(3).address)

        # Even with the true one gone the liar gets nothing, and the sentence says who is there.
        site.lab.cut("pc-03")
        wait_for(lambda: site.presence("pc-03") == "offline", 60, "pc-03 offline")
        assert site.row("pc-03")["note"]
        assert site.row("pc-03")["address"].startswith(site.pc(3).address)
        site.lab.heal("pc-03")
        wait_for(lambda: site.presence("pc-03") == "online", 60, "pc-03 online")
    site.settle()


def test_impostors_at_a_stations_own_address_are_refused_in_a_clear_sentence(
    site: Site, liar: Machine
) -> None:
    victim, other = site.pc(9), site.pc(10)
    address, own = victim.address, other.address
    victim.crash()
    site.lab.cut(victim.name)  # the card of a PC that is off still answers for its address here

    def note(part: str) -> bool:
        return part in str(site.row(victim.name).get("note", ""))

    liars = liar.address
    liar.set_address(address)
    with serving(liar, f"{victim.name}.station.prova.lab.internal"):
        wait_for(lambda: note("has a certificate it made itself"), 60, "the self-made certificate named")
    liar.set_address(liars)
    try:
        other.set_address(address)  # a station of the lab, with its own good certificate
        wait_for(lambda: note("has the certificate of another PC"), 60, "the other PC's certificate named")
        wait_for(lambda: site.row(other.name)["address"].startswith(address), 60, f"{other.name} there")
        assert site.presence(victim.name) != "online"
    finally:
        other.set_address(own)
    site.lab.heal(victim.name)
    victim.poweron()
    site.settle(90)
