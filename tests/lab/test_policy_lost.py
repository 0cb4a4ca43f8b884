"""A policy file that is truncated, wrong in type or gone, with nobody there to mend it: what still holds.

A managed policy fails open, so two things are looked at, with the enforcer
stopped. Without the allow-list nothing opens. Without the deny rules the browser
itself opens (its settings, so the loss is seen), and the kernel and the proxy
still refuse: the log of the site that must not be reached stays empty. With the
kernel's table gone as well the same steps reach it, or the rest would prove nothing.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count

import pytest

from tests.lab.kiosk import Kiosk, kiosk
from tests.lab.rig import Machine
from tests.lab.rig.host import say, wait_until
from tests.lab.site import LAYER, Site, wait_for
from tests.lab.www import Web, web

pytestmark = [pytest.mark.lab, pytest.mark.timeout(300)]

PORTALE, ALTROVE = "portale.test", "altrove.test"
DENY, ALLOW = "50-lab-policy.json", "60-lab-allow.json"
ENFORCER = "lab-enforcer.service"
SEEN_S = 60
SETTLED_S = 6
"""Chromium reads files that have not changed for 5 s. What changes in its own first seconds it may overlook
for longer while it is kept busy (docs/decisions/0047): so it is left alone after each change."""
Spoil = Callable[[bytes], bytes | None]


def truncated(content: bytes) -> bytes | None:
    return content[: len(content) // 2]


def missing(content: bytes) -> bytes | None:
    return None


def wrong_in_type(content: bytes) -> bytes | None:
    """Each list is a text, as a hand that forgot the brackets writes it."""
    document = json.loads(content)
    return json.dumps(
        {key: "*" if isinstance(value, list) else value for key, value in document.items()}
    ).encode()


class Files:
    """The policy directory of a PC, one file spoilt at a time."""

    def __init__(self, machine: Machine) -> None:
        self._directory = machine.root / "etc/chromium/policies/managed"
        self._right = {name: (self._directory / name).read_bytes() for name in (DENY, ALLOW)}

    def spoil(self, name: str, how: Spoil) -> None:
        """That file spoilt, the other one right."""
        for each, content in self._right.items():
            spoilt = how(content) if each == name else content
            path = self._directory / each
            if spoilt is None:
                path.unlink(missing_ok=True)
            else:
                fresh = path.with_suffix(".new")
                fresh.write_bytes(spoilt)
                fresh.rename(path)

    def spoil_until(self, name: str, how: Spoil, look: Callable[[], bool]) -> None:
        """That file spoilt, and the browser seen to have read it."""
        self.spoil(name, how)
        end = time.monotonic() + SEEN_S
        while time.monotonic() < end:
            time.sleep(SETTLED_S)
            if look():
                return
        raise AssertionError(f"{how.__name__} {name}: not read within {SEEN_S} s")


class Visit:
    """A citizen who tries addresses, each of them new."""

    def __init__(self, seat: Kiosk, portale: Web, altrove: Web) -> None:
        self.seat, self.portale, self.altrove = seat, portale, altrove
        self._paths = (f"/try-{number}" for number in count())

    def reaches(self, site: Web, seconds: float = 1) -> bool:
        """Whether a typed address of the site is in its log within a while."""
        path = next(self._paths)
        self.seat.go(f"http://{site.name}{path}")
        return wait_until(lambda: path in site.visits(), timeout=seconds)

    def settings_open(self) -> bool:
        """Whether the browser shows its own settings: its deny rules are lost."""
        self.seat.go("chrome://settings")
        return self.seat.shows("Settings", 1)


@contextmanager
def nobody_mends(site: Site, machine: Machine) -> Iterator[None]:
    machine.run(["systemctl", "stop", ENFORCER])
    try:
        yield
    finally:
        machine.run(["systemctl", "start", ENFORCER])
        # The front looks for it each few seconds after so long; until then the PC refuses what it is told.
        wait_for(lambda: not site.condition(machine.name, "EnforcerLost").get("status"), 30, "both halves")


@contextmanager
def unfiltered(machine: Machine) -> Iterator[None]:
    """The kernel's table taken away for a moment."""
    table = machine.run(["nft", "list", "table", "inet", "lab_kiosk"]).stdout
    machine.run(["nft", "delete", "table", "inet", "lab_kiosk"])
    try:
        yield
    finally:
        machine.run(["nft", "-f", "-"], input=table)


@pytest.fixture
def visit(site: Site) -> Iterator[Visit]:
    """A citizen at pc-01 under the shipped profile, in a lab that allows portale.test."""
    server, net, machine = site.server, site.lab.network.net, site.pc(1)
    with (
        web(server, PORTALE, f"{net}.21", (30, 125, 50), ALTROVE) as portale,
        web(server, ALTROVE, f"{net}.22", (180, 20, 20), PORTALE) as altrove,
    ):
        hosts = machine.root / "etc/hosts"
        before = hosts.read_text()
        hosts.write_text(before + f"{portale.address} {PORTALE}\n{altrove.address} {ALTROVE}\n")
        try:
            site.write_layer(f"{LAYER}allow: [.{PORTALE}]\n")
            site.publish()
            with kiosk(machine, f"http://{PORTALE}/") as seat:
                assert seat.shows(f"Sito {PORTALE}"), seat.titles()
                yield Visit(seat, portale, altrove)
        finally:
            hosts.write_text(before)


def test_a_lost_policy_file_opens_no_site(site: Site, visit: Visit) -> None:
    machine, portale, altrove = visit.seat.machine, visit.portale, visit.altrove
    files = Files(machine)

    with nobody_mends(site, machine):
        for how in (truncated, wrong_in_type, missing):
            # The deny rules are right again, and were read in one look with the allow-list that is not.
            files.spoil_until(ALLOW, how, lambda: not visit.settings_open() and not visit.reaches(portale))
            assert not visit.reaches(altrove)
            files.spoil_until(DENY, how, visit.settings_open)
            assert not visit.reaches(altrove), "the browser itself is open, the filter holds"
            if how is wrong_in_type:
                assert visit.reaches(portale), "the proxy is still set, and lets the lab's hosts through"
            say(f"pc-01 with a {how.__name__} policy file, nobody mending: no site but the allowed one")
        assert altrove.visits() == []
        with unfiltered(machine):
            wait_for(lambda: visit.reaches(altrove), SEEN_S, "the control: only the filter held")
