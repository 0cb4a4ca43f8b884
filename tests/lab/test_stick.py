"""A business session as a person goes through it: a document from the stick, and the receipt back to it.

The PCs of the lab have no USB (see tests/lab/sticks.py). What the site got and what the
stick holds is judged from outside.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.integration.images import FatImage, NtfsImage, needs_programs
from tests.lab.rig import Machine
from tests.lab.rig.host import wait_until
from tests.lab.screen import WHITE, Screen
from tests.lab.site import Site, wait_for
from tests.lab.sticks import LINK, Port, port

pytestmark = [pytest.mark.lab, needs_programs, pytest.mark.timeout(300)]

SPORTELLO = "sportello.test"
SERVE = (Path(__file__).parent / "www/filing.py").read_text()
LAYER = f"""\
start_page: http://{SPORTELLO}/
allow: [.{SPORTELLO}]
browser:
  policies:
    # The lab has no certificate for the site, and Chromium asks twice before it keeps what came without one.
    OverrideSecurityRestrictionsOnInsecureOrigin: [http://{SPORTELLO}]
    InsecureContentAllowedForUrls: [http://{SPORTELLO}]
"""
RECEIVED = "run/sportello"
BAR_ROW = 12
"""A row of the screen through the bar's buttons, above their words."""


@dataclass(frozen=True)
class Desk:
    """A PC with the business profile, a site to hand documents in, and a place where sticks appear."""

    site: Site
    machine: Machine
    screen: Screen
    mark: str
    """In the site's receipt."""
    pictures: Path
    port: Port

    @property
    def received(self) -> dict[str, bytes]:
        """What was handed in."""
        folder = self.site.server.root / RECEIVED
        return {path.name: path.read_bytes() for path in folder.iterdir() if path.name != ".ready"}

    def sit_down(self) -> None:
        """A session begins."""
        self.site.labctl("session", "start", self.machine.name)
        self.screen.shows("Sportello")

    def get_up(self) -> dict[str, Any]:
        """End the session; its proof."""
        ended = json.loads(self.site.labctl("session", "end", self.machine.name, "--json").stdout)
        proof: dict[str, Any] = ended["wipe"]
        return proof

    def says(self) -> str:
        """What the bar was last told to say, in English."""
        knock = (
            "import socket; link = socket.socket(socket.AF_UNIX);"
            "link.connect('/run/lab-agent/citizen.sock'); print(link.recv(4096).decode())"
        )
        state = json.loads(self.machine.run(["python3", "-c", knock]).stdout)
        return str(state.get("sentence", {}).get("text", ""))

    def ask(self, what: str) -> None:
        """Ask at the citizen's door, as the bar does."""
        knock = (
            "import socket, sys; link = socket.socket(socket.AF_UNIX);"
            "link.connect('/run/lab-agent/citizen.sock'); link.recv(4096);"
            "link.send(sys.argv[1].encode()); link.recv(4096)"
        )
        self.machine.run(["python3", "-c", knock, json.dumps({"ask": what}) + "\n"], user="lab-bar")

    def in_session(self, *argv: str) -> str:
        """Run a program as the citizen in the session's own view of the PC."""
        browser = self.machine.run(["pgrep", "-o", "-x", "chromium", "-u", "kiosk"]).stdout.strip()
        enter = ["nsenter", "-t", browser, "-m", "-i"]
        enter += ["setpriv", "--reuid=kiosk", "--regid=kiosk", "--clear-groups", "--inh-caps=-all"]
        return self.machine.run([*enter, "env", "HOME=/home/kiosk", *argv]).stdout

    def import_folder(self) -> dict[str, bytes]:
        """What came from sticks."""
        folder = self.machine.root / "run/lab-files/import"
        return {path.name: path.read_bytes() for path in folder.iterdir()}

    def keys(self, *chords: str) -> None:
        """Press keys."""
        self.screen.run("xdotool", "key", "--clearmodifiers", *chords)

    def picture(self, name: str) -> None:
        """Keep the screen, for a person to look at."""
        self.screen.picture(self.pictures / f"{name}.png")


@pytest.fixture
def desk(site: Site, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Desk]:
    machine, server = site.pc(request.param), site.server
    mark = f"segno-{secrets.token_hex(8)}"
    address = f"{site.lab.network.net}.31"
    site.layer_for(machine.name, LAYER)
    site.publish(profile="business")
    site.labctl("profile", "assign", "business", machine.name)
    hosts = machine.root / "etc/hosts"
    before = hosts.read_text()
    hosts.write_text(f"{before}{address} {SPORTELLO}\n")
    server.net_run(["ip", "address", "add", f"{address}/24", "dev", "eth0"])
    try:
        with port(machine) as place, server.popen(["python3", "-c", SERVE, address, f"/{RECEIVED}", mark]):
            assert wait_until((server.root / RECEIVED / ".ready").exists, timeout=20)
            wait_for(lambda: site.row(machine.name)["state"] == "available", 60, "a free PC")
            yield Desk(site, machine, Screen(machine), mark, tmp_path, place)
    finally:
        site.labctl("session", "end", machine.name, check=False)
        server.net_run(["ip", "address", "del", f"{address}/24", "dev", "eth0"])
        server.run(["rm", "-rf", f"/{RECEIVED}"])
        hosts.write_text(before)
        site.labctl("profile", "assign", "none", machine.name)


one_debian = pytest.mark.parametrize("desk", [pytest.param(2, id="Debian 12")], indirect=True)


@one_debian
def test_a_filing_from_the_stick_and_the_receipt_back_to_it(desk: Desk, tmp_path: Path) -> None:
    document = f"%PDF-1.4\n{desk.mark}\n".encode() * 2000
    stick = FatImage(tmp_path / "stick.img", 16)
    stick.put("istanza.pdf", document)
    stick.put("programma.exe", b"MZ" + b"\0" * 100)
    desk.sit_down()
    desk.port.plug(stick.path)
    told = desk.port.told("import")
    assert (told["done"], told["left"]) == (1, {"kind": 1})
    desk.picture("1-form")
    desk.keys("space")  # the file field has the focus: it opens the chooser
    desk.screen.shows("Apri file")
    chosen = "Scelto istanza.pdf"
    desk.picture("2-chooser")

    def choose() -> bool:
        """The chooser lists the folder some time after it is there; what is not yet listed is not chosen."""
        desk.keys("Down")
        desk.keys("alt+a")
        return any(title.startswith(chosen) for title in desk.screen.titles())

    wait_for(choose, 30, chosen)
    desk.keys("Return")
    desk.screen.shows("Ricevuta pronta")
    assert desk.received == {"istanza.pdf": document}
    desk.picture("3-handed-in")

    desk.keys("Return")  # the link to the receipt has the focus
    saved = desk.machine.root / "run/lab-files/export/ricevuta.pdf"
    # The browser first makes an empty file of that name.
    wait_for(lambda: saved.exists() and saved.stat().st_size, 30, "the receipt")
    desk.screen.press(BAR_ROW, WHITE)
    told = desk.port.told("export")
    assert told == {"way": "export", "phase": "ended", "device": LINK, "done": 1}
    desk.picture("4-saved")
    back = tmp_path / "back.img"
    back.write_bytes(desk.port.stick.read_bytes())
    stick.path = back
    assert stick.names() == {"istanza.pdf", "programma.exe", "ricevuta.pdf"}
    assert stick.get("ricevuta.pdf") == saved.read_bytes()
    assert desk.mark.encode() in stick.get("ricevuta.pdf")

    desk.port.stick.unlink()
    proof = desk.get_up()
    assert proof["clean"]
    assert not (desk.machine.root / "run/lab-files/import").exists()
    left = [
        "grep",
        "-rlaF",
        "--devices=skip",
        "-e",
        desk.mark,
        "/",
        "--exclude-dir=proc",
        "--exclude-dir=sys",
    ]
    assert desk.machine.run(left, check=False, timeout=100).stdout == ""


@one_debian
def test_what_is_wrong_with_a_stick_is_told_and_the_next_one_is_read(desk: Desk, tmp_path: Path) -> None:
    desk.sit_down()
    broken = tmp_path / "broken.img"
    whole = FatImage(tmp_path / "whole.img", 8)
    whole.put("istanza.pdf", b"%PDF-1.4")
    content = whole.path.read_bytes()
    for bad in (bytes(1 << 20), content[:600], b"\xeb\x52\x90NTFS    " + b"\x01" * (1 << 20)):
        broken.write_bytes(bad)
        desk.machine.run(["rm", "-rf", "/run/lab-stick/report.json"])
        desk.port.plug(broken)
        assert desk.port.told("import")["problem"] == "broken"
        wait_for(lambda: "is damaged or not formatted" in desk.says(), 30, "why not")
        assert desk.import_folder() == {}
    assert desk.site.row(desk.machine.name)["state"] == "active"
    assert "Nothing to change" in desk.machine.run(["lab-agent", "plan"]).stdout

    ntfs = NtfsImage(tmp_path / "ntfs.img")
    ntfs.put("Dichiarazione è [1].pdf", b"%PDF-1.4 dichiarazione")
    desk.machine.run(["rm", "/run/lab-stick/report.json"])
    desk.port.plug(ntfs.path)
    assert desk.port.told("import")["done"] == 1
    assert desk.import_folder() == {"Dichiarazione è (1).pdf": b"%PDF-1.4 dichiarazione"}
    for attempt in ("echo > USB/x", "rm USB/Dichiarazione*", "mv USB/Dichiarazione* Downloads"):
        tried = desk.in_session("sh", "-c", f"cd /home/kiosk; {{ {attempt}; }} 2>/dev/null || echo refused")
        assert tried == "refused\n", attempt
    assert desk.get_up()["clean"]


@one_debian
def test_a_stick_that_was_forgotten_is_neither_read_nor_written(desk: Desk, tmp_path: Path) -> None:
    stick = FatImage(tmp_path / "stick.img")
    stick.put("di un altro.pdf", b"%PDF-1.4 di un altro")
    desk.port.plug(stick.path)
    desk.sit_down()
    desk.in_session("sh", "-c", "echo %PDF-1.4 mio > /home/kiosk/Downloads/mio.pdf")
    desk.ask("save")
    wait_for(lambda: "put your stick in first" in desk.says(), 30, "why not")
    assert desk.import_folder() == {}
    assert desk.port.stick.read_bytes() == stick.path.read_bytes()


@one_debian
def test_the_session_knows_the_modules_of_smart_cards(desk: Desk) -> None:
    """No reader is there: what is seen is that pcscd answers the session, and that NSS has the module."""
    desk.sit_down()
    listed = desk.in_session("modutil", "-list", "-dbdir", "sql:/home/kiosk/.pki/nssdb")
    assert "OpenSC" in listed
    assert listed.count("status: loaded") == 2
    assert (
        desk.machine.run(["systemctl", "is-active", "pcscd.service"], check=False).stdout.strip() == "active"
    )
