"""Which program a read page opens, and what becomes of the browser beside it."""

import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from agent.helpers import programs
from agent.helpers.programs import AGAIN_S, Wishes, keep

OFFICE = """#!/bin/sh
echo "$@ $DESKTOP_LAUNCH" >> {told}
exec sleep {seconds}
"""


def test_a_page_opens_its_program_once_however_often_it_is_read_meanwhile() -> None:
    wishes = Wishes(("writer", "calc"))
    assert wishes.of(["writer-it.html", "writer-it.html"], 100.0) == ("writer",)
    assert wishes.of(["writer-en.html"], 100.0 + AGAIN_S / 2) == ()
    assert wishes.of(["calc-ro.html"], 100.0 + AGAIN_S / 2) == ("calc",)
    assert wishes.of(["writer-it.html"], 100.0 + AGAIN_S) == ("writer",)


@pytest.mark.parametrize(
    "name", ["", "impress-it.html", "writer", "writer.html.part", "it.html", "../writer"]
)
def test_nothing_else_opens_anything(name: str) -> None:
    assert Wishes(("writer", "calc")).of([name], 1.0) == ()


class Desk:
    """Pages, a browser that ends when a file appears, and a program that notes how it was called."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch, *, office_s: float) -> None:
        self.pages, self.told, self.end = folder / "pages", folder / "told", folder / "end"
        self.pages.mkdir()
        (self.pages / "writer-it.html").write_text("<h1>")
        self.told.touch()
        office = folder / "soffice"
        office.write_text(OFFICE.format(told=self.told, seconds=office_s))
        office.chmod(0o755)
        monkeypatch.setattr(programs, "OFFICE", str(office))
        monkeypatch.setattr(programs, "PAUSE_S", 0.01)
        self.browsers = 0
        self.code: int | None = None
        loop = (
            f"echo >> {folder}/started; until test -e {self.end}; do sleep 0.02; done; rm {self.end}; exit 3"
        )
        self.started = folder / "started"
        self._thread = threading.Thread(
            target=self._run, args=(("/bin/sh", "-c", loop, "--user-data-dir=/p", "x"),)
        )
        self._thread.start()

    def _run(self, browser: tuple[str, ...]) -> None:
        self.code = keep(browser, dict(os.environ), ("writer",), refresh=self._refresh, pages=self.pages)

    def _refresh(self) -> None:
        self.browsers += 1

    def join(self) -> None:
        self._thread.join(10)
        assert not self._thread.is_alive()


def until(look: Callable[[], object], seconds: float = 10) -> None:
    end = time.monotonic() + seconds
    while not look():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_a_browser_that_ends_beside_a_document_comes_back_and_alone_it_does_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = Desk(tmp_path, monkeypatch, office_s=1.5)
    until(desk.started.exists)
    (desk.pages / "writer-it.html").read_text()
    until(desk.told.read_text)
    assert desk.told.read_text() == "--nologo --norestore --writer /bin/sh --user-data-dir=/p\n"
    desk.end.touch()
    until(lambda: desk.started.read_text() == "\n\n")
    assert (desk.browsers, desk.code) == (1, None)
    time.sleep(1.6)  # the document is closed
    desk.end.touch()
    desk.join()
    assert (desk.browsers, desk.code) == (1, 3)
