"""A real Chromium under the policy that ships: what a citizen can reach, and how soon a change counts.

Judged by the logs of two sites of the lab's, portale.test (allowed) and
altrove.test (never), by titles and by pixels: remote debugging is off. A run
without the policy does the same and reaches both, or the rest would prove nothing.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import pytest

from tests.lab.kiosk import SIZE, Kiosk, kiosk
from tests.lab.rig import Machine
from tests.lab.rig.host import say, wait_until
from tests.lab.site import LAYER, Site, wait_for, wait_to_see
from tests.lab.www import Web, web

pytestmark = [pytest.mark.lab, pytest.mark.timeout(600)]

OBEYS_S = 10.0
"""From the end of `labctl profile publish` to the running browser's obedience; the issue's own figure."""
STARTED_S = 6.0
LOOK_S = 1.5
PATIENCE_S = 90.0
"""For a machine whose two cores have other work; the figure that counts is OBEYS_S, in the best of three."""
PORTALE, ALTROVE = "portale.test", "altrove.test"
GREEN, RED = (30, 125, 50), (180, 20, 20)
LINK = (SIZE[0] // 2, 300)
PLAIN = (SIZE[0] // 2, 700)
BAR = (SIZE[0] // 2, 18)


@pytest.fixture(scope="module")
def sites(lab_of_ten: Site) -> Iterator[tuple[Web, Web]]:
    """portale.test and altrove.test, on the lab's server at addresses of their own."""
    server, net = lab_of_ten.server, lab_of_ten.lab.network.net
    with (
        web(server, PORTALE, f"{net}.21", GREEN, ALTROVE) as portale,
        web(server, ALTROVE, f"{net}.22", RED, PORTALE) as altrove,
    ):
        yield portale, altrove


@contextmanager
def knowing(machine: Machine, sites: tuple[Web, Web]) -> Iterator[None]:
    """The PC has the sites in its /etc/hosts, in place of a DNS."""
    hosts = machine.root / "etc/hosts"
    before = hosts.read_text()
    hosts.write_text(before + "".join(f"{site.address} {site.name}\n" for site in sites))
    try:
        yield
    finally:
        hosts.write_text(before)


@contextmanager
def citizen(site: Site, machine: Machine, sites: tuple[Web, Web], *flags: str) -> Iterator[Kiosk]:
    """A citizen under the shipped profile, in a lab that allows portale.test."""
    site.write_layer(f"{LAYER}allow: [.{PORTALE}]\n")
    site.publish()
    with knowing(machine, sites), kiosk(machine, f"http://{PORTALE}/", flags=flags) as seat:
        yield seat


def test_the_shipped_policy_lets_a_citizen_reach_the_allowed_site_and_never_another(
    site: Site, sites: tuple[Web, Web], tmp_path: Path
) -> None:
    portale, altrove = sites
    before = len(altrove.visits())
    with citizen(site, site.pc(1), sites) as seat:
        assert seat.shows(f"Sito {PORTALE}"), seat.titles()
        assert seat.pixels(PLAIN) == [GREEN]
        seat.picture(tmp_path / "allowed.png")

        seat.click(*LINK)
        assert seat.shows(ALTROVE), seat.titles()  # a blocked page's title is its address
        seat.picture(tmp_path / "blocked.png")
        assert seat.pixels(PLAIN) != [RED]

        seat.go(f"http://{PORTALE}/typed")
        assert seat.shows(f"Sito {PORTALE}"), seat.titles()
        assert "/typed" in portale.visits()

        seat.go(f"http://{ALTROVE}/typed")
        assert seat.shows(ALTROVE), seat.titles()

        seat.go(f"http://{PORTALE}/via")
        assert wait_until(lambda: "/via" in portale.visits(), timeout=10)
        assert seat.shows(ALTROVE), seat.titles()
        assert altrove.visits()[before:] == []

        seat.go("chrome://settings")
        assert not seat.shows("Settings", 2), seat.titles()
        assert not seat.shows("Impostazioni", 0), seat.titles()

        seat.go(f"http://{PORTALE}/keys")
        assert seat.shows(f"Sito {PORTALE}"), seat.titles()
        seat.key("F11")
        assert seat.pixels(PLAIN, BAR)[0] == GREEN
        assert seat.pixels(BAR) != [GREEN], "nothing covers the session bar's strip"


def test_without_the_policy_the_same_citizen_reaches_both(site: Site, sites: tuple[Web, Web]) -> None:
    portale, altrove = sites
    machine = site.pc(2)
    rc = (machine.root / "etc/lab-agent/openbox/rc.xml").read_text()
    site.labctl("unpair", machine.name)
    wait_for(lambda: let_go(machine), 60, "the PC let go of, filter and all")
    machine.run(["install", "-m", "644", "/dev/stdin", "/run/rc.xml"], input=rc)  # the same window, only
    flags = ("--remote-debugging-port=9222",)
    with (
        knowing(machine, sites),
        kiosk(machine, f"http://{PORTALE}/control", rc="/run/rc.xml", flags=flags) as seat,
    ):
        assert seat.shows(f"Sito {PORTALE}", PATIENCE_S), seat.titles()
        assert "/control" in portale.visits()
        wait_to_see(lambda: seat.pixels(PLAIN), [GREEN], PATIENCE_S, "the page, which can be clicked on then")
        seat.click(*LINK)
        assert wait_until(lambda: "/link" in altrove.visits(), timeout=PATIENCE_S), seat.titles()
        assert seat.shows(f"Sito {ALTROVE}", PATIENCE_S), seat.titles()
        wait_to_see(lambda: seat.pixels(PLAIN), [RED], PATIENCE_S, "the other page")
        # One after the other: an address that is typed over before it is asked for never is.
        seat.go(f"http://{ALTROVE}/control")
        assert wait_until(lambda: "/control" in altrove.visits(), timeout=PATIENCE_S), seat.titles()
        seat.go(f"http://{PORTALE}/via")
        assert wait_until(lambda: "/redirect" in altrove.visits(), timeout=PATIENCE_S), seat.titles()
        assert wait_until(lambda: debugging_answers(machine), timeout=PATIENCE_S)
        seat.go("chrome://settings")
        assert seat.shows("Settings", PATIENCE_S), seat.titles()


def let_go(machine: Machine) -> bool:
    """Whether neither the policy nor the network filter is in force any more."""
    ruleset = machine.run(["nft", "list", "ruleset"]).stdout
    policies = machine.root / "etc/chromium/policies/managed"
    return "lab_kiosk" not in ruleset and not (policies.is_dir() and any(policies.iterdir()))


def debugging_answers(machine: Machine) -> bool:
    asked = ["curl", "-s", "--max-time", "2", "http://127.0.0.1:9222/json/version"]
    return "Browser" in machine.run(asked, check=False).stdout


def test_a_published_change_reaches_the_running_browser_within_ten_seconds(
    site: Site, sites: tuple[Web, Web]
) -> None:
    portale, altrove = sites
    machine = site.pc(1)
    with citizen(site, machine, sites, "--remote-debugging-port=9222") as seat:
        assert seat.shows(f"Sito {PORTALE}"), seat.titles()
        assert not debugging_answers(machine)
        browser = seat.browser()
        # Chromium reads changed policies at its lowest priority, which a browser that is just starting,
        # or is typed into without a pause, does not get to while other work has the cores.
        time.sleep(STARTED_S)

        # The two cores of a test machine are shared: the figure is that of the quickest of three rounds,
        # and in each round the browser has to obey, however late.
        slowest = []
        for _ in range(3):
            site.write_layer(f"{LAYER}allow: [.{ALTROVE}]\n")
            there = obeyed(site, seat, gains=altrove, loses=portale)
            site.write_layer(f"{LAYER}allow: [.{PORTALE}]\n")
            back = obeyed(site, seat, gains=portale, loses=altrove)
            slowest.append(max(*there, *back))
            say(f"the running browser opens and closes a site after {there} s, and back after {back} s")
            if slowest[-1] < OBEYS_S:
                break
        assert min(slowest) < OBEYS_S, slowest
        assert seat.browser() == browser


def obeyed(site: Site, seat: Kiosk, *, gains: Web, loses: Web) -> tuple[float, float]:
    """Publish; seconds until the browser opens `gains`, and until it no longer opens `loses`."""
    answer = site.publish()
    assert seat.machine.name in answer["applied"]
    published = time.monotonic()
    tries = (f"/try-{published:.0f}-{number}" for number in count())
    for path in tries:
        seat.go(f"http://{gains.name}{path}")
        if wait_until(lambda path=path: path in gains.visits(), timeout=LOOK_S):  # type: ignore[misc]  # mypy cannot infer a lambda's default
            break
        assert time.monotonic() - published < PATIENCE_S, seat.titles()
    gained = time.monotonic() - published
    for path in tries:
        seat.go(f"http://{loses.name}{path}")
        if seat.shows(loses.name, LOOK_S) and path not in loses.visits():
            break
        assert time.monotonic() - published < PATIENCE_S, seat.titles()
    return gained, time.monotonic() - published
