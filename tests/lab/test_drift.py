"""What somebody changes behind the lab's back comes back in seconds, or the PC says why it is out of service.

The table below is tried on a PC while a citizen sits there. Each row counts only if the agent says that it
was the one who put it right (or cannot): a tampering that comes to nothing proves nothing.
"""

from __future__ import annotations

import os
import signal
import time
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab.rig import Machine
from tests.lab.rig.host import say
from tests.lab.site import LAYER, Site, wait_for

pytestmark = [pytest.mark.lab, pytest.mark.timeout(300)]

DENY = "/etc/chromium/policies/managed/50-lab-policy.json"
ALLOW = "/etc/chromium/policies/managed/60-lab-allow.json"
RC = "/etc/lab-agent/openbox/rc.xml"
XORG = "/etc/X11/xorg.conf.d/90-lab.conf"
SYSCTL = "/etc/sysctl.d/90-lab.conf"
NTP = "/etc/systemd/timesyncd.conf.d/90-lab.conf"

SCREEN = {"DISPLAY": ":0", "XAUTHORITY": "/run/lab-kiosk/Xauthority"}
SESSION, DESKTOP = "lab-session.service", "lab-desktop.service"

ONE_BYTE = "printf X | dd of={path} bs=1 seek=9 conv=notrunc status=none"


@pytest.mark.parametrize(
    ("path", "spoil"),
    [
        (DENY, ONE_BYTE),
        (ALLOW, ONE_BYTE),
        (RC, ONE_BYTE),
        (XORG, "rm {path}"),
        (SYSCTL, "chmod 600 {path}"),
        (NTP, "mv {path} {path}.gone"),
        (DENY, "truncate -s 20 {path}"),
    ],
)
def test_a_file_changed_by_root_is_back_in_seconds(site: Site, path: str, spoil: str) -> None:
    machine = site.pc(5)
    file = machine.root / path.lstrip("/")
    right, mode = file.read_bytes(), file.stat().st_mode
    machine.run(["sh", "-c", spoil.format(path=path)])
    began = time.monotonic()
    wait_for(lambda: _is(file, right, mode), 10, f"{path} put back")
    say(f"{path} is right {time.monotonic() - began:.2f} s after `{spoil.split(maxsplit=1)[0]}`")
    machine.run(["rm", "-f", f"{path}.gone"])


def _is(file: Path, content: bytes, mode: int) -> bool:
    try:
        return file.read_bytes() == content and file.stat().st_mode == mode
    except FileNotFoundError:
        return False


def test_a_strange_policy_file_is_taken_out(site: Site) -> None:
    """The last file name wins in Chromium: 99-mine.json would open everything."""
    machine = site.pc(5)
    strange = "/etc/chromium/policies/managed/99-mine.json"
    machine.run(["tee", strange], input='{"URLBlocklist": []}')
    wait_for(lambda: not (machine.root / strange.lstrip("/")).exists(), 10, "it is gone")


def test_a_kernel_parameter_changed_behind_is_back_within_a_minute(site: Site) -> None:
    machine = site.pc(5)
    key = "net.ipv4.conf.all.accept_redirects"
    assert machine.run(["sysctl", "-n", key]).stdout.strip() == "0"
    machine.run(["sysctl", "-w", f"{key}=1"])
    began = time.monotonic()
    wait_for(lambda: machine.run(["sysctl", "-n", key]).stdout.strip() == "0", 60, "put back")
    say(f"{key} is back after {time.monotonic() - began:.0f} s")
    wait_for(lambda: key in site.condition(machine.name, "Converged")["message"], 30, "told")


def test_the_kiosk_user_can_read_what_its_programs_must_obey(site: Site) -> None:
    for machine in (site.pc(1), site.pc(10)):
        for path in (DENY, ALLOW, RC):
            assert machine.run(["head", "-c1", path], user="kiosk").stdout
            assert machine.run(["test", "-w", path], user="kiosk", check=False).returncode == 1


LACKS = (
    ("/usr/bin/chromium", "apt install chromium"),
    ("/usr/bin/openbox", "apt install openbox"),
    ("/usr/bin/tinyproxy", "apt install tinyproxy-bin"),
)


@pytest.mark.parametrize(("program", "reason"), LACKS)
def test_a_program_that_was_uninstalled_puts_the_pc_out_of_service(
    site: Site, program: str, reason: str
) -> None:
    machine = site.pc(5)
    site.layer_for("pc-05", "session: {offered: true}\n")
    site.publish()
    wait_for(lambda: site.row("pc-05").get("state") == "available", 60, "available")
    machine.run(["mv", program, f"{program}.away"])
    try:
        wait_for(lambda: site.row("pc-05")["state"] == "out-of-service", 30, "out of service")
        condition = site.condition("pc-05", "Converged")
        assert reason in condition["message"]
        refused = site.labctl("session", "start", "pc-05", check=False)
        assert refused.returncode == 1
        assert holds(machine, "nft list table inet lab_kiosk"), "still locked"
        assert holds(machine, f"test -s {DENY}")
    finally:
        machine.run(["mv", f"{program}.away", program])
    wait_for(lambda: site.row("pc-05")["state"] == "available", 60, "available again")


def test_the_keyboard_is_the_profiles_and_changes_under_a_citizen(site: Site) -> None:
    def layout() -> str:
        query = machine.run(["setxkbmap", "-query"], check=False, env=SCREEN).stdout
        return next((line.split()[1] for line in query.splitlines() if line.startswith("layout:")), "")

    machine = site.pc(5)
    site.layer_for("pc-05", "session: {offered: true}\n")
    site.publish()
    wait_for(lambda: layout() == "it", 60, "the Italian keyboard")
    before = machine.pid_of(DESKTOP)
    site.layer_for("pc-05", "session: {offered: true}\nlocale: {keyboard: ro, language: ro}\n")
    site.publish()
    wait_for(lambda: layout() == "ro", 60, "the Romanian keyboard")
    assert machine.pid_of(DESKTOP) == before
    assert "LANG=ro_RO.UTF-8" in machine.run(["cat", "/etc/default/locale"]).stdout


def test_letters_that_are_missing_are_told_and_hinder_nobody(site: Site) -> None:
    site.layer_for("pc-05", "locale: {scripts: [latin, chinese]}\n")
    site.publish()
    told = wait_for(lambda: site.condition("pc-05", "Lacking"), 30, "the condition")
    assert told["status"]
    assert "fonts-noto-cjk" in told["message"]
    assert "Latin" not in told["message"]
    assert site.row("pc-05")["state"] == "available"
    site.layer_for("pc-05", "locale: {scripts: [latin]}\n")
    site.publish()
    wait_for(lambda: not site.condition("pc-05", "Lacking")["status"], 30, "its end")


ROWS: list[dict[str, str]] = tomllib.loads(
    (Path(__file__).parents[1] / "cases/drift/tampering.toml").read_text(encoding="utf-8")
)["row"]


@pytest.fixture(scope="module")
def seated(lab_of_ten: Site) -> Iterator[Site]:
    """The lab, with a citizen at pc-05."""
    site = lab_of_ten
    site.layer_for("pc-05", "session: {offered: true}\n")
    site.publish()
    wait_for(lambda: site.row("pc-05").get("state") == "available", 60, "pc-05 available")
    site.labctl("session", "start", "pc-05")
    wait_for(lambda: site.row("pc-05")["state"] == "active", 60, "a citizen at pc-05")
    yield site
    site.labctl("session", "end", "pc-05")
    site.mend(LAYER)


def holds(machine: Machine, shell: str) -> bool:
    return machine.run(["sh", "-c", shell], check=False, env=SCREEN).returncode == 0


def told(machine: Machine, subject: str) -> int:
    """How often the agent has said that it put something right."""
    log = machine.run(["journalctl", "-u", "lab-enforcer.service", "-o", "cat"]).stdout
    return sum(f": {subject}: " in line for line in log.splitlines())


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["name"])
def test_whatever_root_changes_while_a_citizen_sits_there_is_put_back(
    seated: Site, row: dict[str, str]
) -> None:
    machine = seated.pc(5)
    wait_for(lambda: holds(machine, row["right"]), 30, f"right before: {row['right']}")
    unit, subject = row.get("unit", ""), row.get("subject", "")
    process = machine.pid_of(unit) if unit else 0
    before = told(machine, subject)
    machine.run(["sh", "-c", row["tamper"]], check=False)
    began = time.monotonic()
    if unit:
        machine.successor(unit, process)
    else:
        wait_for(lambda: told(machine, subject) > before, 30, f"the agent on {subject}")
    wait_for(lambda: holds(machine, row["right"]), 30, row["right"])
    say(f"{row['name']}: right after {time.monotonic() - began:.1f} s")
    wait_for(lambda: seated.condition("pc-05", "Converged").get("status"), 30, "well again")
    wait_for(lambda: holds(machine, f"systemctl is-active {SESSION}"), 30, "the citizen's session")


KILLED = ("lab-proxy.service", DESKTOP, "lab-screen.service", SESSION)


@pytest.mark.parametrize("unit", KILLED)
def test_what_is_killed_is_back_and_the_keys_are_grabbed(seated: Site, unit: str) -> None:
    machine = seated.pc(5)
    wait_for(lambda: grabbed(machine, "n"), 30, "Ctrl+N is taken")
    assert not grabbed(machine, "7"), "the control: nobody has Ctrl+7"
    before = machine.pid_of(unit)
    os.kill(before, signal.SIGKILL)
    assert machine.successor(unit, before) != before
    wait_for(lambda: grabbed(machine, "n"), 30, "Ctrl+N is taken again")
    wait_for(lambda: holds(machine, f"systemctl is-active {SESSION}"), 30, "the citizen's session")


GRAB = """
import ctypes, sys
x = ctypes.CDLL("libX11.so.6")
taken = []
heard = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)(lambda _d, _e: taken.append(1) or 0)
x.XSetErrorHandler(heard)
x.XOpenDisplay.restype = ctypes.c_void_p
x.XDefaultRootWindow.restype = ctypes.c_ulong
display = ctypes.c_void_p(x.XOpenDisplay(None))
if not display:
    sys.exit(2)
root = ctypes.c_ulong(x.XDefaultRootWindow(display))
code = x.XKeysymToKeycode(display, ctypes.c_ulong(ord(sys.argv[1])))
x.XGrabKey(display, code, 4, root, 0, 1, 1)
x.XSync(display, 0)
sys.exit(0 if taken else 1)
"""
"""Asks the X server for Ctrl and a key: it refuses (BadAccess) what another program has. 0: it is taken."""


def grabbed(machine: Machine, key: str) -> bool:
    return machine.run(["python3", "-c", GRAB, key], check=False, env=SCREEN).returncode == 0
