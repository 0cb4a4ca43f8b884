"""A PC that the lab lets go is as it was before it was taken in: files, units, accounts, kernel."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.lab.rig import Machine
from tests.lab.site import Site, pc_files, wait_for

pytestmark = [pytest.mark.lab, pytest.mark.timeout(300)]

TREES = ("/etc", "/usr", "/var/lib", "/opt", "/boot")
NOT_OURS = (
    "/var/lib/lab-agent",  # the agent's own memory, which stays with the agent
    "/var/lib/systemd/timesync",  # when the clock was last right
    "/var/lib/systemd/random-seed",
    *(f"/etc/{file}-" for file in ("passwd", "shadow", "group", "gshadow", "subuid", "subgid")),
)
"""What changes by itself: the last are the copies that Debian's account tools make of what they change."""

BY_ITSELF = ("pcscd.service", "pcscd.socket")
"""Debian starts it for whoever asks for a card, and it goes after a minute in which nobody did."""

TREE = """
import hashlib, json, os, stat, sys
trees, left_out = json.loads(sys.argv[1])
found = {}
for tree in trees:
    for top, folders, files in os.walk(tree):
        folders[:] = [name for name in folders if os.path.join(top, name) not in left_out]
        for path in [top] + [os.path.join(top, name) for name in files + folders]:
            about = os.lstat(path)
            if path in left_out:
                continue
            what = [stat.filemode(about.st_mode), about.st_uid, about.st_gid]
            if stat.S_ISLNK(about.st_mode):
                what.append(os.readlink(path))
            elif stat.S_ISREG(about.st_mode):
                with open(path, "rb") as stream:
                    what.append(hashlib.file_digest(stream, "blake2b").hexdigest()[:32])
            found[path] = what
print(json.dumps(found))
"""
OWN = "/etc/chromium/policies/managed/10-of-the-school.json"


def snapshot(machine: Machine) -> dict[str, dict[str, Any]]:
    """All that is compared, by what it is about."""

    def lines(*argv: str) -> list[str]:
        return machine.run(argv, check=False).stdout.splitlines()

    files = machine.run(["python3", "-c", TREE, json.dumps([TREES, NOT_OURS])], timeout=120).stdout
    parameters = (line.partition(" = ") for line in lines("sysctl", "-a"))
    shown = lines(
        "systemctl",
        "list-units",
        "--all",
        "--plain",
        "--no-legend",
        "--type=service,socket,slice,timer,target",
    )
    return {
        "files": json.loads(files),
        "rules": dict.fromkeys(lines("nft", "-s", "list", "ruleset"), ""),
        "unit files": {
            line.split()[0]: line.split()[1] for line in lines("systemctl", "list-unit-files", "--no-legend")
        },
        "units": {
            line.split()[0]: " ".join(line.split()[1:4]) for line in shown if line.split()[0] not in BY_ITSELF
        },
        "accounts": dict.fromkeys(
            [*lines("getent", "passwd"), *lines("getent", "group"), *lines("getent", "shadow")], ""
        ),
        # Its own ones: the others belong to the host that all machines share.
        "kernel": {
            key: value for key, _, value in parameters if key.startswith("net.") and "nf_conntrack" not in key
        },
    }


def differences(before: dict[str, Any], after: dict[str, Any]) -> dict[str, tuple[Any, Any]]:
    return {
        key: (before.get(key), after.get(key))
        for key in before.keys() | after.keys()
        if before.get(key) != after.get(key)
    }


@pytest.fixture
def stranger(site: Site, request: pytest.FixtureRequest) -> Iterator[Machine]:
    """A PC that no lab has taken in, with an administrator's own things on it."""
    machine = site.lab.start("pc-11", release=request.param, files=pc_files())
    machine.run(
        ["install", "-D", "-m", "640", "/dev/stdin", OWN],
        input='{"HomepageLocation": "https://scuola.example.it/"}\n',
    )
    machine.run(["install", "-m", "644", "/dev/stdin", "/etc/default/keyboard"], input="XKBLAYOUT=de\n")
    machine.run(
        ["sh", "-c", "echo kiosk:prova | chpasswd; gpasswd --add kiosk video; gpasswd --add kiosk audio"]
    )
    machine.run(
        ["ln", "-s", "/usr/lib/systemd/system/reboot.target", "/etc/systemd/system/ctrl-alt-del.target"]
    )
    machine.run(["systemctl", "daemon-reload"])
    site.code(machine)
    yield machine
    if site.row("pc-11"):
        site.labctl("unpair", "pc-11", "--force")
    site.lab.remove("pc-11")


@pytest.mark.parametrize(
    ("profile", "stranger"),
    [
        ("citizen", "bookworm"),
        pytest.param("business", "bookworm", marks=pytest.mark.long),
        pytest.param("training", "bookworm", marks=pytest.mark.long),
        pytest.param("business", "trixie", marks=pytest.mark.long),
    ],
    indirect=["stranger"],
)
def test_a_pc_that_is_let_go_is_as_it_was_before(site: Site, stranger: Machine, profile: str) -> None:
    before = snapshot(stranger)
    site.pair([stranger])
    site.layer_for("pc-11", "session: {offered: true}\n")
    site.publish(profile=profile)
    site.labctl("profile", "assign", profile, "pc-11")
    wait_for(lambda: site.row("pc-11").get("state") == "available", 60, "the profile in force")
    assert site.row("pc-11")["profile"] == profile
    site.labctl("session", "start", "pc-11")
    wait_for(lambda: site.row("pc-11")["state"] == "active", 60, "a citizen")
    site.labctl("session", "end", "pc-11")
    managed = snapshot(stranger)
    assert all(differences(before[what], managed[what]) for what in before), (
        "the control: the lab changes all of that"
    )

    site.labctl("unpair", "pc-11")
    wait_for(lambda: "Nothing to change" in stranger.run(["lab-agent", "plan"]).stdout, 60, "all taken back")
    assert site.code(stranger)
    after = snapshot(stranger)
    assert {what: differences(before[what], after[what]) for what in before} == {what: {} for what in before}
