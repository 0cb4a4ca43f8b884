"""Payment mode in a session: a bank's page is shut, opens for the operator's word, and shuts by itself.

Judged by the bank's own log, by the title of the real Chromium's window (a
page that policy refuses has its address there), and by what the proxy on the
PC tells a program of the kiosk user: that it says also with the cable cut.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from agent.clock import since_boot
from tests.lab.kiosk import ADDRESS_BAR, PIXEL
from tests.lab.rig import Machine
from tests.lab.rig.host import say, wait_until
from tests.lab.screen import Screen, is_loud
from tests.lab.site import Site, wait_for
from tests.lab.www import Web, web

pytestmark = [pytest.mark.lab, pytest.mark.timeout(400)]

PORTALE, BANCA = "portale.test", "banca.test"
PAYING = f"""\
session: {{offered: true}}
start_page: http://{PORTALE}/
allow: [.{PORTALE}]
payment: {{allow: [.{BANCA}]}}
"""
SCREEN = {"DISPLAY": ":0", "XAUTHORITY": "/run/lab-kiosk/Xauthority"}
FILTERED = "403"
"""What the proxy answers for a host that is not on its list, whether the host is there or not."""
ALONE_S = 7.0
"""Chromium reads a changed policy when nobody has typed for a while, and may miss one in its first seconds
(decisions/0047): it is left alone for so long at its start, and after each address."""
PATIENCE_S = 150.0


@dataclass(frozen=True)
class Seat:
    """A PC with a session under way, and the bank that the payment mode opens."""

    site: Site
    machine: Machine
    banca: Web

    def payment(self, *words: str, check: bool = True) -> str:
        """labctl payment VERB PC ...: what it printed, on either stream."""
        done = self.site.labctl("payment", words[0], self.machine.name, *words[1:], check=check)
        return done.stdout + done.stderr

    def opens(self) -> None:
        """The operator's word, for a minute."""
        told = self.payment("open", "--minutes", "1", "--why", "prova")
        assert "is open on" in told, told

    def is_open(self) -> bool:
        """As the controller knows it."""
        return self.site.row(self.machine.name).get("payment_until") is not None

    def told_until(self) -> float | None:
        """When payment mode closes, as the PC's enforcer tells the session bar; None while it is closed."""
        knock = (
            "import socket; link = socket.socket(socket.AF_UNIX);"
            "link.connect('/run/lab-agent/citizen.sock'); print(link.recv(4096).decode())"
        )
        told = json.loads(self.machine.run(["python3", "-c", knock]).stdout)
        until: float | None = told.get("paying_until_s")
        return until

    def titles(self) -> list[str]:
        """Of the windows in sight."""
        found = self._x("search", "--onlyvisible", "--name", ".").split()
        return [title for window in found if (title := self._x("getwindowname", window).strip())]

    def go(self, path: str) -> None:
        """Type an address of the bank's into the browser."""
        x, y = ADDRESS_BAR
        self._x("mousemove", str(x), str(y), "click", "1")
        self._x("key", "--clearmodifiers", "ctrl+a")
        self._x("type", "--delay", "5", f"http://{BANCA}{path}")
        self._x("key", "Return")

    def reaches(self, seconds: float) -> bool:
        """Whether the browser reaches the bank within a while."""
        end = time.monotonic() + seconds
        for number in count():
            path = f"/{time.monotonic_ns()}-{number}"
            self.go(path)
            if wait_until(lambda path=path: path in self.banca.visits(), timeout=ALONE_S):  # type: ignore[misc]  # mypy cannot infer a lambda's default
                return True
            if time.monotonic() > end:
                break
        return False

    def is_refused(self) -> None:
        """The browser says no, by its own policy, once it has read it; the bank hears nothing all along."""
        before, end = self.banca.visits(), time.monotonic() + PATIENCE_S
        while True:
            self.go(f"/refused-{time.monotonic_ns()}")
            no = wait_until(lambda: any(title.startswith(BANCA) for title in self.titles()), timeout=10)
            assert self.banca.visits() == before
            if no:
                return
            assert time.monotonic() < end, self.titles()

    def proxy(self) -> str:
        """The status that the PC's own proxy gives a program of the kiosk user for the bank.

        Just started anew, it does not listen yet: that is no answer.
        """
        asked = ["curl", "-s", "-o", "/dev/null", "--max-time", "20", "-w", "%{http_code}"]
        through = [*asked, "-x", "http://127.0.0.1:8118", f"http://{BANCA}/by-curl"]

        def answer() -> str:
            said = self.machine.run(through, user="kiosk", check=False, timeout=30).stdout.strip()
            return "" if said == "000" else said

        return wait_for(answer, 30, "the proxy's answer")

    def allowed(self) -> list[str]:
        """The allow-list that Chromium is given."""
        file = self.machine.root / "etc/chromium/policies/managed/60-lab-allow.json"
        found: list[str] = json.loads(file.read_text())["URLAllowlist"]
        return found

    def pixel(self) -> tuple[int, ...]:
        """Red, green and blue in the middle of the page."""
        printed = self.machine.run(["/usr/bin/python3", "-c", PIXEL, "640", "700"], env=SCREEN).stdout
        return tuple(map(int, printed.split()))

    def picture(self, path: Path) -> None:
        """Keep the screen, for a person to look at."""
        path.write_bytes(self.machine.run_bytes(["maim"], env=SCREEN).stdout)

    def _x(self, *words: str) -> str:
        return self.machine.run(["xdotool", *words], check=False, env=SCREEN).stdout


@pytest.fixture(scope="module")
def sites(lab_of_ten: Site) -> Iterator[tuple[Web, Web]]:
    server, net = lab_of_ten.server, lab_of_ten.lab.network.net
    with (
        web(server, PORTALE, f"{net}.23", (30, 125, 50), BANCA) as portale,
        web(server, BANCA, f"{net}.24", (20, 60, 160), PORTALE) as banca,
    ):
        yield portale, banca


@pytest.fixture
def seat(site: Site, sites: tuple[Web, Web]) -> Iterator[Seat]:
    """A session has begun, and its start page is on the screen."""
    machine = site.pc(2)
    site.layer_for(machine.name, PAYING)
    site.publish()
    before = (machine.root / "etc/hosts").read_text()
    (machine.root / "etc/hosts").write_text(before + "".join(f"{one.address} {one.name}\n" for one in sites))
    place = Seat(site, machine, sites[1])
    wait_for(lambda: state(place) == "available", 60, "an available PC")
    try:
        site.labctl("session", "start", machine.name)
        wait_for(lambda: any(PORTALE in title for title in place.titles()), 60, "the start page")
        time.sleep(ALONE_S)
        yield place
    finally:
        (machine.root / "etc/hosts").write_text(before)  # by another path where the PC was started anew


def state(seat: Seat) -> Any:
    return seat.site.row(seat.machine.name).get("state")


def open_until_reached(seat: Seat) -> None:
    """Opened and, as an operator would, prolonged, until this browser has read its policy."""
    end = time.monotonic() + PATIENCE_S
    seat.opens()
    while not seat.reaches(30):
        assert time.monotonic() < end, seat.titles()
        seat.opens()


def test_a_banks_page_opens_for_the_operators_word_and_is_shut_with_the_session(
    seat: Seat, tmp_path: Path
) -> None:
    seat.is_refused()
    assert seat.proxy() == FILTERED
    assert not seat.is_open()

    open_until_reached(seat)
    wait_for(lambda: seat.pixel() == seat.banca.colour, 20, "the bank's page on the screen")
    seat.picture(tmp_path / "paying.png")
    screen, until = Screen(seat.machine), seat.told_until()
    assert until is not None
    assert 0 < until - since_boot() <= 60
    assert is_loud(screen), "a minute is the last one"
    assert seat.proxy() == "200"
    assert seat.is_open()
    assert "payment" in seat.site.labctl("status").stdout
    assert f"on {seat.machine.name} until" in seat.payment("show")

    seat.payment("close")
    assert not seat.is_open()
    assert seat.told_until() is None
    seat.picture(tmp_path / "over.png")
    assert seat.proxy() == FILTERED
    assert f".{BANCA}" not in seat.allowed()

    assert "is open on" in seat.payment("open", "--minutes", "3", "--why", "prova")
    until = seat.told_until()
    assert until is not None
    assert 100 < until - since_boot() <= 180
    seat.picture(tmp_path / "open.png")
    seat.payment("close")

    seat.opens()
    assert seat.proxy() == "200"
    seat.site.labctl("session", "end", seat.machine.name)
    wait_for(lambda: not seat.is_open(), 20, "the payment mode's end with the session")
    assert seat.told_until() is None
    assert seat.proxy() == FILTERED
    assert "no session is under way" in seat.payment("open", "--minutes", "1", "--why", "prova", check=False)
    seat.site.labctl("session", "start", seat.machine.name)
    assert seat.proxy() == FILTERED, "the next citizen has nothing of it"
    entries = json.loads(seat.payment("show", "--json"))["record"]
    assert {entry["outcome"] for entry in entries} == {"opened", "refused"}


@pytest.mark.long
def test_it_shuts_by_itself_while_the_cable_is_cut(seat: Seat, tmp_path: Path) -> None:
    open_until_reached(seat)
    seat.opens()
    opened = time.monotonic()
    seat.site.lab.cut(seat.machine.name)
    assert f".{BANCA}" in seat.allowed(), "the control: open when the cable was cut"
    assert seat.proxy() != FILTERED
    wait_for(lambda: f".{BANCA}" not in seat.allowed(), 180, "the end of the minute")
    took = time.monotonic() - opened
    seat.picture(tmp_path / "over.png")
    assert seat.told_until() is None
    assert took > 50, "the minute was the citizen's"
    wait_for(lambda: seat.proxy() == FILTERED, 30, "a proxy that refuses")
    say(f"a minute's payment mode was shut by the PC alone, its cable cut, {took:.1f} s after it was opened")

    seat.site.lab.heal(seat.machine.name)
    wait_for(lambda: seat.site.presence(seat.machine.name) == "online" and not seat.is_open(), 60, "its word")
    assert state(seat) == "active", "the session goes on"
    seat.is_refused()


@pytest.mark.long
def test_a_killed_agent_keeps_the_end_and_a_power_cut_is_one(seat: Seat) -> None:
    seat.opens()
    seat.machine.run(["systemctl", "kill", "-s", "KILL", "lab-enforcer.service"])
    wait_for(lambda: seat.proxy() == "200" and seat.is_open(), 30, "still open")
    assert f".{BANCA}" in seat.allowed()
    seat.machine.crash()
    seat.machine.switch_on()
    wait_for(lambda: state(seat) == "available", 120, "an available PC")
    assert not seat.is_open()
    assert seat.proxy() == FILTERED
    assert f".{BANCA}" not in seat.allowed()
