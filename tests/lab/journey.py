"""A person at a PC of the lab, from the power button on: what they press and type, and a film of the screen.

Each step is a picture in a folder below build/, for somebody to look at; the film
(camera.py) has every picture in between, so that nothing flashes by unseen.
"""

from __future__ import annotations

import contextlib
import json
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.lab import camera
from tests.lab.rig import Machine
from tests.lab.screen import BAR_HEIGHT, BLACK, GROUND, Colour, Screen
from tests.lab.site import wait_for

PICTURES = Path(__file__).resolve().parents[2] / "build/journeys"
FILM = "/run/lab-camera"
SOURCE = Path(camera.__file__).read_text(encoding="utf-8")
OURS = {"lab-bar", "lab-ground"}
"""Titles of the two windows that a PC shows beside the browser."""


@dataclass(frozen=True)
class Frame:
    """One picture of the film."""

    at: float
    """time.monotonic, in seconds."""
    file: Path
    width: int
    height: int
    titles: frozenset[str]

    def rows(self) -> list[bytes]:
        """Its rows, the highest first; four bytes a pixel: blue, green, red, nothing."""
        data, row = zlib.decompress(self.file.read_bytes()), self.width * 4
        return [data[at : at + row] for at in range(0, len(data), row)]

    def share(self, *colours: Colour, top: int = 0) -> float:
        """How much of it, from the row `top` down, is of these colours: 0 to 1."""
        below = b"".join(self.rows()[top:])
        pixels = memoryview(below).cast("I")
        wanted = {blue | green << 8 | red << 16 for red, green, blue in colours}
        there = sum(1 for pixel in pixels if pixel & 0xFFFFFF in wanted)
        return there / len(pixels)

    @property
    def is_plain(self) -> bool:
        """Nothing but black or our ground, of which words and buttons take a tenth: no menu, no page."""
        return self.share(BLACK, GROUND, top=BAR_HEIGHT) > 0.85

    @property
    def is_blank(self) -> bool:
        """One colour below the bar: a browser that has not drawn anything yet."""
        below = set(self.rows()[BAR_HEIGHT:])
        row = next(iter(below))
        return len(below) == 1 and row == row[:4] * self.width

    def keep(self, path: Path) -> None:
        """Write it as PNG."""
        lines = b"".join(b"\0" + _red_first(row) for row in self.rows())
        head = struct.pack(">IIBBBBB", self.width, self.height, 8, 2, 0, 0, 0)
        chunks = ((b"IHDR", head), (b"IDAT", zlib.compress(lines, 6)), (b"IEND", b""))
        path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(*one) for one in chunks))


def _red_first(row: bytes) -> bytes:
    out = bytearray(len(row) // 4 * 3)
    out[0::3], out[1::3], out[2::3] = row[2::4], row[1::4], row[0::4]
    return bytes(out)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


class Person:
    """Somebody at a PC. Every step is a picture in build/journeys/NAME."""

    def __init__(self, machine: Machine, name: str) -> None:
        self.screen = Screen(machine)
        self.machine = machine
        self.folder = PICTURES / name
        self.folder.mkdir(parents=True, exist_ok=True)
        for old in self.folder.glob("*.png"):
            old.unlink()
        self._steps = 0

    def sees(self, title: str, step: str, seconds: float = 30) -> None:
        """Wait for a page, and keep a picture of it."""
        self.screen.shows(title, seconds)
        self.looks(step)

    def looks(self, step: str) -> None:
        """Keep a picture."""
        self._steps += 1
        self.screen.picture(self.folder / f"{self._steps:02d}-{step}.png")

    def presses(self, colour: Colour, what: str, *, top: int = BAR_HEIGHT) -> None:
        """Press the highest button of a colour below the row `top`."""
        found = wait_for(lambda: self.screen.find(colour, top=top), 30, what)
        self.screen.click(*found)

    def types(self, text: str) -> None:
        """At the speed of somebody who knows the keyboard."""
        self.screen.run("xdotool", "type", "--delay", "25", text)

    def keys(self, *chords: str) -> None:
        """Press keys as xdotool names them."""
        self.screen.run("xdotool", "key", "--clearmodifiers", *chords)

    @contextlib.contextmanager
    def filmed(self) -> Iterator[None]:
        """The screen is filmed, from the moment there is one."""
        with self.machine.popen(["python3", "-c", SOURCE, FILM]):
            yield

    def film(self) -> list[Frame]:
        """All that was filmed since the PC was switched on."""
        folder = self.machine.root / FILM.lstrip("/")
        lines = (folder / "film").read_text().splitlines()
        told = (json.loads(line) for line in lines)
        return [
            Frame(at, folder / name, width, height, frozenset(titles))
            for at, name, width, height, titles in told
        ]
