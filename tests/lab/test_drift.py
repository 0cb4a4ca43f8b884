"""What somebody changes behind the lab's back comes back; what the lab lets go is as it was."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from tests.lab.rig import Machine
from tests.lab.rig.host import say
from tests.lab.site import Site, pc_files, wait_for

pytestmark = [pytest.mark.lab, pytest.mark.timeout(300)]

DENY = "/etc/chromium/policies/managed/50-lab-policy.json"
ALLOW = "/etc/chromium/policies/managed/60-lab-allow.json"
RC = "/etc/lab-agent/openbox/rc.xml"
XORG = "/etc/X11/xorg.conf.d/90-lab.conf"
SYSCTL = "/etc/sysctl.d/90-lab.conf"
NTP = "/etc/systemd/timesyncd.conf.d/90-lab.conf"

ONE_BYTE = "printf X | dd of={path} bs=1 seek=9 conv=notrunc status=none"
ETC = """
import hashlib, json, os, stat
found = {}
for top, folders, files in os.walk("/etc"):
    for name in ["."] + folders + files:
        path = os.path.normpath(os.path.join(top, name))
        about = os.lstat(path)
        what = [stat.filemode(about.st_mode), about.st_uid, about.st_gid]
        if stat.S_ISREG(about.st_mode):
            what.append(hashlib.sha256(open(path, "rb").read()).hexdigest())
        elif stat.S_ISLNK(about.st_mode):
            what.append(os.readlink(path))
        found[path] = what
print(json.dumps(found))
"""


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


def test_a_pc_that_is_let_go_is_as_it_was_before(site: Site) -> None:
    machine = site.lab.start("pc-11", files=pc_files())
    site.code(machine)
    machine.run(["mkdir", "-p", "/etc/chromium/policies/managed"])
    own = "/etc/chromium/policies/managed/10-of-the-school.json"
    machine.run(["tee", own], input='{"HomepageLocation": "https://scuola.example.it/"}\n')
    files, parameters = etc(machine), network_parameters(machine)

    site.pair([machine])
    wait_for(lambda: site.row("pc-11").get("applied"), 60, "the profile in force")
    managed = etc(machine)
    assert own not in managed
    assert {DENY, ALLOW, RC, XORG, SYSCTL, NTP} <= managed.keys() - files.keys()
    assert network_parameters(machine) != parameters

    site.labctl("unpair", "pc-11")
    wait_for(lambda: "Nothing to change" in machine.run(["lab-agent", "plan"]).stdout, 30, "all taken back")
    assert etc(machine) == files
    assert network_parameters(machine) == parameters
    assert site.code(machine)


def etc(machine: Machine) -> dict[str, Any]:
    """Everything below /etc: kind, rights, owner, content."""
    found: dict[str, Any] = json.loads(machine.run(["python3", "-c", ETC]).stdout)
    return found


def network_parameters(machine: Machine) -> dict[str, str]:
    """The machine's own kernel parameters; the others belong to the host they all share."""
    lines = machine.run(["sysctl", "-a"], check=False).stdout.splitlines()
    pairs = (line.partition(" = ") for line in lines if line.startswith("net."))
    return {key: value for key, _, value in pairs if "nf_conntrack" not in key}
