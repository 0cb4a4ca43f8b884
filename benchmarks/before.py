"""The agent with all resource kinds in force, beside the agent as it was before these kinds.

That one is the code of the last commit before the first of them, with browser
policy, desktop, kernel and time alone: installed into a lab of its own, with its
own controller, one PC like this day's, and measured in the same minutes. Both
are at rest, paired, after a restart, and have the wheels of today.
Goal: at most 1.25 times its memory and its CPU. The session bar, the screen's own
programs and the proxy are processes of others and are given apart.
"""

import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from benchmarks import groups, peers
from benchmarks.bench_lab import quiet, small_lab
from benchmarks.report import Absent, Result
from tests.lab.install import app_layer
from tests.lab.site import KERNEL_LAYER

COMMIT = "f191e3e2871c739691b84c86a0576f240f228e50"
"""Before the network filter and all that came after it."""
GOAL = 1.25
WINDOW_S = 180
AGENT = ("lab.slice", "lab-agent.slice")
ENFORCER = (*AGENT, "lab-enforcer.service")
APART = {
    "bar": ("lab.slice", "lab-kiosk.slice", "lab-bar.service"),
    "proxy": ("system.slice", "lab-proxy.service"),
}
_MB = 1e6


@dataclass(frozen=True)
class Rest:
    """What a group of processes costs at rest: distinct pages in bytes, CPU seconds an hour."""

    memory: int
    cpu: float


def measure() -> list[Result | Absent]:
    """Memory and CPU of today's agent to that one's."""
    tree = peers.code_of(COMMIT)
    if tree is None:
        return [Absent("agent, all kinds, to before", f"the history that holds {COMMIT[:7]} is not here")]
    with ExitStack() as stack:
        now = stack.enter_context(small_lab(1))
        code = app_layer("bookworm", project=tree)
        then = stack.enter_context(small_lab(2, code=code, layer=KERNEL_LAYER))
        for site in (now, then):
            # As after a boot: without what pairing and the first publication needed once.
            site.pc(1).run(["systemctl", "restart", "lab-enforcer.service", "lab-agent.service"])
        for site in (now, then):
            quiet(site, 20, pcs=1)
        mine, theirs = now.pc(1), then.pc(1)
        places = [groups.slice_of(mine, *AGENT), groups.slice_of(theirs, *AGENT)]
        places += [groups.slice_of(mine, *names) for names in APART.values()]
        enforcers = [groups.slice_of(pc, *ENFORCER) for pc in (mine, theirs)]
        half = [groups.cpu_s(place) for place in enforcers]
        ours, past, *apart = _at_rest(places)
        half = [groups.cpu_s(place) - before for place, before in zip(enforcers, half, strict=True)]
    told = ", ".join(
        f"{name} {_said_memory(rest)} and {_said_cpu(rest)}" for name, rest in zip(APART, apart, strict=True)
    )
    halves = " to ".join(f"{cpu * 3600 / WINDOW_S:.2f}" for cpu in half)
    size = f"{_said_memory(ours)} to {_said_memory(past)}; apart: {told}"
    spent = f"{_said_cpu(ours)} to {_said_cpu(past)} over {WINDOW_S} s; of it the enforcer {halves}"
    return [
        Result("agent, all kinds, memory, to before", GOAL, ours.memory / past.memory, size),
        Result("agent, all kinds, CPU at rest, to before", GOAL, ours.cpu / past.cpu, spent),
    ]


def _at_rest(places: list[Path]) -> list[Rest]:
    """Each group over the same window; memory as it begins."""
    sizes = [groups.memory(groups.pids(place)).distinct for place in places]
    begun = [groups.cpu_s(place) for place in places]
    time.sleep(WINDOW_S)
    spent = [groups.cpu_s(place) - before for place, before in zip(places, begun, strict=True)]
    return [Rest(size, cpu * 3600 / WINDOW_S) for size, cpu in zip(sizes, spent, strict=True)]


def _said_memory(rest: Rest) -> str:
    return f"{rest.memory / _MB:.1f} MB"


def _said_cpu(rest: Rest) -> str:
    return f"{rest.cpu:.2f} s/h"
