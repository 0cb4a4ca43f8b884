"""What a row of the table is, where it is tried, and how it is judged."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Self

from tests.lab.breakouts.pages import title
from tests.lab.breakouts.world import INSIDE, OUTSIDE, World
from tests.lab.kiosk import SIZE, Kiosk, kiosk
from tests.lab.rig import Machine
from tests.lab.rig.host import wait_until

CONTROL_S = 30.0
"""How long a control may take to get out."""
QUIET_S = 2.0
"""The least time in which a locked PC must show no sign of it; otherwise twice what the control took."""

BACK_S = 15.0
"""A bar or a browser that is not back by then is lost. It takes seconds; the test's machine is shared."""

STRIP = (SIZE[0] // 2, 12)
MIDDLE = (SIZE[0] // 2, SIZE[1] // 2)
GREEN = (30, 125, 50)

FLAGS = ("--disable-features=InsecureDownloadWarnings",)
"""Without it Chromium keeps back what comes over plain HTTP, and a control could not download."""
SECURE = (f"--unsafely-treat-insecure-origin-as-secure=http://{INSIDE}", "--test-type")
"""The allowed site as if it had a certificate: only such pages may ask for devices and files."""
RC = "/etc/lab-agent/openbox/rc.xml"
FREE_RC = "/run/free-rc.xml"
"""openbox's own defaults, with Chromium maximised below a strip as on a locked PC: a mouse finds it."""


@dataclass
class Seat:
    """One PC, locked or free, with somebody at it. `user` runs programs: the citizen, on a free PC root."""

    machine: Machine
    world: World
    locked: bool
    patience: float = CONTROL_S
    flags: tuple[str, ...] = ()
    _stack: ExitStack = field(default_factory=ExitStack)
    _screen: Kiosk | None = None
    _since: dict[str, int] = field(default_factory=dict)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def user(self) -> str | None:
        """Whose rights programs have: a control needs somebody who may."""
        return "kiosk" if self.locked else None

    @property
    def screen(self) -> Kiosk:
        """The screen with Chromium on it, there from the first time it is wanted on."""
        if self._screen is None:
            self._screen = self._sit()
        return self._screen

    def _sit(self) -> Kiosk:
        rc = RC if self.locked else FREE_RC
        return self._stack.enter_context(
            kiosk(self.machine, f"http://{INSIDE}/start", rc=rc, flags=(*FLAGS, *self.flags))
        )

    def close(self) -> None:
        """The citizen leaves."""
        self._stack.close()
        self._screen = None

    def begin(self, flags: tuple[str, ...] = ()) -> None:
        """From here on what is heard at the sites counts; `flags` are those the browser has."""
        if flags != self.flags:
            self.close()
            self.flags = flags
        self._since = {name: len(self.world.heard(name)) for name in (INSIDE, OUTSIDE)}

    def open(self, page: str) -> None:
        """Open a page of the allowed site and wait until it is there."""
        self.screen.go(f"http://{INSIDE}/{page}")
        self.screen.shows(title(page), 5)

    def clicked(self, page: str) -> None:
        """Open a page of the allowed site and click into it."""
        self.open(page)
        self.screen.click(*MIDDLE)

    def download(self, path: str) -> None:
        """Ask the allowed site for something that is no page."""
        self.screen.go(f"http://{INSIDE}{path}")

    def reached(self, part: str = "", *, site: str = OUTSIDE) -> bool:
        """Whether the site outside (or another) has heard `part` of this PC, within the patience."""
        return self.wait(lambda: any(part in line for line in self._heard(site)))

    def _heard(self, name: str) -> Sequence[str]:
        mine = f"{self.machine.address} "
        lines = self.world.heard(name)[self._since.get(name, 0) :]
        return [line for line in lines if line.startswith(mine)]

    def shows(self, *titles: str) -> bool:
        """Whether a window has a title that begins so, within the patience."""
        return self.wait(lambda: any(one.startswith(titles) for one in self.screen.titles()))

    def wait(self, met: Callable[[], bool]) -> bool:
        """Whether it comes true within the patience."""
        return wait_until(met, timeout=self.patience, every=0.2)

    def run(self, *argv: str) -> bool:
        """Run a program; whether it ended well."""
        return not self.machine.run(argv, user=self.user, check=False, timeout=30).returncode


Escape = Callable[[Seat], bool]
"""Tries a way out; whether it got there."""


@dataclass(frozen=True)
class Attempt:
    """One way out. `escapes` tries it and says whether it got there; `lost`: what that would be."""

    group: str
    name: str
    lost: str
    escapes: Escape
    fresh: bool = False
    """Whether it may leave windows behind, so that the next one needs a new screen."""
    flags: tuple[str, ...] = ()
    """What the browser is started with besides."""
    desk: bool = False
    """Whether it is tried in a session as the lab starts and ends it (tests/lab/breakouts/desk.py)."""

    def __str__(self) -> str:
        return f"{self.group}: {self.name}"


class Verdict(StrEnum):
    """How a row ended."""

    HELD = "held"
    BROKE = "BROKE"
    NO_CONTROL = "ERROR: the control did not get out either"


def judge(attempt: Attempt, free: Seat, locked: Seat) -> Verdict:
    """Try it on the free PC, then on the locked one."""
    if attempt.fresh:
        free.close()
        locked.close()
    free.begin(attempt.flags)
    began = time.monotonic()
    got_out = attempt.escapes(free)
    took = time.monotonic() - began
    if attempt.fresh:
        free.close()
    if not got_out:
        return Verdict.NO_CONTROL
    locked.patience = max(QUIET_S, 2 * took)
    locked.begin(attempt.flags)
    verdict = Verdict.BROKE if attempt.escapes(locked) else Verdict.HELD
    if attempt.fresh:
        locked.close()
    return verdict
