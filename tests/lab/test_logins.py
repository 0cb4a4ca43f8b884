"""Signing in through a chain of redirects, forms and frames: open with its bundle, or stopped hop by hop.

A small SAML federation of the lab's (tests/lab/logins) on host names of its own,
a real Chromium under the shipped profile, a citizen who types. Judged by what
each host was asked for and by the window's title.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.lab.kiosk import BAR_HEIGHT, SIZE, Kiosk, kiosk
from tests.lab.logins import federation_file
from tests.lab.rig import Machine
from tests.lab.rig.host import wait_until
from tests.lab.site import LAYER, Site, wait_for

pytestmark = [pytest.mark.lab, pytest.mark.timeout(300)]

SERVICE, GATEWAY, PROVIDER = "servizi.prova.test", "accesso.prova.test", "idp.federa.test"
FRAME, SCRIPTS = "otp.federa.test", "static.federa.test"
HOSTS = (SERVICE, GATEWAY, PROVIDER, FRAME, SCRIPTS)
USER, WORD = "cittadina", "prova-1"
LOG = "/run/federation.log"
PATIENCE_S = 60.0
STILL_S = 4.0
"""How long nothing more is asked for before a chain counts as stopped."""
TOP = BAR_HEIGHT + 87 + 33
"""Where Chromium's page begins: under the bar's strip, the tabs, the address bar and the bookmarks."""
FIELD = (SIZE[0] // 2, TOP + 50)
"""The frame's first field; also the link of the service's first page."""

CHAIN = (
    f"{SERVICE} GET /login",
    f"{GATEWAY} GET /sso",
    f"{PROVIDER} POST /sso",
    f"{FRAME} GET /frame",
    f"{SCRIPTS} GET /ready.js",
    f"{PROVIDER} POST /login",
    f"{SERVICE} POST /acs",
    f"{SERVICE} GET /benvenuto",
)
"""What is asked for, in this order, when nothing stops it."""

SERVICE_BUNDLE = f"""\
title: {{it: Servizi di prova}}
checked: 2026-11-23
evidence: seen
source: the lab's own
start: http://{SERVICE}/
login: [entra-prova]
navigation: [.{SERVICE}]
"""


def login_bundle(without: str = "") -> str:
    """The sign-in's bundle, or what is left of it without one host."""
    pages = ", ".join(f".{host}" for host in (GATEWAY, PROVIDER, FRAME) if host != without)
    parts = "" if without == SCRIPTS else f".{SCRIPTS}"
    return f"""\
title: {{it: Entra con la federazione di prova}}
checked: 2026-11-23
evidence: seen
source: the lab's own
navigation: [{pages}]
network_only: [{parts}]
"""


@dataclass(frozen=True)
class Federation:
    """The lab's federation while it runs on the server."""

    site: Site
    machine: Machine
    address: str

    def publish(self, services: Sequence[str], without: str = "") -> None:
        """Publish what the lab offers, and wait until the PC is that."""
        self.site.write_file("services/servizi-prova.yaml", SERVICE_BUNDLE)
        self.site.write_file("services/entra-prova.yaml", login_bundle(without))
        self.site.write_layer(f"{LAYER}start_page: http://{SERVICE}/\nservices: [{', '.join(services)}]\n")
        self.site.publish()
        self.site.settle()

    def visits(self) -> list[str]:
        """What was asked for since `forget`: host, method and path."""
        lines = (self.site.server.root / LOG.lstrip("/")).read_text().splitlines()
        return [line for line in lines if line in CHAIN]

    def forget(self) -> None:
        """Begin a new count."""
        (self.site.server.root / LOG.lstrip("/")).write_text("")

    def stopped(self) -> list[str]:
        """What was asked for when nothing more is."""
        seen, since = self.visits(), time.monotonic()
        while time.monotonic() - since < STILL_S:
            time.sleep(0.2)
            if (now := self.visits()) != seen:
                seen, since = now, time.monotonic()
        return seen


@pytest.fixture(scope="module")
def federation(lab_of_ten: Site) -> Iterator[Federation]:
    server, machine = lab_of_ten.server, lab_of_ten.pc(3)
    address = f"{lab_of_ten.lab.network.net}.23"
    hosts = machine.root / "etc/hosts"
    before = hosts.read_text()
    server.net_run(["ip", "address", "add", f"{address}/24", "dev", "eth0"])
    try:
        argv = ["/opt/lab-controller/bin/python", "-c", federation_file().read_text(), address, LOG]
        with server.popen(argv):
            log = server.root / LOG.lstrip("/")
            wait_for(log.exists, 20, "the federation's start")
            hosts.write_text(before + f"{address} {' '.join(HOSTS)}\n")
            yield Federation(lab_of_ten, machine, address)
    finally:
        hosts.write_text(before)
        server.net_run(["ip", "address", "del", f"{address}/24", "dev", "eth0"])
        for name in ("servizi-prova", "entra-prova"):
            server.run(["rm", "-f", f"/etc/lab-controller/services/{name}.yaml"])


def sign_in(federation: Federation, seat: Kiosk) -> None:
    """As a citizen does it: the link, the name, the word, Enter; as far as the chain goes."""
    assert seat.shows("Sito servizi", 30), seat.titles()
    federation.forget()
    wait_for(lambda: _pressed(federation, seat, FIELD), PATIENCE_S, "the link was followed")
    if CHAIN[4] not in federation.stopped():
        return
    seat.click(*FIELD)
    seat.run("xdotool", "type", "--delay", "20", USER)
    seat.key("Tab")
    seat.run("xdotool", "type", "--delay", "20", WORD)
    seat.key("Return")


def _pressed(federation: Federation, seat: Kiosk, place: tuple[int, int]) -> bool:
    seat.click(*place)
    return wait_until(lambda: CHAIN[0] in federation.visits(), timeout=3)


def test_a_citizen_signs_in_through_the_whole_chain(
    site: Site, federation: Federation, tmp_path: Path
) -> None:
    federation.publish(["servizi-prova", "entra-prova"])
    with kiosk(federation.machine, f"http://{SERVICE}/") as seat:
        sign_in(federation, seat)
        seat.picture(tmp_path / "typed.png")
        assert seat.shows(f"Benvenuta {USER}", 30), (seat.titles(), federation.visits())
        seat.picture(tmp_path / "signed-in.png")
    assert tuple(federation.visits()) == CHAIN


@pytest.mark.parametrize(
    ("without", "reached"),
    [
        pytest.param(GATEWAY, CHAIN[:1], id="the redirect"),
        pytest.param(PROVIDER, CHAIN[:2], id="the form that sends itself", marks=pytest.mark.long),
        pytest.param(FRAME, CHAIN[:3], id="the frame"),
        pytest.param(SCRIPTS, CHAIN[:4], id="the script", marks=pytest.mark.long),
    ],
)
def test_the_chain_stops_at_the_host_that_the_bundle_misses(
    site: Site, federation: Federation, without: str, reached: tuple[str, ...], tmp_path: Path
) -> None:
    federation.publish(["servizi-prova", "entra-prova"], without)
    with kiosk(federation.machine, f"http://{SERVICE}/") as seat:
        sign_in(federation, seat)
        seat.picture(tmp_path / "stopped.png")
        assert tuple(federation.stopped()) == reached, seat.titles()


@pytest.mark.long
def test_without_the_bundle_there_is_no_way_to_sign_in(site: Site, federation: Federation) -> None:
    federation.publish(["servizi-prova"])
    with kiosk(federation.machine, f"http://{SERVICE}/") as seat:
        sign_in(federation, seat)
        assert tuple(federation.stopped()) == CHAIN[:1], seat.titles()


def test_an_answer_that_nobody_signed_is_refused(federation: Federation) -> None:
    """The federation checks what it is sent, or the chain's end would prove nothing."""
    forged = "<samlp:Response xmlns:samlp='urn:oasis:names:tc:SAML:2.0:protocol' InResponseTo='x'/>"
    asked = ["curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "--resolve"]
    asked += [f"{SERVICE}:80:{federation.address}", f"http://{SERVICE}/acs", "--data-urlencode"]
    coded = ["sh", "-c", f'exec {" ".join(asked[:-1])} --data-urlencode "SAMLResponse=$(base64 -w0)"']
    told = federation.machine.run(coded, input=forged).stdout
    assert told == "403"
