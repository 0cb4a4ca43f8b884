"""A citizen's visit as a person has it: power on, Start, a service, help, the end; by mouse."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab.grabs import ALT, CONTROL, FREE, TAKEN, chord
from tests.lab.rig.host import say
from tests.lab.screen import BLACK, GROUND, RED, SIZE, WHITE, YELLOW, Colour, Screen, is_loud
from tests.lab.site import Site, wait_for, wait_to_see
from tests.lab.www import Web, web

pytestmark = [pytest.mark.lab, pytest.mark.timeout(300)]

PORTALE, ALTROVE = "portale.test", "altrove.test"
LAYER = f"""\
remove:
  tiles: [anpr, inps, agenzia-entrate, health, app-io, pagopa, region-lazio]
tiles:
  - title: {{it: Il portale, en: The portal, ro: Portalul}}
    about: {{it: Un sito di prova della sala}}
    url: http://{PORTALE}/
allow: [.{PORTALE}]
"""
PC = 2
START_ROW = 440
"""A row of the screen through the buttons to start, off their words."""
BAR_ROW = 12
"""A row through the bar's buttons, above their words."""
TILE, LINK = (180, 340), (300, 300)
"""Places in the start page's first tile, and in the site's link."""


@pytest.fixture(scope="module")
def portale(lab_of_ten: Site) -> Iterator[Web]:
    with web(lab_of_ten.server, PORTALE, f"{lab_of_ten.lab.network.net}.23", (30, 125, 50), ALTROVE) as site:
        yield site


@pytest.fixture
def screen(site: Site, portale: Web) -> Iterator[Screen]:
    machine = site.pc(PC)
    site.layer_for(machine.name, LAYER)
    site.publish()
    hosts = machine.root / "etc/hosts"
    before = hosts.read_text()
    hosts.write_text(f"{before}{portale.address} {PORTALE}\n")
    wait_for(lambda: site.row(machine.name)["state"] == "available", 60, "a free PC")
    try:
        yield Screen(machine)
    finally:
        (machine.root / "etc/hosts").write_text(before)


def test_a_visit_from_power_on_to_the_proof(site: Site, screen: Screen, portale: Web, tmp_path: Path) -> None:
    machine, name = screen.machine, screen.machine.name
    machine.sync()
    machine.poweroff()
    machine.switch_on()
    seen: set[Colour] = set()

    def is_offered() -> bool:
        row = screen.row(SIZE[1] // 4) if machine.is_up else []
        seen.update(run.colour for run in row if run.end - run.start > SIZE[0] // 8)
        return "lab-ground" in screen.titles() if row else False

    wait_for(is_offered, 120, "the way in")
    # The one that has the keyboard is yellow: who has no mouse presses Return.
    wait_for(lambda: len(screen.stretches(START_ROW, WHITE)) == 2, 60, "buttons to start")
    assert len(screen.stretches(START_ROW, YELLOW)) == 1
    assert seen <= {BLACK, GROUND}, "from power-on to Start there is nothing else on the screen"
    screen.picture(tmp_path / "1-free.png")

    began = time.monotonic()
    screen.press(START_ROW, YELLOW)
    screen.shows("Servizi per i cittadini")
    say(f"from Start to the start page: {time.monotonic() - began:.1f} s")
    wait_for(lambda: site.row(name)["state"] == "active", 30, "a session")
    screen.picture(tmp_path / "2-start-page.png")

    screen.click(*TILE)
    screen.shows(f"Sito {PORTALE}")
    assert "/" in portale.visits()
    screen.picture(tmp_path / "3-service.png")

    assert not is_loud(screen)
    screen.click(*LINK)  # leads to a site that is not on the list
    wait_for(lambda: is_loud(screen), 30, "the bar's word about it")
    screen.picture(tmp_path / "4-refused.png")

    screen.press(BAR_ROW, WHITE)
    call = wait_for(lambda: site.condition(name, "HelpWanted"), 30, "the call")
    assert call["status"]
    assert "somebody calls" in site.labctl("status").stdout
    assert name in site.labctl("call", "list").stdout
    site.labctl("call", "answer", name)
    wait_for(lambda: not site.condition(name, "HelpWanted")["status"], 30, "the answer")
    screen.picture(tmp_path / "5-help.png")

    screen.press(BAR_ROW, RED)
    screen.picture(tmp_path / "6-end.png")
    assert site.row(name)["state"] == "active", "one slip of the finger ends nothing"
    screen.press(BAR_ROW, RED)
    began = time.monotonic()
    wait_for(lambda: site.row(name)["state"] == "available", 60, "a free PC")
    say(f"from the end to available: {time.monotonic() - began:.1f} s")
    assert "Clean" in site.labctl("session", "show", name).stdout
    wait_for(lambda: len(screen.stretches(START_ROW, WHITE)) == 2, 60, "buttons to start")
    screen.picture(tmp_path / "7-free-again.png")


def test_only_the_bar_and_root_come_to_the_citizens_door(site: Site) -> None:
    knock = (
        "import socket; link = socket.socket(socket.AF_UNIX); link.connect('/run/lab-agent/citizen.sock');"
        "print(link.recv(4096).decode())"
    )
    machine = site.pc(PC)
    for user in ("kiosk", "lab-agent"):
        refused = machine.run(["python3", "-c", knock], user=user, check=False)
        assert "Permission denied" in refused.stderr, user
    assert '"state":"available"' in machine.run(["python3", "-c", knock]).stdout
    assert '"state":"available"' in machine.run(["python3", "-c", knock], user="lab-bar").stdout


def test_a_key_that_is_taken_away_is_gone_from_a_desktop_that_runs(site: Site, screen: Screen) -> None:
    name = screen.machine.name
    screen.shows("lab-ground")
    assert chord(screen.machine, CONTROL + ALT, "x") == FREE
    openbox = screen.machine.pid_of("lab-desktop.service")
    site.layer_for(name, f"{LAYER}desktop: {{swallow: [C-A-x]}}\n")
    site.publish()
    wait_to_see(lambda: chord(screen.machine, CONTROL + ALT, "x"), TAKEN, 30, "Ctrl+Alt+X")
    assert screen.machine.pid_of("lab-desktop.service") == openbox


def test_a_screen_that_does_not_start_is_told_at_once_and_comes_back(site: Site, screen: Screen) -> None:
    machine, name = screen.machine, screen.machine.name
    # Where packages put theirs: in /run or /etc the agent would take it out again.
    drop_in = "/usr/lib/systemd/system/lab-screen.service.d/99-test.conf"
    text = "[Service]\nExecStart=\nExecStart=/bin/false\nRestart=no\n"
    machine.run(["install", "-D", "-m", "644", "/dev/stdin", drop_in], input=text)
    machine.run(["systemctl", "daemon-reload"])
    try:
        machine.run(["systemctl", "stop", "lab-screen.service"])
        wait_for(lambda: site.row(name)["state"] == "out-of-service", 60, "a PC out of service")
        told = "session, lab-screen.service"
        wait_for(lambda: told in site.condition(name, "Converged")["message"], 60, "the condition")
        refused = site.labctl("session", "start", name, check=False)
        assert refused.returncode == 1
    finally:
        machine.run(["rm", "-r", "/usr/lib/systemd/system/lab-screen.service.d"])
        machine.run(["systemctl", "daemon-reload"])
    wait_for(lambda: site.row(name)["state"] == "available", 120, "a PC that can be offered")
    screen.shows("lab-ground")
