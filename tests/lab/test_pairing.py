"""Pairing as a technician does it, and everybody who has no right to it."""

from __future__ import annotations

import json

import pytest

from tests.lab.rig import Machine
from tests.lab.site import Site, pc_files, wait_for

pytestmark = [pytest.mark.lab, pytest.mark.timeout(300)]

IDENTITY = "/var/lib/lab-agent/front/identity.pem"


def other_than(code: str) -> str:
    return f"{(int(code) + 1) % 1_000_000:06d}"


def test_five_wrong_codes_make_a_new_one_and_the_right_one_pairs(site: Site) -> None:
    machine = site.lab.start("pc-11", files=pc_files())
    code = site.code(machine)
    assert f"{code[:3]} {code[3:]}" in machine.run(["cat", "/run/issue.d/lab-agent.issue"]).stdout
    for user in ("labadmin", "lab-agent", "kiosk"):
        refused = machine.run(["lab-agent", "code"], user=user, check=False)
        assert refused.returncode == 1
        assert "root" in refused.stderr, refused.stderr
    assert "pc-11" not in site.status()

    tries = 0
    while site.code(machine) == code:
        assert tries < 20, "the code is guessed at without end"
        done = site.labctl("pair", "pc-11", other_than(code), check=False)
        assert done.returncode == 1
        if "is not the code of pc-11" in done.stderr:
            tries += 1
            if tries == 1:
                only_its_own_account_may_look_at_the_helper(machine)
        else:
            assert "wait a moment" in done.stderr or "new code" in done.stderr, done.stderr
    assert tries == 5
    refused = site.labctl("pair", "pc-11", code, check=False)
    assert refused.returncode == 1, "the old code is worth nothing"
    assert "pc-11" not in site.status()

    def pairs() -> bool:
        return site.labctl("pair", "pc-11", site.code(machine), check=False).returncode == 0

    wait_for(pairs, 30, "paired with the new code")
    assert machine.run(["lab-agent", "code"], check=False).returncode == 1
    assert not (machine.root / "run/issue.d/lab-agent.issue").exists()
    machine.reboot()
    site.settle()
    assert site.row("pc-11")["state"] == "available"


def only_its_own_account_may_look_at_the_helper(machine: Machine) -> None:
    """It lives until the next try, with the code and the PC's new key in its memory."""
    helper = machine.run(["pgrep", "-f", "agent.helpers.spake"]).stdout.strip()
    assert machine.run(["ps", "-o", "user=", "-p", helper]).stdout.strip() == "lab-helper"

    def may_look(user: str) -> bool:
        return not machine.run(["cat", f"/proc/{helper}/environ"], user=user, check=False).returncode

    assert may_look("lab-helper"), "the control"
    assert not any(map(may_look, ("nobody", "lab-agent", "lab-bar", "kiosk")))


def test_without_the_helpers_account_nothing_is_believed_and_nothing_opens(site: Site) -> None:
    """Nothing is run as somebody else instead: what is in force stays, and the technician reads why."""
    machine = site.pc(4)
    allowed = machine.root / "etc/chromium/policies/managed/60-lab-allow.json"
    machine.run(["userdel", "lab-helper"])
    site.layer_for(machine.name, "allow: [https://senza.example]\n")
    site.publish("--wait", "10", check=False)
    told = wait_for(lambda: site.condition(machine.name, "DesiredRefused"), 30, "the condition")
    assert told["status"]
    assert "no account lab-helper" in told["message"]
    assert "systemd-sysusers" in told["message"]
    assert "senza.example" not in allowed.read_text()

    machine.run(["systemd-sysusers"])
    site.layer_for(machine.name, "allow: [https://di-nuovo.example]\n")
    site.publish()
    assert "di-nuovo.example" in allowed.read_text()


def test_a_reimaged_pc_is_nobody_until_it_is_paired_again(site: Site) -> None:
    old = site.pc(7)
    identity, epoch = old.run(["cat", IDENTITY]).stdout, epoch_of(old)
    site.lab.remove(old.name)
    new = site.lab.start(old.name, files=pc_files())

    def found() -> dict[str, object]:
        told = json.loads(site.labctl("discover", "--json").stdout)["found"]
        ours = [one for one in told if one["id"] == new.name and one["pairing"] == "open"]
        return next((one for one in ours if not one["verified"]), {})

    hint = wait_for(found, 30, "the new PC's announcement, once the old one's last proof is stale")
    assert hint["known"] is True
    assert "re-imaged" in str(hint["note"])
    wait_for(lambda: "waiting to be paired" in site.row(new.name)["note"], 60, "the status says why")
    assert not (new.root / "etc/chromium/policies/managed/50-lab-policy.json").exists()

    site.pair([new])
    site.settle()
    assert epoch_of(new) != epoch
    assert site.row(new.name)["applied"] == site.row(new.name)["desired"] > 0

    # Whoever kept the old disk has a certificate of this name, by this CA; it is worth nothing any more.
    mine = new.run(["cat", IDENTITY]).stdout
    put_identity(new, identity)
    wait_for(lambda: "was revoked" in site.row(new.name)["note"], 90, "the old certificate refused")
    put_identity(new, mine)
    site.settle(90)


def test_a_pc_let_go_while_it_was_away_gets_nothing_more(site: Site) -> None:
    machine = site.lab.start("pc-11", files=pc_files())
    site.pair([machine])
    wait_for(lambda: site.row("pc-11").get("applied"), 60, "the profile in force")
    site.lab.cut("pc-11")
    done = site.labctl("unpair", "pc-11", check=False)
    assert done.returncode == 1
    assert "--force" in done.stderr, done.stderr
    assert site.row("pc-11") != {}, "nothing half done"
    site.labctl("unpair", "pc-11", "--force")
    site.lab.heal("pc-11")
    assert site.row("pc-11") == {}
    done = site.labctl("pair", "pc-11", "123456", check=False)
    assert done.returncode == 1
    assert "lab-agent unpair" in done.stderr, done.stderr
    machine.run(["lab-agent", "unpair"])
    site.pair([machine])
    wait_for(lambda: site.row("pc-11").get("applied"), 60, "paired anew")


def epoch_of(machine: Machine) -> str:
    read = (
        "import sqlite3; print(sqlite3.connect('/var/lib/lab-agent/enforcer/journal.sqlite')"
        ".execute(\"SELECT value FROM facts WHERE name = 'epoch'\").fetchone()[0])"
    )
    return machine.run(["python3", "-c", read]).stdout.strip()


def put_identity(machine: Machine, text: str) -> None:
    machine.run(["tee", IDENTITY], input=text)
    machine.run(["systemctl", "restart", "lab-agent"])
