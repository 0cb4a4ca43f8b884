"""A citizen at a PC: a screen, the lab's window manager, Chromium, a keyboard and a mouse.

Everything runs as the user kiosk with Chromium's sandbox on, and is judged from
outside: titles of windows, pixels, what sites log. Nothing asks the browser.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from subprocess import DEVNULL, PIPE

from tests.lab.rig import Machine
from tests.lab.rig.host import wait_until
from tests.lab.rig.inside import Inside

DISPLAY = ":7"
SIZE = (1280, 800)
BAR_HEIGHT = 56
"""Pixels that the shipped profiles keep for the session bar."""
ADDRESS_BAR = (700, BAR_HEIGHT + 63)
"""Of Chromium's maximised window under that strip."""
RC = "/etc/lab-agent/openbox/rc.xml"
PROFILE = "/home/kiosk/profile"
FLAGS = (
    *("--no-first-run", "--password-store=basic", "--disable-breakpad", "--hide-crash-restore-bubble"),
    f"--user-data-dir={PROFILE}",  # with the default one Chromium refuses the debugging port by itself
)
PIXEL = """
import sys, gi
gi.require_version("Gdk", "3.0")
from gi.repository import Gdk
screen = Gdk.get_default_root_window()
for x, y in zip(*[map(int, sys.argv[1:])] * 2):
    print(*Gdk.pixbuf_get_from_window(screen, x, y, 1, 1).get_pixels()[:3])
"""


class Kiosk:
    """The screen of one PC, with one Chromium on it, and whose hands are at its keyboard."""

    def __init__(
        self, machine: Machine, *, user: str | None = "kiosk", environment: Mapping[str, str] | None = None
    ) -> None:
        self.machine = machine
        self.user = user
        self.environment = {
            "DISPLAY": DISPLAY,
            "HOME": "/home/kiosk",
            "LANG": "C.UTF-8",
            **(environment or {}),
        }

    def run(self, *argv: str, check: bool = True) -> str:
        """Run a program on the screen; what it printed."""
        return self.machine.run(argv, user=self.user, env=self.environment, check=check, timeout=60).stdout

    def key(self, *chords: str) -> None:
        """Press keys as xdotool names them (ctrl+l, F11)."""
        self.run("xdotool", "key", "--clearmodifiers", *chords)

    def click(self, x: int, y: int, button: int = 1) -> None:
        """Click at a place on the screen."""
        self.run("xdotool", "mousemove", str(x), str(y), "click", str(button))

    def go(self, url: str) -> None:
        """Type an address into the address bar, found by mouse: the lab's window manager swallows Ctrl+L."""
        self.click(*ADDRESS_BAR)
        self.key("ctrl+a")
        self.run("xdotool", "type", "--delay", "5", url)
        self.key("Return")

    def titles(self) -> list[str]:
        """The titles of all windows in sight."""
        found = self.run("xdotool", "search", "--onlyvisible", "--name", ".", check=False).split()
        names = (self.run("xdotool", "getwindowname", window, check=False).strip() for window in found)
        return [name for name in names if name]

    def shows(self, title: str, seconds: float = 15) -> bool:
        """Whether a window has a title that begins so, within a while."""
        return wait_until(
            lambda: any(name.startswith(title) for name in self.titles()), timeout=seconds, every=0.2
        )

    def pixels(self, *places: tuple[int, int]) -> list[tuple[int, ...]]:
        """Red, green and blue at places of the screen."""
        numbers = [str(number) for place in places for number in place]
        printed = self.run("/usr/bin/python3", "-c", PIXEL, *numbers)
        return [tuple(map(int, line.split())) for line in printed.splitlines()]

    def picture(self, path: Path) -> None:
        """Keep the screen as PNG, for a person to look at."""
        shot = self.machine.run_bytes(["maim"], user="kiosk", env=self.environment)
        path.write_bytes(shot.stdout)

    def browser(self) -> int:
        """Process id, inside the PC, of the browser itself (not of its children)."""
        return int(self.run("pgrep", "-o", "-x", "chromium").split()[0])


@contextmanager
def kiosk(machine: Machine, url: str, *, rc: str | None = RC, flags: Sequence[str] = ()) -> Iterator[Kiosk]:
    """A screen with Chromium at `url`; everything of the citizen's is gone at the end.

    `rc` is openbox's configuration; without one, its own defaults.
    """
    seat = Kiosk(machine)
    with ExitStack() as stack:

        def start(*argv: str, stdout: int = DEVNULL) -> Inside:
            return stack.enter_context(
                machine.popen(argv, user="kiosk", env=seat.environment, stdout=stdout, stderr=DEVNULL)
            )

        stack.callback(_sweep, machine)
        # -displayfd: it says when it takes clients; its socket is there a moment before that.
        # -noreset: or it starts anew when its only client leaves, and a window manager that comes is cut off.
        screen = start(
            *("Xvfb", DISPLAY, "-screen", "0", f"{SIZE[0]}x{SIZE[1]}x24", "-nolisten", "tcp"),
            *("-noreset", "-displayfd", "1"),
            stdout=PIPE,
        )
        if not screen.stdout or not screen.stdout.readline():
            raise AssertionError("the screen did not come up")
        start("openbox", *(["--config-file", rc] if rc else []))
        if not wait_until(lambda: _is_managed(seat), timeout=20):
            raise AssertionError("the window manager did not come up")
        start("chromium", *FLAGS, *flags, url)
        if not seat.shows("", 40) or not wait_until(lambda: bool(_chromium(seat)), timeout=40, every=0.3):
            raise AssertionError(f"the browser did not come up; windows: {seat.titles()}")
        time.sleep(0.5)  # the first window is mapped before it takes keys
        yield seat


def _is_managed(seat: Kiosk) -> bool:
    """Whether a window manager has the screen (EWMH): without one, clicks go astray."""
    return "window id" in seat.run("xprop", "-root", "_NET_SUPPORTING_WM_CHECK", check=False)


def _chromium(seat: Kiosk) -> list[str]:
    return [title for title in seat.titles() if "hromium" in title]


def _sweep(machine: Machine) -> None:
    machine.run(["pkill", "-KILL", "-u", "kiosk"], check=False)
    left = [PROFILE, *(f"/home/kiosk/{name}" for name in (".cache", ".config", ".local", ".pki"))]
    machine.run(["rm", "-rf", *left, f"/tmp/.X11-unix/X{DISPLAY[1:]}", f"/tmp/.X{DISPLAY[1:]}-lock"])
