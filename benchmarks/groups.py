"""What a control group's processes cost: memory and CPU, read from outside the PC they run on.

Two figures of memory, both counted from the kernel's page map. `pss` is the PSS
on a PC of its own: a page that n of that PC's processes map counts 1/n. (What
smaps_rollup says flatters here: the lab's other PCs map the same Debian files.)
`distinct` counts every page that any of the group's processes maps once and in
full, whoever else maps it: the PSS if nothing else on the PC used Python, OpenSSL
or libc.
"""

from array import array
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.lab.rig import Machine
from tests.lab.rig.cgroups import unified

_PAGE = 4096
_PRESENT = 1 << 63
_FRAME = (1 << 55) - 1  # Documentation/admin-guide/mm/pagemap.rst


@dataclass(frozen=True)
class Memory:
    """Bytes of a group's processes together; what either means is said above."""

    pss: int
    distinct: int


def slice_of(machine: Machine, *names: str) -> Path:
    """The control group of a slice or unit of a PC, as the host sees it."""
    return unified().joinpath(machine.site.group, machine.name, "payload", *names)


def pids(group: Path) -> list[int]:
    """Every process in the group and below, by the host's ids."""
    found = [int(pid) for file in group.rglob("cgroup.procs") for pid in file.read_text().split()]
    if not found:
        raise RuntimeError(f"nothing runs in {group}")
    return found


def memory_of(machine: Machine, *names: str) -> Memory:
    """What a slice or unit of a PC holds, beside all else that runs on that PC."""
    ours = pids(slice_of(machine, *names))
    return memory(ours, set(pids(slice_of(machine))) - set(ours))


def cpu_s(group: Path) -> float:
    """CPU seconds that the group's processes have used since the group was made, ended ones too."""
    for line in (group / "cpu.stat").read_text().splitlines():
        name, value = line.split()
        if name == "usage_usec":
            return int(value) / 1e6
    raise RuntimeError(f"{group} does not count CPU time")


def memory(processes: Iterable[int], beside: Iterable[int] = ()) -> Memory:
    """What these processes hold, where those `beside` them share the PC. None may end meanwhile."""
    ours: Counter[int] = Counter()
    for pid in processes:
        ours.update(_frames(pid))
    others: Counter[int] = Counter()
    for pid in beside:
        others.update(_frames(pid) & ours.keys())
    pss = sum(count / (count + others[frame]) for frame, count in ours.items())
    return Memory(pss=round(pss * _PAGE), distinct=len(ours) * _PAGE)


def voluntary_switches(pid: int) -> int:
    """How often a process has gone to sleep and been woken, all threads."""
    total = 0
    for status in Path(f"/proc/{pid}/task").glob("*/status"):
        for line in status.read_text().splitlines():
            if line.startswith("voluntary_ctxt_switches:"):
                total += int(line.split()[1])
    return total


def _frames(pid: int) -> set[int]:
    """The physical pages that a process maps."""
    found: set[int] = set()
    with Path(f"/proc/{pid}/pagemap").open("rb", buffering=0) as pagemap:
        for begin, end in _areas(pid):
            pagemap.seek(begin // _PAGE * 8)
            entries = array("Q")
            entries.frombytes(pagemap.read((end - begin) // _PAGE * 8))
            found.update(entry & _FRAME for entry in entries if entry & _PRESENT)
    return found


def _areas(pid: int) -> Iterator[tuple[int, int]]:
    """Where a process has pages in memory: a browser reserves terabytes and holds megabytes."""
    begin, end = 0, 0
    for line in Path(f"/proc/{pid}/smaps").read_text().splitlines():
        if line.startswith("Rss:"):
            if line.split()[1] != "0":
                yield begin, end
        elif not line[: line.index(" ")].endswith(":"):  # an area begins
            begin, end = (int(edge, 16) for edge in line.split()[0].split("-"))
            if "[v" in line.split()[-1]:
                begin = end  # the kernel's own pages: [vdso], [vvar], [vsyscall]
