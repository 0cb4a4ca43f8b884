"""Films a PC's screen from the first moment there is one: camera.py FOLDER, inside the PC, by its python3.

Each picture that differs from the last is a file, and a line in FOLDER/film: when
(CLOCK_MONOTONIC, in seconds), the file, its width and height, and the titles of
the windows as the window manager lists them. A file is zlib over rows of four
bytes a pixel: blue, green, red, nothing. A screen that goes and comes again is
filmed again. It asks the X server alone, and imports nothing that draws.
"""

import ctypes
import json
import os
import sys
import time
import zlib
from pathlib import Path

EVERY_S = 0.04
DISPLAY, COOKIE = b":0", "/run/lab-kiosk/Xauthority"
Z_PIXMAP, ANY = 2, 0
MOST_WINDOWS = 64


class Image(ctypes.Structure):
    """The beginning of Xlib's XImage."""

    _fields_ = (
        ("width", ctypes.c_int),
        ("height", ctypes.c_int),
        ("xoffset", ctypes.c_int),
        ("format", ctypes.c_int),
        ("data", ctypes.c_void_p),
    )


class Screen:
    """The display's first screen. OSError where there is none."""

    def __init__(self) -> None:
        self._x = x = ctypes.CDLL("libX11.so.6")
        x.XOpenDisplay.restype = ctypes.c_void_p
        x.XDefaultRootWindow.restype = x.XInternAtom.restype = ctypes.c_ulong
        x.XGetImage.restype = ctypes.POINTER(Image)
        # A window that has gone meanwhile is no reason to end.
        self._handler = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)(lambda *_: 0)
        x.XSetErrorHandler(self._handler)
        self._display = ctypes.c_void_p(x.XOpenDisplay(DISPLAY))
        if not self._display:
            raise OSError("no display")
        self._root = ctypes.c_ulong(x.XDefaultRootWindow(self._display))
        self.size = x.XDisplayWidth(self._display, 0), x.XDisplayHeight(self._display, 0)
        self._area = (0, 0, *self.size, ctypes.c_ulong(0xFFFFFFFF), Z_PIXMAP)
        self._image = x.XGetImage(self._display, self._root, *self._area)
        names = ("_NET_CLIENT_LIST", "_NET_WM_NAME")
        self._list, self._name = (self._atom(name) for name in names)

    def picture(self) -> bytes:
        """What is on it now."""
        self._x.XGetSubImage(self._display, self._root, *self._area, self._image, 0, 0)
        width, height = self.size
        return ctypes.string_at(self._image.contents.data, width * height * 4)

    def titles(self) -> list[str]:
        """Of the windows that the window manager knows."""
        listed = self._property(self._root, self._list)
        size = ctypes.sizeof(ctypes.c_ulong)
        windows = [listed[at : at + size] for at in range(0, len(listed), size)]
        numbers = [ctypes.c_ulong(int.from_bytes(one, sys.byteorder)) for one in windows]
        return [self._property(number, self._name).decode(errors="replace") for number in numbers]

    def _atom(self, name: str) -> ctypes.c_ulong:
        return ctypes.c_ulong(self._x.XInternAtom(self._display, name.encode(), 0))

    def _property(self, window: ctypes.c_ulong, name: ctypes.c_ulong) -> bytes:
        kind, left = ctypes.c_ulong(), ctypes.c_ulong()
        bits, count = ctypes.c_int(), ctypes.c_ulong()
        data = ctypes.c_void_p()
        out = (ctypes.byref(one) for one in (kind, bits, count, left, data))
        wanted = (ctypes.c_long(0), ctypes.c_long(MOST_WINDOWS * 4), 0, ctypes.c_ulong(ANY))
        self._x.XGetWindowProperty(self._display, window, name, *wanted, *out)
        if not data:
            return b""
        # What X calls 32 bits is a long here.
        width = ctypes.sizeof(ctypes.c_long) if bits.value == 32 else bits.value // 8
        try:
            return ctypes.string_at(data, count.value * width)
        finally:
            self._x.XFree(data)


def film(folder: Path) -> None:
    """Until the screen goes: Xlib then ends the process."""
    screen = Screen()
    last: object = None
    with (folder / "film").open("a") as log:
        while True:
            now, picture, titles = time.monotonic(), screen.picture(), screen.titles()
            seen = zlib.crc32(picture), titles
            if seen != last:
                name = f"{now:.3f}.z"
                (folder / name).write_bytes(zlib.compress(picture, 1))
                log.write(json.dumps([now, name, *screen.size, titles]) + "\n")
                log.flush()
                last = seen
            time.sleep(EVERY_S)


def main(where: str) -> None:
    """Film each screen that comes, each in a process of its own, which goes with it."""
    folder = Path(where)
    folder.mkdir(mode=0o700, exist_ok=True)
    os.environ["XAUTHORITY"] = COOKIE
    while True:
        if Path(COOKIE).exists() and Path("/tmp/.X11-unix/X0").exists():
            child = os.fork()
            if not child:
                try:
                    film(folder)
                finally:
                    os._exit(0)
            os.waitpid(child, 0)
        time.sleep(EVERY_S)


if __name__ == "__main__":
    main(sys.argv[1])
