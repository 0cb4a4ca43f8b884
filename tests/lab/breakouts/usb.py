"""Attempts to plug something in. The lab's PCs have no USB, so udev is shown a /sys of our making.

`udevadm test` runs the PC's own rules on a device as the kernel would describe
it, and writes where they say: afterwards the interface's `authorized` tells
whether any driver would serve it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

from tests.lab.breakouts.table import Attempt, Escape, Seat

CLASSES = {
    "a stick": ("08",),
    "a keyboard that is also a stick": ("03", "08"),
    "a network card": ("02",),
    "a telephone's data line": ("0a",),
    "a wireless card": ("e0",),
    "a camera": ("0e",),
    "a telephone's pictures": ("06",),
    "a maker's own kind": ("ff",),
    "a device whose firmware is asked for": ("fe",),
    "a debugger": ("dc",),
    "a device of many kinds": ("ef",),
}
"""Interface classes, as https://www.usb.org/defined-class-codes has them, of one device."""

_PLUG = """
import json, os, subprocess, sys
from pathlib import Path
bus = Path("/sys/bus/usb"); bus.mkdir(parents=True)
for folder in ("class", "devices", "dev/char", "dev/block"): Path("/sys", folder).mkdir(parents=True)
device = Path("/sys/devices/pci0000:00/0000:00:14.0/usb1/1-1"); device.mkdir(parents=True)
(device / "subsystem").symlink_to(bus); (device / "authorized").write_text("1")
(device / "uevent").write_text("DEVTYPE=usb_device\\n")
served = []
for number, kind in enumerate(json.loads(sys.argv[1])):
    one = device / f"1-1:1.{number}"; one.mkdir()
    (one / "subsystem").symlink_to(bus)
    (one / "uevent").write_text(f"DEVTYPE=usb_interface\\nINTERFACE={int(kind, 16)}/0/0\\n")
    (one / "bInterfaceClass").write_text(kind + "\\n")
    (one / "authorized").write_text("1\\n")
    env = {**os.environ, "SYSTEMD_DEVICE_VERIFY_SYSFS": "0"}
    told = subprocess.run(["udevadm", "test", "--action=add", str(one)], env=env, capture_output=True)
    if told.returncode: sys.exit("udev: " + told.stderr.decode())
    served.append((one / "authorized").read_text().strip() != "0")
print(json.dumps(served))
"""


def attempts() -> Iterator[Attempt]:
    """All of them."""
    for name, kinds in CLASSES.items():
        yield Attempt("USB", name, "a driver", _plugged(*kinds))
    for module in ("usb-storage", "uas"):
        yield Attempt("USB", f"the driver {module}", "a disk", _loads(module))


def plugged(seat: Seat, *kinds: str) -> list[bool]:
    """Whether each interface of a device with these classes would be served."""
    apart = ["unshare", "--mount", "sh", "-c", 'mount -t tmpfs none /sys && exec "$@"', "sh"]
    done = seat.machine.run([*apart, "python3", "-c", _PLUG, json.dumps(kinds)])
    served: list[bool] = json.loads(done.stdout)
    return served


def _plugged(*kinds: str) -> Escape:
    def escapes(seat: Seat) -> bool:
        served = plugged(seat, *kinds)
        if kinds[0] == "03" and not served[0]:
            raise AssertionError("a keyboard is always served")
        return served[-1]

    return escapes


def _loads(module: str) -> Escape:
    """What modprobe reads, without a kernel that could load it."""

    def escapes(seat: Seat) -> bool:
        shown = seat.machine.run(["modprobe", "--showconfig"]).stdout.splitlines()
        return f"install {module.replace('-', '_')} /bin/false" not in shown

    return escapes
