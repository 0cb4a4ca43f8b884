"""The canary on the screen: what is copied, what is marked, and the cut buffer. By libX11 itself.

    python -m agent.helpers.selections hold TEXT    own both with a window that holds TEXT, until killed
    python -m agent.helpers.selections tell         a line for each that somebody holds: name, tab, TEXT

A program of its own, because libX11 ends the process whose X server goes. The
holder gives its text to nobody who pastes: a citizen who has copied nothing
pastes nothing, and at once (an owner that does not answer would stop the
browser for seconds).
"""

import ctypes
import sys
from collections.abc import Iterator
from ctypes import POINTER, Structure, Union, byref, c_char_p, c_int, c_long, c_ubyte, c_ulong, c_void_p

SELECTIONS = {"clipboard": b"CLIPBOARD", "selection": b"PRIMARY"}
CUT_BUFFER = "cut-buffer"
_KEPT = b"LAB_CANARY"
"""The property of the holder's window that holds the text."""

_SELECTION_REQUEST, _SELECTION_NOTIFY = 30, 31
_LONGEST = 256
_STRING = 31
_ANY = 0


class _Request(Structure):
    _fields_ = (
        ("type", c_int), ("serial", c_ulong), ("sent", c_int), ("display", c_void_p), ("owner", c_ulong),
        ("requestor", c_ulong), ("selection", c_ulong), ("target", c_ulong), ("property", c_ulong),
        ("time", c_ulong),
    )  # fmt: skip


class _Notify(Structure):
    _fields_ = (
        ("type", c_int), ("serial", c_ulong), ("sent", c_int), ("display", c_void_p),
        ("requestor", c_ulong), ("selection", c_ulong), ("target", c_ulong), ("property", c_ulong),
        ("time", c_ulong),
    )  # fmt: skip


class _XEvent(Union):
    _fields_ = (("type", c_int), ("request", _Request), ("notify", _Notify), ("pad", c_long * 24))


def _library() -> ctypes.CDLL:
    x = ctypes.CDLL("libX11.so.6")
    for name, returns, takes in (
        ("XOpenDisplay", c_void_p, (c_char_p,)),
        ("XCloseDisplay", c_int, (c_void_p,)),
        ("XDefaultRootWindow", c_ulong, (c_void_p,)),
        ("XCreateSimpleWindow", c_ulong, (c_void_p, c_ulong, *(c_int,) * 5, c_ulong, c_ulong)),
        ("XInternAtom", c_ulong, (c_void_p, c_char_p, c_int)),
        ("XChangeProperty", c_int, (c_void_p, c_ulong, c_ulong, c_ulong, c_int, c_int, c_char_p, c_int)),
        ("XGetWindowProperty", c_int, (
            c_void_p, c_ulong, c_ulong, c_long, c_long, c_int, c_ulong,
            POINTER(c_ulong), POINTER(c_int), POINTER(c_ulong), POINTER(c_ulong), POINTER(POINTER(c_ubyte)),
        )),
        ("XSetSelectionOwner", c_int, (c_void_p, c_ulong, c_ulong, c_ulong)),
        ("XGetSelectionOwner", c_ulong, (c_void_p, c_ulong)),
        ("XStoreBytes", c_int, (c_void_p, c_char_p, c_int)),
        ("XFetchBytes", POINTER(c_ubyte), (c_void_p, POINTER(c_int))),
        ("XNextEvent", c_int, (c_void_p, POINTER(_XEvent))),
        ("XSendEvent", c_int, (c_void_p, c_ulong, c_int, c_long, POINTER(_XEvent))),
        ("XFlush", c_int, (c_void_p,)),
    ):  # fmt: skip
        function = getattr(x, name)
        function.restype, function.argtypes = returns, takes
    return x


class Screen:
    """The default screen. Raises OSError where there is none."""

    def __init__(self) -> None:
        self._x = _library()
        self._display = self._x.XOpenDisplay(None)
        if not self._display:
            raise OSError("there is no X server on this display")

    def hold(self, text: bytes) -> None:
        """Keep `text` in the cut buffer, and own both selections; ends with the X server."""
        x, display = self._x, self._display
        root = x.XDefaultRootWindow(display)
        window = x.XCreateSimpleWindow(display, root, 0, 0, 1, 1, 0, 0, 0)
        kept = x.XInternAtom(display, _KEPT, 0)
        x.XChangeProperty(display, window, kept, _STRING, 8, 0, text, len(text))
        x.XStoreBytes(display, text, len(text))
        for name in SELECTIONS.values():
            x.XSetSelectionOwner(display, x.XInternAtom(display, name, 0), window, 0)
        event = _XEvent()
        while True:
            x.XNextEvent(display, byref(event))
            if event.type == _SELECTION_REQUEST:
                asked = event.request
                refusal = _XEvent()
                refusal.notify = _Notify(
                    type=_SELECTION_NOTIFY,
                    requestor=asked.requestor,
                    selection=asked.selection,
                    target=asked.target,
                    property=0,
                    time=asked.time,
                )
                x.XSendEvent(display, asked.requestor, 0, 0, byref(refusal))
                x.XFlush(display)

    def tell(self) -> Iterator[tuple[str, bytes]]:
        """The text in each place that has one: of a selection, what its owner's window holds as ours does."""
        x, display = self._x, self._display
        count = c_int()
        found = x.XFetchBytes(display, byref(count))
        if found and count.value:
            yield CUT_BUFFER, bytes(found[: min(count.value, _LONGEST)])
        for place, name in SELECTIONS.items():
            owner = x.XGetSelectionOwner(display, x.XInternAtom(display, name, 0))
            if owner:
                yield place, self._property(owner, x.XInternAtom(display, _KEPT, 0))

    def _property(self, window: int, atom: int) -> bytes:
        """Empty where the window has no such property. libX11 ends us where there is no such window."""
        kind, bits, count, rest = c_ulong(), c_int(), c_ulong(), c_ulong()
        data = POINTER(c_ubyte)()
        self._x.XGetWindowProperty(
            self._display, window, atom, 0, _LONGEST // 4, 0, _ANY,
            byref(kind), byref(bits), byref(count), byref(rest), byref(data),
        )  # fmt: skip
        return bytes(data[: count.value]) if bits.value == 8 and count.value else b""


def main(argv: list[str]) -> int:
    """Do what the first word says; 1 where there is no screen."""
    try:
        screen = Screen()
    except OSError:
        return 1
    if argv[0] == "hold":
        screen.hold(argv[1].encode())
    for place, text in screen.tell():
        sys.stdout.buffer.write(b"%s\t%s\n" % (place.encode(), text.replace(b"\n", b" ")))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
