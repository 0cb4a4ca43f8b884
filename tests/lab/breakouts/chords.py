"""Every chord of the keyboard, one set of modifiers at a time; and the chords that lead somewhere by name."""

from __future__ import annotations

import string
import time
from collections.abc import Callable, Iterator

from tests.lab.breakouts.pages import title
from tests.lab.breakouts.table import BACK_S, GREEN, MIDDLE, STRIP, Attempt, Escape, Seat
from tests.lab.kiosk import BAR_HEIGHT, SIZE
from tests.lab.rig.host import wait_until

TAB, MENU = (110, BAR_HEIGHT + 20), (SIZE[0] - 20, BAR_HEIGHT + 63)
"""Of Chromium's maximised window: its first tab, and the three dots."""
_NONE = "a screen without a browser for long"
RIGHT = (SIZE[0] - 60, SIZE[1] - 120)
LETTERS, DIGITS = string.ascii_lowercase, string.digits
FUNCTION = tuple(f"F{number}" for number in range(1, 13))
NAMED = (
    *("Escape", "Tab", "Delete", "Insert", "Home", "End", "Prior", "Next", "Up", "Down", "Left", "Right"),
    *("Menu", "Print", "Pause", "space", "comma", "period", "slash", "minus", "equal", "semicolon"),
    *("bracketleft", "bracketright", "apostrophe", "grave", "less", "KP_Enter", "KP_Delete", "KP_Add"),
    *("XF86Back", "XF86Forward", "XF86Refresh", "XF86Search", "XF86HomePage", "XF86Mail", "XF86Explorer"),
    *("XF86Calculator", "XF86Tools", "XF86MyComputer", "XF86New", "XF86Open", "XF86Close", "XF86Save"),
    *("XF86Print", "XF86Launch1", "XF86WWW", "XF86Favorites", "XF86MenuKB", "XF86WebCam", "XF86Documents"),
)
LAST = ("w", "q", "F4", "BackSpace", "Return")
"""Close what the others are tried on, where they may."""
MODIFIERS = ("ctrl", "ctrl+shift", "alt", "alt+shift", "shift", "ctrl+alt", "super", "")
ALLOWED = {"ctrl+p"}
"""Citizens print (class "print dialogs")."""
AT_HOME = (title("start"), "Servizi per i cittadini", "lab-bar")
"""Titles that are no way out: the page, the start page (Alt+Home), the session bar."""
_SWEEP = """
for chord in "$@"; do
  xdotool key --clearmodifiers "$chord"
  for window in $(xdotool search --onlyvisible --name .); do
    echo "$chord $(xdotool getwindowname $window 2>/dev/null)"
  done
done
"""


def attempts() -> Iterator[Attempt]:
    """All of them."""
    for chord in ("F12", "ctrl+shift+i", "ctrl+shift+j", "ctrl+shift+c"):
        yield Attempt("developer tools", chord, "the page's insides", _tools(chord), fresh=True)
    yield Attempt("developer tools", "by the page's menu", "the page's insides", _inspected, fresh=True)
    for chord in ("ctrl+w", "ctrl+F4", "ctrl+shift+w", "alt+F4"):
        yield Attempt("keys", chord, "a screen without a browser", _closes(chord), fresh=True)
    yield Attempt(
        *("keys", "the page's source, by its menu", "the browser's insides"),
        by_menu("start", "v", "view-source:"),
        fresh=True,
    )
    for lock in ("Caps_Lock", "Num_Lock"):
        yield Attempt(
            "keys", f"ctrl+h with {lock}", "the browser's insides", _locked(lock, "ctrl+h"), fresh=True
        )
    yield Attempt("keys", "the tab closed by the mouse", _NONE, _loses(_middle_click), fresh=True, desk=True)
    yield Attempt("keys", "the browser's menu, exit", _NONE, _loses(_exit), fresh=True, desk=True)
    for chord, titles in (
        ("ctrl+u", ("view-source:",)),
        ("ctrl+h", ("History", "Cronologia")),
        ("ctrl+j", ("Downloads", "Download")),
        ("ctrl+shift+o", ("Bookmarks", "Preferiti")),
        ("shift+Escape", ("Task Manager", "Task manager")),
    ):
        yield Attempt("keys", chord, "the browser's insides", pressed(chord, *titles), fresh=True)
    for modifiers in MODIFIERS:
        name = f"every key with {modifiers}" if modifiers else "every key by itself"
        yield Attempt("keys", name, "anything but the page", _sweeps(modifiers), fresh=True)
    for chord in ("ctrl+alt+Right", "super+F2", "super+F3", "super+F4", "super+d"):
        yield Attempt("window manager", chord, "a desktop without the bar", _desktop(chord), fresh=True)
    for name, button in (("left", 1), ("middle", 2), ("right", 3), ("wheel up", 4), ("wheel down", 5)):
        yield Attempt(
            "window manager",
            f"the background, {name}",
            "its menus and other desktops",
            _background(button),
            fresh=True,
        )
    for name, modifier, button in (
        ("moved by alt and the mouse", "alt", 1),
        ("made smaller by alt and the mouse", "alt", 3),
    ):
        yield Attempt("window manager", name, "the background", _dragged(modifier, button), fresh=True)


def chords(modifiers: str) -> list[str]:
    """Every key with these modifiers held, those that close things last."""
    plain = (*LETTERS, *DIGITS, *FUNCTION, *NAMED)
    keys = [*(key for key in plain if key not in LAST), *LAST]
    return [chord for key in keys if (chord := f"{modifiers}+{key}".lstrip("+")) not in ALLOWED]


def pressed(chord: str, *titles: str) -> Escape:
    """Press a chord on the start page; whether a window of such a title comes."""

    def escapes(seat: Seat) -> bool:
        seat.clicked("start")
        seat.screen.key(chord)
        return seat.shows(*titles)

    return escapes


def _sweeps(modifiers: str) -> Escape:
    def escapes(seat: Seat) -> bool:
        seat.clicked("start")
        printed = seat.screen.run("sh", "-c", _SWEEP, "sh", *chords(modifiers), check=False)
        strange = [line for line in printed.splitlines() if not line.partition(" ")[2].startswith(AT_HOME)]
        if strange:
            print(strange)
        seat.screen.key("Escape")
        # What a chord has opened may take a while to come.
        return bool(strange) or seat.wait(lambda: not _is_calm(seat))

    return escapes


def _is_calm(seat: Seat) -> bool:
    titles = seat.screen.titles()
    return (
        len([one for one in titles if one != "lab-bar"]) == 1
        and titles[0].startswith(AT_HOME)
        and seat.screen.pixels(STRIP) != [GREEN]
    )


def _tools(chord: str) -> Escape:
    def escapes(seat: Seat) -> bool:
        seat.clicked("start")
        seat.screen.key(chord)
        return seat.wait(lambda: seat.screen.pixels(RIGHT) != [GREEN] or window(seat, "DevTools"))

    return escapes


def _closes(chord: str) -> Escape:
    def escapes(seat: Seat) -> bool:
        seat.clicked("start")
        seat.screen.key(chord)
        return seat.wait(lambda: not window(seat, ""))

    return escapes


def _desktop(chord: str) -> Escape:
    def state(seat: Seat) -> str:
        return seat.screen.run("xprop", "-root", "_NET_CURRENT_DESKTOP", "_NET_SHOWING_DESKTOP", check=False)

    def escapes(seat: Seat) -> bool:
        seat.open("start")
        before = state(seat)
        seat.screen.key(chord)
        return seat.wait(lambda: state(seat) != before)

    return escapes


def _background(button: int) -> Escape:
    """The strip is background here: this screen has no bar."""
    beside = (STRIP[0] + 30, STRIP[1] + 20)

    def state(seat: Seat) -> tuple[str, list[tuple[int, ...]]]:
        desktop = seat.screen.run("xprop", "-root", "_NET_CURRENT_DESKTOP", "_NET_ACTIVE_WINDOW", check=False)
        return desktop, seat.screen.pixels(beside)

    def escapes(seat: Seat) -> bool:
        seat.clicked("start")
        before = state(seat)
        seat.screen.click(*STRIP, button=button)
        return seat.wait(lambda: state(seat) != before)

    return escapes


def _dragged(modifier: str, button: int) -> Escape:
    def geometry(seat: Seat) -> str:
        return seat.screen.run(
            "sh", "-c", 'xdotool search --onlyvisible --name "^Dentro" getwindowgeometry', check=False
        )

    def escapes(seat: Seat) -> bool:
        seat.clicked("start")
        before, hand = geometry(seat), seat.screen
        x, y = MIDDLE
        hand.run("xdotool", "mousemove", str(x), str(y), "keydown", modifier, "mousedown", str(button))
        for step in range(1, 6):
            hand.run("xdotool", "mousemove", str(x - 40 * step), str(y - 40 * step))
        hand.run("xdotool", "mouseup", str(button), "keyup", modifier)
        return seat.wait(lambda: geometry(seat) != before)

    return escapes


def by_menu(page: str, key: str, *titles: str) -> Escape:
    """Press the right button on a page and then a letter; whether a window of such a title comes."""

    def escapes(seat: Seat) -> bool:
        _menu(seat, page, key)
        return seat.shows(*titles)

    return escapes


def _menu(seat: Seat, page: str, key: str) -> None:
    seat.open(page)
    seat.screen.click(*MIDDLE, button=3)
    time.sleep(1)
    seat.screen.key(key)


def _inspected(seat: Seat) -> bool:
    _menu(seat, "start", "n")
    return seat.wait(lambda: seat.screen.pixels(RIGHT) != [GREEN] or window(seat, "DevTools"))


def _locked(lock: str, chord: str) -> Escape:
    """With CapsLock or NumLock on; xdotool would clear them by itself."""

    def escapes(seat: Seat) -> bool:
        seat.clicked("start")
        *held, key = chord.split("+")
        seat.screen.run("xdotool", "key", lock, *(part for one in held for part in ("keydown", one)))
        seat.screen.run("xdotool", "key", key, *(part for one in held for part in ("keyup", one)))
        try:
            return seat.shows("History", "Cronologia")
        finally:
            seat.screen.run("xdotool", "key", lock)

    return escapes


def _middle_click(seat: Seat) -> None:
    seat.screen.click(*TAB, button=2)


def _exit(seat: Seat) -> None:
    seat.screen.click(*MENU)
    time.sleep(1)
    seat.screen.key("x")


def _loses(act: Callable[[Seat], None]) -> Escape:
    """Whether the browser goes and no other comes in its place."""

    def is_there(seat: Seat) -> bool:
        return bool(window(seat, "Dentro"))

    def escapes(seat: Seat) -> bool:
        assert seat.screen.shows("Dentro", 20)
        act(seat)
        return seat.wait(lambda: not is_there(seat)) and not wait_until(
            lambda: is_there(seat), timeout=BACK_S if seat.locked else 2.0, every=0.2
        )

    return escapes


def window(seat: Seat, name: str) -> bool:
    """Whether there is a window whose title begins so."""
    return any(one.startswith(name) for one in seat.screen.titles())
