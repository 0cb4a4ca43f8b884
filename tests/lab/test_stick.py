"""A business session as a person goes through it: a document from the stick, and the receipt back to it.

The PCs of the lab have no USB. The stick is an image in a file that stands where
udev's link would be, and the unit is started that udev would have started; the
rest is what a PC does. What the site got and what the stick holds is judged from outside.
"""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.integration.images import FatImage, needs_programs
from tests.lab.rig.host import wait_until
from tests.lab.site import Site, wait_for
from tests.lab.test_session import SCREEN, Seat
from tests.lab.www import Web

pytestmark = [pytest.mark.lab, needs_programs, pytest.mark.timeout(300)]

SPORTELLO = "sportello.test"
SERVE = (Path(__file__).parent / "www/filing.py").read_text()
BUSINESS = f"""
session: {{offered: true}}
start_page: http://{SPORTELLO}/
allow: [.{SPORTELLO}]
"""
LINKS, LINK = "/dev/labstick", "/dev/labstick/prova"
UNIT = "lab-stick-{}@dev-labstick-prova.service"
RECEIVED = "run/sportello"


@dataclass(frozen=True)
class Desk:
    """A PC with the business profile, a site to hand documents in, and a place where sticks appear."""

    seat: Seat
    mark: str
    pictures: Path

    @property
    def received(self) -> dict[str, bytes]:
        """What was handed in."""
        folder = self.seat.site.server.root / RECEIVED
        return {path.name: path.read_bytes() for path in folder.iterdir() if path.name != ".ready"}

    @property
    def image(self) -> Path:
        """The stick, as seen from the host."""
        return self.seat.machine.root / LINK.lstrip("/")

    def plug(self, image: Path) -> dict[str, Any]:
        """Put a stick in: what udev does for one. What became of it."""
        machine = self.seat.machine
        machine.run(["install", "-m", "660", "-g", "lab-stick", "/dev/stdin", LINK], input=image.read_bytes())
        return self.do("import")

    def do(self, what: str) -> dict[str, Any]:
        """Import or export, to its end."""
        report = self.seat.machine.root / "run/lab-stick/report.json"
        self.seat.machine.run(["systemctl", "start", UNIT.format(what)], check=False, timeout=120)
        told: dict[str, Any] = json.loads(report.read_bytes()) if report.exists() else {}
        return told

    def keys(self, *chords: str) -> None:
        """Press keys."""
        self.seat.machine.run(["xdotool", "key", "--clearmodifiers", *chords], env=SCREEN)

    def shows(self, title: str, seconds: float = 40) -> None:
        """Wait for a window's title."""
        wait_for(lambda: any(title in name for name in self.seat.titles()), seconds, title)

    def picture(self, name: str) -> None:
        """Keep the screen, for a person to look at."""
        shot = self.seat.machine.run_bytes(["maim"], env=SCREEN).stdout
        (self.pictures / f"{name}.png").write_bytes(shot)


@pytest.fixture
def desk(site: Site, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Desk]:
    machine, server = site.pc(request.param), site.server
    mark = f"segno-{secrets.token_hex(8)}"
    address = f"{site.lab.network.net}.31"
    site.layer_for(machine.name, BUSINESS)
    site.labctl("profile", "assign", "business", machine.name)
    site.publish(profile="business")
    hosts = machine.root / "etc/hosts"
    before = hosts.read_text()
    hosts.write_text(f"{before}{address} {SPORTELLO}\n")
    seat = Seat(site, machine, Web(server, SPORTELLO, address, (0, 0, 0)))
    machine.run(["mkdir", "-p", LINKS])
    machine.run(["mount", "-t", "tmpfs", "-o", "size=64m", "sticks", LINKS])
    server.net_run(["ip", "address", "add", f"{address}/24", "dev", "eth0"])
    try:
        with server.popen(["python3", "-c", SERVE, address, f"/{RECEIVED}", mark]):
            wait_until((server.root / RECEIVED / ".ready").exists, timeout=20)
            seat.until("available")
            yield Desk(seat, mark, tmp_path)
    finally:
        server.net_run(["ip", "address", "del", f"{address}/24", "dev", "eth0"])
        server.run(["rm", "-rf", f"/{RECEIVED}"])
        machine.run(["umount", "-l", LINKS])
        hosts.write_text(before)
        seat.end(check=False)
        site.labctl("profile", "assign", "none", machine.name)


one_debian = pytest.mark.parametrize("desk", [pytest.param(2, id="Debian 12")], indirect=True)


@one_debian
def test_a_filing_from_the_stick_and_the_receipt_back_to_it(desk: Desk, tmp_path: Path) -> None:
    document = f"%PDF-1.4\n{desk.mark}\n".encode() * 2000
    stick = FatImage(tmp_path / "stick.img", 16)
    stick.put("istanza.pdf", document)
    stick.put("programma.exe", b"MZ" + b"\0" * 100)
    desk.seat.start()
    desk.shows("Sportello")
    told = desk.plug(stick.path)
    assert told == {
        "way": "import",
        "phase": "ended",
        "device": LINK,
        "done": 1,
        "left": {"kind": 1},
    }
    desk.picture("1-form")
    time.sleep(1)
    desk.keys("space")  # the file field has the focus: it opens the chooser
    desk.shows("Open")
    desk.picture("2-chooser")
    assert stick.path.exists()
