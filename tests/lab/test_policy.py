"""What a real Chromium makes of the policy that ships: its own table, read in a room apart.

The table is compared here with what this process compiled; labctl does it again
for a technician. Mistakes are planted, or nothing would show that one is found.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from contract.desired import BrowserPolicy
from kiosk_profiles.library import load_library
from kiosk_profiles.policy_table import READ_AS, to_read
from tests.lab.rig import Machine
from tests.lab.rig.host import say
from tests.lab.site import Site

pytestmark = [pytest.mark.lab, pytest.mark.timeout(300)]

TECHNICIAN = "labadmin"
PYTHON = "/opt/lab-controller/bin/python"
READ = """
import dataclasses, json, sys
from controller.policy_reader import PolicyReader
tables = {}
with PolicyReader() as reader:
    for name, document in json.load(sys.stdin).items():
        table = reader.read(document)
        tables[name] = {key: dataclasses.asdict(state) for key, state in table.items()}
json.dump([reader.major, tables], sys.stdout)
"""
LOSE = """
import json, sys
from controller.policy_reader import PolicyReader, Unreadable
with PolicyReader() as reader:
    reader.read({})
    try:
        reader.read(json.load(sys.stdin))
    except Unreadable as trouble:
        print(trouble)
"""
LEAVING = {"AutofillAddressEnabled", "AutofillCreditCardEnabled"}
"""Deprecated and kept on purpose (docs/decisions/0047)."""
PLANTED = """\
browser:
  policies:
    FullscreenAllowd: false               # misspelt
    SearchSuggestEnabled: "no"            # wrong type
    SafeBrowsingEnabled: false            # overridden by another policy
    IncognitoModeAvailability: 7          # no such value
    AudioCaptureAllowed: false
"""
FOUND_IN = {3, 4, 5, 6}


def shipped() -> dict[str, BrowserPolicy]:
    """The browser's policy of each profile that has one."""
    found = ((one.profile, one.resources.paying().browser_policy) for one in load_library([]).resolvable())
    return {profile: section for profile, section in found if section is not None}


def read(machine: Machine, documents: dict[str, dict[str, Any]]) -> tuple[int, dict[str, Any]]:
    """Chromium's major version and its table of each document, read by a technician without rights."""
    done = machine.run([PYTHON, "-c", READ], user=TECHNICIAN, input=json.dumps(documents), timeout=120)
    major, tables = json.loads(done.stdout)
    return major, tables


@pytest.mark.parametrize("name", ["server", "pc-10"])  # Debian 12 and 13
def test_chromium_reads_every_shipped_profile_as_it_was_compiled(site: Site, name: str) -> None:
    machine = site.lab.machine(name)
    before = machine.run(["find", "/etc/chromium", "-newermt", "2000-01-01", "-printf", "%p %T@\n"]).stdout
    sections = shipped()
    assert {"citizen", "business", "training", "operator"} <= set(sections)
    major, tables = read(machine, {profile: to_read(section) for profile, section in sections.items()})
    for profile, section in sections.items():
        told = {key: state["value"] for key, state in tables[profile].items()}
        stood_in = {key: real for key, (real, stand_in) in READ_AS.items() if told[key] == stand_in}
        assert stood_in == {"DeveloperToolsAvailability": 2, "RemoteDebuggingAllowed": False}
        assert told | stood_in == {**section.policies, "URLAllowlist": list(section.allow)}
        wrong = {
            key: state
            for key, state in tables[profile].items()
            if not state["known"] or state["error"] or state["warning"] or state["ignored"]
        }
        assert wrong == {}
        assert {key for key, state in tables[profile].items() if state["deprecated"]} == LEAVING
    say(f"Chromium {major} on {name} reads {len(tables)} profiles as they were compiled")
    after = machine.run(["find", "/etc/chromium", "-newermt", "2000-01-01", "-printf", "%p %T@\n"]).stdout
    assert after == before
    assert machine.run(["pgrep", "-u", TECHNICIAN, "chromium"], check=False).stdout == ""
    assert machine.run(["sh", "-c", "ls -d /tmp/labctl-chromium-*"], check=False).stdout == ""


def test_the_real_value_takes_the_tools_away_from_the_reader(site: Site) -> None:
    """Why there are stand-ins. What RemoteDebuggingAllowed does, test_browser sees."""
    name = "DeveloperToolsAvailability"
    document = json.dumps({name: READ_AS[name][0]})
    said = site.server.run([PYTHON, "-c", LOSE], user=TECHNICIAN, input=document, timeout=120).stdout
    assert said.startswith("lost")


def test_labctl_names_file_and_line_of_what_chromium_does_not_take(site: Site) -> None:
    server, place = site.server, "/tmp/planted/layers/pc/pc-99.yaml"
    try:
        server.run(["install", "-D", "-m", "644", "/dev/stdin", place], input=PLANTED)
        check = ["labctl", "profile", "check", "citizen", "--chromium", "--json"]
        done = server.run([*check, "/tmp/planted"], user=TECHNICIAN, check=False)
        told = json.loads(done.stdout)
        errors = {(one["file"], one["line"]) for one in told["findings"] if one["severity"] == "error"}
        assert done.returncode == 1
        assert not told["ok"]
        assert errors == {(place, line) for line in FOUND_IN}, told
    finally:
        server.run(["rm", "-r", "/tmp/planted"])
    done = server.run(check, user=TECHNICIAN, check=False)
    told = json.loads(done.stdout)
    assert done.returncode == 0, told
    assert {one["severity"] for one in told["findings"]} == {"warning"}
    assert {one["message"].rpartition(" ")[2] for one in told["findings"]} == LEAVING


@pytest.mark.parametrize(
    ("argv", "sentence"),
    [
        (["labctl"], "does not run as root"),
        (["runuser", "-u", TECHNICIAN, "--", "env", "PATH=/nowhere", "/usr/local/bin/labctl"], "no Chromium"),
        (
            [
                *("systemd-run", "-q", "--pipe", "--wait", "--collect", "-p", f"User={TECHNICIAN}"),
                *("-p", "RestrictNamespaces=yes", "/usr/local/bin/labctl"),
            ],
            "the kernel refuses it",
        ),
    ],
    ids=["root", "missing", "no namespaces"],
)
def test_a_chromium_that_cannot_be_asked_is_one_sentence(site: Site, argv: list[str], sentence: str) -> None:
    done = site.server.run([*argv, "profile", "check", "citizen", "--chromium"], check=False)
    assert done.returncode == 1
    assert sentence in done.stderr
    assert len(done.stderr.splitlines()) == 2
    assert done.stdout == ""
