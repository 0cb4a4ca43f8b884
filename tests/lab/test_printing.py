"""Printing: the profile's printers, and nothing left of what was printed, with the PC's own cupsd."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.lab.printer import jobs, off, on, printer
from tests.lab.rig import Machine
from tests.lab.site import Site, wait_for

pytestmark = [pytest.mark.lab, pytest.mark.timeout(300)]

TITLE = "Dichiarazione-riservata"


@pytest.fixture
def address(site: Site) -> Iterator[str]:
    """Of a driverless printer on the lab's server, switched on."""
    with printer(site.server) as address:
        yield address


def told(machine: Machine, *argv: str, user: str | None = None) -> str:
    done = machine.run(list(argv), check=False, user=user)
    return done.stdout + done.stderr


def calm(machine: Machine) -> bool:
    return "Nothing to change" in told(machine, "lab-agent", "plan")


@pytest.mark.parametrize("number", [2, 10])
def test_a_citizen_prints_and_nothing_of_it_stays(site: Site, address: str, number: int) -> None:
    machine = site.pc(number)
    site.layer_for(machine.name, f"printing: {{printers: {{sala: {address}}}}}\n")
    site.publish()
    wait_for(lambda: calm(machine), 30, "the printer in force")
    checked = told(machine, "cupsd", "-t")
    assert '"/etc/cups/cupsd.conf" is OK.' in checked
    assert "No limit" not in checked
    assert told(machine, "lpstat", "-d", user="kiosk").strip() == "system default destination: sala"
    assert told(machine, "lpstat", "-v", user="kiosk").strip() == f"device for sala: {address}"
    assert ":631" not in told(machine, "ss", "-tlnH")

    machine.run(["tee", "/tmp/page"], input="%PDF-1.4\nprova\n")
    machine.run(["lp", "-o", "raw", "-t", TITLE, "/tmp/page"], user="kiosk")
    wait_for(lambda: jobs(site.server), 30, "it is printed")
    wait_for(lambda: "sala" not in told(machine, "lpstat", "-o"), 30, "it is done")
    assert TITLE not in told(machine, "lpstat", "-W", "completed", "-o", user="kiosk")
    assert TITLE not in told(machine, "lpstat", "-W", "completed", "-o")
    machine.run(["systemctl", "restart", "cups.service"])  # so that it has written what it holds
    places = ("/var/spool/cups", "/var/log/cups", "/var/cache/cups", "/etc/cups")
    assert machine.run(["grep", "-rla", TITLE, *places], check=False).stdout == ""
    assert told(machine, "lpadmin", "-p", "altra", "-E", "-v", address, user="kiosk")
    assert "altra" not in told(machine, "lpstat", "-v")


def test_what_is_changed_behind_the_lab_is_put_back(site: Site, address: str) -> None:
    machine = site.pc(2)
    site.layer_for(machine.name, f"printing: {{printers: {{sala: {address}}}}}\n")
    site.publish()
    wait_for(lambda: calm(machine), 30, "the printer in force")
    machine.run(["lpadmin", "-x", "sala"])
    wait_for(lambda: "sala" in told(machine, "lpstat", "-v"), 30, "the printer again")
    machine.run(["lpadmin", "-p", "sala", "-v", "ipp://192.0.2.1/ipp/print"])
    wait_for(lambda: address in told(machine, "lpstat", "-v"), 30, "its address again")
    machine.run(["systemctl", "stop", "cups.service"])
    wait_for(lambda: address in told(machine, "lpstat", "-v"), 30, "cupsd again")
    machine.run(["cupsctl", "PreserveJobHistory=Yes"])
    wait_for(
        lambda: "PreserveJobHistory No" in (machine.root / "etc/cups/cupsd.conf").read_text(), 30, "put back"
    )
    wait_for(lambda: calm(machine), 30, "calm")


def test_a_printer_that_is_off_is_told_and_comes_when_it_is_on(site: Site, address: str) -> None:
    machine = site.pc(2)
    off(site.server)
    site.layer_for(machine.name, f"printing: {{printers: {{sala: {address}}}}}\n")
    site.publish("--wait", "0", check=False)
    wait_for(lambda: not site.condition(machine.name, "Converged").get("status", True), 60, "told")
    assert "sala" in site.condition(machine.name, "Converged")["message"]
    on(site.server)
    wait_for(lambda: site.condition(machine.name, "Converged").get("status"), 90, "in force")


def test_a_pc_that_is_let_go_prints_as_before(site: Site, address: str) -> None:
    machine = site.pc(2)
    look = ["sh", "-c", "cd /etc/cups; find . -type f | sort | xargs sha256sum"]
    site.layer_for(machine.name, "printing: null\n")
    site.publish()
    wait_for(lambda: calm(machine), 30, "not managed")
    before = machine.run(look).stdout
    site.layer_for(machine.name, f"printing: {{printers: {{sala: {address}}}}}\n")
    site.publish()
    wait_for(lambda: "sala" in told(machine, "lpstat", "-v") and calm(machine), 30, "managed")
    assert machine.run(look).stdout != before
    site.layer_for(machine.name, "printing: null\n")
    site.publish()
    wait_for(lambda: calm(machine), 30, "let go")
    wait_for(lambda: machine.run(look).stdout == before, 30, "as before")
