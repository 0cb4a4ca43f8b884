"""A whole look at a PC that is as it shall be, beside pyinfra checking as many files and units.

Ours is the enforcer's own look, set off as a citizen's or a technician's hand
would: the date of a managed file changes, nothing else does. CPU is the control
group's count; the time is from that touch until the enforcer sleeps again, which
is its loop's latency and all kinds' observing and planning.
pyinfra runs on the PC itself (@local, no ssh, warm, change detection skipped),
keeps each file that our look reads as it is and finds each unit running that our
look asks about. It is not asked for the packet filter, kernel parameters, what
must not be there, who owns the folders, and what the citizens' account may do.
Goal: 1/20 of pyinfra, both in CPU and in time.
"""

import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from agent.core.changes import FileState
from agent.core.held import read_held
from agent.core.reconcile import whole_plan
from agent.host import Host
from agent.journal import Journal
from agent.resources import KINDS
from agent.resources.browser_policy import ALLOW
from benchmarks import groups, peers
from benchmarks.bench_lab import quiet
from benchmarks.report import Absent, Cost, Result, once
from tests.lab.rig import Machine
from tests.lab.site import Site

GOAL = 1 / 20
ROUNDS = 5
LOOKS = 20
"""Of ours in a round; pyinfra has one."""
APART_S = 0.2
"""Between two touches: more than the enforcer's shortest time between two looks."""
PC = 1
ENFORCER = ("lab.slice", "lab-agent.slice", "lab-enforcer.service")
JOURNAL = "var/lib/lab-agent/enforcer/journal.sqlite"
_HOME = "/opt/peer-pyinfra"
_KERNELS = ("/proc/", "/sys/", "/dev/", "/run/")
"""What is read there is no file that anybody keeps."""


class _Seen(Host):
    """Reads a PC from outside as the enforcer does from inside, and notes what was there."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.files: dict[str, FileState] = {}
        self.units: set[str] = set()

    def file(self, path: str) -> FileState | None:
        state = super().file(path)
        if state is not None and not path.startswith(_KERNELS):
            self.files[path] = state
        return state

    def running(self, unit: str) -> bool:
        self.units.add(unit.rpartition("/")[2])
        return super().running(unit)


def measure(site: Site) -> list[Result | Absent]:
    """CPU and time of a look to those of a run of pyinfra."""
    tree = peers.for_a_pc("pyinfra", peers.PYINFRA)
    if tree is None:
        return [Absent("look: nothing to do, to pyinfra", "pyinfra cannot be fetched here")]
    quiet(site)
    pc = site.pc(PC)
    seen = _seen(pc)
    ours: list[Cost] = []
    theirs: list[Cost] = []
    with _deployed(pc, tree, seen):
        _pyinfra(pc)  # once for nothing: it compiles itself
        for _ in range(ROUNDS):
            ours += [_looks(pc)]
            theirs += [once(lambda: _pyinfra(pc))]
    alone = median(once(lambda: pc.run(["lab-agent", "plan"])).cpu for _ in range(ROUNDS))
    what = f"{len(seen.files)} files and {len(seen.units)} units"
    cpu = median(cost.cpu for cost in ours), median(cost.cpu for cost in theirs)
    wall = median(cost.wall for cost in ours), median(cost.wall for cost in theirs)
    plan = f"`lab-agent plan`, a process of its own, {alone * 1000:.0f} ms"
    return [
        Result("look: nothing to do, CPU, to pyinfra", GOAL, cpu[0] / cpu[1], f"{_ms(cpu)}; {what}; {plan}"),
        Result("look: nothing to do, time, to pyinfra", GOAL, wall[0] / wall[1], _ms(wall)),
    ]


def _ms(pair: tuple[float, float]) -> str:
    return f"{pair[0] * 1000:.1f} ms to {pair[1] * 1000:,.0f} ms"


def _seen(pc: Machine) -> _Seen:
    """What one look of ours reads and asks."""
    with TemporaryDirectory() as folder:  # SQLite takes a path through /proc for the host's own
        for file in (pc.root / JOURNAL).parent.glob("journal.sqlite*"):
            shutil.copy(file, folder)
        journal = Journal(Path(folder) / "journal.sqlite")
        target, owned = journal.target(), journal.owned()
        journal.close()
    desired = read_held(target[1].payload).desired if target is not None else None
    if desired is None:
        raise RuntimeError(f"{pc.name} has not been told anything")
    seen = _Seen(pc.root)
    whole_plan(KINDS, desired.resources, owned, seen)
    return seen


def _looks(pc: Machine) -> Cost:
    """One look of the enforcer, the mean of some."""
    group = groups.slice_of(pc, *ENFORCER)
    (pid,) = groups.pids(group)
    file = pc.root / ALLOW.lstrip("/")
    took: list[float] = []
    before = groups.cpu_s(group)
    for _ in range(LOOKS):
        sleeps = groups.voluntary_switches(pid)
        begin = end = time.perf_counter()
        os.utime(file)
        while time.perf_counter() < begin + APART_S:
            if (now := groups.voluntary_switches(pid)) != sleeps:
                sleeps, end = now, time.perf_counter()
        if end == begin:
            raise RuntimeError("the enforcer did not look")
        took.append(end - begin)
    return Cost(wall=median(took), cpu=(groups.cpu_s(group) - before) / LOOKS)


@contextmanager
def _deployed(pc: Machine, tree: Path, seen: _Seen) -> Iterator[None]:
    """pyinfra on the PC, with a deploy that has nothing to do."""
    home = pc.root / _HOME.lstrip("/")
    shutil.rmtree(home, ignore_errors=True)
    shutil.copytree(tree, home / "lib")
    (home / "files").mkdir()
    users, teams = (_names(pc.root / "etc" / file) for file in ("passwd", "group"))
    lines = ["from pyinfra.operations import files, systemd"]
    for at, (path, state) in enumerate(sorted(seen.files.items())):
        if state.target is not None:
            lines.append(f"files.link(path={path!r}, target={state.target!r})")
            continue
        (home / "files" / str(at)).write_bytes(state.content)
        about = (pc.root / path.lstrip("/")).lstat()
        whose = (
            f"user={users[about.st_uid]!r}, group={teams[about.st_gid]!r}, mode='{about.st_mode & 0o7777:o}'"
        )
        lines.append(f"files.put(src='{_HOME}/files/{at}', dest={path!r}, {whose})")
    for unit in sorted(seen.units):
        pc.run(["systemctl", "is-active", "--quiet", unit])  # raises: pyinfra would start it
        lines.append(f"systemd.service(service={unit!r}, running=True)")
    (home / "deploy.py").write_text("\n".join(lines) + "\n")
    try:
        yield
    finally:
        shutil.rmtree(home)


def _names(file: Path) -> dict[int, str]:
    """Of users or groups, by number (passwd(5), group(5))."""
    lines = (line.split(":") for line in file.read_text().splitlines())
    return {int(fields[2]): fields[0] for fields in lines}


def _pyinfra(pc: Machine) -> None:
    """One run. RuntimeError where it changed something: then it is no comparison."""
    run = f"cd {_HOME} && exec /usr/bin/python3 -m pyinfra @local deploy.py -y"
    done = pc.run(["sh", "-c", run], env={"PYTHONPATH": f"{_HOME}/lib"}, timeout=120, check=False)
    said = done.stdout + done.stderr
    total = [line.split()[2:] for line in said.splitlines() if line.strip().startswith("Grand total")]
    if done.returncode or len(total) != 1 or total[0][1:3] != ["-", "-"]:
        raise RuntimeError(f"pyinfra: {said[-1500:]}")
