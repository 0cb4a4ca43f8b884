"""Attempts against the session bar: to cover it, move it, close it, or take its window manager away.

By what any citizen has (a mouse, a keyboard, an allowed page), and by programs
on the same screen. The bar has to be back, whole, within seconds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from tests.lab.breakouts.desk import Desk
from tests.lab.breakouts.table import Attempt, Escape, Seat
from tests.lab.kiosk import BAR_HEIGHT

Place = tuple[int, int]
LOST = "the session bar"
TAB = (110, BAR_HEIGHT + 20)
_WINDOW = """
import gi, sys
gi.require_version("Gtk", "3.0")
from gi.repository import Gdk, Gtk, GLib
window = Gtk.Window({kind})
window.set_default_size(1280, 400)
{before}
window.show_all()
window.move(0, 0)
{after}
Gtk.main()
"""
_FOREIGN = """
import gi, subprocess
gi.require_version("Gdk", "3.0")
gi.require_version("GdkX11", "3.0")
from gi.repository import Gdk, GdkX11
Gdk.init([])
display = Gdk.Display.get_default()
found = subprocess.run(["xdotool", "search", "--onlyvisible", "--name", "^{title}"], stdout=-1)
for window in found.stdout.split():
    it = GdkX11.X11Window.foreign_new_for_display(display, int(window))
    it.{act}
display.sync()
"""
_UNSEEN = """
import ctypes, time
x = ctypes.CDLL("libX11.so.6")
x.XOpenDisplay.restype = ctypes.c_void_p
x.XDefaultRootWindow.argtypes = x.XFlush.argtypes = (ctypes.c_void_p,)
x.XDefaultRootWindow.restype = x.XCreateWindow.restype = ctypes.c_ulong
display = x.XOpenDisplay(None)
attributes = (ctypes.c_ulong * 14)()
override = ctypes.c_int.from_address(ctypes.addressof(attributes) + 88)
override.value = 1
x.XCreateWindow.argtypes = (
    ctypes.c_void_p, ctypes.c_ulong, ctypes.c_int, ctypes.c_int, ctypes.c_uint, ctypes.c_uint, ctypes.c_uint,
    ctypes.c_int, ctypes.c_uint, ctypes.c_void_p, ctypes.c_ulong, ctypes.c_void_p,
)
root = x.XDefaultRootWindow(display)
window = x.XCreateWindow(display, root, 0, 0, 1280, 56, 0, 0, 2, None, 1 << 9, ctypes.byref(attributes))
x.XMapRaised.argtypes = (ctypes.c_void_p, ctypes.c_ulong)
x.XMapRaised(display, window)
x.XFlush(display)
time.sleep(600)
"""


def attempts() -> Iterator[Attempt]:
    """All of them."""
    for name, page in PAGES_THAT_COVER.items():
        yield _attempt(name, _clicked(page))
    for name, (start, end) in DRAGS.items():
        yield _attempt(name, _dragged(start, end))
    for name, (kind, before, after) in WINDOWS.items():
        yield _attempt(name, _started("python3", "-c", _WINDOW.format(kind=kind, before=before, after=after)))
    for name, command in COMMANDS.items():
        yield _attempt(name, _started("sh", "-c", f'bar=$(xdotool search --name "^lab-bar$"); {command}'))
    for name, argv in HANDS.items():
        yield _attempt(name, _started(*argv, lost=Desk.loses_hand))
    for name, (title, act) in OTHERS.items():
        yield _attempt(name, _started("python3", "-c", _FOREIGN.format(title=title, act=act)))
    yield Attempt(
        "the session bar",
        "another window manager",
        "the rules of the lab's window manager",
        _replaced,
        fresh=True,
        desk=True,
    )


WINDOWS = {
    "a window that no window manager stacks": ("type=Gtk.WindowType.POPUP", "", ""),
    "a window in full screen": ("", "window.fullscreen()", ""),
    "a window above all others": ("", "window.set_keep_above(True)", "window.present()"),
    "a panel of its own": (
        "",
        "window.set_type_hint(Gdk.WindowTypeHint.DOCK)",
        "window.set_keep_above(True)",
    ),
    "a notice": ("", "window.set_type_hint(Gdk.WindowTypeHint.NOTIFICATION)", "window.set_keep_above(True)"),
    "a splash screen": (
        "",
        "window.set_type_hint(Gdk.WindowTypeHint.SPLASHSCREEN); window.set_keep_above(True)",
        "window.fullscreen()",
    ),
    "a dialogue in full screen": (
        "",
        "window.set_type_hint(Gdk.WindowTypeHint.DIALOG); window.set_keep_above(True)",
        "window.fullscreen()",
    ),
}
"""What kind of window a program makes: GTK's words when it is made, before and after it is shown."""
COMMANDS = {
    "its window taken off the screen": "xdotool windowunmap $bar",
    "its window moved away": "xdotool windowmove $bar 0 700",
    "its window made small": "xdotool windowsize $bar 20 10",
    "its window destroyed": "xdotool windowclose $bar",
    "its connection cut": "xdotool windowkill $bar",
    "its window made an icon": "xdotool windowminimize $bar",
    "its window put into another": "xdotool windowreparent $bar $(xdotool search --name Dentro | tail -1)",
    "its window mapped again below the others": "xdotool windowunmap $bar; "
    "xprop -id $bar -f _NET_WM_STATE 32a -set _NET_WM_STATE _NET_WM_STATE_BELOW; xdotool windowmap $bar",
}
"""`$bar` is the bar's window."""
OTHERS = {
    "the browser moved over it": (
        "Dentro",
        "unmaximize(); it.move_resize(0, 0, 1280, 700); it.set_keep_above(True)",
    ),
    "the browser in full screen": ("Dentro", "fullscreen()"),
    "itself told to go below": ("lab-bar", "set_keep_above(False); it.set_keep_below(True); it.lower()"),
    "itself told to leave the screen's edge": (
        "lab-bar",
        "set_keep_above(False); it.move_resize(200, 400, 300, 56)",
    ),
}
"""What a program asks the window manager to do with another's window: its title, and GDK's words."""
_SHAPED = """
import ctypes, subprocess
x, shapes = ctypes.CDLL("libX11.so.6"), ctypes.CDLL("libXext.so.6")
x.XOpenDisplay.restype = ctypes.c_void_p
x.XSync.argtypes = (ctypes.c_void_p, ctypes.c_int)
shapes.XShapeCombineRectangles.argtypes = (
    ctypes.c_void_p, ctypes.c_ulong, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_void_p, ctypes.c_int,
    ctypes.c_int, ctypes.c_int,
)
display = x.XOpenDisplay(None)
found = subprocess.run(["xdotool", "search", "--onlyvisible", "--name", "^lab-bar$"], stdout=-1)
for window in found.stdout.split():
    shapes.XShapeCombineRectangles(display, int(window), {kind}, 0, 0, None, 0, 0, 0)
x.XSync(display, 0)
"""
HANDS = {
    "its shape taken away": ("python3", "-c", _SHAPED.format(kind=0)),
    "its ear for the mouse taken away": ("python3", "-c", _SHAPED.format(kind=2)),
    "a window over it that nobody sees": ("python3", "-c", _UNSEEN),
}
"""What a program does so that clicks no longer come to the bar."""
PAGES_THAT_COVER = {
    "a page in full screen": "full",
}
DRAGS = {
    "the browser dragged by its tab": (TAB, (TAB[0] + 40, 10)),
}


def _attempt(name: str, escapes: Escape) -> Attempt:
    return Attempt("the session bar", name, LOST, escapes, fresh=True, desk=True)


def _clicked(page: str) -> Escape:
    def escapes(seat: Seat) -> bool:
        assert isinstance(seat, Desk)
        seat.clicked(page)
        return seat.loses_bar()

    return escapes


def _dragged(start: Place, end: Place) -> Escape:
    def escapes(seat: Seat) -> bool:
        assert isinstance(seat, Desk)
        _drag(seat, start, end)
        return seat.loses_bar()

    return escapes


def _drag(seat: Seat, start: Place, end: Place) -> None:
    hand = seat.screen
    hand.run("xdotool", "mousemove", str(start[0]), str(start[1]), "mousedown", "1")
    for step in range(1, 11):
        x, y = (start[n] + (end[n] - start[n]) * step // 10 for n in (0, 1))
        hand.run("xdotool", "mousemove", str(x), str(y))
    hand.run("xdotool", "mouseup", "1")


def _started(*argv: str, lost: Callable[[Desk], bool] = Desk.loses_bar) -> Escape:
    def escapes(seat: Seat) -> bool:
        assert isinstance(seat, Desk)
        assert seat.screen
        seat.start(*argv)
        return lost(seat)

    return escapes


def _replaced(seat: Seat) -> bool:
    """A window manager of the citizen's stays in the place of the lab's."""
    assert isinstance(seat, Desk)
    assert seat.screen
    seat.start("openbox", "--replace", "--sm-disable")

    def rules() -> bool:
        found = seat.machine.run(["pgrep", "-u", "kiosk", "-f", "openbox --replace"], check=False)
        return found.returncode == 0

    return seat.wait(rules) and not seat.wait(lambda: not rules())
