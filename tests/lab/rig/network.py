"""The LAN: a network namespace with a bridge per network, and a namespace with its own cards per machine.

The lan namespace (<prefix>-lan) holds the bridges; address .1 of each network is a gateway that answers
ping, leads nowhere and refuses DNS at once. A machine's namespace (<prefix>-<name>) outlives the machine's
reboots and power cuts, as a socket in the wall does; its cards carry static addresses set from outside.
"""

from __future__ import annotations

import ctypes
import json
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.lab.rig.host import CommandFailed, RigError, lock, program, run_host

_NETNS = Path("/run/netns")
_CLONE_NEWNET = 0x40000000
_READY = "ready"  # alias a bridge port gets as the last step of making it: a half-made port is made again


@dataclass(frozen=True, slots=True)
class Nic:
    """One network card of a machine. `address` is an IPv4 address of the network of `bridge` (a /24)."""

    name: str
    bridge: str
    address: str
    mac: str

    def port(self, machine: str) -> str:
        """Name of the bridge's end of the cable, in the lan namespace (at most 15 characters)."""
        return f"v-{machine}" if self.name == "eth0" else f"v-{machine}-{self.name}"


def number_of(machine: str) -> int:
    """Last byte of a machine's address: 10 for server, 100+NN for pc-NN. Raises RigError for another name."""
    if machine == "server":
        return 10
    match = re.fullmatch(r"pc-(\d\d)", machine)
    if match and int(match[1]) > 0:
        return 100 + int(match[1])
    raise RigError(f"no such machine: {machine} (names are server, pc-01 .. pc-99)")


def mac_of(machine: str, card: int = 0) -> str:
    """Hardware address of a machine's card number `card`; the same every time, as on a real PC."""
    return f"02:77:00:00:{card:02x}:{number_of(machine):02x}"


class Network:
    """The network of one lab. Every method may be repeated; changes are made under the lab's network lock."""

    def __init__(self, prefix: str, net: str, directory: Path) -> None:
        self.prefix = prefix
        self.net = net
        self._lock = directory / "network.lock"

    def namespace(self, machine: str = "lan") -> Path:
        """File that stands for a machine's network namespace, or the bridge's ("lan")."""
        return _NETNS / f"{self.prefix}-{machine}"

    def inside(self, machine: str, argv: Sequence[str]) -> list[str]:
        """argv that runs a host program in a machine's network (or "lan"), all else being the host's."""
        path = self.namespace(machine)
        if not path.exists():
            raise RigError(f"no such machine in this lab: {machine} (see status)")
        return [program("nsenter"), f"--net={path}", "--", *argv]

    @contextmanager
    def here(self, machine: str = "lan") -> Iterator[None]:
        """Let the calling thread open its sockets in a machine's network for the length of a with block."""
        home = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        try:
            _enter(self.namespace(machine))
            try:
                yield
            finally:
                _setns(home)
        finally:
            os.close(home)

    def make_lan(self) -> None:
        """Make the lan namespace and the bridge of the lab's own network."""
        with lock(self._lock):
            self._make_namespace("lan")
            self._make_bridge("br0", self._ready())

    def make_ports(self, machine: str, nics: Sequence[Nic]) -> None:
        """Plug a machine's cards into their bridges, with their addresses; those in place stay."""
        with lock(self._lock):
            self._make_namespace(machine)
            ready = self._ready()
            for nic in nics:
                self._make_bridge(nic.bridge, ready)
                if nic.port(machine) not in ready:
                    self._plug(machine, nic)

    def bridge_of(self, net: str) -> str:
        """Name of the bridge of a network: br0 is the lab's own, another is named after its network."""
        return "br0" if net == self.net else f"br-{net}"

    def _make_bridge(self, name: str, ready: set[str]) -> None:
        if name in ready:
            return
        net = self.net if name == "br0" else name.removeprefix("br-")
        self._ip("lan", f"link del {name}", check=False)
        self._ip(
            "lan",
            "link set lo up",
            f"link add {name} type bridge forward_delay 0 mcast_snooping 0",
            f"addr add {net}.1/24 dev {name}",
            f"link set {name} up alias {_READY}",
        )
        # a dead-end gateway must refuse each lookup at once, or every one stalls for seconds
        self._sysctl("lan", "net/ipv4/icmp_ratelimit", "0")

    def _plug(self, machine: str, nic: Nic) -> None:
        port, space = nic.port(machine), f"{self.prefix}-{machine}"
        self._ip("lan", f"link del {port}", check=False)
        self._ip("lan", f"link add {port} type veth peer name {nic.name} address {nic.mac} netns {space}")
        commands = [
            "link set lo up",
            f"link set {nic.name} up",
            f"addr add {nic.address}/24 brd + dev {nic.name}",
        ]
        if nic.name == "eth0":
            # without a default route a socket that names no interface cannot send multicast
            commands.append(f"route add default via {gateway_of(nic.address)}")
        self._ip(machine, *commands)
        self._ip("lan", f"link set {port} master {nic.bridge} up alias {_READY}")

    def unplug(self, machine: str, nic: Nic) -> None:
        """Take a card out of a machine, cable and all."""
        with lock(self._lock):
            self._ip("lan", f"link del {nic.port(machine)}", check=False)

    def set_address(self, machine: str, nic: Nic, address: str) -> None:
        """Give a card another address, as a router that hands out a new lease would; its old one is gone."""
        with lock(self._lock):
            commands = [f"addr flush dev {nic.name}", f"addr add {address}/24 brd + dev {nic.name}"]
            if nic.name == "eth0":
                commands.append(f"route replace default via {gateway_of(address)}")
            self._ip(machine, *commands)

    def lan(self, *commands: str, check: bool = True) -> None:
        """Run `ip` commands in the lan namespace; with `check` off, failing ones are passed over."""
        self._ip("lan", *commands, check=check)

    def names(self) -> list[str]:
        """Names for which this lab has a namespace, "lan" among them."""
        pattern = re.compile(re.escape(self.prefix) + r"-(lan|server|pc-\d\d)")
        if not _NETNS.is_dir():
            return []
        return sorted(m[1] for path in _NETNS.iterdir() if (m := pattern.fullmatch(path.name)))

    def remove(self, *machines: str) -> None:
        """Remove the namespaces of `machines` (default: all the lab has), with the cards in them."""
        with lock(self._lock):
            for name in machines or self.names():
                run_host(["ip", "netns", "del", f"{self.prefix}-{name}"], check=False)

    def _make_namespace(self, name: str) -> None:
        # a file without a namespace behind it is what an interrupted `ip netns add` leaves
        path = self.namespace(name)
        if path.exists() and path.stat().st_dev == path.parent.stat().st_dev:
            path.unlink()
        if not path.exists():
            run_host(["ip", "netns", "add", path.name])

    def _ip(self, name: str, *commands: str, check: bool = True) -> None:
        argv = ["ip", "-n", f"{self.prefix}-{name}", *([] if check else ["-force"]), "-batch", "-"]
        done = run_host(argv, input="\n".join(commands) + "\n", check=False)
        if check and done.returncode != 0:
            raise CommandFailed(
                f"{self.prefix}-{name}", ["ip", *commands], done.returncode, done.stdout, done.stderr
            )

    def _ready(self) -> set[str]:
        """Bridges and ports of the lan namespace that were made to the end."""
        printed = run_host(["ip", "-n", f"{self.prefix}-lan", "-json", "link", "show"]).stdout
        links: list[dict[str, Any]] = json.loads(printed or "[]")
        return {str(link["ifname"]) for link in links if link.get("ifalias") == _READY}

    def _sysctl(self, name: str, key: str, value: str) -> None:
        with self.here(name):  # /proc/sys/net is that of the thread that opens it
            Path("/proc/sys", key).write_text(value)


def gateway_of(address: str) -> str:
    """The gateway (.1) of the /24 an address is in."""
    return address.rsplit(".", 1)[0] + ".1"


def _enter(namespace: Path) -> None:
    fd = os.open(namespace, os.O_RDONLY | os.O_CLOEXEC)
    try:
        _setns(fd)
    finally:
        os.close(fd)


def _setns(fd: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(fd, _CLONE_NEWNET) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"setns: {os.strerror(number)}")
