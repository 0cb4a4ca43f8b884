"""What the bar needs of the X server and GTK has no words for: a second connection, by libX11 itself.

The strip that maximised windows leave free, the key that leads to the bar, the
title of the active window, and what other programs do to the bar's own window.
All of it comes as events; nothing is polled.
"""

import contextlib
import ctypes
from collections.abc import Iterator
from ctypes import (
    POINTER,
    Structure,
    Union,
    byref,
    c_char_p,
    c_int,
    c_long,
    c_ubyte,
    c_uint,
    c_ulong,
    c_void_p,
)
from typing import Literal

Event = Literal["key", "title", "area", "moved", "gone"]

_BROWSER, _OFFICE = ("chromium",), ("libreoffice", "soffice")
"""How the names of their windows' classes begin, in small letters."""

_KEY_PRESS, _VISIBILITY, _DESTROYED, _UNMAPPED, _MAPPED, _CONFIGURED, _PROPERTY, _CLIENT_MESSAGE = (
    2, 15, 17, 18, 19, 22, 28, 33,
)  # fmt: skip
_PROPERTY_MASK, _SUBSTRUCTURE_MASKS = 1 << 22, (1 << 19) | (1 << 20)
_CHILDREN_MASK = 1 << 19
"""Substructure: what happens to the windows in a window."""
_SHAPES = (0, 1, 2)
"""Of the SHAPE extension: what is drawn of a window, what of its inside, and where it hears the mouse."""
_OWN_MASKS = (1 << 16) | (1 << 17)
"""Visibility and structure of one window."""
_LOCKS = (0, 1 << 1, 1 << 4, (1 << 1) | (1 << 4))
"""CapsLock and NumLock: a key is another one while they are on."""
_CARDINAL, _ANY = 6, 0
_LONGEST_TITLE = 2048


class _Key(Structure):
    _fields_ = (
        ("type", c_int), ("serial", c_ulong), ("sent", c_int), ("display", c_void_p),
        ("window", c_ulong), ("root", c_ulong), ("subwindow", c_ulong), ("time", c_ulong),
    )  # fmt: skip


class _Property(Structure):
    _fields_ = (
        ("type", c_int), ("serial", c_ulong), ("sent", c_int), ("display", c_void_p),
        ("window", c_ulong), ("atom", c_ulong), ("time", c_ulong), ("state", c_int),
    )  # fmt: skip


class _Visibility(Structure):
    _fields_ = (
        ("type", c_int), ("serial", c_ulong), ("sent", c_int), ("display", c_void_p),
        ("window", c_ulong), ("state", c_int),
    )  # fmt: skip


class _Shape(Structure):
    _fields_ = (
        ("type", c_int), ("serial", c_ulong), ("sent", c_int), ("display", c_void_p),
        ("window", c_ulong), ("kind", c_int), ("x", c_int), ("y", c_int), ("width", c_uint),
        ("height", c_uint), ("time", c_ulong), ("shaped", c_int),
    )  # fmt: skip


class _Attributes(Structure):
    _fields_ = (
        ("x", c_int), ("y", c_int), ("width", c_int), ("height", c_int), ("border", c_int), ("depth", c_int),
        ("visual", c_void_p), ("root", c_ulong), ("kind", c_int), ("gravities", c_int * 2),
        ("backing", c_int), ("planes", c_ulong), ("pixel", c_ulong), ("save_under", c_int),
        ("colormap", c_ulong), ("installed", c_int), ("mapped", c_int), ("masks", c_long * 3),
        ("unmanaged", c_int), ("screen", c_void_p),
    )  # fmt: skip


class _Message(Structure):
    _fields_ = (
        ("type", c_int), ("serial", c_ulong), ("sent", c_int), ("display", c_void_p),
        ("window", c_ulong), ("message", c_ulong), ("format", c_int), ("data", c_long * 5),
    )  # fmt: skip


class _XEvent(Union):
    _fields_ = (
        ("type", c_int), ("key", _Key), ("property", _Property), ("visibility", _Visibility),
        ("shape", _Shape), ("message", _Message), ("pad", c_long * 24),
    )  # fmt: skip


_ErrorHandler = ctypes.CFUNCTYPE(c_int, c_void_p, c_void_p)


def _library() -> ctypes.CDLL:
    x = ctypes.CDLL("libX11.so.6")
    for name, returns, takes in (
        ("XOpenDisplay", c_void_p, (c_char_p,)),
        ("XDefaultRootWindow", c_ulong, (c_void_p,)),
        ("XConnectionNumber", c_int, (c_void_p,)),
        ("XInternAtom", c_ulong, (c_void_p, c_char_p, c_int)),
        ("XSelectInput", c_int, (c_void_p, c_ulong, c_long)),
        ("XKeysymToKeycode", c_ubyte, (c_void_p, c_ulong)),
        ("XGrabKey", c_int, (c_void_p, c_int, c_uint, c_ulong, c_int, c_int, c_int)),
        ("XPending", c_int, (c_void_p,)),
        ("XNextEvent", c_int, (c_void_p, POINTER(_XEvent))),
        ("XSendEvent", c_int, (c_void_p, c_ulong, c_int, c_long, POINTER(_XEvent))),
        ("XSync", c_int, (c_void_p, c_int)),
        ("XFree", c_int, (c_void_p,)),
        ("XLowerWindow", c_int, (c_void_p, c_ulong)),
        ("XGetWindowAttributes", c_int, (c_void_p, c_ulong, POINTER(_Attributes))),
        ("XQueryTree", c_int, (
            c_void_p, c_ulong, POINTER(c_ulong), POINTER(c_ulong), POINTER(c_void_p), POINTER(c_uint),
        )),
        ("XChangeProperty", c_int, (c_void_p, c_ulong, c_ulong, c_ulong, c_int, c_int, c_void_p, c_int)),
        ("XGetWindowProperty", c_int, (
            c_void_p, c_ulong, c_ulong, c_long, c_long, c_int, c_ulong,
            POINTER(c_ulong), POINTER(c_int), POINTER(c_ulong), POINTER(c_ulong), POINTER(c_void_p),
        )),
        ("XSetErrorHandler", c_void_p, (_ErrorHandler,)),
    ):  # fmt: skip
        function = getattr(x, name)
        function.restype, function.argtypes = returns, takes
    return x


def _extension() -> ctypes.CDLL:
    x = ctypes.CDLL("libXext.so.6")
    for name, takes in (
        ("XShapeQueryExtension", (c_void_p, POINTER(c_int), POINTER(c_int))),
        ("XShapeSelectInput", (c_void_p, c_ulong, c_ulong)),
        ("XShapeCombineMask", (c_void_p, c_ulong, c_int, c_int, c_int, c_ulong, c_int)),
    ):  # fmt: skip
        function = getattr(x, name)
        function.restype, function.argtypes = c_int, takes
    return x


class Screen:
    """The default screen, seen by a connection of its own. Raises OSError where there is none."""

    def __init__(self) -> None:
        self._x = _library()
        self._display = self._x.XOpenDisplay(None)
        if not self._display:
            raise OSError("there is no X server on this display")
        self._root = self._x.XDefaultRootWindow(self._display)
        self._watched = 0
        self._own = 0
        self._before = 0
        self.pressed_at = 0
        """The X server's time of the last press of the bar's key."""
        # Windows go while they are being asked about: that is no error of ours. Others keep their handler.
        self._handler = _ErrorHandler(self._on_error)
        self._next = ctypes.cast(self._x.XSetErrorHandler(self._handler), _ErrorHandler)
        self._x.XSelectInput(self._display, self._root, _PROPERTY_MASK | _CHILDREN_MASK)
        self._shapes = _extension()
        first, _ = numbers = c_int(), c_int()
        self._shaped = first.value if self._shapes.XShapeQueryExtension(self._display, *numbers) else None
        self._follow()

    def fileno(self) -> int:
        """The connection's descriptor; call `events` when there is something to read, and once at first."""
        number: int = self._x.XConnectionNumber(self._display)
        return number

    def reserve(self, window: int, width: int, height: int) -> None:
        """Have window managers keep a strip at the top for `window`, which is the bar."""
        self._own = window
        for name, values in (
            ("_NET_WM_STRUT", (0, 0, height, 0)),
            ("_NET_WM_STRUT_PARTIAL", (0, 0, height, 0, 0, 0, 0, 0, 0, max(width - 1, 0), 0, 0)),
        ):
            data = (c_long * len(values))(*values)
            self._x.XChangeProperty(
                *(self._display, window, self._atom(name), _CARDINAL, 32, 0),
                *(ctypes.cast(data, c_void_p), len(values)),
            )
        self._x.XSelectInput(self._display, window, _OWN_MASKS)
        self._unshape()
        self._x.XSync(self._display, 0)

    def lift(self) -> None:
        """Put the bar above every other window.

        Those that a window manager stacks are told to be ordinary ones, below a bar; the others (pop-ups)
        go below all, where they lie over the strip.
        """
        self._unshape()
        for window in self._unmanaged_above():
            self._x.XLowerWindow(self._display, window)
        stacked = self._numbers(self._root, "_NET_CLIENT_LIST_STACKING")
        place = stacked.index(self._own) if self._own in stacked else len(stacked)
        states = self._atom("_NET_WM_STATE_FULLSCREEN"), self._atom("_NET_WM_STATE_ABOVE")
        for window in stacked[place + 1 :]:
            self._tell(window, "_NET_WM_STATE", (0, *states, 2, 0))  # 0: remove
        self._tell(self._own, "_NET_RESTACK_WINDOW", (2, 0, 0, 0, 0))
        self._x.XSync(self._display, 0)

    def _unmanaged_above(self) -> tuple[int, ...]:
        """Windows over the bar that no window manager knows of."""
        frame = self._frames()[-1]
        children = self._family(self._root)[1]
        if frame not in children:
            return ()
        bar, its = self._attributes(frame), map(self._attributes, children)
        above = list(zip(children, its, strict=True))[children.index(frame) + 1 :]
        return tuple(
            window
            for window, at in above
            if at.unmanaged and at.mapped and at.y < bar.y + bar.height and at.y + at.height > bar.y
        )

    def _frames(self) -> tuple[int, ...]:
        """The bar's window, and those that a window manager has put around it, the outermost last."""
        frames, around = [self._own], self._family(self._own)[0]
        while around not in (0, self._root):
            frames.append(around)
            around = self._family(around)[0]
        return tuple(frames)

    def _unshape(self) -> None:
        """The whole of the bar is seen and hears the mouse, and whoever changes that is heard of."""
        if self._shaped is None:
            return
        for window in self._frames():
            self._shapes.XShapeSelectInput(self._display, window, 1)
            for kind in _SHAPES:
                self._shapes.XShapeCombineMask(self._display, window, kind, 0, 0, 0, 0)

    def _attributes(self, window: int) -> _Attributes:
        """Place and kind; all 0 for a window that has gone."""
        found = _Attributes()
        self._x.XGetWindowAttributes(self._display, window, byref(found))
        return found

    def grab(self, keysym: int) -> None:
        """Take a key for the bar, whatever has the focus."""
        code = self._x.XKeysymToKeycode(self._display, keysym)
        for locks in _LOCKS:
            self._x.XGrabKey(self._display, code, locks, self._root, 1, 1, 1)
        self._x.XSync(self._display, 0)

    def events(self) -> Iterator[Event]:
        """What has happened since the last call."""
        event = _XEvent()
        while self._x.XPending(self._display):
            self._x.XNextEvent(self._display, byref(event))
            if event.type == _KEY_PRESS:
                self.pressed_at = event.key.time
                yield "key"
            elif event.type == _PROPERTY and event.property.window == self._root:
                if event.property.atom == self._atom("_NET_ACTIVE_WINDOW") and self._follow():
                    yield "title"
                if event.property.atom == self._atom("_NET_WORKAREA"):
                    yield "area"
                if event.property.atom == self._atom("_NET_CLIENT_LIST"):
                    yield "title"
            elif event.type == _PROPERTY and event.property.atom == self._atom("_NET_WM_NAME"):
                yield "title"
            elif event.type in (_UNMAPPED, _DESTROYED) and event.property.window != self._root:
                yield "gone"
            elif self._is_moved(event):
                yield "moved"

    def _is_moved(self, event: _XEvent) -> bool:
        """Whether it says that the bar may no longer be whole, in its place, and the one under the mouse."""
        if event.type == self._shaped:
            return bool(event.shape.shaped)
        if event.type in (_MAPPED, _CONFIGURED) and event.property.window == self._root:
            # A window that only takes the mouse hides nothing, so nobody tells the bar that it is covered.
            return bool(self._own and self._unmanaged_above())
        return bool(event.type == _CONFIGURED or (event.type == _VISIBILITY and event.visibility.state))

    @property
    def title(self) -> str:
        """The title of the active window, of the last one that was not the bar."""
        return self._text(self._before, "_NET_WM_NAME") if self._before else ""

    @property
    def active(self) -> int:
        """The window that has the keyboard by the window manager's word; 0 where none has.

        GTK's own word is none while the bar's key is down: its grab takes the keyboard from GTK's windows.
        """
        found = self._numbers(self._root, "_NET_ACTIVE_WINDOW")
        return found[0] if found else 0

    @property
    def top(self) -> int:
        """How many pixels at the top the window manager keeps free of windows; 0 where it does not say."""
        area = self._numbers(self._root, "_NET_WORKAREA")
        return area[1] if len(area) >= 4 else 0

    def ways(self) -> dict[str, int]:
        """The window that each of the bar's two buttons leads to, from the one in front.

        `internet` where a browser is open and something else in front; `documents` where a program is that is
        not in front: the last one that was, or, from one of them to the next, the one that waits longest.
        """
        stacked = self._numbers(self._root, "_NET_CLIENT_LIST_STACKING")
        browsers = [window for window in stacked if self._is_of(window, _BROWSER)]
        front = self._main(self._before)
        others = [
            window
            for window in stacked
            if window != front and self._is_of(window, _OFFICE) and self._main(window) == window
        ]
        found: dict[str, int] = {}
        if browsers and front not in browsers:
            found["internet"] = browsers[-1]
        if others:
            found["documents"] = others[-1] if front in browsers else others[0]
        return found

    def _main(self, window: int) -> int:
        """The window that a dialogue belongs to; a window of its own belongs to itself."""
        belongs = self._numbers(window, "WM_TRANSIENT_FOR") if window else ()
        return belongs[0] if belongs and belongs[0] != self._root else window

    def _is_of(self, window: int, classes: tuple[str, ...]) -> bool:
        return self._text(window, "WM_CLASS").lower().startswith(classes)

    def activate(self, window: int = 0) -> None:
        """Have the window manager give `window` the keyboard; 0 is the window that had it before the bar."""
        window = window or self._before
        if not window:
            return
        self._tell(window, "_NET_ACTIVE_WINDOW", (2, self.pressed_at, 0, 0, 0))
        self._x.XSync(self._display, 0)

    def _tell(self, window: int, message: str, values: tuple[int, ...]) -> None:
        """Ask the window manager for something as a pager does (2 in `values`), who is obeyed."""
        event = _XEvent()
        event.message.type, event.message.window = _CLIENT_MESSAGE, window
        event.message.message, event.message.format = self._atom(message), 32
        event.message.data = (c_long * 5)(*values)
        self._x.XSendEvent(self._display, self._root, 0, _SUBSTRUCTURE_MASKS, byref(event))

    def _follow(self) -> bool:
        """Watch the active window's title instead of the last one's; whether it is another window."""
        active = self.active
        if active in (0, self._own, self._watched):
            return False
        if self._watched:
            self._x.XSelectInput(self._display, self._watched, 0)
        self._watched = self._before = active
        self._x.XSelectInput(self._display, active, _PROPERTY_MASK)
        self._x.XSync(self._display, 0)
        return True

    def _family(self, window: int) -> tuple[int, tuple[int, ...]]:
        """The window around a window (0 where there is none any more), and those in it, the lowest first."""
        root, parent, children, count = c_ulong(), c_ulong(), c_void_p(), c_uint()
        found = self._x.XQueryTree(
            *(self._display, window, byref(root), byref(parent), byref(children), byref(count))
        )
        inside = tuple((c_ulong * count.value).from_address(children.value)) if children.value else ()
        if children.value:
            self._x.XFree(children)
        return (parent.value if found else 0), inside

    def _atom(self, name: str) -> int:
        atom: int = self._x.XInternAtom(self._display, name.encode(), 0)
        return atom

    def _text(self, window: int, name: str) -> str:
        with self._property(window, name) as (data, count, width):
            return ctypes.string_at(data, count).decode(errors="replace") if data and width == 8 else ""

    def _numbers(self, window: int, name: str) -> tuple[int, ...]:
        with self._property(window, name) as (data, count, width):
            # Xlib hands numbers of 32 bits over as longs.
            return tuple((c_long * count).from_address(data)) if data and width == 32 else ()

    @contextlib.contextmanager
    def _property(self, window: int, name: str) -> Iterator[tuple[int | None, int, int]]:
        kind, width, count, rest, data = c_ulong(), c_int(), c_ulong(), c_ulong(), c_void_p()
        status = self._x.XGetWindowProperty(
            *(self._display, window, self._atom(name), 0, _LONGEST_TITLE // 4, 0, _ANY),
            *(byref(kind), byref(width), byref(count), byref(rest), byref(data)),
        )
        try:
            yield (data.value if status == 0 else None), count.value, width.value
        finally:
            if data.value:
                self._x.XFree(data)

    def _on_error(self, display: int, error: int) -> int:
        return 0 if display == self._display else int(self._next(display, error))
