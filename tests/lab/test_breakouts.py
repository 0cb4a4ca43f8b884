"""The breakout suite: a row of each class in the short run, all in the long one and by `make breakouts`."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.lab.breakouts import browser, programs
from tests.lab.breakouts.pages import PAGES
from tests.lab.breakouts.table import FREE_RC, Attempt, Seat, Verdict, judge
from tests.lab.breakouts.world import INSIDE, known, world
from tests.lab.kiosk import BAR_HEIGHT
from tests.lab.site import LAYER, Site

pytestmark = [pytest.mark.lab, pytest.mark.timeout(300)]

ATTEMPTS = (*browser.attempts(), *programs.attempts())
FIRST = {one.group: one for one in reversed(ATTEMPTS)}
MAXIMISED = """
<application class="Chromium*" type="normal">
  <decor>no</decor><focus>yes</focus><maximized>true</maximized>
</application>
</applications>"""


@pytest.fixture(scope="module")
def seats(lab_of_ten: Site) -> Iterator[tuple[Seat, Seat]]:
    """A PC that the lab lets go, and one under the citizen profile in a lab that allows one site."""
    site, free, locked = lab_of_ten, lab_of_ten.pc(2), lab_of_ten.pc(1)
    site.write_layer(f"{LAYER}allow: [.{INSIDE}]\n")
    site.publish()
    site.labctl("unpair", free.name)
    rc = (free.root / "etc/xdg/openbox/rc.xml").read_text()
    rc = rc.replace("</applications>", MAXIMISED).replace("<top>0</top>", f"<top>{BAR_HEIGHT}</top>", 1)
    free.run(["install", "-m", "644", "/dev/stdin", FREE_RC], input=rc)
    with (
        world(site.server, site.lab.network.net, PAGES, site.pc(3).address) as here,
        known(free, here),
        known(locked, here),
        Seat(free, here, locked=False) as free_seat,
        Seat(locked, here, locked=True) as locked_seat,
    ):
        yield free_seat, locked_seat
    site.mend(LAYER)


@pytest.mark.parametrize(
    "attempt",
    [
        pytest.param(one, id=str(one), marks=() if FIRST[one.group] is one else pytest.mark.long)
        for one in ATTEMPTS
    ],
)
def test_breakout(
    seats: tuple[Seat, Seat], attempt: Attempt, record_property: Callable[[str, object], None]
) -> None:
    verdict = judge(attempt, *seats)
    record_property("verdict", str(verdict))
    assert verdict is Verdict.HELD, f"{attempt}: {verdict} ({attempt.lost})"
