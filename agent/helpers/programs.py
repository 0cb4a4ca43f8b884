"""Stays with a session that has office programs: keeps the browser, opens a program when its page is read.

A tile of the start page leads to a page of the program's (contract/start.py).
The browser reads the file, inotify(7) tells, and the program comes up above the
page. So a click opens it and nobody has to be asked: whoever can read a file as
the session's user can start its programs anyway, and a browser lets no page of
the web lead to a file.

A browser that ends while a program is open comes back alone, with a fresh
profile: with the session's unit the documents would go.
"""

import os
import select
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from agent.inotify import Flag, Inotify
from contract.start import IN_SESSION

OFFICE = "/usr/lib/libreoffice/program/soffice"
OPTIONS = ("--nologo", "--norestore")
AGAIN_S = 4.0
"""A page is read more than once as it opens, and a person clicks twice: so soon it is the same wish."""
PAUSE_S = 0.3
"""Before a browser that ended is there again."""


def keep(
    browser: Sequence[str],
    environment: Mapping[str, str],
    programs: Sequence[str],
    *,
    refresh: Callable[[], None],
    pages: Path = Path(IN_SESSION),
) -> int:
    """Run the browser and what is opened beside it; its exit code when it ends and no program is open.

    `refresh` is called before a browser is started again.
    """
    watch = Inotify()
    watch.add_watch(str(pages), Flag.OPEN)
    # Where a document leads to an address it is the session's own browser, with its lists, that is asked.
    office = {
        **environment,
        "DESKTOP_LAUNCH": " ".join(arg for arg in browser[:-1] if _names_the_browser(arg)),
    }
    wishes = Wishes(programs)
    running = _start(browser, environment)
    opened: set[int] = set()
    while True:
        ended = os.pidfd_open(running)  # a child that was not waited for is there also when it has ended
        try:
            waiting, _, _ = select.select([watch.fileno(), ended], (), ())
        finally:
            os.close(ended)
        if watch.fileno() in waiting:
            names = [event.name for event in watch.read()]
            for program in wishes.of(names, time.monotonic()):
                opened.add(_start((OFFICE, *OPTIONS, f"--{program}"), office))
        opened -= {pid for pid in opened if _has_ended(pid) is not None}
        code = _has_ended(running)
        if code is None:
            continue
        if not opened:
            return code
        time.sleep(PAUSE_S)
        refresh()
        running = _start(browser, environment)


class Wishes:
    """Which programs are to be opened, from the names of the pages that were read."""

    def __init__(self, programs: Sequence[str]) -> None:
        self._programs = tuple(programs)
        self._opened: dict[str, float] = {}

    def of(self, names: Sequence[str], now: float) -> tuple[str, ...]:
        """Those that were asked for; `now` is monotonic. A program that was opened just now is not again."""
        asked = {name.partition("-")[0] for name in names if name.endswith(".html")}
        due = tuple(
            program
            for program in self._programs
            if program in asked and now - self._opened.get(program, -AGAIN_S) >= AGAIN_S
        )
        self._opened |= dict.fromkeys(due, now)
        return due


def _names_the_browser(argument: str) -> bool:
    """The program, and whose profile: so the browser that runs already takes the address."""
    return argument.startswith(("/", "--user-data-dir="))


def _start(argv: Sequence[str], environment: Mapping[str, str]) -> int:
    return os.posix_spawn(argv[0], tuple(argv), dict(environment))


def _has_ended(pid: int) -> int | None:
    """A child's exit code; None while it runs."""
    done, status = os.waitpid(pid, os.WNOHANG)
    return os.waitstatus_to_exitcode(status) if done else None
