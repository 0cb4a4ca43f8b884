"""So many pages a session: the PC's own cupsd and filters, and a printer whose paper is counted."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from tests.lab.rig import Machine
from tests.lab.screen import Screen
from tests.lab.site import Site, wait_for
from tests.lab.test_printing import TITLE, address, calm, told

__all__ = ["address"]
pytestmark = [pytest.mark.lab, pytest.mark.timeout(400)]

FOLDER = "/root/printer"
KNOCK = (
    "import socket; link = socket.socket(socket.AF_UNIX); link.connect('/run/lab-agent/citizen.sock');"
    "print(link.recv(4096).decode())"
)
RAW = """
import socket, struct, sys
def attribute(tag, name, value):
    return struct.pack(">bh", tag, len(name)) + name + struct.pack(">h", len(value)) + value
document = open(sys.argv[3], "rb").read()
body = struct.pack(">bbhi", 2, 0, 2, 1) + b"\\1"
body += attribute(0x47, b"attributes-charset", b"utf-8")
body += attribute(0x48, b"attributes-natural-language", b"en")
body += attribute(0x45, b"printer-uri", b"ipp://localhost/printers/" + sys.argv[1].encode())
body += attribute(0x42, b"requesting-user-name", b"root") + attribute(0x42, b"job-name", b"niente")
body += attribute(0x49, b"document-format", sys.argv[2].encode()) + b"\\2"
body += attribute(0x21, b"copies", struct.pack(">i", 1))
body += attribute(0x21, b"job-impressions", struct.pack(">i", 1))
body += b"\\3" + document
link = socket.socket(socket.AF_UNIX)
link.connect("/run/cups/cups.sock")
link.sendall(b"POST /printers/%s HTTP/1.1\\r\\nHost: localhost\\r\\nContent-Type: application/ipp\\r\\n"
    b"Content-Length: %d\\r\\n\\r\\n" % (sys.argv[1].encode(), len(body)) + body)
answer = link.recv(4096)
print(answer.split(b"\\r\\n")[0].decode(), answer.partition(b"\\r\\n\\r\\n")[2][2:4].hex())
"""
"""A program of the citizen's that speaks to cupsd itself, and lies about who it is and how much it is."""


def pdf(pages: int) -> str:
    """A document of so many pages."""
    kids = " ".join(f"{number + 3} 0 R" for number in range(pages))
    parts = [
        "<</Type/Catalog/Pages 2 0 R/ViewerPreferences<</NumCopies 5>>>>",
        f"<</Type/Pages/Kids[{kids}]/Count {pages}>>",
        *("<</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]>>" for _ in range(pages)),
    ]
    text, places = "%PDF-1.4\n", []
    for number, part in enumerate(parts, 1):
        places.append(len(text))
        text += f"{number} 0 obj{part}endobj\n"
    table = "".join(f"{place:010d} 00000 n \n" for place in places)
    size = len(parts) + 1
    return (
        f"{text}xref\n0 {size}\n0000000000 65535 f \n{table}trailer<</Size {size}/Root 1 0 R>>\n"
        f"startxref\n{len(text)}\n%%EOF\n"
    )


def pages_of(document: bytes) -> int:
    """Pages of a PDF as the gate sends it: the list in its catalogue, one level deep.

    Pages that are in no list may be there beside (Chromium's structure tree names its own).
    """
    catalogue = re.search(
        rb"/Pages (\d+) 0 R[^>]*/Type /Catalog|/Type /Catalog[^>]*/Pages (\d+) 0 R", document
    )
    assert catalogue
    number = catalogue[1] or catalogue[2]
    node = re.search(rb"\n%s 0 obj\s(.*?)endobj" % number, document, re.DOTALL)
    kids = re.search(rb"/Kids\s*\[([^\]]*)\]", node[1]) if node else None
    assert kids
    return kids[1].count(b" R")


class Room:
    """A PC with a printer behind the gate, and what the printer got."""

    def __init__(self, site: Site, machine: Machine) -> None:
        self.site = site
        self.machine = machine

    def managed(self, printing: str, more: str = "") -> None:
        """The PC's own layer, in force."""
        self.site.layer_for(self.machine.name, f"printing: {printing}\n{more}")
        self.site.publish()
        wait_for(lambda: calm(self.machine), 60, "printing in force")

    def sits(self) -> None:
        """A citizen sits down."""
        name = self.machine.name
        wait_for(lambda: self.site.row(name)["state"] == "available", 60, "a free PC")
        self.site.labctl("session", "start", name)
        wait_for(lambda: self.site.row(name)["state"] == "active", 60, "a session")

    def leaves(self) -> None:
        """The session ends, and is wiped."""
        self.site.labctl("session", "end", self.machine.name)
        wait_for(lambda: self.site.row(self.machine.name)["state"] == "available", 60, "a free PC")

    def document(self, pages: int) -> str:
        """A PDF on the PC that everybody may read."""
        path = f"/tmp/prova-{pages}.pdf"
        self.machine.run(["install", "-m", "644", "/dev/stdin", path], input=pdf(pages))
        return path

    def lp(self, *arguments: str, user: str | None = "kiosk") -> str:
        """Have it printed, and wait until cupsd has done with it; what the bar says then."""
        told(self.machine, "lp", "-t", TITLE, *arguments, user=user)
        return self.done()

    def done(self) -> str:
        """What the bar says when nothing waits any more."""
        wait_for(lambda: not self.waits(), 60, "cupsd's work")
        said = json.loads(self.machine.run(["/usr/bin/python3", "-c", KNOCK]).stdout)
        sentence = said.get("sentence") or {"text": "", "values": {}}
        return re.sub(r"{(\w+)}", lambda place: str(sentence["values"][place[1]]), sentence["text"])

    def waits(self) -> list[str]:
        """Jobs that are not done; the session's canary is one that nobody ever lets go."""
        jobs = re.split(r"\n(?=\S)", told(self.machine, "lpstat", "-l", "-o").strip())
        return [job for job in jobs if job and "job-hold-until" not in job]

    def news(self, before: str) -> str:
        """What the bar says when it is something else."""
        now = self.done()
        return now if now != before else ""

    def paper(self) -> int:
        """Printed sides that came out of the printer since the last time, copies counted."""
        folder = self.site.server.root / FOLDER.lstrip("/")
        sides = 0
        for file in sorted(folder.glob("job-*"), key=lambda file: int(file.name[4:])):
            asked = folder / f"asked-{int(file.name[4:]) - 1}"
            body = file.read_bytes()
            words = asked.read_bytes() if asked.exists() else body
            at = words.find(b"\x21\x00\x06copies\x00\x04")
            copies = int.from_bytes(words[at + 11 : at + 15], "big") if at >= 0 else 1
            pages = pages_of(body)
            assert pages, "what came out is a PDF that can be counted by eye"
            assert b"NumCopies" not in body
            assert TITLE.encode() not in words + body
            assert b"kiosk" not in words
            sides += pages * copies
            file.unlink()
            asked.unlink(missing_ok=True)
        return sides


@pytest.fixture
def room(site: Site, request: pytest.FixtureRequest) -> Iterator[Room]:
    machine = site.pc(getattr(request, "param", 2))
    yield Room(site, machine)
    machine.run(["lpadmin", "-x", "altra"], check=False)


def too_many(pages: int, left: int) -> str:
    return f"Not printed. Pages to print: {pages}. Pages left in this session: {left}. Ask the operator."


def sent(left: int) -> str:
    return f"Sent to the printer. Pages left in this session: {left}."


@pytest.mark.parametrize("room", [2, 10], indirect=True)
def test_a_session_prints_so_many_pages_and_the_next_one_starts_anew(
    room: Room, address: str, tmp_path: Path
) -> None:
    machine = room.machine
    room.managed(f"{{printers: {{sala: {address}}}, pages: 6}}")
    checked = told(machine, "cupsd", "-t")
    assert '"/etc/cups/cupsd.conf" is OK.' in checked
    assert "No limit" not in checked
    assert told(machine, "lpstat", "-d", user="kiosk").strip() == "system default destination: sala"
    one, two, four = (room.document(pages) for pages in (1, 2, 4))
    room.sits()
    assert room.lp("-n", "2", two) == sent(2)
    assert room.paper() == 4
    machine.run(["systemctl", "restart", "lab-enforcer.service"])
    wait_for(lambda: calm(machine), 60, "the agent again")
    assert room.lp("-n", "3", one) == too_many(3, 2)
    Screen(machine).picture(tmp_path / "refused.png")
    assert room.lp("-o", "number-up=2", four) == sent(0)
    assert room.paper() == 2, "two pages on a side are one"
    assert room.lp(one) == too_many(1, 0)
    assert room.lp(one, user=None) == too_many(1, 0), "whoever says that he is root"
    assert room.paper() == 0
    room.leaves()

    room.sits()
    assert room.lp(one) == sent(5)
    assert room.paper() == 1
    room.leaves()
    machine.run(["systemctl", "restart", "cups.service"])
    places = ("/var/spool/cups", "/var/log/cups", "/var/cache/cups", "/etc/cups")
    assert machine.run(["grep", "-rla", TITLE, *places], check=False).stdout == ""
    for _ in range(2):
        assert room.lp(four, user=None) == "", "a technician's test page when nobody sits there"
    assert room.paper() == 8


def test_nobody_gets_around_it(room: Room, address: str) -> None:
    machine = room.machine
    room.managed(f"{{printers: {{sala: {address}}}, pages: 2}}")
    four, one = room.document(4), room.document(1)
    text = "/tmp/prova.pcl"
    machine.run(["install", "-m", "644", "/dev/stdin", text], input="\x1bE\x1b&l50Xcinquanta copie\x1bE")
    machine.run(["install", "-m", "644", "/dev/stdin", "/tmp/raw.py"], input=RAW)
    room.sits()
    uncounted = "Not printed: its pages could not be counted. Ask the operator."
    assert room.lp("-o", "raw", text) == uncounted
    assert room.lp("-o", "raw", four) == too_many(4, 2), "its pages are counted whatever it is sent as"
    assert room.lp("-o", "copies=3", "-n", "3", one) == too_many(3, 2)
    assert room.lp("-o", "job-sheets=standard,standard", four) == uncounted, "three documents in a row"
    assert room.lp(one, four, one) == uncounted
    for kind in ("application/pdf", "application/vnd.cups-pdf", "application/vnd.cups-raw"):
        said = told(machine, "/usr/bin/python3", "/tmp/raw.py", "sala", kind, four, user="kiosk")
        assert "200 OK" in said
        assert room.done() == too_many(4, 2), kind
    # What could be one of many at once, and the queue without a gate that nobody but root may use.
    machine.run(["lpadmin", "-p", "altra", "-E", "-v", address, "-m", "everywhere"])
    time.sleep(2)
    assert "altra" in told(machine, "lpstat", "-v")
    told(machine, "lp", "-d", "altra", one, user="kiosk")
    said = told(machine, "/usr/bin/python3", "/tmp/raw.py", "altra", "application/pdf", one, user="kiosk")
    assert "401" in said or "0403" in said or "0402" in said, said
    room.done()
    assert room.paper() == 0
    for _ in range(5):
        machine.run(["lp", "-t", TITLE, one], user="kiosk")
    assert room.done() == too_many(1, 0)
    assert room.paper() == 2
    # The gate's own door.
    knock = "import socket; link = socket.socket(socket.AF_UNIX); link.connect('/run/lab-agent/print.sock')"
    assert machine.run(["/usr/bin/python3", "-c", knock], user="kiosk", check=False).returncode
    assert "counted-ipp" in told(machine, "lpstat", "-v")
    told(machine, "lpadmin", "-p", "sala", "-v", address, user="kiosk")
    told(machine, "lpadmin", "-p", "terza", "-E", "-v", address, "-m", "everywhere", user="kiosk")
    assert "terza" not in told(machine, "lpstat", "-v")
    assert "counted-ipp" in told(machine, "lpstat", "-v")


def test_pages_that_a_printer_never_took_are_given_back(room: Room, address: str) -> None:
    machine, server = room.machine, room.site.server
    room.managed(f"{{printers: {{sala: {address}}}, pages: 3}}")
    two = room.document(2)
    room.sits()
    server.run(["systemctl", "kill", "--signal=STOP", "prova-printer.service"])
    job = machine.run(["lp", "-t", TITLE, two], user="kiosk").stdout.split()[3]
    time.sleep(5)
    assert room.waits(), "it waits for the printer"
    machine.run(["cancel", job], user="kiosk")
    wait_for(lambda: not told(machine, "pgrep", "-u", "lp").strip(), 60, "the gate's end")
    server.run(["systemctl", "kill", "--signal=CONT", "prova-printer.service"])
    for file in (server.root / FOLDER.lstrip("/")).glob("*-*"):
        file.unlink()
    assert room.lp(two) == sent(1)
    assert room.paper() == 2


def test_a_way_around_the_gate_is_closed_again_and_the_limit_comes_and_goes(room: Room, address: str) -> None:
    machine = room.machine
    look = ["sh", "-c", "cd /etc/cups; find . -type f | sort | xargs sha256sum"]
    room.managed("null")
    before = machine.run(look).stdout
    room.managed(f"{{printers: {{sala: {address}}}}}")
    assert told(machine, "lpstat", "-v").strip() == f"device for sala: {address}"
    room.managed(f"{{printers: {{sala: {address}}}, pages: 2}}")
    through = f"device for sala: counted-{address}"
    assert told(machine, "lpstat", "-v").strip() == through
    machine.run(["lpadmin", "-p", "sala", "-v", address])
    wait_for(lambda: told(machine, "lpstat", "-v").strip() == through, 30, "behind the gate again")
    machine.run(["lpadmin", "-p", "sala", "-o", "printer-op-policy=default"])
    wait_for(lambda: calm(machine), 30, "everybody's policy again")
    wait_for(
        lambda: "OpPolicy counted" in (machine.root / "etc/cups/printers.conf").read_text(), 30, "policy"
    )
    gate = machine.root / "usr/lib/cups/backend/counted-ipp"
    kept = gate.read_text()
    gate.unlink()
    wait_for(lambda: "cups-backend" in told(machine, "lab-agent", "plan"), 60, "it is said")
    machine.run(["install", "-m", "755", "/dev/stdin", "/usr/lib/cups/backend/counted-ipp"], input=kept)
    wait_for(lambda: calm(machine), 60, "calm")
    room.managed(f"{{printers: {{sala: {address}}}}}")
    assert told(machine, "lpstat", "-v").strip() == f"device for sala: {address}"
    room.sits()
    told(machine, "lp", room.document(4), user="kiosk")
    room.done()
    assert len(list((room.site.server.root / FOLDER.lstrip("/")).glob("job-*"))) == 1, "no limit, no gate"
    room.leaves()
    room.managed("null")
    wait_for(lambda: machine.run(look).stdout == before, 30, "as before")


def test_what_chromium_prints_is_counted(room: Room, address: str, tmp_path: Path) -> None:
    screen = Screen(room.machine)
    room.managed(f"{{printers: {{sala: {address}}}, pages: 5}}")
    room.sits()
    screen.shows("Servizi per i cittadini")
    left = 5
    for number in range(1, 7):
        before = room.done()
        time.sleep(2)
        screen.run("xdotool", "key", "ctrl+p")
        time.sleep(6)  # the preview
        screen.picture(tmp_path / f"{number}-preview.png")
        screen.run("xdotool", "key", "Return")
        said = wait_for(partial(room.news, before), 30, "the bar's word")
        pages = room.paper()
        screen.picture(tmp_path / f"{number}-printed.png")
        if said.startswith("Not printed"):
            assert pages == 0
            break
        left -= pages
        assert pages
        assert said == sent(left)
    assert number > 1
    assert 0 <= left < 5
    room.leaves()
