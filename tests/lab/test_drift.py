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
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.lab.grabs import CONTROL, FREE, SCREEN, TAKEN, chord
from tests.lab.rig import Machine, RigError
from tests.lab.rig.host import say
from tests.lab.site import LAYER, Site, wait_for, wait_to_see

pytestmark = [pytest.mark.lab, pytest.mark.timeout(300)]

DENY = "/etc/chromium/policies/managed/50-lab-policy.json"
ALLOW = "/etc/chromium/policies/managed/60-lab-allow.json"
RC = "/etc/lab-agent/openbox/rc.xml"
XORG = "/etc/X11/xorg.conf.d/90-lab.conf"
SYSCTL = "/etc/sysctl.d/90-lab.conf"
NTP = "/etc/systemd/timesyncd.conf.d/90-lab.conf"

SESSION, DESKTOP = "lab-session.service", "lab-desktop.service"
KILLED = ("lab-proxy.service", DESKTOP, "lab-screen.service", SESSION)

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
        assert machine.run(["nft", "list", "table", "inet", "lab_kiosk"]).stdout, "still locked"
        assert machine.run(["cat", DENY]).stdout
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


class Taken(NamedTuple):
    """A PC with a citizen at it."""

    site: Site
    machine: Machine

    def row(self) -> dict[str, Any]:
        """Its line of the status."""
        return self.site.row(self.machine.name)

    def holds(self, shell: str) -> bool:
        """Whether a command succeeds there, on the screen."""
        return self.machine.run(["sh", "-c", shell], check=False, env=SCREEN).returncode == 0

    def told(self, subject: str) -> int:
        """How often the agent has said that it put something right."""
        log = self.machine.run(["journalctl", "-u", "lab-enforcer.service", "-o", "cat"]).stdout
        return sum(f": {subject}: " in line for line in log.splitlines())

    def unit(self, name: str) -> str:
        """Whether a unit is active, in systemd's word."""
        return self.machine.run(["systemctl", "is-active", name], check=False).stdout.strip()

    @contextmanager
    def telling(self) -> Iterator[None]:
        """Whatever fails in here says how the PC stood then."""
        try:
            yield
        except (AssertionError, RigError) as error:
            units = [f"--unit={name}" for name in ("lab-enforcer.service", *KILLED)]
            shown = ("systemctl", "show", "-p", "Id,ActiveState,SubState,NRestarts", *KILLED)
            log = ("journalctl", "-n", "25", "-o", "short-precise", *units)
            for argv in (shown, ("setxkbmap", "-query"), ("xprop", "-root", "_NET_CLIENT_LIST"), log):
                said = self.machine.run(argv, check=False, env=SCREEN)
                error.add_note(f"$ {' '.join(argv)}\n{said.stdout}{said.stderr}")
            error.add_note(f"the controller's line: {self.row()}")
            raise


@pytest.fixture(
    scope="module",
    params=[pytest.param(5, id="Debian 12"), pytest.param(10, id="Debian 13", marks=pytest.mark.long)],
)
def seated(lab_of_ten: Site, request: pytest.FixtureRequest) -> Iterator[Taken]:
    """The lab, with a citizen at one PC."""
    site = lab_of_ten
    taken = Taken(site, site.pc(request.param))
    name = taken.machine.name
    site.layer_for(name, "session: {offered: true}\n")
    site.publish()
    wait_to_see(lambda: taken.row().get("state"), "available", 60, name)
    site.labctl("session", "start", name)
    wait_to_see(lambda: taken.row().get("state"), "active", 60, name)
    yield taken
    site.labctl("session", "end", name)
    site.mend(LAYER)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["name"])
def test_whatever_root_changes_while_a_citizen_sits_there_is_put_back(
    seated: Taken, row: dict[str, str]
) -> None:
    machine = seated.machine
    with seated.telling():
        wait_for(lambda: seated.holds(row["right"]), 30, f"right before: {row['right']}")
        unit, subject = row.get("unit", ""), row.get("subject", "")
        process = machine.pid_of(unit) if unit else 0
        before = seated.told(subject)
        machine.run(["sh", "-c", row["tamper"]], check=False)
        began = time.monotonic()
        if unit:
            machine.successor(unit, process)
        else:
            wait_for(lambda: seated.told(subject) > before, 30, f"the agent on {subject}")
        wait_for(lambda: seated.holds(row["right"]), 30, row["right"])
        say(f"{row['name']}: right after {time.monotonic() - began:.1f} s")
        wait_for(lambda: seated.site.condition(machine.name, "Converged").get("status"), 30, "well again")
        wait_to_see(lambda: seated.unit(SESSION), "active", 30, "the citizen's session")


@pytest.mark.parametrize("unit", KILLED)
def test_what_is_killed_is_back_and_the_keys_are_grabbed(seated: Taken, unit: str) -> None:
    machine = seated.machine
    with seated.telling():
        wait_to_see(lambda: chord(machine, CONTROL, "n"), TAKEN, 30, "Ctrl+N before")
        assert chord(machine, CONTROL, "7") == FREE, "the control: nobody has Ctrl+7"
        before = machine.pid_of(unit)
        os.kill(before, signal.SIGKILL)
        assert machine.successor(unit, before) != before
        wait_to_see(lambda: chord(machine, CONTROL, "n"), TAKEN, 30, "Ctrl+N after")
        wait_to_see(lambda: seated.unit(SESSION), "active", 30, "the citizen's session")
