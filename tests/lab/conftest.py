"""One lab of ten real PCs for all acceptance tests, and a loud word where there can be none.

The lab is made once a run and every test leaves it as it found it: whatever a
test cut, switched off or wrote, the fixture `site` mends and waits until all
ten PCs are well again, so that a failure stays one failure. With `LAB_KEEP=yes`
the lab stays up after the run and the next run uses it as it is (today's code
is not installed again): for writing tests, never for believing them. Two checkouts
can run them side by side: `LAB_NUMBER=1` to 9 gives a run a lab of its own, and
`LAB_PCS=3` a smaller one, for tests that need no more.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab.rig import Lab
from tests.lab.rig.host import say
from tests.lab.site import LAYER, Site, pc_files

NUMBER = int(os.environ.get("LAB_NUMBER", "0"))
PREFIX, NET = f"prova{NUMBER or ''}", f"10.8{NUMBER}.0"
DIRECTORY = Path(f"/var/lib/publiclab-{PREFIX}")
LOCK = DIRECTORY.with_suffix(".lock")
PCS = int(os.environ.get("LAB_PCS", "10"))
TRIXIE = "pc-10"
"""Nine PCs run Debian 12; this one runs Debian 13 with Python 3.13."""

KEPT = os.environ.get("LAB_KEEP") == "yes"
REQUIRED = os.environ.get("LAB_TESTS") == "required"
_left_out: list[str] = []


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Without root a test of the lab is left out, or fails where it must not be."""
    if item.get_closest_marker("lab") is None or os.geteuid() == 0:
        return
    if REQUIRED:
        pytest.fail("LAB_TESTS=required, but the lab of real PCs needs root", pytrace=False)
    _left_out.append(item.nodeid)
    pytest.skip("NOT TESTED: the lab of real PCs needs root; run these tests with sudo")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Nobody shall take a run without the lab for a whole one."""
    if _left_out:
        terminalreporter.section("NOT TESTED ON REAL PCs", sep="!", red=True, bold=True)
        terminalreporter.line(
            f"{len(_left_out)} tests with real PCs, mDNS and a real browser were LEFT OUT: they need root.",
            red=True,
            bold=True,
        )
        terminalreporter.line("Run them with: sudo make test", red=True, bold=True)


@pytest.fixture(scope="session")
def alone() -> Iterator[None]:
    """This run has the lab for itself: a second one would take it down under the first."""
    LOCK.touch()
    with LOCK.open() as held:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            pytest.exit("another run of the lab's tests is under way on this machine: wait for its end", 1)
        yield
        LOCK.unlink()


@pytest.fixture(scope="session")
def lab_of_ten(alone: None) -> Iterator[Site]:
    """A server and ten PCs, paired, with the citizen profile in force."""
    if KEPT and (DIRECTORY / "lab.json").exists():
        site = Site(Lab.at(DIRECTORY))
    else:
        Lab(PREFIX, NET, DIRECTORY).down()  # whatever a run that was killed has left
        site = Site.make(PREFIX, NET, DIRECTORY, ("bookworm", "trixie") if PCS >= 10 else ("bookworm",))
    began = time.monotonic()
    try:
        site.lab.start_all({"server": {}})
        if PCS >= 10:
            site.lab.start(TRIXIE, release="trixie", files=pc_files(), wait=False)
        site.up(PCS)
        booted = time.monotonic()
        site.init()
        known = site.status()
        site.pair(machine for machine in site.lab.pcs() if machine.name not in known)
        paired = time.monotonic()
        site.labctl("profile", "publish", "citizen")
        site.mend(LAYER)
        ended = time.monotonic()
        say(
            f"{'(kept) ' if KEPT else ''}ten PCs converged {ended - began:.1f} s after the site's start "
            f"(booted {booted - began:.1f}, paired {paired - booted:.1f}, published {ended - paired:.1f})"
        )
        yield site
    finally:
        if not KEPT:
            site.lab.down()


@pytest.fixture
def site(lab_of_ten: Site) -> Iterator[Site]:
    """The lab, all ten PCs well before the test and after it."""
    yield lab_of_ten
    lab_of_ten.mend(LAYER)
