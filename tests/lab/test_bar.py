"""The start page and the session bar as a citizen has them: on a screen, by mouse, by keyboard, read aloud.

A real bar (its unit, its user) under a real window manager, above a real
Chromium with the shipped profile. In the enforcer's place stands a listening
socket, so that what the bar says can be read and what it is told can be chosen.
"""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from agent.clock import since_boot
from agent.core.citizen import CitizenState, state_line
from contract.sentence import Sentence
from tests.lab.kiosk import DISPLAY, SIZE, Kiosk, kiosk
from tests.lab.rig import Machine, RigError
from tests.lab.rig.host import say
from tests.lab.site import Site, wait_for

pytestmark = [pytest.mark.lab, pytest.mark.timeout(300)]

UNIT = "lab-bar.service"
WINDOW = "lab-bar"
START = "file:///var/lib/lab-agent/start/it.html"
BACKGROUND = (16, 35, 58)
EMPTY = (SIZE[0] // 2 - 60, 4)
"""A place of the bar where nothing is written."""
RO = (SIZE[0] - 30, 28)
DOOR = "/run/lab-door-of-a-test"
NAMED = ("push button", "label")

# Prints role and name of everything that a screen reader finds in the bar.
_READ_ALOUD = """
import json, pyatspi
def walk(one):
    if one.getState().contains(pyatspi.STATE_SHOWING):
        print(json.dumps([one.getRoleName(), one.name]))
        for child in one:
            walk(child)
for program in pyatspi.Registry.getDesktop(0):
    for window in program:
        if program.name == "lab-bar" or window.getRoleName() in ("frame", "window"):
            walk(window)
"""


class Door:
    """The enforcer's end of the citizen's door on one PC, held by the test."""

    def __init__(self, machine: Machine) -> None:
        path = machine.root / DOOR.lstrip("/")
        path.unlink(missing_ok=True)
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        path.chmod(0o666)
        self._listener.listen(1)
        self._listener.settimeout(20)
        self._peer: socket.socket | None = None

    def welcome(self) -> None:
        """Wait for the bar; it is the only one that comes."""
        self.hang_up()
        self._peer, _ = self._listener.accept()
        self._peer.settimeout(20)

    def tell(self, language: str = "it", **changes: Any) -> None:
        """Tell the bar of a session with 25 minutes left, or of what `changes` say."""
        told = {"state": "active", "at_monotonic": since_boot(), "ends_in_s": 1500.0, **changes}
        assert self._peer is not None
        self._peer.sendall(state_line(CitizenState(language=language, **told)))  # type: ignore[arg-type]  # a test names a language

    def asked(self) -> dict[str, str]:
        """What the bar asks next."""
        assert self._peer is not None
        asked: dict[str, str] = json.loads(self._peer.recv(4096))
        return asked

    def hang_up(self) -> None:
        """As when the enforcer ends."""
        if self._peer is not None:
            self._peer.close()

    def close(self) -> None:
        """No door any more."""
        self.hang_up()
        self._listener.close()


@contextmanager
def door_of(machine: Machine) -> Iterator[Door]:
    """A door on a PC for the length of a test."""
    door = Door(machine)
    try:
        yield door
    finally:
        door.close()
        (machine.root / DOOR.lstrip("/")).unlink(missing_ok=True)


@contextmanager
def unit(machine: Machine) -> Iterator[None]:
    """The bar as systemd runs it, on the test's screen and at the test's door."""
    # Where packages put theirs: in /run or /etc the agent would take it out again.
    drop_in = f"/usr/lib/systemd/system/{UNIT}.d/test.conf"
    text = f"[Service]\nEnvironment=DISPLAY={DISPLAY} LAB_DOOR={DOOR}\nUnsetEnvironment=XAUTHORITY\n"
    machine.run(["install", "-D", "-m", "644", "/dev/stdin", drop_in], input=text)
    machine.run(["systemctl", "daemon-reload"])
    machine.run(["systemctl", "restart", UNIT])
    try:
        yield
    finally:
        machine.run(["rm", "-r", f"/usr/lib/systemd/system/{UNIT}.d"])
        machine.run(["systemctl", "daemon-reload"])
        machine.run(["systemctl", "restart", UNIT])


def back(machine: Machine, door: Door, before: int) -> None:
    """Wait for the bar's next process, and let it in."""
    machine.successor(UNIT, before)
    door.welcome()
    door.tell()


def in_sight(seat: Kiosk) -> bool:
    """Whether the bar is mapped and drawn."""
    return WINDOW in seat.titles() and seat.pixels(EMPTY) == [BACKGROUND]


@pytest.mark.parametrize("number", [3, 10], ids=["bookworm", "trixie"])
def test_the_bar_is_always_in_sight_and_says_what_is_pressed(site: Site, tmp_path: Path, number: int) -> None:
    machine = site.pc(number)
    with door_of(machine) as door, kiosk(machine, START) as seat:
        assert seat.shows("Servizi per i cittadini"), seat.titles()  # the policy opens the PC's own page
        began = time.monotonic()
        with unit(machine):  # which takes the bar of the PC's own screen to the test's
            wait_for(lambda: WINDOW in seat.titles(), 30, "the bar")
            mapped = time.monotonic() - began
            door.welcome()
            door.tell()
            wait_for(lambda: in_sight(seat), 30, "the bar drawn")
            say(f"the bar is mapped {mapped:.2f} s after systemctl start; PSS {pss(machine) / 1024:.0f} MB")

            seat.click(SIZE[0] // 2, 500)
            seat.key("F11", "super+Up", "alt+F10")
            assert in_sight(seat)
            seat.picture(tmp_path / "session.png")

            seat.key("F9", "Return")
            assert door.asked() == {"ask": "help"}
            seat.key("F9", "Tab", "Return")
            assert door.asked() == {"ask": "more-time"}
            seat.key("F9", "Tab", "Tab", "Return")  # asks; the keyboard stands on "no"
            seat.key("shift+Tab", "Return")
            assert door.asked() == {"ask": "end"}
            seat.click(*RO)
            assert door.asked() == {"ask": "language", "value": "ro"}
            focus(seat, "Servizi per i cittadini")

            door.hang_up()  # the enforcer restarts
            door.welcome()
            door.tell("ro")

            before = machine.pid_of(UNIT)
            began = time.monotonic()
            machine.run(["systemctl", "kill", "--signal=KILL", UNIT])
            back(machine, door, before)
            wait_for(lambda: in_sight(seat), 30, "the bar after it was killed")
            say(f"the bar is drawn again {time.monotonic() - began:.2f} s after it was killed")

            # A citizen's programs may not signal it. On its screen they may cut its connection; it returns.
            signalled = machine.run(["pkill", "-f", "agent.citizen"], user="kiosk", check=False)
            assert "not permitted" in signalled.stderr
            before = machine.pid_of(UNIT)
            seat.run("xdotool", "search", "--name", f"^{WINDOW}$", "windowkill")
            back(machine, door, before)
            wait_for(lambda: in_sight(seat), 30, "the bar after its window was killed")


def test_a_reader_finds_every_control_in_each_language_and_a_refusal_is_told(
    site: Site, tmp_path: Path
) -> None:
    machine = site.pc(3)
    with door_of(machine) as door, kiosk(machine, START) as seat, read_aloud(machine, seat) as heard:
        door.welcome()
        for language, end, refusal in (
            ("it", "Fine sessione", "Questo indirizzo non è aperto in questa sala. Chiedi all'operatore."),
            ("en", "End session", "This address is not open in this lab. Ask the operator."),
            ("ro", "Încheie sesiunea", "Această adresă nu este deschisă aici. Întreabă operatorul."),
        ):
            door.tell(language, sentence=Sentence("Help"))
            wait_for(lambda: ("push button", end) in heard(), 30, f"the bar in {language}")  # noqa: B023  # asked at once
            found = heard()
            assert [name for role, name in found if role in NAMED and not name] == []
            assert {"Italiano", "English", "Română"} <= {name for _, name in found}
            assert any("25 min" in name for _, name in found), found
            seat.picture(tmp_path / f"{language}.png")

            seat.go("http://altrove.test/page")
            wait_for(lambda: ("label", refusal) in heard(), 30, f"the refusal in {language}")  # noqa: B023
            seat.picture(tmp_path / f"{language}-refused.png")
            seat.go(START)
            wait_for(lambda: ("label", refusal) not in heard(), 30, "an open page again")  # noqa: B023


def test_payment_mode_is_told_with_its_time_in_each_language(site: Site, tmp_path: Path) -> None:
    machine = site.pc(3)
    with door_of(machine) as door, kiosk(machine, START) as seat, read_aloud(machine, seat) as heard:
        door.welcome()
        for language, name, opened, soon, over in (
            ("it", "Pagamento", "Ora puoi pagare:", "Le pagine per il pagamento stanno", "Il tempo per il"),
            ("en", "Payment", "You can pay now:", "The pages for your payment are", "The time for your"),
            ("ro", "Plată", "Acum poți plăti:", "Paginile pentru plată se închid", "Timpul pentru plată"),
        ):

            def is_said(begin: str, box: str = "") -> bool:
                names = [name for _, name in heard()]
                boxes = [one for one in names if one.startswith(f"{name}: ")]
                return any(one.startswith(begin) for one in names) and (
                    any(one.endswith(box) for one in boxes) if box else not boxes
                )

            door.tell(language, paying_until_s=since_boot() + 239)
            wait_for(lambda: is_said(opened, "4 min"), 20, f"{opened} in {language}")  # noqa: B023
            seat.picture(tmp_path / f"{language}-open.png")
            door.tell(language, paying_until_s=since_boot() + 20)
            wait_for(lambda: is_said(soon, " s"), 20, f"{soon} in {language}")  # noqa: B023
            seat.picture(tmp_path / f"{language}-soon.png")
            door.tell(language)
            wait_for(lambda: is_said(over), 20, f"{over} in {language}")  # noqa: B023
            seat.picture(tmp_path / f"{language}-over.png")
            door.tell(language, state="wiping")
            wait_for(lambda: not is_said(over), 20, f"nothing of it in {language} for the next")  # noqa: B023

        door.tell("it", paying_until_s=since_boot() + 5)
        wait_for(lambda: any(name.startswith("Pagamento: ") for _, name in heard()), 20, "an open mode")
        wait_for(lambda: not any("agamento" in name for _, name in heard()), 20, "its end by the bar's count")


def test_who_has_no_mouse_starts_with_return_wherever_the_keyboard_was(site: Site, tmp_path: Path) -> None:
    machine = site.pc(3)
    with door_of(machine) as door, kiosk(machine, START) as seat, unit(machine):
        door.welcome()
        for before in ("lab-ground", WINDOW, "Servizi per i cittadini"):
            door.tell(state="wiping", ends_in_s=None)
            if before == WINDOW:
                seat.key("F9")
            else:
                seat.run("xdotool", "search", "--name", f"^{before}", "windowactivate")
            focus(seat, before)
            door.tell(state="available", ends_in_s=None)
            starts(seat, door)
            seat.picture(tmp_path / f"{before}.png")
        for _ in range(5):  # a bar that is just coming up, on a window manager that hardly knows it
            before_it = machine.pid_of(UNIT)
            machine.run(["systemctl", "kill", "--signal=KILL", UNIT])
            machine.successor(UNIT, before_it)
            door.welcome()
            door.tell(state="available", ends_in_s=None)
            starts(seat, door)
        for there in (WINDOW, "lab-ground", WINDOW):  # F9 leads to the bar and back all the same
            seat.key("F9")
            focus(seat, there)
        seat.key("Return")
        assert door.asked() == {"ask": "help"}


def starts(seat: Kiosk, door: Door) -> None:
    """Return, pressed when the free PC's ground has had the keyboard for a while, begins a session."""
    focus(seat, "lab-ground")
    time.sleep(0.5)
    focus(seat, "lab-ground")
    seat.key("Return")
    assert door.asked() == {"ask": "start", "value": "it"}


@contextmanager
def read_aloud(machine: Machine, seat: Kiosk, **environment: str) -> Iterator[Any]:
    """The bar on an accessibility bus, and a way to ask what a screen reader finds in it."""
    bus = "/home/kiosk/bus"
    start = f"printenv DBUS_SESSION_BUS_ADDRESS >{bus}; exec /opt/lab-agent/bin/python -I -m agent.citizen"
    env = {**seat.environment, "LAB_DOOR": DOOR, **environment}
    with machine.popen(["dbus-run-session", "--", "sh", "-c", start], user="kiosk", env=env):
        there = machine.root / bus.lstrip("/")
        wait_for(lambda: there.exists() and there.read_text().strip(), 30, "a bus")
        env["DBUS_SESSION_BUS_ADDRESS"] = there.read_text().strip()

        def heard() -> list[tuple[str, str]]:
            argv = ["/usr/bin/python3", "-c", _READ_ALOUD]
            said = machine.run(argv, user="kiosk", env=env, check=False).stdout
            return [(role, name) for role, name in map(json.loads, said.splitlines())]

        try:
            yield heard
        finally:
            there.unlink(missing_ok=True)


def focus(seat: Kiosk, title: str) -> None:
    """Wait until a window has the keyboard."""
    argv = ("xdotool", "getactivewindow", "getwindowname")
    wait_for(lambda: seat.run(*argv, check=False).startswith(title), 20, f"the keyboard on {title}")


def pss(machine: Machine) -> int:
    """The bar's share of memory in KiB."""
    for line in Path(f"/proc/{machine.pid_of(UNIT)}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1])
    raise RigError(f"{UNIT} on {machine.name} has no memory")
