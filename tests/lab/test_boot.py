"""How a PC starts: GRUB's menu as Debian's own grub-mkconfig makes it from what the agent wrote.

The lab's PCs are containers: they have no kernel, no disk and no `update-grub`. A test gives one a
kernel's name, Debian's one-line `update-grub`, and a `grub-probe` that answers for a disk. That such
a menu starts by itself and asks for the password before anything else was seen by hand with
grub-emu (docs/decisions/0043).
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from tests.lab.rig import Machine
from tests.lab.site import Site, wait_for

pytestmark = [pytest.mark.lab, pytest.mark.timeout(300)]

MENU = "/boot/grub/grub.cfg"
UPDATE = "#!/bin/sh\nset -e\nexec grub-mkconfig -o /boot/grub/grub.cfg\n"
PROBE = """#!/bin/sh
case "$*" in
  *target=fs_uuid*) echo 11111111-2222-3333-4444-555555555555 ;;
  *target=fs*) echo ext2 ;;
  *target=device*) echo /dev/sda1 ;;
  *target=abstraction*) ;;
  *target=partmap*) echo gpt ;;
  *target=compatibility_hint*) echo hd0,gpt1 ;;
esac
"""
FILES = {
    "/usr/sbin/update-grub": UPDATE,
    "/usr/sbin/grub-probe": PROBE,
    "/boot/vmlinuz-6.1.0-1-amd64": "",
    "/boot/initrd.img-6.1.0-1-amd64": "",
}
FIRST = "grub.pbkdf2.sha512.10000." + "AB" * 32 + "." + "CD" * 64
SECOND = FIRST.replace("AB", "EF")


@pytest.fixture(params=[2, 10])
def machine(site: Site, request: pytest.FixtureRequest) -> Iterator[Machine]:
    """A PC with GRUB's menu, Debian 12 and 13."""
    pc = site.pc(request.param)
    pc.run(["cp", "/usr/sbin/grub-probe", "/root/grub-probe"])
    for path, text in FILES.items():
        pc.run(["install", "-D", "-m", "755", "/dev/stdin", path], input=text)
    site.layer_for(pc.name, f"boot: {{password_hash: {FIRST}}}\n")
    site.publish()
    pc.run(["install", "-D", "-m", "600", "/dev/null", MENU])
    try:
        yield pc
    finally:
        pc.run(["rm", "-rf", "/boot/grub", *FILES])
        pc.run(["mv", "/root/grub-probe", "/usr/sbin/grub-probe"])


def menu(machine: Machine) -> str:
    return machine.run(["cat", MENU], check=False).stdout


def calm(machine: Machine) -> bool:
    return "Nothing to change" in machine.run(["lab-agent", "plan"], check=False).stdout


def test_the_menu_is_hidden_locked_and_made_again(site: Site, machine: Machine) -> None:
    wait_for(lambda: FIRST in menu(machine), 30, "the lock in the menu")
    text = menu(machine)
    machine.run(["grub-script-check", MENU])
    assert set(re.findall(r"^ *set (timeout(?:_style)?=\S+)", text, re.M)) == {
        "timeout_style=hidden",
        "timeout=0",
    }
    assert "recovery" not in text
    # 10_linux's entry stands where entries are open, the firmware's and others where they are not again.
    opened = text.index('menuentry_id_option="--unrestricted')
    closed = text.index('menuentry_id_option="$lab_menuentry_id_option"')
    entries = [match.start() for match in re.finditer(r"^\s*(?:menuentry|submenu) ", text, re.M)]
    assert entries
    assert all(opened < entry < closed for entry in entries if entry < text.index("30_os-prober"))
    for path in (MENU, "/etc/grub.d/09_lab"):
        assert machine.run(["cat", path], user="kiosk", check=False).returncode != 0

    machine.run(["sh", "-c", f"grep -v -e superusers -e password_pbkdf2 {MENU} >/boot/x; cp /boot/x {MENU}"])
    wait_for(lambda: FIRST in menu(machine), 30, "the lock again")
    site.layer_for(machine.name, f"boot: {{password_hash: {SECOND}, menu_s: 3}}\n")
    site.publish()
    wait_for(lambda: SECOND in menu(machine) and FIRST not in menu(machine), 30, "the other password")
    assert "set timeout=3" in menu(machine)
    wait_for(lambda: calm(machine), 30, "calm")

    site.layer_for(machine.name, "boot: null\n")
    site.publish()
    wait_for(lambda: "menuentry" in menu(machine) and "superusers" not in menu(machine), 30, "as before")
    assert machine.run(["test", "-e", "/etc/grub.d/09_lab"], check=False).returncode != 0
