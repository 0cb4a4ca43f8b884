"""How much room the PC's own disks have, asked so that a dead one cannot hold up the agent.

statvfs(2) waits for the file system, and one whose device or server has gone
may never answer. So only disks that are in the PC to stay are asked (no stick,
no network mount: their room is nobody's condition), and each of them by a
thread of its own that is left behind when it does not come back: the disk is
said to be silent, and asked again when that thread has returned.
"""

import os
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from threading import Thread
from typing import NamedTuple

from contract.status import Disk

PATIENCE_S = 1.0
"""How long all disks together may take to answer; microseconds as a rule."""

MOST = 16
"""Disks that are looked at, and so the most threads that can be waiting."""

LOCAL_TYPES = frozenset(
    ("bcachefs", "btrfs", "ext2", "ext3", "ext4", "f2fs", "jfs", "nilfs2", "reiserfs", "vfat", "xfs")
)
"""File systems on a block device that Debian installs itself on; vfat is the EFI partition."""

_VIRTUAL = ("loop", "nbd", "rbd", "ram", "zram")
_ELSEWHERE = ("usb", "session", "nvme-fabrics")
"""Parts of a device's path in /sys that tell of USB, iSCSI and NVMe over a network."""


class Mount(NamedTuple):
    """A line of /proc/self/mountinfo: `number` is the device's major:minor, `source` its name."""

    point: str
    number: str
    type: str
    source: str


class Room(NamedTuple):
    """What the disks said, and the mount points of those that said nothing."""

    disks: tuple[Disk, ...] = ()
    silent: tuple[str, ...] = ()


class Disks:
    """The PC's disks. `mounts` gives the mount points to ask, `statvfs` is os.statvfs (but in tests)."""

    def __init__(
        self,
        mounts: Callable[[], Sequence[str]] | None = None,
        statvfs: Callable[[str], os.statvfs_result] = os.statvfs,
    ) -> None:
        self._mounts = mounts or _own_mounts
        self._statvfs = statvfs
        self._left: dict[str, _Question] = {}

    def read(self) -> Room:
        """The room now; takes no longer than PATIENCE_S, and that only when a disk has just gone silent."""
        mounts = self._mounts()[:MOST]
        end = time.monotonic() + PATIENCE_S
        self._left = {mount: question for mount, question in self._left.items() if not question.over(0)}
        asked = [
            _Question(mount, self._statvfs)
            for mount in mounts[: MOST - len(self._left)]
            if mount not in self._left
        ]
        for question in asked:
            if not question.over(end - time.monotonic()):
                self._left[question.mount] = question
        return Room(
            tuple(question.disk for question in asked if question.disk is not None),
            tuple(sayable(mount) for mount in mounts if mount in self._left),
        )


class _Question:
    """One statvfs in a thread of its own, which dies with the process whatever it waits for."""

    def __init__(self, mount: str, statvfs: Callable[[str], os.statvfs_result]) -> None:
        self.mount = mount
        self.disk: Disk | None = None
        self._statvfs = statvfs
        self._thread = Thread(target=self._ask, daemon=True)
        self._thread.start()

    def over(self, wait_s: float) -> bool:
        """Whether it was answered, waiting for it if need be."""
        self._thread.join(max(0.0, wait_s))
        return not self._thread.is_alive()

    def _ask(self) -> None:
        try:
            room = self._statvfs(self.mount)
        except OSError:
            return  # unmounted meanwhile, or not ours to see
        if room.f_blocks:
            unit = room.f_frsize
            self.disk = Disk(sayable(self.mount), room.f_blocks * unit, room.f_bavail * unit)


def worth_asking(mountinfo: str, built_in: Callable[[Mount], bool]) -> list[str]:
    """The mount points in a text of /proc/self/mountinfo (proc(5)) whose room the report needs.

    The root first and always, for on overlayfs it is no device; of the others one
    for each local file system on a disk of which `built_in` holds.
    """
    mounts = {mount.point: mount for mount in map(_mount, mountinfo.splitlines()) if mount is not None}
    found = {mount.number: mount.point for mount in mounts.values() if mount.point == "/"}
    for mount in mounts.values():
        if mount.type in LOCAL_TYPES and mount.number not in found and built_in(mount):
            found[mount.number] = mount.point
    return list(found.values())


def _mount(line: str) -> Mount | None:
    head, _dash, tail = line.partition(" - ")
    left, right = head.split(" "), tail.split(" ")
    if len(left) < 6 or len(right) < 2:
        return None
    return Mount(_unescaped(left[4]), left[2], right[0], _unescaped(right[1]))


def _unescaped(text: str) -> str:
    """The kernel writes blanks, line ends and backslashes as three octal digits."""
    first, *rest = text.split("\\")
    return first + "".join(chr(int(part[:3], 8)) + part[3:] for part in rest)


def is_built_in(number: str, sys: Path = Path("/sys")) -> bool:
    """Whether the block device `number` (major:minor) is in the PC to stay, and everything it is made of."""
    try:
        place = (sys / "dev/block" / number).resolve(strict=True)
        disk = place.parent if (place / "partition").exists() else place
        parts = [(slave / "dev").read_text().strip() for slave in _entries(disk / "slaves")]
        removable = (disk / "removable").read_text().strip() == "1"
    except OSError:
        return False
    if parts:  # of a volume group, a RAID, an encrypted disk
        return all(is_built_in(part, sys) for part in parts)
    elsewhere = any(part.startswith(_ELSEWHERE) for part in place.relative_to(sys.resolve()).parts)
    return not (removable or elsewhere or disk.name.startswith(_VIRTUAL))


def _entries(folder: Path) -> Iterable[Path]:
    return folder.iterdir() if folder.is_dir() else ()


def _own_mounts() -> list[str]:
    def built_in(mount: Mount) -> bool:
        number = mount.number
        if number.startswith("0:"):  # btrfs counts its own devices
            try:
                device = Path(mount.source).stat().st_rdev  # in /dev: no disk is asked for it
            except OSError:
                return False
            number = f"{os.major(device)}:{os.minor(device)}"
        return is_built_in(number)

    return worth_asking(Path("/proc/self/mountinfo").read_text(errors="surrogateescape"), built_in)


def sayable(name: str) -> str:
    """A name from the system as text that JSON can carry: what is not UTF-8 in it becomes "?".

    A stick's label or a bind mount may have any bytes, and one of them must not silence the station.
    """
    return name.encode(errors="replace").decode()
