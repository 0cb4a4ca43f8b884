"""`make bench`: every benchmark, or those named: python -m benchmarks [--keep] [NAME...].

Those that need real PCs share one lab, brought up for them (as root; about a
minute) and taken down after; --keep leaves it up for the next run. Two need a PC
that is another than those ten, and bring a small lab up each. The exit
code is 0 also where a goal is missed: that is a finding, not a failure.
"""

import argparse
import os
import sys
from importlib import import_module

from benchmarks.report import Absent, report

ALONE = ("cli_startup", "hundred")
IN_THE_LAB = ("discover", "drift", "look", "publish", "at_rest", "session")
IN_SMALL_LABS = ("before", "old_pc")
EVERYTHING = (*ALONE, *IN_THE_LAB, *IN_SMALL_LABS)


def main() -> int:
    """Run them; 0 when all could be run."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(EVERYTHING))
    parser.add_argument("--keep", action="store_true", help="leave the lab up")
    chosen = parser.parse_args()
    unknown = set(chosen.names) - set(EVERYTHING)
    if unknown:
        parser.error(f"there is no {', '.join(sorted(unknown))}; there are: {', '.join(EVERYTHING)}")
    names = chosen.names or EVERYTHING
    missed = 0
    for name in names:
        if name in ALONE:
            print(f"== {name}", flush=True)
            missed += import_module(f"benchmarks.{name}").main()
    missed += _in_the_lab([name for name in names if name in IN_THE_LAB], keep=chosen.keep)
    missed += _in_small_labs([name for name in names if name in IN_SMALL_LABS])
    print(f"{missed} goals missed" if missed else "every goal met")
    return 0


def _in_small_labs(names: list[str]) -> int:
    """Those that bring up a lab of their own, with one PC that is another than the ten."""
    if names and os.geteuid() != 0:
        return _without_root(names)
    missed = 0
    for name in names:
        print(f"== {name}", flush=True)
        missed += report(import_module(f"benchmarks.{name}").measure())
    return missed


def _without_root(names: list[str]) -> int:
    return report([Absent(name, "it needs real PCs, and those need root") for name in names])


def _in_the_lab(names: list[str], *, keep: bool) -> int:
    if not names:
        return 0
    if os.geteuid() != 0:
        return _without_root(names)
    from benchmarks.bench_lab import bench_lab  # noqa: PLC0415  # the rig is for root only

    missed = 0
    with bench_lab(keep=keep) as site:
        for name in names:
            print(f"== {name}", flush=True)
            missed += report(import_module(f"benchmarks.{name}").measure(site))
    return missed


if __name__ == "__main__":
    os.umask(0o022)
    sys.exit(main())
