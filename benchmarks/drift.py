"""One byte changed by hand in a policy file: how long until it is right again.

Goal: 2 s, in the slowest of the tries. Seen from outside, by reading the file
on the running PC. What it costs at rest is in at_rest: the enforcer sleeps.
"""

import time

from agent.resources.browser_policy import ALLOW
from benchmarks.bench_lab import quiet, until
from benchmarks.report import Absent, Result
from tests.lab.site import Site

TRIES = 10
GOAL_S = 2.0


def measure(site: Site) -> list[Result | Absent]:
    """The slowest repair."""
    quiet(site)
    file = site.pc(1).root / ALLOW.lstrip("/")
    right = file.read_bytes()
    took = []
    for at in range(TRIES):
        with file.open("r+b") as stream:  # in place, as an editor that is no friend of ours might
            stream.seek((at * len(right)) // TRIES)
            stream.write(b"#" if right[stream.tell()] != ord("#") else b"!")
        begin = time.perf_counter()
        took.append(until(lambda: file.read_bytes() == right, 30, "the repair") - begin)
        time.sleep(1)
    detail = f"slowest of {TRIES} {max(took) * 1000:.0f} ms, median {sorted(took)[TRIES // 2] * 1000:.0f} ms"
    return [Result("drift: repaired within 2 s", 1, max(took) / GOAL_S, detail)]
