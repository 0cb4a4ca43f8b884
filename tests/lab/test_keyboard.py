"""Chords are swallowed on every keyboard: one without Latin letters, one whose letters stand elsewhere."""

from __future__ import annotations

import json
import time

import pytest

from agent.resources.locale import LATIN
from tests.lab.grabs import CONTROL, FREE, SCREEN, TAKEN, chord
from tests.lab.rig import Machine
from tests.lab.site import Site, wait_to_see

pytestmark = [pytest.mark.lab, pytest.mark.timeout(300)]

LETTERS = """
import json, re, subprocess, sys, tempfile
from pathlib import Path

KEYMAP = '''xkb_keymap {
  xkb_keycodes { include "evdev+aliases(qwerty)" }; xkb_types { include "complete" };
  xkb_compat { include "complete" }; xkb_symbols { include "pc+%s+inet(evdev)" };
};'''

def lacks(layout, folder):
    source, out = Path(folder, "in"), Path(folder, "out")
    source.write_text(KEYMAP % layout)
    subprocess.run(["xkbcomp", "-w0", "-xkb", source, out], check=True, capture_output=True)
    keys = " ".join(re.findall(r"\\[(.*?)\\]", out.read_text(), re.S))
    return sorted(set("abcdefghijklmnopqrstuvwxyz") - set(re.findall(r"\\w+", keys)))

names = [p.name for p in Path("/usr/share/X11/xkb/symbols").iterdir() if p.is_file()]
with tempfile.TemporaryDirectory() as folder:
    wanted = json.load(sys.stdin)
    print(json.dumps({name: lacks(name, folder) for name in wanted if name in names}))
"""


@pytest.mark.parametrize("name", ["pc-05", "pc-10"])  # Debian 12 and 13
def test_what_counts_as_latin_has_every_letter(site: Site, name: str) -> None:
    asked = json.dumps([*sorted(LATIN), "ua"])
    lacks = json.loads(site.lab.machine(name).run(["python3", "-c", LETTERS], input=asked, timeout=60).stdout)
    assert len(lacks.pop("ua")) == 26, "the control: a Ukrainian keyboard has none"
    assert lacks.keys() == LATIN
    assert {layout: missing for layout, missing in lacks.items() if missing} == {}


@pytest.mark.parametrize(
    ("keyboard", "taken", "free"),
    [
        ("ua", "n", "7"),  # another alphabet
        ("fr", "w", "z"),  # where an Italian keyboard has w, a French one has z
    ],
)
def test_chords_are_swallowed_where_the_letters_are(site: Site, keyboard: str, taken: str, free: str) -> None:
    machine = site.pc(5)
    site.layer_for(machine.name, f"session: {{offered: true}}\nlocale: {{keyboard: {keyboard}}}\n")
    site.publish()
    wait_to_see(lambda: layout(machine).split(",")[0], keyboard, 60, "the keyboard")
    for _ in range(5):  # openbox looks for its keys when it is told to, not when the keyboard changes
        machine.run(["systemctl", "reload", "lab-desktop.service"])
        wait_to_see(lambda: chord(machine, CONTROL, taken), TAKEN, 10, f"Ctrl+{taken}")
        assert chord(machine, CONTROL, free) == FREE, f"Ctrl+{free} is nobody's"
    before = machine.pid_of("lab-desktop.service")
    machine.run(["systemctl", "restart", "lab-desktop.service"])
    assert machine.successor("lab-desktop.service", before) != before
    wait_to_see(lambda: chord(machine, CONTROL, taken), TAKEN, 10, f"Ctrl+{taken} of the next one")
    time.sleep(1)
    assert chord(machine, CONTROL, free) == FREE


def layout(machine: Machine) -> str:
    """What the X server has now."""
    query = machine.run(["setxkbmap", "-query"], check=False, env=SCREEN).stdout
    return next((line.split()[1] for line in query.splitlines() if line.startswith("layout:")), "")
