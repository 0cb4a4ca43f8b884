"""Faults of the network: cables out, silence, loss, delay. They live in the lan namespace.

What is wrong with whom is kept in <lab>/faults.json, so that the command line and a test see the same;
every change writes the whole table anew, in one transaction.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.lab.rig.cgroups import Group
from tests.lab.rig.host import RigError, lock, run_host, wait_until
from tests.lab.rig.network import Nic
from tests.lab.rig.spec import Site

_RELAY = Path(__file__).with_name("relay.py")


@dataclass(frozen=True, slots=True)
class Rule:
    """Packets that get lost: of `machine`, only those to and from `peer` if named, `percent` of them.

    `match` narrows it further in nftables' words, e.g. "udp dport 5353".
    """

    machine: str
    ports: tuple[str, ...]
    percent: int = 100
    peer: str = ""
    peer_ports: tuple[str, ...] = ()
    match: str = ""


def table(rules: Sequence[Rule]) -> str:
    """The nftables commands that put `rules` in force in place of all earlier ones."""
    before, between, after = [], [], []
    for rule in rules:
        own, other = _set(rule.ports), _set(rule.peer_ports)
        chance = "" if rule.percent >= 100 else f"numgen random mod 100 < {rule.percent} "
        drop = f"{rule.match} {chance}drop".strip()
        if rule.peer:
            between += [f"iifname {own} oifname {other} {drop}", f"iifname {other} oifname {own} {drop}"]
        else:
            before.append(f"iifname {own} {drop}")
            after.append(f"oifname {own} {drop}")
    return (
        "add table bridge faults\ndelete table bridge faults\ntable bridge faults {\n"
        + _chain("prerouting", before)
        + _chain("forward", between)
        + _chain("postrouting", after)
        + "}\n"
    )


def _chain(hook: str, rules: Sequence[str]) -> str:
    return f"chain {hook} {{ type filter hook {hook} priority 0\n" + "".join(f"{r}\n" for r in rules) + "}\n"


def _set(ports: Sequence[str]) -> str:
    # a delayed port's packets come out of its relay instead (d-...)
    names = [f'"{name}"' for port in ports for name in (port, _relayed(port))]
    return "{ " + ", ".join(names) + " }"


def _relayed(port: str) -> str:
    return "d" + port.removeprefix("v")


class Faults:
    """The faults of one lab. Each is given the cards it strikes, as one of several cables may fail."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._file = site.directory / "faults.json"

    # -- making trouble

    def unplug(self, machine: str, nics: Sequence[Nic]) -> None:
        """Pull the cable: the machine sees its carrier go."""
        self._site.network.lan(*(f"link set {nic.port(machine)} down" for nic in nics))

    def add(self, machine: str, nics: Sequence[Nic], *, percent: int = 100, match: str = "") -> None:
        """Lose `percent` of a machine's packets, both ways and in silence."""
        if not 0 < percent <= 100:
            raise RigError(f"a loss is between 1 and 100 percent, not {percent}")
        ports = tuple(nic.port(machine) for nic in nics)
        self._change(lambda rules: [*rules, Rule(machine, ports, percent, match=match)])

    def part(self, machine: str, nics: Sequence[Nic], peer: str, peer_nics: Sequence[Nic]) -> None:
        """Keep two machines from hearing each other, while both hear everyone else."""
        ports, others = ([n.port(m) for n in of] for m, of in ((machine, nics), (peer, peer_nics)))
        rule = Rule(machine, tuple(ports), peer=peer, peer_ports=tuple(others))
        self._change(lambda rules: [*rules, rule])

    def delay(self, machine: str, nics: Sequence[Nic], ms: float, jitter_ms: float = 0) -> None:
        """Hold each packet for `ms` milliseconds, give or take `jitter_ms`, each way; the order is kept.

        A relay in user space does it, for want of netem in many kernels.
        """
        self._end_delay(machine, nics)
        for nic in nics:
            self._relay(machine, nic, ms, jitter_ms)

    def _relay(self, machine: str, nic: Nic, ms: float, jitter_ms: float) -> None:
        port = nic.port(machine)
        near, far = _relayed(port), "e" + port.removeprefix("v")
        self._site.network.lan(
            f"link add {near} type veth peer name {far}",
            f"link set {near} master {nic.bridge} up",
            f"link set {far} up",
            f"link set {port} nomaster",
        )
        group = self._relay_group(port)
        group.create()
        argv = [sys.executable, "-IS", str(_RELAY), port, far, str(ms), str(jitter_ms)]
        join = " ".join(map(str, group.join_files()))
        log = self._site.directory / "relay.log"
        into_group = ["/bin/sh", "-c", 'for f in $RIG_JOIN; do echo $$ >"$f"; done; exec "$@"', "sh"]
        env = {"PATH": os.environ.get("PATH", ""), "RIG_JOIN": join, "RIG_READY": str(self._ready_file(port))}
        with log.open("ab") as out:
            subprocess.run(
                ["setsid", "--fork", *into_group, *self._site.network.inside("lan", argv)],
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                check=True,
            )
        if not wait_until(self._ready_file(port).exists, timeout=10):
            raise RigError(f"the relay for {machine} did not start: see {log}")

    def _ready_file(self, port: str) -> Path:
        return self._site.directory / f"relay-{port}.ready"

    def _relay_group(self, port: str) -> Group:
        return Group(f"{self._site.group}/relay-{port}")

    def _end_delay(self, machine: str, nics: Sequence[Nic]) -> None:
        for nic in nics:
            port = nic.port(machine)
            group = self._relay_group(port)
            if group.path.exists():
                group.kill()
                group.remove()
                self._ready_file(port).unlink(missing_ok=True)
                self._site.network.lan(f"link del {_relayed(port)}", check=False)
                self._site.network.lan(f"link set {port} master {nic.bridge}")

    # -- making it good

    def heal(self, machine: str, nics: Sequence[Nic]) -> None:
        """Undo everything that was done to a machine, also where it is another one's peer."""
        self._end_delay(machine, nics)
        self._site.network.lan(*(f"link set {nic.port(machine)} up" for nic in nics))
        self._change(lambda rules: [r for r in rules if machine not in (r.machine, r.peer)])

    def _change(self, edit: Callable[[list[Rule]], list[Rule]]) -> None:
        with lock(self._site.directory / "faults.lock"):
            rules = edit(self.rules())
            run_host(self._site.network.inside("lan", ["nft", "-f", "-"]), input=table(rules))
            self._file.write_text(json.dumps([asdict(rule) for rule in rules], indent=1))

    def rules(self) -> list[Rule]:
        """The losses in force."""
        if not self._file.exists():
            return []
        return [
            Rule(ports=tuple(item.pop("ports")), peer_ports=tuple(item.pop("peer_ports")), **item)
            for item in json.loads(self._file.read_text())
        ]
