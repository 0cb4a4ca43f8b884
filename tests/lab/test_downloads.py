"""A download that policy refuses is told by the bar: a real Chromium, real pages, in the citizen's language.

The control is the same page where the profile allows downloads: the file is there, and nothing is said.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from itertools import cycle
from pathlib import Path

import pytest

from agent.citizen.refusals import FIRST_NAME
from tests.lab.breakouts.world import INSIDE, Page, known, world
from tests.lab.kiosk import ADDRESS_BAR, Kiosk, kiosk
from tests.lab.rig import Machine
from tests.lab.rig.host import say, wait_until
from tests.lab.screen import SIZE, Screen, is_loud
from tests.lab.site import Site, wait_for
from tests.lab.test_bar import START, Door, door_of, read_aloud

pytestmark = [pytest.mark.lab, pytest.mark.timeout(400)]

FOLDER = "/home/kiosk/Downloads"
REFUSALS = {
    "it": "Questo file non si può scaricare qui. Chiama l'operatore.",
    "en": "This file may not be downloaded here. Call the operator.",
    "ro": "Acest fișier nu poate fi descărcat aici. Cheamă operatorul.",
}
_ATTACHMENT = {"Content-Disposition": "attachment"}
_CLICKED = """<!doctype html><html lang="it"><meta charset="utf-8"><title>Modulo</title><body><script>
document.onclick = () => { const link = document.createElement("a"); link.href = "/elenco.bin";
  link.download = "modulo.txt"; link.click() }</script>"""
PAGES: Mapping[str, Page] = {
    "/elenco.bin": ("application/octet-stream", _ATTACHMENT, "x" * 9),
    "/archivio.zip": ("application/zip", _ATTACHMENT, "x" * 60_000),
    "/programma.sh": ("text/x-sh", _ATTACHMENT, "echo x"),
    "/attributo": ("text/html", {}, _CLICKED),
}
CLICK = "/attributo"
"""A page whose script saves by a link, at a click."""
ALONE_S = 6.0
"""Chromium may miss a policy in its first seconds (decisions/0047), and is left alone for so long."""
both_debians = pytest.mark.parametrize("number", [3, 10], ids=["bookworm", "trixie"])


@contextmanager
def page_server(site: Site, machine: Machine, *, downloads: bool) -> Iterator[None]:
    """The pages, and a profile for one PC that opens them and takes downloads or not."""
    choice = str(downloads).lower()
    site.layer_for(machine.name, f"allow: [.{INSIDE}]\nbrowser: {{downloads: {choice}}}\n")
    site.publish()
    site.settle()
    with (
        world(site.server, site.lab.network.net, PAGES, site.pc(1).address) as sites,
        known(machine, sites),
    ):
        yield


@contextmanager
def seat_at(machine: Machine) -> Iterator[tuple[Door, Kiosk, Callable[[], list[tuple[str, str]]]]]:
    """A browser, and a bar that is read aloud and watches that browser's downloads."""
    machine.run(["install", "-d", "-o", "kiosk", "-g", "kiosk", FOLDER])
    try:
        with (
            door_of(machine) as door,
            kiosk(machine, START) as seat,
            read_aloud(machine, seat, LAB_DOWNLOADS=FOLDER) as heard,
        ):
            door.welcome()
            time.sleep(ALONE_S)
            yield door, seat, heard
    finally:
        machine.run(["rm", "-rf", FOLDER])


def ask_for(seat: Kiosk, path: str) -> float:
    """Have a page download something; the monotonic time of the last thing that a citizen did for it."""
    seat.go(f"http://{INSIDE}{path}")
    if path == CLICK:
        assert seat.shows("Modulo"), seat.titles()
        seat.click(SIZE[0] // 2, SIZE[1] // 2)
    return time.monotonic()


@both_debians
def test_a_refused_download_is_told_in_each_language_whatever_asks_for_it(
    site: Site, tmp_path: Path, number: int
) -> None:
    machine = site.pc(number)
    with page_server(site, machine, downloads=False), seat_at(machine) as (door, seat, heard):
        for (language, refusal), path in zip(cycle(REFUSALS.items()), PAGES, strict=False):
            door.tell(language, state="wiping")  # which takes away what was told before
            wait_for(lambda: not any(name in REFUSALS.values() for _, name in heard()), 20, "silence")
            door.tell(language)
            asked = ask_for(seat, path)
            wait_for(lambda: ("label", refusal) in heard(), 20, f"{path} told in {language}")  # noqa: B023  # asked at once
            say(f"{machine.name}: {path} is told within {time.monotonic() - asked:.1f} s")
            seat.picture(tmp_path / f"{path[1:]}-{language}.png")
            assert list((machine.root / FOLDER.lstrip("/")).iterdir()) == []


@both_debians
def test_a_download_that_is_taken_is_not_called_refused(site: Site, tmp_path: Path, number: int) -> None:
    machine = site.pc(number)
    with page_server(site, machine, downloads=True), seat_at(machine) as (door, seat, heard):
        door.tell("it")
        there = machine.root / FOLDER.lstrip("/")
        for path in PAGES:
            before = _taken(there)
            ask_for(seat, path)
            wait_for(lambda: _taken(there) - before, 30, f"{path} among the downloads")  # noqa: B023  # asked at once
            told = wait_until(lambda: ("label", REFUSALS["it"]) in heard(), timeout=3)
            assert not told, path
        seat.picture(tmp_path / "taken.png")


def _taken(folder: Path) -> set[str]:
    """Downloads that have a name: whole ones, and those that Chromium asks the citizen about."""
    return {file.name for file in folder.iterdir() if not file.name.startswith(FIRST_NAME)}


def test_in_a_session_it_is_told_as_well(site: Site, tmp_path: Path) -> None:
    """There the bar is another user, in a view of the PC of its own."""
    machine = site.pc(2)
    screen = Screen(machine)
    with page_server(site, machine, downloads=False):
        site.labctl("session", "start", machine.name)
        screen.shows("Servizi per i cittadini")
        time.sleep(ALONE_S)
        assert not is_loud(screen)
        type_address(screen, f"http://{INSIDE}/elenco.bin")
        wait_for(lambda: is_loud(screen), 20, "the bar's word")
        screen.picture(tmp_path / "session.png")
        export = machine.root / "run/lab-files/export"
        assert not any(file.name.startswith("elenco") for file in export.iterdir())


def type_address(screen: Screen, url: str) -> None:
    """Into the browser of a session."""
    screen.click(*ADDRESS_BAR)
    screen.run("xdotool", "key", "--clearmodifiers", "ctrl+a")
    screen.run("xdotool", "type", "--delay", "5", url)
    screen.run("xdotool", "key", "Return")
