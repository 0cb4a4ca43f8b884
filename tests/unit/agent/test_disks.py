"""Which disks are asked, and that one which never answers holds nobody up."""

import os
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from agent.disks import MOST, PATIENCE_S, Disks, Mount, Room, is_built_in, worth_asking
from agent.facts import FactsReader

GENEROUS_S = 30.0

PC = r"""
21 27 0:20 / /sys rw,nosuid shared:7 - sysfs sysfs rw
23 27 0:5 / /dev rw,nosuid shared:2 - devtmpfs udev rw,size=1k
27 1 8:2 / / rw,relatime shared:1 - ext4 /dev/sda2 rw,errors=remount-ro
40 27 8:1 / /boot/efi rw,relatime shared:31 - vfat /dev/sda1 rw,fmask=0077
41 27 253:1 / /home rw,relatime shared:33 - xfs /dev/mapper/pc-home rw
42 41 253:1 /kiosk /srv/kiosk rw,relatime shared:33 - xfs /dev/mapper/pc-home rw
43 27 0:44 /@data /data rw,relatime shared:34 - btrfs /dev/sda3 rw
44 27 0:50 / /home/kiosk rw,nosuid shared:35 - tmpfs tmpfs rw
45 27 8:17 / /media/kiosk/my\040stick rw,nosuid shared:36 - vfat /dev/sdb1 rw
46 27 0:51 / /media/kiosk/disk rw,nosuid shared:37 - fuseblk /dev/sdc1 rw
47 27 0:52 / /mnt/office rw,relatime shared:38 - nfs4 10.0.0.1:/office rw,hard
48 27 0:53 / /mnt/shared rw,relatime shared:39 - cifs //10.0.0.1/x rw
49 27 0:54 / /net rw,relatime shared:40 - autofs systemd-1 rw
50 27 7:1 / /snap/x rw,relatime shared:41 - squashfs /dev/loop1 ro
51 27 8:33 / /mnt/a\134b rw,relatime - ext4 /dev/sdc1 rw
"""
CONTAINER = """
600 500 0:61 / / rw,relatime - overlay overlay rw,lowerdir=/a
601 600 0:62 / /proc rw - proc proc rw
602 600 8:2 /srv/pc/home /home rw,relatime master:1 - ext4 /dev/sda2 rw
"""


@pytest.mark.parametrize(
    ("mountinfo", "sticks", "due"),
    [
        (PC, {"8:17"}, ["/", "/boot/efi", "/home", "/data", r"/mnt/a\b"]),
        (PC, {"8:17", "8:33", "0:44"}, ["/", "/boot/efi", "/home"]),
        (PC, {"8:1", "8:2", "8:17", "8:33", "0:44", "253:1"}, ["/"]),
        (CONTAINER, set(), ["/", "/home"]),
        (PC + "52 27 0:99 / / rw - overlay o rw\n", {"8:17", "8:33"}, ["/", "/boot/efi", "/home", "/data"]),
        (
            PC + "53 41 8:17 / /home rw - vfat /dev/b rw\n",
            {"8:17"},
            ["/", "/boot/efi", "/srv/kiosk", "/data", r"/mnt/a\b"],
        ),
        ("", set(), []),
        ("nonsense\n1 2 3\n", set(), []),
    ],
)
def test_which_mounts_are_asked(mountinfo: str, sticks: set[str], due: list[str]) -> None:
    assert worth_asking(mountinfo, lambda mount: mount.number not in sticks) == due


def test_nothing_is_asked_of_what_need_not_be() -> None:
    """Not even whether it is built in, which for some sources is a look at the device."""
    asked: list[Mount] = []

    def built_in(mount: Mount) -> bool:
        asked.append(mount)
        return False

    worth_asking(PC, built_in)
    assert {mount.type for mount in asked} <= {"ext4", "vfat", "xfs", "btrfs"}


def block(
    sys: Path, number: str, place: str, removable: str | None = "0", slaves: tuple[str, ...] = ()
) -> None:
    """A block device in a /sys, with its number, and those it is made of."""
    folder = sys / "devices" / place
    folder.mkdir(parents=True)
    (folder / "dev").write_text(f"{number}\n")
    if removable is None:
        (folder / "partition").write_text("1\n")
    else:
        (folder / "removable").write_text(f"{removable}\n")
        (folder / "slaves").mkdir()
    for slave in slaves:
        (folder / "slaves" / slave.replace(":", "-")).symlink_to((sys / "dev/block" / slave).resolve())
    (sys / "dev/block").mkdir(parents=True, exist_ok=True)
    (sys / "dev/block" / number).symlink_to(folder)


@pytest.fixture
def sys(tmp_path: Path) -> Path:
    made = tmp_path / "usb-like-name/sys"
    pci = "pci0000:00/0000:00:17.0"
    block(made, "8:0", f"{pci}/ata1/host0/target0:0:0/0:0:0:0/block/sda")
    block(made, "8:2", f"{pci}/ata1/host0/target0:0:0/0:0:0:0/block/sda/sda2", None)
    block(made, "8:16", f"{pci}/usb2/2-1/2-1:1.0/host6/target6:0:0/6:0:0:0/block/sdb")
    block(made, "8:17", f"{pci}/usb2/2-1/2-1:1.0/host6/target6:0:0/6:0:0:0/block/sdb/sdb1", None)
    block(made, "8:32", f"{pci}/ata2/host1/target1:0:0/1:0:0:0/block/sdc", "1")
    block(made, "8:48", "platform/host9/session3/target9:0:0/9:0:0:1/block/sdd")
    block(made, "259:0", "virtual/nvme-subsystem/nvme-subsys0/nvme0n1")
    block(made, "259:5", "virtual/nvme-fabrics/ctl/nvme1/nvme1n1")
    block(made, "7:0", "virtual/block/loop0")
    block(made, "43:0", "virtual/block/nbd0")
    block(made, "253:0", "virtual/block/dm-0", slaves=("8:2",))
    block(made, "253:1", "virtual/block/dm-1", slaves=("253:0",))
    block(made, "253:2", "virtual/block/dm-2", slaves=("8:2", "8:17"))
    return made


@pytest.mark.parametrize(
    ("number", "due"),
    [
        ("8:0", True),
        ("8:2", True),
        ("8:17", False),  # a stick
        ("8:32", False),  # a card reader
        ("8:48", False),  # iSCSI
        ("259:0", True),
        ("259:5", False),  # NVMe over a network
        ("7:0", False),
        ("43:0", False),
        ("253:0", True),  # encrypted
        ("253:1", True),  # a volume on it
        ("253:2", False),  # a volume that spans a stick
        ("99:9", False),
    ],
)
def test_what_is_in_the_pc_to_stay(sys: Path, number: str, due: bool) -> None:
    assert is_built_in(number, sys) is due


class Dying:
    """A statvfs that never answers for some mounts, until it is let go."""

    def __init__(self, *mounts: str) -> None:
        self.mounts = set(mounts)
        self.asked: list[str] = []
        self.free = threading.Event()

    def __call__(self, mount: str) -> os.statvfs_result:
        self.asked.append(mount)
        if mount in self.mounts:
            self.free.wait()
        return os.statvfs("/")


@pytest.fixture
def dying() -> Iterator[Dying]:
    made = Dying("/home")
    yield made
    made.free.set()


def test_a_disk_that_never_answers_is_left_out_and_not_asked_again(dying: Dying) -> None:
    disks = Disks(lambda: ["/", "/home", "/var"], dying)
    for _ in range(3):
        room = disks.read()
        assert [disk.mount for disk in room.disks] == ["/", "/var"]
        assert room.silent == ("/home",)
    assert dying.asked.count("/home") == 1, "one thread is left behind, not one each time"
    assert dying.asked.count("/var") == 3
    dying.free.set()
    end = threading.Event()
    for _ in range(int(GENEROUS_S / 0.05)):
        room = disks.read()
        if not room.silent:
            break
        end.wait(0.05)
    assert [disk.mount for disk in room.disks] == ["/", "/home", "/var"], "it is back"


def test_a_disk_known_to_be_silent_costs_no_wait(dying: Dying) -> None:
    disks = Disks(lambda: ["/home"], dying)
    assert disks.read() == Room((), ("/home",))
    done = threading.Event()

    def look() -> None:
        for _ in range(int(GENEROUS_S / PATIENCE_S) * 20):
            disks.read()
        done.set()

    threading.Thread(target=look, daemon=True).start()
    assert done.wait(GENEROUS_S), "each of these looks would have waited"


def test_threads_are_bounded() -> None:
    names = [f"/disk{number}" for number in range(3 * MOST)]
    dying = Dying(*names)
    try:
        disks = Disks(lambda: names, dying)
        disks.read()
        names.reverse()
        disks.read()
        assert len(dying.asked) == MOST
    finally:
        dying.free.set()


def test_a_disk_that_fails_or_goes_is_simply_not_there() -> None:
    def gone(mount: str) -> os.statvfs_result:
        raise FileNotFoundError(2, "No such file or directory", mount)

    assert Disks(lambda: ["/gone"], gone).read() == Room()


def test_the_facts_are_read_while_a_disk_hangs(dying: Dying) -> None:
    facts = FactsReader("nobody", disks=Disks(lambda: ["/", "/home"], dying)).read(
        datetime(2026, 3, 1, tzinfo=UTC), None, None
    )
    assert [disk.mount for disk in facts.disks] == ["/"]
    assert facts.silent == ("/home",)
