"""A course with office programs: LibreOffice itself, opened from the start page, beside the browser.

A person's way through it by mouse and keyboard; then what a page of the web, a
document or a citizen's own settings could try with it, each with a control that
gets out where the lab's settings are not.
"""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from agent.resources.office import SETTINGS
from tests.lab import office_papers as papers
from tests.lab.breakouts.world import INSIDE, OUTSIDE, World, known, world
from tests.lab.kiosk import ADDRESS_BAR
from tests.lab.rig import Machine
from tests.lab.rig.host import say, wait_until
from tests.lab.screen import WHITE, Screen
from tests.lab.site import Site, wait_for

pytestmark = [pytest.mark.lab, pytest.mark.timeout(400)]

PC = 3
LAYER = f"allow: [.{INSIDE}]\n"
WRITER = "file:///run/lab-programs/writer-it.html"
TILE = (180, 330)
"""A place in the start page's first tile: a text."""
BAR_ROW = 12
"""A row of the screen through the bar's buttons, above their words."""
EXPORT = "run/lab-files/export"
SOFFICE = "/usr/lib/libreoffice/program/soffice"
QUIET_S = 4.0
"""How long nothing must happen where something would within one."""

_PAGES: Mapping[str, tuple[Mapping[str, str], str]] = {
    "link": ({}, f"<a id=a href='{WRITER}'>x</a><script>a.click()</script>"),
    "link to a new window": ({}, f"<a id=a target=_blank href='{WRITER}'>x</a><script>a.click()</script>"),
    "script": ({}, f"<script>location='{WRITER}'</script>"),
    "window": ({}, f"<script>window.open('{WRITER}')</script>"),
    "frame": ({}, f"<iframe src='{WRITER}'></iframe>"),
    "object": ({}, f"<object data='{WRITER}'></object><embed src='{WRITER}'>"),
    "picture": (
        {},
        f"<img src='{WRITER}'><link rel=stylesheet href='{WRITER}'><script src='{WRITER}'></script>",
    ),
    "refresh": ({}, f"<meta http-equiv=refresh content='0;url={WRITER}'>"),
    "redirect": ({"Location": WRITER}, ""),
    "form": ({}, f"<form id=f action='{WRITER}'></form><script>f.submit()</script>"),
    "request": (
        {},
        f"<script>fetch('{WRITER}');x=new XMLHttpRequest();x.open('GET','{WRITER}');x.send()</script>",
    ),
}
"""Ways from a page of the web to the page that opens a program."""


@dataclass(frozen=True)
class Course:
    """A PC with the course's profile, with somebody at it."""

    site: Site
    machine: Machine
    screen: Screen
    world: World
    pictures: Path

    def sit_down(self) -> None:
        self.site.labctl("session", "start", self.machine.name)
        self.screen.shows("Corso")

    def get_up(self) -> dict[str, Any]:
        """End the session; its proof."""
        ended = json.loads(self.site.labctl("session", "end", self.machine.name, "--json").stdout)
        proof: dict[str, Any] = ended["wipe"]
        return proof

    def programs(self) -> list[str]:
        """Process ids of LibreOffice."""
        return self.machine.run(["pgrep", "-x", "soffice.bin"], check=False).stdout.split()

    def go(self, url: str) -> None:
        """Type an address into the browser."""
        self.screen.click(*ADDRESS_BAR)
        self.keys("ctrl+a")
        self.screen.run("xdotool", "type", "--delay", "5", url)
        self.keys("Return")

    def keys(self, *chords: str) -> None:
        self.screen.run("xdotool", "key", "--clearmodifiers", *chords)

    def front(self) -> str:
        """The title of the window that has the keyboard."""
        return self.screen.run("xdotool", "getactivewindow", "getwindowname").strip()

    def heard(self, site: str, what: str, seconds: float = 20) -> bool:
        """Whether a site was asked for something, within a while."""
        return wait_until(
            lambda: any(line.endswith(what) for line in self.world.heard(site)), timeout=seconds, every=0.2
        )

    def opened(self) -> bool:
        """Whether a program comes up where it would within one second."""
        return wait_until(lambda: bool(self.programs()), timeout=QUIET_S, every=0.2)

    def close_programs(self) -> None:
        self.machine.run(["pkill", "-KILL", "-x", "soffice.bin"], check=False)
        wait_for(lambda: not self.programs(), 10, "no program")
        time.sleep(4)  # until the tile opens it again

    def picture(self, name: str) -> None:
        self.screen.picture(self.pictures / f"{name}.png")

    def in_session(self, *argv: str, locked: bool = True, seconds: int = 40) -> str:
        """Run LibreOffice, or what else, as the citizen in the session's own view of the PC; what it printed.

        Not locked: without the lab's settings, and by root, whom the network filter lets through.
        """
        main = self.machine.run(["pgrep", "-o", "-x", "chromium", "-u", "kiosk"]).stdout.strip()
        enter = ["nsenter", "-t", main, "-m"]
        citizen = ["setpriv", "--reuid=kiosk", "--regid=kiosk", "--clear-groups", "--inh-caps=-all", "--"]
        run = ["env", "HOME=/home/kiosk", "SAL_USE_VCLPLUGIN=svp", "timeout", "-k", "1", str(seconds), *argv]
        if locked:
            return self.machine.run([*enter, *citizen, *run], check=False, timeout=90).stdout
        lay = f'mount --bind /run/lab-session/none.xcd {SETTINGS} && exec "$@"'
        return self.machine.run(
            [*enter, "unshare", "-m", "sh", "-c", lay, "sh", *run], check=False, timeout=90
        ).stdout


@pytest.fixture
def course(site: Site, tmp_path: Path) -> Iterator[Course]:
    machine = site.pc(PC)
    pages = {
        f"/{number}": ("text/html", headers, f"<!doctype html><title>Pagina {number}</title>{body}")
        for number, (headers, body) in enumerate(_PAGES.values())
    }
    with ExitStack() as stack:
        here = stack.enter_context(world(site.server, site.lab.network.net, pages, site.pc(4).address))
        stack.enter_context(known(machine, here))
        site.layer_for(machine.name, LAYER)
        site.publish(profile="training")
        site.labctl("profile", "assign", "training", machine.name)
        stack.callback(site.labctl, "profile", "assign", "none", machine.name)
        stack.callback(site.labctl, "session", "end", machine.name, check=False)
        wait_for(lambda: site.row(machine.name)["state"] == "available", 60, "a free PC")
        seat = Course(site, machine, Screen(machine), here, tmp_path)
        seat.sit_down()
        yield seat


def test_a_text_is_written_saved_and_wiped(course: Course) -> None:
    screen, machine = course.screen, course.machine
    assert not course.site.condition(machine.name, "Lacking").get("status")
    course.picture("1-start-page")
    began = time.monotonic()
    screen.click(*TILE)
    screen.shows("Senza nome 1")
    say(f"from the tile to an empty text: {time.monotonic() - began:.1f} s")
    wait_for(lambda: "Writer" in course.front(), 20, "the program in front")
    course.picture("2-writer")

    pid = course.programs()[0]
    status = machine.run(["cat", f"/proc/{pid}/status"]).stdout
    kiosk = machine.run(["id", "-u", "kiosk"]).stdout.strip()
    words = status.split()
    assert words[words.index("Uid:") + 1] == kiosk
    assert words[words.index("NoNewPrivs:") + 1] == "1"
    assert words[words.index("Seccomp:") + 1] == "2"
    assert "lab-session.service" in machine.run(["cat", f"/proc/{pid}/cgroup"]).stdout

    mark = f"parola{secrets.token_hex(6)}"
    screen.run("xdotool", "type", "--delay", "20", mark)
    course.keys("ctrl+s")
    wait_for(lambda: "Writer" not in course.front(), 20, "the file dialogue")
    time.sleep(1)
    course.picture("3-save")
    course.keys("ctrl+a")
    screen.run("xdotool", "type", "--delay", "20", "lettera")
    course.keys("Return")
    saved = machine.root / EXPORT / "lettera.odt"
    wait_for(lambda: saved.exists() and saved.stat().st_size, 30, "the document in the session's folder")

    screen.press(BAR_ROW, WHITE)  # Internet
    wait_for(lambda: "Chromium" in course.front(), 10, "the browser in front")
    course.picture("4-internet")
    screen.press(BAR_ROW, WHITE)  # Documents
    wait_for(lambda: "lettera" in course.front(), 10, "the document in front")

    # The browser ends, and the document that is open beside it stays.
    browser = machine.run(["pgrep", "-o", "-x", "chromium", "-u", "kiosk"]).stdout.strip()
    machine.run(["kill", "-KILL", browser])
    began = time.monotonic()
    wait_for(
        lambda: (
            machine.run(["pgrep", "-o", "-x", "chromium", "-u", "kiosk"], check=False).stdout.strip()
            not in ("", browser)
        ),
        20,
        "another browser",
    )
    screen.shows("Corso")
    say(f"a browser that died is back beside the document: {time.monotonic() - began:.1f} s")
    assert course.programs() == [pid]
    course.picture("5-back")

    proof = course.get_up()
    assert not course.programs()
    assert not any(look["left"] for look in proof["looked"])
    assert course.site.row(machine.name)["state"] == "available"
    found = machine.run(["grep", "-rlaF", mark, "/home", "/tmp", "/var/tmp", "/run", "/dev/shm"], check=False)
    assert found.stdout == ""


def test_no_page_of_the_web_opens_a_program(course: Course) -> None:
    course.go(WRITER)
    wait_for(course.programs, 20, "the control: by the page's own address it opens")
    course.close_programs()
    for number, name in enumerate(_PAGES):
        course.go(f"http://{INSIDE}/{number}")
        assert course.heard(INSIDE, f" /{number}"), name
        assert not course.opened(), f"{name} has opened a program"
    course.picture("1-after-all-pages")


@dataclass(frozen=True)
class Attempt:
    """What LibreOffice is asked to open. What must not come of it is a file `MARK`, or a visit to a site."""

    name: str
    text: str
    argv: tuple[str, ...] = ()
    seconds: int = 20
    """How long it may take where nothing holds it."""


MARK = "/run/lab-session/segno.txt"
PAPER = "/run/lab-session/prova.fodt"
AS_PDF = ("--convert-to", "pdf", "--outdir", "/run/lab-session")
AS_TEXT = ("--convert-to", "txt:Text", "--outdir", "/run/lab-session")
UNTIL_MARKED = (
    f'"$@" & while kill -0 $! 2>/dev/null && test ! -e {MARK}; do sleep 0.2; done; pkill -KILL -x soffice.bin'
)
"""A shell that runs a program until it ends or has left its mark."""
ATTEMPTS = (
    Attempt("a macro that runs as the document opens", papers.with_macro(MARK), (PAPER,), 60),
    Attempt(
        "a picture from elsewhere", papers.with_picture(f"http://{OUTSIDE}/picture.png"), (*AS_PDF, PAPER)
    ),
    Attempt("a document from elsewhere", "", (f"http://{OUTSIDE}/document.odt",)),
    Attempt("a file of root's", "", (*AS_TEXT, "/etc/segno.txt")),
)


def test_a_document_and_the_citizens_own_settings_open_nothing(course: Course) -> None:
    machine, outside = course.machine, course.world
    mark = machine.root / MARK.lstrip("/")

    def put(path: str, text: str) -> None:
        machine.run(["install", "-D", "-m", "644", "-o", "kiosk", "/dev/stdin", path], input=text)

    def tried(attempt: Attempt, seconds: int, *, locked: bool) -> bool:
        """Whether it got out."""
        mark.unlink(missing_ok=True)
        before = len(outside.heard(OUTSIDE))
        home = f"/run/lab-session/lo-{secrets.token_hex(4)}"
        put(f"{home}/user/registrymodifications.xcu", papers.ANYTHING_GOES)
        machine.run(["chown", "-R", "kiosk", home])
        argv = (SOFFICE, "--headless", "--norestore", f"-env:UserInstallation=file://{home}", *attempt.argv)
        course.in_session("sh", "-c", UNTIL_MARKED, "sh", *argv, locked=locked, seconds=seconds)
        machine.run(["rm", "-rf", home])
        return mark.exists() or len(outside.heard(OUTSIDE)) > before

    machine.run(["install", "-m", "600", "/dev/stdin", "/etc/segno.txt"], input="segno")
    put("/run/lab-session/none.xcd", papers.NO_SETTINGS)
    results: list[str] = []
    for attempt in ATTEMPTS:
        put(PAPER, attempt.text or "x")
        began = time.monotonic()
        control = tried(attempt, attempt.seconds, locked=False)
        took = time.monotonic() - began
        out = tried(attempt, min(70, max(10, round(2 * took))), locked=True)
        results.append(
            f"{attempt.name}: control {'got out' if control else 'DID NOT'}, {'BROKE' if out else 'held'}"
        )
        say(results[-1])
    machine.run(["rm", "/etc/segno.txt"])
    assert all(line.endswith("control got out, held") for line in results), results
