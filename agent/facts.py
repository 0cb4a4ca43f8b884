"""What the PC itself says: load, memory, disks, network, heat, people, kiosk processes.

The only room that imports psutil. Everything is read when asked, but for what
hardly changes: the hardware once, the disks each minute. Of other people's
processes only the kiosk user's are looked at, and of those the name and the
size; arguments hold the addresses that a citizen visits and are never read.
"""

import os
import pwd
import sys
import time
from datetime import datetime
from pathlib import Path

import psutil

from agent.disks import Disks, Room, sayable
from contract.status import Facts, Footprint, Hardware, KioskProcess, Nic, Temperature

DISKS_EVERY_S = 60.0
CPU_EVERY_S = 1.0
"""A CPU fraction over less than this says more about the reading than about the PC."""

_MOST_NICS = 32
_MOST_PROCESSES = 256
_DMI = "sys/class/dmi/id"
_DMI_BLANKS = frozenset(
    {
        *("", "0", "none", "not specified", "not applicable", "o.e.m.", "default string"),
        *("to be filled by o.e.m.", "system manufacturer", "system product name", "system serial number"),
    }
)
"""What boards carry whose maker filled in nothing."""


class FactsReader:
    """Reads this PC; one for a process, because the CPU fraction is since the last reading.

    `root` is where /sys/class/dmi and /etc/os-release are looked for (`/` but in tests).
    """

    def __init__(self, kiosk_user: str, root: Path = Path("/"), disks: Disks | None = None) -> None:
        self._kiosk_user = kiosk_user
        self._root = root
        self._hardware: Hardware | None = None
        self._disks = disks or Disks()
        self._room = Room()
        self._disks_at = float("-inf")
        self._cpu = 0.0
        self._cpu_at = time.monotonic()
        self._cpu_times = _busy_and_total()

    def read(self, now: datetime, clock_skew_s: float | None, enforcer_pid: int | None) -> Facts:
        """The facts at `now`; `enforcer_pid` adds the other half of the agent to the footprint."""
        memory = psutil.virtual_memory()
        room = self._room_now()
        return Facts(
            at=now,
            load=psutil.getloadavg(),
            cpu=self._cpu_fraction(),
            memory_total=memory.total,
            memory_available=memory.available,
            disks=room.disks,
            silent=room.silent,
            nics=_nics(),
            temperatures=_temperatures(),
            uptime_s=round(time.clock_gettime(time.CLOCK_BOOTTIME), 1),
            users=_users(),
            kiosk=_kiosk(self._kiosk_user),
            clock_skew_s=clock_skew_s,
            footprint=_footprint(enforcer_pid),
            hardware=self._hardware_once(memory.total),
        )

    def _cpu_fraction(self) -> float:
        at = time.monotonic()
        if at - self._cpu_at >= CPU_EVERY_S:
            busy, total = _busy_and_total()
            was_busy, was_total = self._cpu_times
            spent = total - was_total
            self._cpu = round(min(max((busy - was_busy) / spent, 0.0), 1.0), 3) if spent > 0 else self._cpu
            self._cpu_times, self._cpu_at = (busy, total), at
        return self._cpu

    def _room_now(self) -> Room:
        at = time.monotonic()
        if at - self._disks_at >= DISKS_EVERY_S:
            self._room, self._disks_at = self._disks.read(), at
        return self._room

    def _hardware_once(self, memory: int) -> Hardware:
        if self._hardware is None:
            self._hardware = read_hardware(self._root, memory)
        return self._hardware


def read_hardware(root: Path, memory: int) -> Hardware:
    """What the firmware and the system below `root` say of the PC; `memory` in bytes.

    The serial number is root's to read; systemd/tmpfiles.d opens it to the front.
    """
    uname = os.uname()
    return Hardware(
        vendor=_dmi(root, "sys_vendor"),
        model=_dmi(root, "product_name"),
        serial=_dmi(root, "product_serial"),
        cpu=_cpu_model(root),
        cores=os.cpu_count() or 1,
        memory=memory,
        os=_os_name(root),
        kernel=uname.release,
        python=".".join(str(part) for part in sys.version_info[:3]),
    )


def _text(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""


def _dmi(root: Path, name: str) -> str:
    value = _text(root / _DMI / name).strip()[:120]
    return "" if value.lower() in _DMI_BLANKS else value


def _cpu_model(root: Path) -> str:
    for line in _text(root / "proc/cpuinfo").splitlines():
        name, _, value = line.partition(":")
        if name.strip() == "model name":
            return " ".join(value.split())[:120]
    return os.uname().machine


def _os_name(root: Path) -> str:
    for line in _text(root / "etc/os-release").splitlines():
        name, _, value = line.partition("=")
        if name == "PRETTY_NAME":
            return value.strip().strip("\"'")[:120]
    return ""


def _busy_and_total() -> tuple[float, float]:
    times = psutil.cpu_times()
    # guest time is contained in user time already
    total = times.user + times.nice + times.system + times.idle + times.iowait + times.irq
    total += times.softirq + times.steal
    return total - times.idle - times.iowait, total


def _nics() -> tuple[Nic, ...]:
    stats = psutil.net_if_stats()
    counters = psutil.net_io_counters(pernic=True, nowrap=False)
    found: list[Nic] = []
    for name, entries in psutil.net_if_addrs().items():
        if name == "lo" or len(found) == _MOST_NICS:
            continue
        mac = ""
        addresses: list[str] = []
        for entry in entries:
            if entry.family == psutil.AF_LINK:
                mac = entry.address
            else:
                addresses.append(entry.address.partition("%")[0])
        stat, counter = stats.get(name), counters.get(name)
        found.append(
            Nic(
                name=name,
                mac=mac,
                addresses=tuple(addresses),
                up=bool(stat and stat.isup),
                speed=stat.speed if stat else 0,
                sent=counter.bytes_sent if counter else 0,
                received=counter.bytes_recv if counter else 0,
            )
        )
    return tuple(found)


def _temperatures() -> tuple[Temperature, ...]:
    found: list[Temperature] = []
    for chip, sensors in psutil.sensors_temperatures().items():
        for sensor in sensors:
            name = f"{chip} {sensor.label}".strip()
            found.append(Temperature(name, round(float(sensor.current), 1)))
    return tuple(found[:64])


def _users() -> tuple[str, ...]:
    """Who is logged in: utmp's records and, where a system has no utmp any more, logind's."""
    names = {user.name for user in psutil.users()}
    try:
        uids = [path.name for path in Path("/run/systemd/users").iterdir()]
    except OSError:
        uids = []
    for uid in uids:
        if uid.isdigit():
            try:
                names.add(pwd.getpwuid(int(uid)).pw_name)
            except KeyError:
                continue
    return tuple(sorted(map(sayable, names)))


def _kiosk(user: str) -> tuple[KioskProcess, ...]:
    try:
        uid = pwd.getpwnam(user).pw_uid
    except KeyError:
        return ()
    found: list[KioskProcess] = []
    with os.scandir("/proc") as entries:
        for entry in entries:
            if len(found) == _MOST_PROCESSES:
                break
            try:
                # One stat for a process that is not the kiosk's; looking into all of them takes 6 to 22 ms.
                if not entry.name.isdigit() or entry.stat().st_uid != uid:
                    continue
                # psutil's name() completes a long name from the arguments, so the kernel's own it is.
                name = _text(Path(entry.path, "comm")).strip()
                found.append(
                    KioskProcess(int(entry.name), name, psutil.Process(int(entry.name)).memory_info().rss)
                )
            except (OSError, psutil.Error):
                continue  # ended meanwhile
    return tuple(found)


def _footprint(enforcer_pid: int | None) -> Footprint:
    rss, cpu = 0, 0.0
    for pid in (os.getpid(), enforcer_pid):
        if pid is None:
            continue
        try:
            process = psutil.Process(pid)
            times = process.cpu_times()
            rss += process.memory_info().rss
            cpu += times.user + times.system + times.children_user + times.children_system
        except psutil.Error:
            continue  # the enforcer is restarting
    return Footprint(rss, round(cpu, 2))
