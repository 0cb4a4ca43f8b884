"""What is changed by hand on a PC: how long until it is right again.

Three hands: one byte of a policy file overwritten in place, the packet filter
flushed, a unit stopped as an administrator would (systemd does not start that one
again, the agent does). Goal: 2 s, in the slowest of the tries, seen from outside:
by the file, by the kernel's own count of its rulesets, by the proxy's port.
What it costs at rest is in at_rest and before: the enforcer sleeps.
"""

import socket
import time
from collections.abc import Callable

from agent.netlink import PacketFilter
from agent.resources.browser_policy import ALLOW
from agent.resources.network import PORT, TABLE, UNIT
from benchmarks.bench_lab import quiet, until
from benchmarks.report import Absent, Result
from tests.lab.rig import Machine
from tests.lab.site import Site

TRIES = 10
GOAL_S = 2.0
PC = 1


def measure(site: Site) -> list[Result | Absent]:
    """The slowest repair of each."""
    quiet(site)
    pc = site.pc(PC)
    return [
        _slowest("drift: a byte of a file, repaired within 2 s", _byte(pc)),
        _slowest("drift: the packet filter flushed, within 2 s", lambda _at: _flush(pc)),
        _slowest("drift: the proxy stopped, within 2 s", lambda _at: _stop(pc)),
    ]


def _slowest(name: str, tried: Callable[[int], float]) -> Result:
    took = []
    for at in range(TRIES):
        took.append(tried(at))
        time.sleep(1)
    detail = f"slowest of {TRIES} {max(took) * 1000:.0f} ms, median {sorted(took)[TRIES // 2] * 1000:.0f} ms"
    return Result(name, 1, max(took) / GOAL_S, detail)


def _byte(pc: Machine) -> Callable[[int], float]:
    file = pc.root / ALLOW.lstrip("/")
    right = file.read_bytes()

    def tried(at: int) -> float:
        with file.open("r+b") as stream:  # in place, as an editor that is no friend of ours might
            stream.seek((at * len(right)) // TRIES)
            stream.write(b"#" if right[stream.tell()] != ord("#") else b"!")
        begin = time.perf_counter()
        return until(lambda: file.read_bytes() == right, 30, "the repair") - begin

    return tried


def _flush(pc: Machine) -> float:
    """From the ruleset that is empty to the one after it. RuntimeError if that is not the lab's."""
    with pc.network():
        kernel = PacketFilter()
    full = kernel.generation()
    with pc.popen(["nft", "flush", "ruleset"]):
        begin = until(lambda: kernel.generation() != full, 30, "the flush", every=0)
        empty = kernel.generation()
        end = until(lambda: kernel.generation() != empty, 30, "the repair", every=0)
    pc.run(["nft", "list", "chain", "inet", TABLE, "kiosk"])  # raises where it is not there
    return end - begin


def _stop(pc: Machine) -> float:
    """From the port that nobody listens at to the one at which somebody does again."""
    with pc.network():

        def listens() -> bool:
            with socket.socket() as link:
                return link.connect_ex(("127.0.0.1", PORT)) == 0

        with pc.popen(["systemctl", "stop", UNIT]):
            begin = until(lambda: not listens(), 30, "the stop")
            return until(listens, 30, "the repair") - begin
