"""A PC's own screen as the agent brings it up: what is on it, and a citizen's mouse and keyboard.

Things are found by what they look like: a button is a stretch of its colour in
a row of the screen, as an eye finds it. Nothing asks the bar or the browser.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from tests.lab.rig import Machine
from tests.lab.rig.host import CommandFailed, RigError
from tests.lab.site import wait_for

SCREEN = {"DISPLAY": ":0", "XAUTHORITY": "/run/lab-kiosk/Xauthority"}
SIZE = (1280, 800)
BAR_HEIGHT = 56

BLACK, GROUND, WHITE = (0, 0, 0), (16, 35, 58), (255, 255, 255)
YELLOW, RED = (255, 213, 74), (156, 28, 28)
"""Of the bar: what is new or urgent, and what ends something."""

Colour = tuple[int, ...]

_ROW = """
import sys, gi
gi.require_version("Gdk", "3.0")
from gi.repository import Gdk
root = Gdk.get_default_root_window()
row = Gdk.pixbuf_get_from_window(root, 0, int(sys.argv[1]), root.get_width(), 1)
depth, data = row.get_n_channels(), row.get_pixels()
start, width = 0, root.get_width()
colours = [tuple(data[x * depth : x * depth + 3]) for x in range(width)]
for x in range(1, width + 1):
    if x == width or colours[x] != colours[start]:
        print(start, x, *colours[start])
        start = x
"""

_FIND = """
import sys, gi
gi.require_version("Gdk", "3.0")
from gi.repository import Gdk
root = Gdk.get_default_root_window()
top, least, *colour = map(int, sys.argv[1:])
shot = Gdk.pixbuf_get_from_window(root, 0, top, root.get_width(), root.get_height() - top)
depth, stride, data = shot.get_n_channels(), shot.get_rowstride(), shot.get_pixels()
wanted = bytes(colour) * least
for y in range(shot.get_height() - 8):
    x = data[y * stride : (y + 1) * stride].find(wanted)
    if x >= 0 and x % depth == 0 and data[(y + 8) * stride + x :][: depth * 4] == wanted[: depth * 4]:
        print(x // depth + least // 2, top + y + 5)
        break
"""
"""Prints where a button of a colour is: a stretch so long, with more of it some rows lower."""


class Run(NamedTuple):
    """A stretch of one colour in a row of the screen."""

    start: int
    end: int
    colour: Colour

    @property
    def middle(self) -> int:
        """Where to click."""
        return (self.start + self.end) // 2


class Screen:
    """The screen of one PC."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine

    def run(self, *argv: str) -> str:
        """Run a program on the screen; what it printed, nothing where there is no screen."""
        return self.machine.run(argv, env=SCREEN, check=False, timeout=30).stdout

    def titles(self) -> list[str]:
        """Of the windows in sight."""
        found = self.run("xdotool", "search", "--onlyvisible", "--name", ".").split()
        names = (self.run("xdotool", "getwindowname", window).strip() for window in found)
        return [name for name in names if name]

    def shows(self, title: str, seconds: float = 60) -> None:
        """Wait for a window whose title begins so."""
        wait_for(lambda: any(name.startswith(title) for name in self.titles()), seconds, title)

    def row(self, y: int) -> list[Run]:
        """What is in a row, from left to right; nothing where there is no screen (yet)."""
        try:
            printed = self.run("/usr/bin/python3", "-c", _ROW, str(y))
        except (RigError, CommandFailed):
            return []
        numbers = (tuple(map(int, line.split())) for line in printed.splitlines())
        return [Run(start, end, colour) for start, end, *colour_ in numbers for colour in (tuple(colour_),)]

    def stretches(self, y: int, colour: Colour, least: int = 30) -> list[Run]:
        """Stretches of a colour, each at least so wide."""
        return [run for run in self.row(y) if run.colour == colour and run.end - run.start >= least]

    def find(self, colour: Colour, *, top: int = 0, least: int = 60) -> tuple[int, int] | None:
        """A place in the highest button of a colour, from the row `top` on; None where there is none."""
        numbers = map(str, (top, least, *colour))
        try:
            printed = self.run("/usr/bin/python3", "-c", _FIND, *numbers).split()
        except (RigError, CommandFailed):
            return None
        return (int(printed[0]), int(printed[1])) if printed else None

    def click(self, x: int, y: int) -> None:
        """Click there."""
        self.run("xdotool", "mousemove", str(x), str(y), "click", "1")

    def press(self, y: int, colour: Colour, number: int = 0, least: int = 30) -> None:
        """Click on a button, when it is there: the stretch of its colour with this number in that row."""

        def there() -> list[Run]:
            found = self.stretches(y, colour, least)
            return found if -len(found) <= number < len(found) else []

        self.click(wait_for(there, 30, f"a button in row {y}")[number].middle, y)

    def picture(self, path: Path) -> None:
        """Keep it as PNG, for a person to look at."""
        path.write_bytes(self.machine.run_bytes(["maim"], env=SCREEN).stdout)


def is_loud(screen: Screen) -> bool:
    """Whether the bar says something in yellow: what the citizen has just done needs a word."""
    return any(screen.stretches(y, YELLOW, 2) for y in range(18, 40, 2))
