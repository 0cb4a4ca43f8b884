"""Control groups: each lab owns one subtree, <prefix>-lab, with a group per machine.

The kernel's bookkeeping is the rig's too: whether a machine runs, who its PID 1 is and what is left of it
are read from these groups, so there are no pid files to go stale. A machine's group holds
  launcher/        the supervising shell      supervisor/  systemd-nspawn
  payload/         the machine's own systemd and all below it
  payload/rig-*/   commands the rig runs inside
Works on a pure v2 host and on a hybrid one (v1 controllers with the unified hierarchy beside them).
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from tests.lab.rig.host import RigError, wait_until


@cache
def unified() -> Path:
    """Where the v2 hierarchy is mounted. RigError on a host without one or with a kernel before 5.14."""
    for line in Path("/proc/self/mounts").read_text().splitlines():
        _, where, kind, *_ = line.split()
        if kind == "cgroup2":
            if not any(Path(where).glob("*/cgroup.kill")) and _kernel() < (5, 14):
                raise RigError("the lab needs Linux 5.14 or later (cgroup.kill)")
            return Path(where)
    raise RigError("the lab needs the cgroup v2 hierarchy: mount -t cgroup2 none /sys/fs/cgroup/unified")


def _kernel() -> tuple[int, int]:
    major, minor, *_ = os.uname().release.split(".")
    return int(major), int(minor)


@cache
def legacy() -> dict[str, Path]:
    """The v1 hierarchies a machine has a group in, by name: systemd's own, and memory for a limit."""
    found: dict[str, Path] = {}
    for line in Path("/proc/self/mounts").read_text().splitlines():
        _, where, kind, options, *_ = line.split()
        if kind == "cgroup":
            for name in ("name=systemd", "memory"):
                if name in options.split(","):
                    found[name] = Path(where)
    return found


class Group:
    """One group of the v2 hierarchy, and the groups of the same name in the v1 hierarchies beside it."""

    def __init__(self, relative: str) -> None:
        self.relative = relative
        self.path = unified() / relative

    def create(self) -> None:
        """Make the group in v2 and in the v1 hierarchy of systemd; nothing happens where it exists."""
        for path in self._everywhere():
            path.mkdir(parents=True, exist_ok=True)

    def _everywhere(self) -> list[Path]:
        return [self.path, *(root / self.relative for root in legacy().values())]

    def limit_memory(self, limit: str) -> None:
        """Cap the memory of everything in the group, e.g. "1G"; "" takes the cap off."""
        if "memory" in legacy():
            (legacy()["memory"] / self.relative / "memory.limit_in_bytes").write_text(limit or "-1")
            return
        for parent in reversed([p for p in self.path.parents if unified() in (p, *p.parents)]):
            with contextlib.suppress(OSError):  # the group that holds processes cannot pass controllers on
                (parent / "cgroup.subtree_control").write_text("+memory")
        if not (self.path / "memory.max").exists():
            raise RigError("this host's control groups cannot limit memory (no memory controller here)")
        (self.path / "memory.max").write_text(limit or "max")

    def memory_used(self) -> int:
        """Bytes of memory charged to the group; RigError where the kernel does not count them."""
        in_v1 = legacy().get("memory", Path("/none")) / self.relative / "memory.usage_in_bytes"
        for counter in (in_v1, self.path / "memory.current"):
            if counter.exists():
                return int(counter.read_text())
        raise RigError(f"no memory accounting for {self.relative}: give it a memory limit, which turns it on")

    def delegate(self) -> None:
        """Pass on what limits set inside a machine need, where v2 has it, as systemd does; best effort."""
        for parent in (unified(), self.path):
            for controller in ("cpu", "io", "memory", "pids"):
                if controller in (parent / "cgroup.controllers").read_text().split():
                    with contextlib.suppress(OSError):
                        (parent / "cgroup.subtree_control").write_text(f"+{controller}")

    def join_files(self, v2_child: str = "") -> list[Path]:
        """The files a process writes its id to in order to be in this group everywhere."""
        return [self.path / v2_child / "cgroup.procs", *(p / "cgroup.procs" for p in self._everywhere()[1:])]

    def pids(self) -> list[int]:
        """Processes directly in this group (host ids); none when the group is gone."""
        try:
            return [int(pid) for pid in (self.path / "cgroup.procs").read_text().split()]
        except OSError:
            return []

    def below(self) -> Iterator[Group]:
        """This group and every group below it, deepest last."""
        if self.path.is_dir():
            for directory, _, _ in os.walk(self.path):
                yield Group(str(Path(directory).relative_to(unified())))

    def children(self) -> list[str]:
        """Names of the groups directly below."""
        return sorted(p.name for p in self.path.iterdir() if p.is_dir()) if self.path.is_dir() else []

    @property
    def populated(self) -> bool:
        """Whether any process lives in the group or below it."""
        try:
            return "populated 1" in (self.path / "cgroup.events").read_text()
        except OSError:
            return False

    def kill(self, *, timeout: float = 30) -> None:
        """SIGKILL everything in the group and below, orphans included, and wait until it is gone.

        Raises RigError when something survives `timeout` seconds (stuck in the kernel).
        """
        try:
            (self.path / "cgroup.kill").write_text("1")
        except FileNotFoundError:
            return
        if not wait_until(lambda: not self.populated, timeout=timeout, every=0.01):
            left = [pid for group in self.below() for pid in group.pids()]
            raise RigError(f"{self.relative}: processes {left} outlive SIGKILL")

    def remove(self) -> None:
        """Remove the group and those below it in every hierarchy; groups still in use stay."""
        for top in self._everywhere():
            if top.is_dir():
                for directory, _, _ in os.walk(top, topdown=False):
                    with contextlib.suppress(OSError):
                        Path(directory).rmdir()


def inner_pid(pid: int) -> int:
    """The id a process has in its innermost pid namespace (1 for a machine's init); 0 when it is gone."""
    try:
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("NSpid:"):
                return int(line.split()[-1])
    except (OSError, ValueError):
        pass
    return 0
