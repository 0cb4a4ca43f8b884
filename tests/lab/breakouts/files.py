"""Attempts to come at files: choosers, downloads, what prints into a file."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

from tests.lab.breakouts.chords import by_menu, pressed
from tests.lab.breakouts.desk import Desk
from tests.lab.breakouts.pages import DOWNLOADS, PICKERS, SAVES, slug
from tests.lab.breakouts.table import MIDDLE, SECURE, Attempt, Escape, Seat
from tests.lab.breakouts.world import INSIDE
from tests.lab.rig.host import wait_until

_CHOOSER = ("Open", "Save", "Select", "Apri", "Salva", "Seleziona")
_FOLDERS, _FILE = "the PC's folders", "a file on the PC"


def attempts() -> Iterator[Attempt]:
    """All of them."""
    for chord in ("ctrl+o", "ctrl+s"):
        yield Attempt("file choosers", chord, _FOLDERS, pressed(chord, *_CHOOSER), fresh=True)
    for name, page, key in (
        ("the page's menu", "start", "a"),
        ("a link's menu", "link", "k"),
        ("a picture's menu", "picture", "v"),
    ):
        yield Attempt("file choosers", name, _FOLDERS, by_menu(page, key, *_CHOOSER), fresh=True)
    for page in ("file", "folder"):
        yield Attempt("file choosers", f"a page asks for a {page}", _FOLDERS, _asks(page), fresh=True)
    for name in PICKERS:
        yield Attempt(
            *("file choosers", name, _FOLDERS, _asks(f"picker/{slug(name)}")), fresh=True, flags=SECURE
        )
    for path in DOWNLOADS:
        name = path.rpartition("/")[2]
        yield Attempt("downloads", name, _FILE, _downloads(lambda seat, path=path: seat.download(path)))  # type: ignore[misc]  # mypy cannot infer a lambda's default
    for name in SAVES:
        page = f"save/{slug(name)}"
        yield Attempt("downloads", name, _FILE, _downloads(lambda seat, page=page: seat.clicked(page)))  # type: ignore[misc]  # as above
    yield Attempt("downloads", "a link with Alt held", _FILE, _downloads(_with_alt))
    yield from _prints()


def _with_alt(seat: Seat) -> None:
    seat.open("link")
    x, y = map(str, MIDDLE)
    seat.screen.run("xdotool", "keydown", "alt", "mousemove", x, y, "click", "1", "keyup", "alt")


def _prints() -> Iterator[Attempt]:
    lost = "a dialogue that writes files"
    system = ("Print", "Stampa")
    yield Attempt("print dialogs", "GTK's own", lost, pressed("ctrl+shift+p", *system), fresh=True)
    yield Attempt(
        *("print dialogs", "GTK's own, from the preview", lost, _then("ctrl+p", "ctrl+shift+p", system)),
        fresh=True,
    )
    yield Attempt("print dialogs", "saved as PDF", lost, _then("ctrl+p", "Return", _CHOOSER), fresh=True)
    yield Attempt(
        "print dialogs", "saved as PDF, asked by a page", lost, _then("", "Return", _CHOOSER), fresh=True
    )
    yield Attempt("print dialogs", "GTK's own, into a file", lost, _into_a_file, fresh=True, desk=True)


def _into_a_file(seat: Seat) -> bool:
    """Print as the link in the preview does; whether GTK's dialogue has a printer that asks for a file."""
    assert isinstance(seat, Desk)
    before = len(seat.screen.titles())
    flags = ("--disable-print-preview", "--user-data-dir=/tmp/altro", "--no-first-run")
    seat.start("chromium", *flags, f"http://{INSIDE}/print")
    if not seat.screen.shows("Dentro print", 30):
        raise AssertionError("the second browser did not come up")
    time.sleep(1)
    seat.screen.click(*MIDDLE)
    if not wait_until(lambda: len(seat.screen.titles()) > before + 1, timeout=20, every=0.2):
        raise AssertionError("the dialogue did not come up")
    time.sleep(1)
    for x, y in ((80, 88), (102, 265)):  # the first printer; the file, where it prints into one
        own = ("xdotool", "getactivewindow", "mousemove", "--window", "%1", str(x), str(y), "click", "1")
        seat.screen.run(*own)
        time.sleep(1)
    return seat.wait(lambda: len(seat.screen.titles()) > before + 2)


def _then(chord: str, again: str, titles: tuple[str, ...]) -> Escape:
    """Print by a chord (or by the page itself), then press something until a window comes."""

    def escapes(seat: Seat) -> bool:
        seat.clicked("start" if chord else "print")
        if chord:
            seat.screen.key(chord)

        def comes() -> bool:
            # Too soon, it is lost on the preview; once more too soon, it answers the dialogue that comes.
            if wait_until(
                lambda: any(one.startswith(titles) for one in seat.screen.titles()), timeout=4, every=0.2
            ):
                return True
            seat.screen.key(again)
            return False

        return seat.wait(comes)

    return escapes


def _asks(page: str) -> Escape:
    def escapes(seat: Seat) -> bool:
        seat.clicked(page)
        return seat.shows(*_CHOOSER)

    return escapes


def _downloads(act: Callable[[Seat], None]) -> Escape:
    def files(seat: Seat) -> str:
        # Whatever its name: what Chromium thinks dangerous is there as well, as "Unconfirmed".
        return seat.machine.run(
            ["find", "/home/kiosk/Downloads", "-type", "f", "-size", "+0"], check=False
        ).stdout

    def escapes(seat: Seat) -> bool:
        before = files(seat)
        act(seat)
        # A forbidden download may leave a file for a moment, before its headers are judged.
        return seat.wait(lambda: files(seat) != before) and not wait_until(
            lambda: files(seat) == before, timeout=2, every=0.2
        )

    return escapes
