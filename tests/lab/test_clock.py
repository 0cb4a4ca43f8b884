"""A PC whose clock battery is dead: it wakes up in 1970 and finds its way back into the lab.

The machines share the host's clock, so only the agent's own processes are put
back to 1970, by libfaketime under their units; everything else of them is real.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest

from tests.lab.rig import Machine
from tests.lab.site import LAYER, Site, wait_for

pytestmark = [pytest.mark.lab, pytest.mark.timeout(300)]

UNITS = ("lab-enforcer", "lab-agent")
SITE = "/etc/lab-clock"
DROP_IN = f"""[Service]
Environment=LD_PRELOAD={{library}} "FAKETIME=@1970-01-01 00:01:00" FAKETIME_DONT_FAKE_MONOTONIC=1
Environment=PYTHONPATH={SITE}
"""
# libfaketime 0.9.10 lets clock_nanosleep, with which Python sleeps, wait for a monotonic time decades away.
SLEEP = "import select, time\ntime.sleep = lambda seconds: select.select((), (), (), seconds)\n"
LAST = (
    "import sqlite3; j = sqlite3.connect('/var/lib/lab-agent/enforcer/journal.sqlite');"
    "print(j.execute(\"SELECT value FROM facts WHERE name = 'touched'\").fetchone()[0]);"
    "print(j.execute('SELECT accepted_at FROM desired ORDER BY revision DESC').fetchone()[0])"
)


@pytest.fixture
def in_1970(site: Site) -> Iterator[tuple[Machine, datetime]]:
    """A PC whose agent starts in 1970, and the last entry of its journal before that."""
    machine = site.pc(9)
    library = machine.run(["sh", "-c", "ls /usr/lib/*/faketime/libfaketimeMT.so.1"]).stdout.strip()
    before, _accepted = entries(machine)
    machine.run(["install", "-D", "-m", "644", "/dev/stdin", f"{SITE}/sitecustomize.py"], input=SLEEP)
    for unit in UNITS:
        path = f"/etc/systemd/system/{unit}.service.d/clock.conf"
        text = DROP_IN.format(library=library)
        machine.run(["install", "-D", "-m", "644", "/dev/stdin", path], input=text)
    restart(machine)
    yield machine, before
    for unit in UNITS:
        machine.run(["rm", "-r", f"/etc/systemd/system/{unit}.service.d"])
    machine.run(["rm", "-r", SITE])
    restart(machine)


def restart(machine: Machine) -> None:
    machine.run(["systemctl", "daemon-reload"])
    machine.run(["systemctl", "restart", *UNITS])


def entries(machine: Machine) -> tuple[datetime, datetime]:
    """When the journal was last written, and when the newest revision was accepted, by the PC's own clock."""
    touched, accepted = machine.run(["python3", "-c", LAST]).stdout.split()
    return datetime.fromisoformat(touched), datetime.fromisoformat(accepted)


def test_a_pc_that_wakes_up_in_1970_talks_obeys_and_never_goes_behind_its_journal(
    site: Site, in_1970: tuple[Machine, datetime]
) -> None:
    machine, before = in_1970
    for unit in UNITS:
        maps = Path(f"/proc/{machine.pid_of(f'{unit}.service')}/maps").read_text()
        assert "libfaketime" in maps, f"{unit} does not live in 1970"
    said = machine.run(["journalctl", "--unit=lab-enforcer", "--lines=20", "--output=cat"]).stdout
    assert "before the journal's last entry" in said, said

    seen = site.row(machine.name)["last_seen"]
    wait_for(lambda: site.row(machine.name)["last_seen"] > seen, 60, "an answer by TLS, out of 1970")
    wait_for(lambda: site.presence(machine.name) == "online", 30, "online")

    site.write_layer(f"{LAYER}allow: [.millenovecentosettanta.test]\n")
    answer = site.publish()
    assert machine.name in answer["applied"]
    time.sleep(1)
    touched, accepted = entries(machine)
    assert before <= accepted <= touched
    assert "Nothing to change" in machine.run(["lab-agent", "plan"]).stdout
