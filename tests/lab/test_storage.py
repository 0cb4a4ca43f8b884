"""What may be plugged in. The lab's PCs have no USB: here is what udev and modprobe make of our files."""

from __future__ import annotations

import pytest

from tests.lab.rig import Machine
from tests.lab.site import Site, wait_for

pytestmark = [pytest.mark.lab, pytest.mark.timeout(300)]

RULES = "/etc/udev/rules.d/90-lab-usb.rules"
MODULES = "/etc/modprobe.d/90-lab-usb.conf"
POLKIT = "/etc/polkit-1/rules.d/00-lab-kiosk.rules"
MODES = ("none", "read-only", "full")


def has(machine: Machine, path: str, part: str = "") -> bool:
    file = machine.root / path.lstrip("/")
    return file.exists() and part in file.read_text()


def converged(machine: Machine) -> bool:
    return "Nothing to change" in machine.run(["lab-agent", "plan"], check=False).stdout


@pytest.mark.parametrize("mode", MODES)
def test_udev_finds_nothing_wrong_with_the_rules(site: Site, mode: str) -> None:
    """Debian 13's udev can be asked (`udevadm verify`); Debian 12's cannot."""
    machine = site.pc(10)
    kinds = "audio, network, printer, smart-card, still-image, video, vendor-specific"
    site.layer_for(machine.name, f"storage: {{removable: {mode}, usb: [{kinds}]}}\n")
    site.publish()
    closed = mode == "none"
    wait_for(lambda: has(machine, RULES, "|0e|e0|ff") and has(machine, MODULES) == closed, 30, mode)
    wait_for(lambda: converged(machine), 30, "applied")
    assert has(machine, RULES, "08") != closed
    assert has(machine, RULES, "--setro") == (mode == "read-only")
    told = machine.run(["udevadm", "verify", RULES], check=False)
    assert told.returncode == 0, told.stdout + told.stderr
    machine.run(["cp", RULES, "/tmp/broken.rules"])
    machine.run(["sed", "-i", "s/==/=!/", "/tmp/broken.rules"])
    assert machine.run(["udevadm", "verify", "/tmp/broken.rules"], check=False).returncode != 0, "the control"


@pytest.mark.parametrize("number", [2, 10])
def test_the_kernel_finds_no_driver_for_storage(site: Site, number: int) -> None:
    machine = site.pc(number)
    for module in ("usb-storage", "uas"):
        # What modprobe reads, without a kernel that could load it.
        shown = machine.run(["modprobe", "--showconfig"]).stdout.splitlines()
        assert f"install {module.replace('-', '_')} /bin/false" in shown
    assert has(machine, POLKIT, 'subject.user == "kiosk"')


@pytest.mark.parametrize("path", [RULES, MODULES, POLKIT])
def test_what_is_changed_behind_the_lab_is_put_back(site: Site, path: str) -> None:
    machine = site.pc(2)
    right = (machine.root / path.lstrip("/")).read_text()
    machine.run(["sh", "-c", f"echo '# open' >{path}"])
    wait_for(lambda: has(machine, path, right), 20, "put back")
    wait_for(lambda: converged(machine), 20, "calm")
