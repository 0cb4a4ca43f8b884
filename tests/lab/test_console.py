"""No text console behind the screen: as systemd and logind have it loaded, not as files say."""

from __future__ import annotations

import pytest

from tests.lab.rig import Machine
from tests.lab.site import Site, wait_for

pytestmark = [pytest.mark.lab, pytest.mark.timeout(300)]

LOGIND = ("org.freedesktop.login1", "/org/freedesktop/login1", "org.freedesktop.login1.Manager")
UNITS = ("getty@tty3.service", "autovt@tty4.service", "ctrl-alt-del.target")


def told(machine: Machine, *argv: str) -> str:
    return machine.run(list(argv), check=False).stdout.strip()


def closed(machine: Machine) -> bool:
    """Whether what systemd and logind hold in memory leaves no way to a login."""
    return (
        told(machine, "systemctl", "show", "--property=LoadState", "--value", *UNITS).split()
        == ["masked"] * len(UNITS)
        and told(machine, "systemctl", "show", "--property=CtrlAltDelBurstAction", "--value") == "none"
        and told(machine, "busctl", "get-property", *LOGIND, "NAutoVTs") == "u 0"
    )


@pytest.mark.parametrize("number", [2, 10])
def test_a_kiosk_has_no_text_console_and_a_technician_comes_by_ssh(site: Site, number: int) -> None:
    machine = site.pc(number)
    wait_for(lambda: closed(machine), 20, "closed")
    assert machine.run(["systemctl", "start", UNITS[0]], check=False).returncode != 0
    assert told(machine, "systemctl", "is-active", "ssh.service") == "active"


@pytest.mark.parametrize(
    "spoil",
    [
        "rm /etc/systemd/system/getty@.service; systemctl daemon-reload",
        "systemctl unmask getty@.service autovt@.service; ln -sf /lib/systemd/system/reboot.target "
        "/etc/systemd/system/ctrl-alt-del.target; systemctl daemon-reload",
        "echo '[Login]\nNAutoVTs=6' >/etc/systemd/logind.conf.d/90-lab.conf; "
        "systemctl kill --signal=HUP systemd-logind",
        r"printf '[Service]\nExecStart=/bin/sleep 600\n' >/run/systemd/system/getty@tty9.service; "
        "systemctl daemon-reload; systemctl start getty@tty9.service",
    ],
)
def test_a_console_opened_behind_the_lab_is_closed_again(site: Site, spoil: str) -> None:
    machine = site.pc(2)
    machine.run(["sh", "-ec", spoil])
    machine.run(["rm", "-f", "/run/systemd/system/getty@tty9.service"])
    wait_for(lambda: closed(machine), 20, "closed again")
    wait_for(
        lambda: told(machine, "systemctl", "is-active", "getty@tty9.service") != "active", 20, "no login"
    )
    wait_for(lambda: "Nothing to change" in told(machine, "lab-agent", "plan"), 20, "calm")


def test_maintenance_has_its_consoles_back(site: Site) -> None:
    machine = site.pc(2)
    site.layer_for(machine.name, "console: null\n")
    site.publish()
    wait_for(lambda: not closed(machine), 20, "open")
    loaded = told(machine, "systemctl", "show", "--property=LoadState", "--value", *UNITS).split()
    assert loaded == ["loaded"] * len(UNITS)
    assert told(machine, "busctl", "get-property", *LOGIND, "NAutoVTs") == "u 6"
