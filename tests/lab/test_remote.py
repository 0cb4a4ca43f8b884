"""labctl --server from another machine: real ssh, a real sshd, a technician's own account and key."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
from collections.abc import Iterator

import pytest

from tests.lab.rig import Machine
from tests.lab.site import Site

pytestmark = [pytest.mark.lab, pytest.mark.timeout(300)]

USER = "ada"
DESK = "labadmin"
"""Who sits at the other machine: a user there, with no rights in the lab."""
KEPT = "/home/labadmin/.ssh"


class Desk:
    """The other machine: a PC of the lab, which has labctl but no controller."""

    def __init__(self, machine: Machine, server: Machine) -> None:
        self.machine = machine
        self.host = f"{USER}@{server.address}"

    def argv(self, *arguments: str) -> list[str]:
        return ["labctl", "--server", self.host, *arguments]

    def labctl(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return self.machine.run(self.argv(*arguments), user=DESK, env=environment, check=False)

    def trusts(self, server: Machine) -> None:
        """As after a first `ssh HOST`, with the fingerprint compared."""
        key = server.run(["cat", "/etc/ssh/ssh_host_ed25519_key.pub"]).stdout
        known = f"{server.address} {key}"
        self.machine.run(["tee", f"{KEPT}/known_hosts"], input=known, user=DESK)


@pytest.fixture
def desk(site: Site) -> Iterator[Desk]:
    """A desk with a key that the server takes for `USER`, who is in neither group yet."""
    machine, server = site.pc(4), site.server
    key = f"{KEPT}/id_ed25519"
    machine.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], user=DESK)
    public = machine.run(["cat", f"{key}.pub"]).stdout
    try:
        server.run(["useradd", "--create-home", "--shell", "/bin/bash", USER])
        folder = f"/home/{USER}/.ssh"
        server.run(["install", "-d", "-o", USER, "-m", "700", folder])
        server.run(
            ["install", "-o", USER, "-m", "600", "/dev/stdin", f"{folder}/authorized_keys"], input=public
        )
        yield Desk(machine, server)
    finally:
        machine.run(["rm", "-f", key, f"{key}.pub", f"{KEPT}/known_hosts"])
        server.run(["pkill", "-KILL", "-u", USER], check=False)
        server.run(["userdel", "--force", "--remove", USER], check=False)


def test_the_lab_from_another_machine(site: Site, desk: Desk) -> None:
    here = desk.machine.run(["labctl", "status"], user=DESK, check=False)
    assert here.returncode == 1
    assert "labctl --server HOST" in here.stderr

    alone = desk.machine.run(["lab-agent", "unpair"], user=DESK, check=False)
    assert alone.returncode == 1
    assert "enforcer.sock is for root only" in alone.stderr

    stranger = desk.labctl("status")
    assert stranger.returncode == 1, "a server that nobody vouched for"
    assert "Host key verification failed" in stranger.stderr
    assert f"Try `ssh {desk.host}` alone" in stranger.stderr
    desk.trusts(site.server)

    outsider = desk.labctl("status")
    assert outsider.returncode == 1
    assert f"usermod -aG lab-technicians {USER}" in outsider.stderr

    site.server.run(["usermod", "-aG", "lab-operators", USER])
    told = desk.labctl("status", "--json")
    assert {row["id"] for row in json.loads(told.stdout)["stations"]} == set(site.status())
    refused = desk.labctl("profile", "publish", "citizen", LANGUAGE="it")
    assert refused.returncode == 1
    assert f"{USER} è un operatore" in refused.stderr, "the server speaks the language of this terminal"

    site.server.run(["usermod", "-aG", "lab-technicians", USER])
    published = desk.labctl("profile", "publish", "citizen", "--json")
    assert published.returncode == 0, published.stderr
    assert len(json.loads(published.stdout)["unchanged"]) == 10
    words = """it's "quoted"; $HOME `id` *"""
    nothing = desk.labctl("profile", "explain", "pc-03", words)
    assert nothing.returncode == 1
    assert words in nothing.stderr, "no shell on the way read more into the words"
    again = desk.labctl("pair", "pc-03", "493027")
    assert again.returncode == 1
    assert "pc-03 is of this lab already" in again.stderr
    wrong = desk.labctl("pair", "pc-03", LANGUAGE="it")
    assert wrong.returncode == 2
    assert "Manca l'argomento" in wrong.stderr


def test_the_live_status_has_the_terminal_of_the_other_machine(site: Site, desk: Desk) -> None:
    site.server.run(["usermod", "-aG", "lab-operators", USER])
    desk.trusts(site.server)
    watch = shlex.join(desk.argv("status", "--watch"))
    # `script` gives labctl a terminal, as a person has one.
    with desk.machine.popen(
        ["script", "--quiet", "--return", "--command", watch, "/dev/null"],
        user=DESK,
        env={"TERM": "xterm"},
        stdin=subprocess.PIPE,
    ) as running:
        assert running.stdin is not None
        assert running.stdout is not None
        shown = b""
        while b"pc-10" not in shown:
            part = os.read(running.stdout.fileno(), 65536)
            assert part, shown
            shown += part
        running.stdin.write(b"q")
        running.stdin.flush()
        while os.read(running.stdout.fileno(), 65536):
            """What it draws until it has left."""
        assert running.wait(30) == 0
