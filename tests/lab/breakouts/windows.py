"""Attempts with windows: those that pages open unasked, and full screen."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from tests.lab.breakouts.pages import FULL_SCREEN, POPUPS, slug
from tests.lab.breakouts.table import GREEN, MIDDLE, STRIP, Attempt, Escape, Seat
from tests.lab.breakouts.world import INSIDE

_STRIP = "the session bar's strip"


def attempts() -> Iterator[Attempt]:
    """All of them."""
    for name in POPUPS:
        yield Attempt("pop-ups", name, "windows that nobody asked for", _opens(name), fresh=True)
    for chord in ("ctrl+n", "ctrl+shift+n"):
        yield Attempt("pop-ups", chord, "a second window", _another(chord), fresh=True)
    yield Attempt(
        "pop-ups",
        "by a click, of another host",
        "a host that is not on the list",
        clicked_out(f"script/{slug('another window')}"),
        fresh=True,
    )
    yield Attempt("full screen", "F11", _STRIP, _covers(lambda seat: seat.screen.key("F11")), fresh=True)
    for name in FULL_SCREEN:
        yield Attempt("full screen", name, _STRIP, _covers(_page(f"full/{slug(name)}")), fresh=True)
    for flag in ("--kiosk", "--start-fullscreen"):
        yield Attempt(
            *("full screen", f"by {flag}", _STRIP, _covers(lambda _: None)), fresh=True, flags=(flag,)
        )


def clicked_out(page: str) -> Escape:
    """Click into a page of the allowed site; whether the one outside hears of it."""

    def escapes(seat: Seat) -> bool:
        seat.clicked(page)
        return seat.reached()

    return escapes


def _opens(name: str) -> Escape:
    def escapes(seat: Seat) -> bool:
        seat.open(f"popup/{slug(name)}")
        if "click" in name:
            seat.screen.click(*MIDDLE)
        return seat.reached("/opened", site=INSIDE)

    return escapes


def _another(chord: str) -> Escape:
    def escapes(seat: Seat) -> bool:
        seat.clicked("start")
        before = len(seat.screen.titles())
        seat.screen.key(chord)
        return seat.wait(lambda: len(seat.screen.titles()) > before)

    return escapes


def _page(page: str) -> Callable[[Seat], None]:
    def act(seat: Seat) -> None:
        seat.clicked(page)
        seat.screen.key("x")

    return act


def _covers(act: Callable[[Seat], None]) -> Escape:
    def escapes(seat: Seat) -> bool:
        seat.clicked("start")
        act(seat)
        return seat.wait(lambda: seat.screen.pixels(STRIP) == [GREEN])

    return escapes
