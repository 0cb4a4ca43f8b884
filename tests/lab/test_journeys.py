"""Whole visits, from the power button to the proof, as people make them: a citizen's, and a business's.

The profiles, services and addresses are those that ship; the lab's server plays
the services over TLS (tests/lab/portals). What counts is judged from outside: what
the services were asked for and got, what was printed, what the stick holds, what is
left on the PC. Pictures of every step are in build/journeys, for somebody to look at.
"""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.integration.images import FatImage, needs_programs
from tests.lab.journey import OURS, Frame, Person
from tests.lab.portals import Portals, portals
from tests.lab.portals.serve import INPS, MAIL, SHOP, SHOP_LOGIN, SPID, WORD
from tests.lab.printer import jobs, printer
from tests.lab.rig import Machine, RigError
from tests.lab.rig.host import say
from tests.lab.screen import RED, WHITE, YELLOW, Colour, Screen
from tests.lab.site import Site, wait_for
from tests.lab.sticks import port

pytestmark = [pytest.mark.lab, pytest.mark.timeout(400)]

CITIZENS, BUSINESSES = 2, 4
"""Which PCs."""
BLUE, GREEN, CHROMIUM_BLUE = (0, 102, 204), (0, 135, 88), (11, 87, 208)
"""Of the services' buttons (the first thing to press, the second), and of Chromium's own."""
START_ROW, BAR_ROW = 440, 12
"""Rows through the buttons to start, and through the bar's, off their words."""
TILES = ((170, 480), (478, 480))
"""In the start page's first and second tile."""
HOME = (131, 119)
"""Chromium's way back to the start page."""
FIRST_FILE, OPEN = (400, 141), (1152, 777)
"""In the file chooser."""
CONVERSION = "/usr/share/cups/mime/lab-journey.convs"
"""Hands a document on as it is, on a PC without cups-filters, whose pdftopdf does this part of the way."""


@dataclass(frozen=True)
class Visit:
    """One person at one PC, and the services."""

    site: Site
    machine: Machine
    person: Person
    portals: Portals

    @property
    def state(self) -> str:
        """Of the PC, as the controller knows it."""
        return str(self.site.row(self.machine.name).get("state", ""))

    def in_session(self) -> list[str]:
        """Files of the session's own, which nobody outside of it sees, that hold what the services showed."""
        browser = self.machine.run(["pgrep", "-o", "-x", "chromium", "-u", "kiosk"]).stdout.strip()
        search = ["grep", "-rlaF", "-e", self.portals.mark, "/home/kiosk"]
        return self.machine.run(["nsenter", "-t", browser, "-m", *search], check=False).stdout.splitlines()

    def traces(self) -> list[str]:
        """Files of the PC that hold what the services showed, by name or in them."""
        found = self.machine.run(
            [
                "sh",
                "-c",
                'find / \\( -path /proc -o -path /sys \\) -prune -o -name "*$0*" -print;'
                ' grep -rlaF --devices=skip -e "$0" / --exclude-dir=proc --exclude-dir=sys 2>/dev/null',
                self.portals.mark,
            ],
            check=False,
            timeout=120,
        )
        return found.stdout.splitlines()


@contextmanager
def visit(site: Site, number: int, name: str, address: str, layer: str, profile: str) -> Iterator[Visit]:
    """A PC that offers sessions of a profile, as at the end of yesterday; it is switched off."""
    machine, mark = site.pc(number), f"segno-{secrets.token_hex(8)}"
    with ExitStack() as stack:
        played = stack.enter_context(portals(site.server, address, mark))
        site.layer_for(machine.name, played.layer + layer)
        site.publish(profile=profile)
        if profile != "citizen":
            site.labctl("profile", "assign", profile, machine.name)
            stack.callback(site.labctl, "profile", "assign", "none", machine.name)
        before = (machine.root / "etc/hosts").read_text()
        (machine.root / "etc/hosts").write_text(before + played.hosts)
        stack.callback(lambda: (machine.root / "etc/hosts").write_text(before))
        wait_for(lambda: site.row(machine.name)["state"] == "available", 60, "a free PC")
        wait_for(
            lambda: "Nothing to change" in machine.run(["lab-agent", "plan"], check=False).stdout,
            60,
            "all of the profile in force",
        )
        machine.sync()
        machine.poweroff()
        try:
            yield Visit(site, machine, Person(machine, name), played)
        finally:
            machine.switch_on()
            site.labctl("session", "end", machine.name, check=False)


@contextmanager
def switched_on(visit: Visit) -> Iterator[None]:
    """The PC is switched on and filmed from its first picture on; it shows the ways to start."""
    machine, person = visit.machine, visit.person
    machine.switch_on()
    wait_for(lambda: machine.is_up and _boots(machine), 30, "the PC's start")
    with person.filmed():
        wait_for(lambda: len(person.screen.stretches(START_ROW, WHITE)) == 2, 120, "buttons to start")
        person.looks("free")
        yield


def _boots(machine: Machine) -> bool:
    try:
        return (machine.root / "run/systemd/private").exists()
    except (RigError, OSError):
        return False


def judge(film: Sequence[Frame], started: float, page: str, ended: float) -> None:
    """From the first picture to the last there is only our ground, the bar, and the browser on its pages.

    `started` and `ended` are when Start, and the end's second press, were pressed.
    """
    first = [frame for frame in film if frame.at < started]
    assert first, "the film begins before anybody pressed Start"
    for frame in first:
        assert frame.is_plain, (frame.file.name, frame.titles)
        assert frame.titles <= {*OURS, ""}, frame.titles  # a window of ours has no name at first
    opening = [frame for frame in film if started <= frame.at < ended]
    for frame in opening:
        if any(title.startswith(page) for title in frame.titles):
            break
        # The browser's window is there some time before it is drawn, and then before its page is.
        assert frame.titles <= OURS or frame.is_plain or frame.is_blank, (frame.file.name, frame.titles)
    after = [frame for frame in film if frame.at > ended + 0.5]
    # The titles are read after the picture: in one the browser may be seen that the other misses.
    gone = next(number for number, frame in enumerate(after) if frame.titles <= OURS and frame.is_plain)
    for frame in after[gone:]:
        assert frame.is_plain, (frame.file.name, frame.titles)
        assert frame.titles <= {*OURS, ""}, frame.titles  # a window of ours has no name at first


def keep(person: Person, film: Sequence[Frame], started: float, ended: float) -> None:
    """The pictures that nobody can take by hand: from power-on to Start, to the start page, and the end."""
    parts = (("on", 0.0, started), ("start", started, started + 8), ("end", ended, ended + 60))
    for name, begin, end in parts:
        shown = [frame for frame in film if begin <= frame.at < end]
        for number, frame in enumerate(shown[:12]):
            frame.keep(person.folder / f"film-{name}-{number:02d}-{frame.at - shown[0].at:.2f}s.png")


def end_from_the_bar(visit: Visit) -> float:
    """Twice on the red button; when it was pressed for the second time."""
    screen = visit.person.screen
    screen.press(BAR_ROW, RED)
    visit.person.looks("end-asked")
    screen.press(BAR_ROW, RED)
    pressed = time.monotonic()
    wait_for(lambda: visit.state == "available", 60, "a free PC")
    say(f"from the end to available: {time.monotonic() - pressed:.1f} s")
    wait_for(lambda: len(screen.stretches(START_ROW, WHITE)) == 2, 60, "buttons to start")
    visit.person.looks("free-again")
    time.sleep(1)  # for the film: nothing comes after it
    return pressed


def prove(visit: Visit) -> None:
    """The session is gone, to whoever looks."""
    assert "Clean" in visit.site.labctl("session", "show", visit.machine.name).stdout
    assert visit.traces() == []
    assert visit.machine.run(["ps", "-u", "kiosk", "-o", "comm="], check=False).stdout.split() == []
    assert visit.machine.run(["lpstat", "-W", "all", "-o"], check=False).stdout == ""


@pytest.fixture
def citizen(site: Site, request: pytest.FixtureRequest) -> Iterator[Visit]:
    machine = site.pc(CITIZENS)
    if machine.run(["test", "-e", "/usr/lib/cups/filter/pdftopdf"], check=False).returncode:
        text = "application/pdf application/vnd.cups-pdf 0 -\n"
        machine.run(["install", "-m", "644", "/dev/stdin", CONVERSION], input=text)
    with printer(site.server) as paper:
        layer = f"printing: {{printers: {{sala: {paper}}}}}\n"
        name, address = f"citizen-{request.param}", f"{site.lab.network.net}.41"
        with visit(site, CITIZENS, name, address, layer, "citizen") as there:
            yield there
        machine.run(["rm", "-f", CONVERSION])


@pytest.mark.parametrize(
    ("citizen", "start", "page"),
    [
        # Yellow is the one that has the keyboard.
        pytest.param("it", (YELLOW, 0), "Servizi per i cittadini", id="in Italian"),
        pytest.param("en", (WHITE, 0), "Services for citizens", id="in English", marks=pytest.mark.long),
        pytest.param("ro", (WHITE, 1), "Servicii pentru cetățeni", id="in Romanian", marks=pytest.mark.long),
    ],
    indirect=["citizen"],
)
def test_a_citizen_reads_and_prints_a_pension_slip(
    citizen: Visit, start: tuple[Colour, int], page: str
) -> None:
    person, screen, name = citizen.person, citizen.person.screen, citizen.machine.name
    with switched_on(citizen):
        started = time.monotonic()
        screen.press(START_ROW, *start)
        person.sees(page, "start-page")
        say(f"from Start to the start page: {time.monotonic() - started:.1f} s")

        screen.click(*TILES[1])
        person.sees("INPS", "service")
        person.presses(BLUE, "Entra con SPID")
        person.sees("Accedi", "sign-in")
        person.types("maria.rossi")
        person.keys("Tab")
        person.types(WORD)
        person.looks("typed")
        person.keys("Return")
        person.sees("Cedolino della pensione", "slip")
        assert citizen.portals.visits() == [
            f"{INPS} GET /",
            f"{INPS} GET /accedi",
            f"{SPID} GET /accedi",
            f"{SPID} POST /entra",
            f"{INPS} POST /acs",
            f"{INPS} GET /cedolino",
        ]

        person.presses(BLUE, "Stampa")
        print_it = wait_for(lambda: screen.find(CHROMIUM_BLUE, top=400), 30, "the way to print it")
        wait_for(
            lambda: any(run.start < 700 for run in screen.stretches(300, WHITE)), 30, "the page to print"
        )
        person.looks("print")
        screen.click(*print_it)
        wait_for(lambda: jobs(citizen.site.server), 30, "paper")
        assert b"%PDF-" in jobs(citizen.site.server)[0]
        person.looks("printed")

        screen.press(BAR_ROW, WHITE)
        wait_for(lambda: citizen.site.condition(name, "HelpWanted").get("status"), 30, "the call")
        person.looks("help-asked")
        citizen.site.labctl("call", "answer", name)
        wait_for(lambda: not citizen.site.condition(name, "HelpWanted")["status"], 30, "the answer")
        person.looks("help-comes")

        wait_for(citizen.in_session, 30, "the control: the session holds what was shown")
        ended = end_from_the_bar(citizen)
        film = person.film()
    keep(person, film, started, ended)
    judge(film, started, page, ended)
    prove(citizen)


@pytest.fixture
def business(site: Site) -> Iterator[Visit]:
    address = f"{site.lab.network.net}.42"
    with visit(site, BUSINESSES, "business-it", address, "", "business") as there:
        yield there


@needs_programs
@pytest.mark.long
def test_a_business_files_reads_its_receipt_and_keeps_it(business: Visit, tmp_path: Path) -> None:
    person, screen = business.person, business.person.screen
    form = b"%PDF-1.4\n" + secrets.token_bytes(20_000)
    stick = FatImage(tmp_path / "stick.img", 16)
    stick.put("modulo-suap.pdf", form)
    with switched_on(business), port(business.machine) as usb:
        started = time.monotonic()
        screen.press(START_ROW, YELLOW)
        person.sees("Servizi per le imprese", "start-page")
        usb.plug(stick.path)
        assert usb.told("import")["done"] == 1
        time.sleep(1)
        person.looks("stick-read")

        screen.click(*TILES[0])
        person.sees("Impresa in un giorno", "service")
        person.presses(BLUE, "Accedi")
        person.sees("Accedi", "sign-in")
        person.types("ditta.rossi")
        person.keys("Tab")
        person.types(WORD)
        person.keys("Return")
        person.sees("Nuova pratica", "form")
        person.presses(GREEN, "the file to send")
        wait_for(lambda: len(_dialogs(screen)) == 1, 30, "the file chooser")
        time.sleep(1)
        person.looks("chooser")
        _choose(screen, "Scelto modulo-suap.pdf")
        person.looks("chosen")
        person.presses(BLUE, "Invia la pratica")
        person.sees("Pratica inviata", "filed")
        assert business.portals.received() == {"modulo-suap.pdf": form}

        person.presses(BLUE, "Leggi la ricevuta")
        wait_for(lambda: f"{SHOP} GET /ricevuta.pdf" in business.portals.visits(), 30, "the receipt")
        # The paper does not begin at the screen's edge, as the page before it does.
        papers = lambda: [run for run in screen.stretches(500, WHITE, 300) if run.start > 100]  # noqa: E731
        wait_for(papers, 60, "the receipt's paper in the viewer")
        person.looks("pdf-viewer")
        person.keys("alt+Left")
        screen.shows("Pratica inviata")
        person.presses(GREEN, "Scarica la ricevuta")
        kept = business.machine.root / "run/lab-files/export"
        wait_for(lambda: _whole(kept / "ricevuta-suap.pdf"), 30, "the receipt")
        person.looks("downloaded")

        screen.click(*HOME)
        person.sees("Servizi per le imprese", "home")
        screen.click(*TILES[1])
        person.sees("Accedi", "mail-sign-in")
        person.types("ditta.rossi@pec.it")
        person.keys("Tab")
        person.types(WORD)
        person.keys("Return")
        person.sees("Posta in arrivo", "mail")
        person.presses(BLUE, "Scarica l'allegato")
        wait_for(lambda: _whole(kept / "protocollo.pdf"), 30, "the attachment")
        person.looks("attachment")
        assert [line for line in business.portals.visits() if line.startswith((SHOP_LOGIN, MAIL))] == [
            f"{SHOP_LOGIN} GET /accedi",
            f"{SHOP_LOGIN} POST /entra",
            f"{MAIL} GET /",
            f"{MAIL} POST /entra",
            f"{MAIL} POST /posta",
            f"{MAIL} GET /allegato",
        ]

        screen.press(BAR_ROW, WHITE)  # save to stick
        assert usb.told("export")["done"] == 2
        time.sleep(1)
        person.looks("saved")
        stick.path = tmp_path / "back.img"
        stick.path.write_bytes(usb.stick.read_bytes())
        assert stick.names() == {"modulo-suap.pdf", "ricevuta-suap.pdf", "protocollo.pdf"}
        assert business.portals.mark.encode() in stick.get("ricevuta-suap.pdf")
        usb.stick.unlink()

        ended = end_from_the_bar(business)
        film = person.film()
    keep(person, film, started, ended)
    judge(film, started, "Servizi per le imprese", ended)
    prove(business)
    wipe = json.loads(business.site.labctl("session", "show", business.machine.name, "--json").stdout)
    assert wipe["wipe"]["clean"]


def _whole(file: Path) -> bool:
    """The browser first makes an empty file of that name."""
    return file.exists() and file.stat().st_size > 0


def _dialogs(screen: Screen) -> list[str]:
    """Windows that are neither ours nor the browser's own."""
    return [title for title in screen.titles() if title not in OURS and not title.endswith("Chromium")]


def _choose(screen: Screen, title: str) -> None:
    """The first file of the list, and "Apri": the list takes it some time after it is there."""

    def chosen() -> bool:
        for place in (FIRST_FILE, OPEN):
            screen.click(*place)
        return any(one.startswith(title) for one in screen.titles())

    wait_for(chosen, 30, title)
