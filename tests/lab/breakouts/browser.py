"""Attempts with the browser: addresses, its own pages, keys, windows, files, and what pages can do."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterator

from tests.lab.breakouts.pages import DOWNLOADS, MARKUP, SCRIPTS, slug
from tests.lab.breakouts.table import GREEN, STRIP, Attempt, Seat
from tests.lab.breakouts.world import INSIDE, OUTSIDE
from tests.lab.kiosk import SIZE
from tests.lab.rig.host import wait_until

MIDDLE = (SIZE[0] // 2, SIZE[1] // 2)
RIGHT = (SIZE[0] - 60, SIZE[1] - 120)

OUTSIDE_HEARD = "a host that is not on the list"


def attempts() -> Iterator[Attempt]:
    """All of them, class by class."""
    yield from _addresses()
    yield from _own_pages()
    yield from _keys()
    yield from _windows()
    yield from _full_screen()
    yield from _files()
    yield from _downloads()
    yield from _exits()


def _addresses() -> Iterator[Attempt]:
    def typed(make: Callable[[Seat], str]) -> Callable[[Seat], bool]:
        def escapes(seat: Seat) -> bool:
            seat.screen.go(make(seat))
            return seat.reached()

        return escapes

    ways: dict[str, Callable[[Seat], str]] = {
        "by name": lambda _: f"http://{OUTSIDE}/typed",
        "without a scheme": lambda _: f"{OUTSIDE}/bare",
        "in capitals": lambda _: f"HTTP://{OUTSIDE.upper()}/capitals",
        "with the allowed host as a user name": lambda _: f"http://{INSIDE}@{OUTSIDE}/user",
        "by its address": lambda seat: f"http://{seat.world.outside}/address",
        "by its address as one number": lambda seat: (
            f"http://{int(ipaddress.IPv4Address(seat.world.outside))}/number"
        ),
        "on another port": lambda _: f"http://{OUTSIDE}:8080/port",
        "over TLS": lambda _: f"https://{OUTSIDE}/tls",
    }
    for name, make in ways.items():
        yield Attempt("address bar", name, OUTSIDE_HEARD, typed(make))
    for name, text, title in (
        ("a folder of the PC", "file:///etc/", "Index of /etc"),
        ("a file of the PC", "file:///etc/os-release", "os-release"),
        ("a page in the address", "data:text/html,<title>Rotto</title>", "Rotto"),
        ("a script in the address", "javascript:document.title='Rotto'", "Rotto"),
    ):
        yield Attempt("address bar", name, "a page that is nobody's site", _titled(text, title))


def _own_pages() -> Iterator[Attempt]:
    for address, title in (
        ("chrome://settings", ("Settings", "Impostazioni")),
        ("chrome://flags", ("Experiments",)),
        ("chrome://version", ("About Version", "Informazioni")),
        ("chrome://policy", ("Policies", "Criteri")),
        ("chrome://extensions", ("Extensions", "Estensioni")),
        ("chrome://downloads", ("Downloads", "Download")),
        ("chrome://history", ("History", "Cronologia")),
        ("chrome://net-export", ("Network Log Export", "Net Export", "Capture Network Log")),
        ("chrome://inspect", ("Inspect with Chrome Developer Tools",)),
        ("about:gpu", ("GPU Internals",)),
        ("chrome-untrusted://terminal", ()),
    ):
        if title:
            yield Attempt(
                "browser's own pages", address, "its settings and insides", _titled(address, *title)
            )


def _titled(address: str, *titles: str) -> Callable[[Seat], bool]:
    def escapes(seat: Seat) -> bool:
        seat.screen.go(address)
        return seat.shows(*titles)

    return escapes


def _keys() -> Iterator[Attempt]:
    def tools(chord: str) -> Callable[[Seat], bool]:
        def escapes(seat: Seat) -> bool:
            seat.open("start")
            seat.screen.click(*MIDDLE)
            seat.screen.key(chord)
            return seat.wait(lambda: seat.screen.pixels(RIGHT) != [GREEN] or _window(seat, "DevTools"))

        return escapes

    for chord in ("F12", "ctrl+shift+i", "ctrl+shift+j", "ctrl+shift+c"):
        yield Attempt("developer tools", chord, "the page's insides", tools(chord), fresh=True)
    yield Attempt(
        "developer tools",
        "by address",
        "the page's insides",
        _titled("devtools://devtools/bundled/devtools_app.html", "DevTools"),
    )
    for chord in ("ctrl+w", "ctrl+F4", "ctrl+shift+w", "alt+F4"):
        yield Attempt("keys", chord, "a screen without a browser", _closes(chord), fresh=True)
    for chord, titles in (
        ("ctrl+u", ("view-source:",)),
        ("ctrl+h", ("History", "Cronologia")),
        ("ctrl+j", ("Downloads", "Download")),
        ("ctrl+shift+o", ("Bookmarks", "Preferiti")),
        ("shift+Escape", ("Task Manager", "Task manager")),
    ):
        yield Attempt("keys", chord, "the browser's insides", _pressed(chord, *titles), fresh=True)
    for chord in ("ctrl+alt+Right", "super+F2", "super+F3", "super+F4", "super+d"):
        yield Attempt("window manager", chord, "a desktop without the bar", _desktop(chord), fresh=True)


def _closes(chord: str) -> Callable[[Seat], bool]:
    def escapes(seat: Seat) -> bool:
        seat.open("start")
        seat.screen.click(*MIDDLE)
        seat.screen.key(chord)
        return seat.wait(lambda: not _window(seat, ""))

    return escapes


def _pressed(chord: str, *titles: str) -> Callable[[Seat], bool]:
    def escapes(seat: Seat) -> bool:
        seat.open("start")
        seat.screen.click(*MIDDLE)
        seat.screen.key(chord)
        return seat.shows(*titles)

    return escapes


def _desktop(chord: str) -> Callable[[Seat], bool]:
    def state(seat: Seat) -> str:
        return seat.screen.run("xprop", "-root", "_NET_CURRENT_DESKTOP", "_NET_SHOWING_DESKTOP", check=False)

    def escapes(seat: Seat) -> bool:
        seat.open("start")
        before = state(seat)
        seat.screen.key(chord)
        return seat.wait(lambda: state(seat) != before)

    return escapes


def _window(seat: Seat, title: str) -> bool:
    return any(one.startswith(title) for one in seat.screen.titles())


def _windows() -> Iterator[Attempt]:
    def another(chord: str) -> Callable[[Seat], bool]:
        def escapes(seat: Seat) -> bool:
            seat.open("start")
            seat.screen.click(*MIDDLE)
            before = len(seat.screen.titles())
            seat.screen.key(chord)
            return seat.wait(lambda: len(seat.screen.titles()) > before)

        return escapes

    for chord in ("ctrl+n", "ctrl+shift+n"):
        yield Attempt("windows", chord, "a second window", another(chord), fresh=True)
    yield Attempt(
        "windows",
        "opened by a page",
        OUTSIDE_HEARD,
        _opened(f"script/{slug('another window')}", click=True),
        fresh=True,
    )


def _full_screen() -> Iterator[Attempt]:
    def covered(seat: Seat) -> bool:
        return seat.wait(lambda: seat.screen.pixels(STRIP) == [GREEN])

    def by_page(seat: Seat) -> bool:
        seat.open("full")
        seat.screen.click(*MIDDLE)
        return covered(seat)

    def by_key(chord: str) -> Callable[[Seat], bool]:
        def escapes(seat: Seat) -> bool:
            seat.open("start")
            seat.screen.click(*MIDDLE)
            seat.screen.key(chord)
            return covered(seat)

        return escapes

    yield Attempt("full screen", "F11", "the session bar's strip", by_key("F11"), fresh=True)
    yield Attempt("full screen", "by the page", "the session bar's strip", by_page, fresh=True)


def _files() -> Iterator[Attempt]:
    def chooser(seat: Seat) -> bool:
        known = ("Open", "Save", "Select", "Apri", "Salva", "Seleziona")
        return seat.wait(lambda: any(one.startswith(known) for one in seat.screen.titles()))

    def by_key(chord: str) -> Callable[[Seat], bool]:
        def escapes(seat: Seat) -> bool:
            seat.open("start")
            seat.screen.click(*MIDDLE)
            seat.screen.key(chord)
            return chooser(seat)

        return escapes

    def by_page(page: str) -> Callable[[Seat], bool]:
        def escapes(seat: Seat) -> bool:
            seat.open(page)
            seat.screen.click(*MIDDLE)
            return chooser(seat)

        return escapes

    for chord in ("ctrl+o", "ctrl+s"):
        yield Attempt("file choosers", chord, "the PC's folders", by_key(chord), fresh=True)
    for page in ("file", "folder"):
        yield Attempt(
            "file choosers", f"a page asks for a {page}", "the PC's folders", by_page(page), fresh=True
        )
    yield Attempt(
        "print dialogs",
        "GTK's own, by ctrl+shift+p",
        "a dialog that writes files",
        _pressed("ctrl+shift+p", "Print", "Stampa"),
        fresh=True,
    )


def _downloads() -> Iterator[Attempt]:
    def files(seat: Seat) -> str:
        # Whatever its name: what Chromium thinks dangerous is there as well, as "Unconfirmed".
        return seat.machine.run(
            ["find", "/home/kiosk/Downloads", "-type", "f", "-size", "+0"], check=False
        ).stdout

    def downloads(path: str) -> Callable[[Seat], bool]:

        def escapes(seat: Seat) -> bool:
            before = files(seat)
            seat.download(path)
            # A forbidden download may leave a file for a moment, before its headers are judged.
            return seat.wait(lambda: files(seat) != before) and not wait_until(
                lambda: files(seat) == before, timeout=2, every=0.2
            )

        return escapes

    for path in DOWNLOADS:
        yield Attempt("downloads", path.rpartition("/")[2], "a file on the PC", downloads(path))


def _exits() -> Iterator[Attempt]:
    for kind, names in (("script", SCRIPTS), ("markup", MARKUP)):
        for name, text in names.items():
            yield Attempt(
                "what pages fetch",
                name,
                OUTSIDE_HEARD,
                _opened(f"{kind}/{slug(name)}", click="onclick" in text),
                fresh="window" in name,
            )


def _opened(page: str, *, click: bool) -> Callable[[Seat], bool]:
    def escapes(seat: Seat) -> bool:
        seat.open(page)
        if click:
            seat.screen.click(*MIDDLE)
        return seat.reached()

    return escapes
