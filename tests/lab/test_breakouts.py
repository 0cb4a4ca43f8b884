"""The breakout suite: a row of each class in the short run, all in the long one and by `make breakouts`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from tests.lab.breakouts import asks, browser, chords, covers, files, leavings, programs, usb, windows
from tests.lab.breakouts.desk import OFFERED, Desk, implanted
from tests.lab.breakouts.pages import PAGES
from tests.lab.breakouts.table import FREE_RC, Attempt, Seat, Verdict, judge
from tests.lab.breakouts.world import INSIDE, World, known, world
from tests.lab.kiosk import BAR_HEIGHT
from tests.lab.rig import Machine
from tests.lab.site import LAYER, Site, wait_for

pytestmark = [pytest.mark.lab, pytest.mark.timeout(300)]

MODULES = (browser, chords, windows, files, asks, programs, usb, covers, leavings)
ATTEMPTS = sorted(
    (attempt for module in MODULES for attempt in module.attempts()), key=lambda attempt: attempt.desk
)
"""Those at a desk come last: both kinds of seat are at one PC that is free."""
FIRST = {one.group: one for one in reversed(ATTEMPTS)}
LEAST = 5
"""Attempts in each class."""
LET_GO = (
    *("etc/chromium/policies/managed/50-lab-policy.json", "etc/lab-agent/openbox/rc.xml"),
    *("etc/lab-agent/proxy/hosts", "etc/udev/rules.d/90-lab-usb.rules", "etc/modprobe.d/90-lab-usb.conf"),
)
MAXIMISED = """
<application class="Chromium*" type="normal">
  <decor>no</decor><focus>yes</focus><maximized>true</maximized>
</application>
<application type="dock"><layer>below</layer></application>
</applications>"""


@pytest.fixture(scope="module")
def here(lab_of_ten: Site) -> Iterator[World]:
    """The two sites, a PC that the lab lets go, and one with sessions; a lab that allows one site."""
    site = lab_of_ten
    free, sessions = site.pc(2), site.pc(4)
    site.write_layer(f"{LAYER}allow: [.{INSIDE}]\n")
    site.layer_for(sessions.name, OFFERED)
    site.publish()
    site.labctl("unpair", free.name)
    for path in LET_GO:
        wait_for(lambda path=path: not (free.root / path).exists(), 30, f"{path} gone")  # type: ignore[misc]  # mypy cannot infer a lambda's default
    rc = (free.root / "etc/xdg/openbox/rc.xml").read_text()
    rc = rc.replace("</applications>", MAXIMISED).replace("<top>0</top>", f"<top>{BAR_HEIGHT}</top>", 1)
    free.run(["install", "-m", "644", "/dev/stdin", FREE_RC], input=rc)
    with world(site.server, site.lab.network.net, PAGES, site.pc(3).address) as two_sites:
        yield two_sites
    site.mend(LAYER)


@contextmanager
def prepared(here: World, *machines: Machine) -> Iterator[None]:
    """Both names and what attempts need are on the PCs."""
    free, locked = machines
    for machine in machines:
        asks.install(machine)
    try:
        with known(free, here), known(locked, here):
            yield
    finally:
        for machine in machines:
            asks.remove(machine)


@pytest.fixture(scope="module")
def seats(lab_of_ten: Site, here: World) -> Iterator[tuple[Seat, Seat]]:
    """At the PC that the lab has let go, and at one under the citizen profile."""
    free, locked = lab_of_ten.pc(2), lab_of_ten.pc(1)
    with (
        prepared(here, free, locked),
        Seat(free, here, locked=False) as free_seat,
        Seat(locked, here, locked=True) as locked_seat,
    ):
        yield free_seat, locked_seat


@pytest.fixture(scope="module")
def desks(lab_of_ten: Site, here: World, seats: tuple[Seat, Seat]) -> Iterator[tuple[Desk, Desk]]:
    """The same with sessions as the lab starts and ends them."""
    for seat in seats:
        seat.close()
    free, locked = lab_of_ten.pc(2), lab_of_ten.pc(4)
    with (
        prepared(here, free, locked),
        implanted(locked),
        Desk(free, here, locked=False) as free_desk,
        Desk(locked, here, locked=True, site=lab_of_ten) as locked_desk,
    ):
        yield free_desk, locked_desk


@pytest.mark.parametrize(
    "attempt",
    [
        pytest.param(one, id=str(one), marks=() if FIRST[one.group] is one else pytest.mark.long)
        for one in ATTEMPTS
    ],
)
def test_breakout(
    request: pytest.FixtureRequest, attempt: Attempt, record_property: Callable[[str, object], None]
) -> None:
    free, locked = request.getfixturevalue("desks" if attempt.desk else "seats")
    verdict = judge(attempt, free, locked)
    record_property("verdict", str(verdict))
    assert verdict is Verdict.HELD, f"{attempt}: {verdict} ({attempt.lost})"


def test_every_class_has_enough_attempts() -> None:
    assert {
        group: count for group, count in Counter(one.group for one in ATTEMPTS).items() if count < LEAST
    } == {}
