"""Sticks in a PC of the lab, which has no USB: an image in a file that stands where udev's link would be.

The unit is started that udev would have started; the rest is what a PC does.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.lab.rig import Machine
from tests.lab.site import wait_for

LINKS, LINK = "/dev/labstick", "/dev/labstick/prova"


@dataclass(frozen=True)
class Port:
    """Where a stick is put into a PC."""

    machine: Machine

    @property
    def stick(self) -> Path:
        """The stick that is in the PC, as seen from the host."""
        return self.machine.root / LINK.lstrip("/")

    def plug(self, image: Path) -> None:
        """Put a stick in: what udev makes of one."""
        content = image.read_bytes()
        self.machine.run_bytes(["install", "-m", "660", "-g", "lab-stick", "/dev/stdin", LINK], input=content)
        unit = "lab-stick-import@dev-labstick-prova.service"
        self.machine.run(["systemctl", "start", "--no-block", unit])

    def told(self, way: str) -> dict[str, Any]:
        """What came of an import or export, when it has ended."""
        report = self.machine.root / "run/lab-stick/report.json"

        def ended() -> dict[str, Any]:
            told: dict[str, Any] = json.loads(report.read_bytes()) if report.exists() else {}
            return told if (told.get("way"), told.get("phase")) == (way, "ended") else {}

        told = wait_for(ended, 60, f"the end of the {way}")
        unit = f"lab-stick-{way}@dev-labstick-prova.service"

        def rests() -> bool:
            state = self.machine.run(["systemctl", "is-active", unit], check=False).stdout.strip()
            return state in ("inactive", "failed")

        wait_for(rests, 60, f"{unit} to have ended, so that it can be started again")
        return told


@contextmanager
def port(machine: Machine) -> Iterator[Port]:
    """A place for sticks on a PC that is on."""
    machine.run(["mkdir", "-p", LINKS])
    machine.run(["mount", "-t", "tmpfs", "-o", "size=64m", "sticks", LINKS])
    try:
        yield Port(machine)
    finally:
        machine.run(["umount", "-l", LINKS])
