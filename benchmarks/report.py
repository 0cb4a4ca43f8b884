"""How every benchmark measures and says what came of it.

Two things are run in turns, A B A B ..., so that a machine that gets busy gets
busy for both, and their medians are compared: the ratio means something where
the absolute figures do not. Every result goes into build/bench.json as well,
under its name, next to those of the other benchmarks.
"""

import json
import resource
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

RESULTS = Path(__file__).parents[1] / "build" / "bench.json"


@dataclass(frozen=True)
class Cost:
    """What one thing took: medians over its runs, in seconds. `cpu` is user and system together."""

    wall: float
    cpu: float


@dataclass(frozen=True)
class Result:
    """One line of the report: `ratio` is ours over the peer's, and met where it is at most `goal`.

    `detail` says in a few words what was compared and the absolute figures.
    """

    name: str
    goal: float
    ratio: float
    detail: str

    @property
    def met(self) -> bool:
        """Whether the goal is reached."""
        return self.ratio <= self.goal


@dataclass(frozen=True)
class Absent:
    """A comparison that could not be made, and why: said instead of a figure."""

    name: str
    why: str


def ratio_result(name: str, goal: float, ours: float, peer: float, unit: str = "ms") -> Result:
    """The result of two figures of the same unit."""
    return Result(name, goal, ours / peer, f"{ours:.4g} {unit} to {peer:.4g} {unit}")


def in_turns(
    runs: int, first: Callable[[], object], second: Callable[[], object], *, warm_up: int = 1
) -> tuple[Cost, Cost]:
    """Calls both `runs` times in turns. CPU is that of the processes they start and wait for."""
    costs: tuple[list[Cost], list[Cost]] = ([], [])
    for turn in range(warm_up + runs):
        for call, kept in zip((first, second), costs, strict=True):
            cost = once(call)
            if turn >= warm_up:
                kept.append(cost)
    return _medians(costs[0]), _medians(costs[1])


def once(call: Callable[[], object]) -> Cost:
    """What one call takes; CPU of its child processes only, which must have ended when it returns."""
    before, begin = _children_cpu(), time.perf_counter()
    call()
    return Cost(wall=time.perf_counter() - begin, cpu=_children_cpu() - before)


def command(argv: Sequence[str], env: Mapping[str, str] | None = None) -> Callable[[], None]:
    """A call that runs `argv` to its end with its output in a pipe; raises where it fails."""

    def run() -> None:
        subprocess.run(argv, env=env, stdin=subprocess.DEVNULL, capture_output=True, check=True)

    return run


def report(results: Sequence[Result | Absent]) -> int:
    """Prints the lines, keeps them in build/bench.json, and returns how many goals were missed."""
    width = max(len(result.name) for result in results)
    print(f"{'name':<{width}}  {'goal':>7}  {'ratio':>7}  result")
    for result in results:
        if isinstance(result, Absent):
            print(f"{result.name:<{width}}  {'-':>7}  {'-':>7}  not measured  ({result.why})")
            continue
        figures = f"{result.goal:>7.4g}  {result.ratio:>7.4g}  {'met' if result.met else 'missed'}"
        print(f"{result.name:<{width}}  {figures}  ({result.detail})", flush=True)
    _keep(results)
    return sum(isinstance(result, Result) and not result.met for result in results)


def _keep(results: Sequence[Result | Absent]) -> None:
    RESULTS.parent.mkdir(exist_ok=True)
    kept = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    for result in results:
        kept[result.name] = (
            {"absent": result.why}
            if isinstance(result, Absent)
            else {
                "goal": result.goal,
                "ratio": round(result.ratio, 5),
                "met": result.met,
                "detail": result.detail,
            }
        )
    RESULTS.write_text(json.dumps(kept, indent=2, sort_keys=True) + "\n")


def _children_cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _medians(costs: Sequence[Cost]) -> Cost:
    return Cost(wall=median(cost.wall for cost in costs), cpu=median(cost.cpu for cost in costs))
