"""`make lab` and `make lab-down`: a lab on this machine that a person can try things on."""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path

from tests.lab import portals
from tests.lab.install import layer_path
from tests.lab.portals import Portals
from tests.lab.portals.serve import INPS, WORD
from tests.lab.rig import Machine
from tests.lab.rig.host import RigError, say
from tests.lab.rig.lab import DEFAULT_DIRECTORY, DEFAULT_NET, DEFAULT_PREFIX, Lab
from tests.lab.site import LAYER, Site
from tests.lab.viewer import start as start_viewer

PCS = 10
PROJECT = Path(__file__).resolve().parents[2]


def up(directory: Path) -> None:
    """Bring the lab up to ten PCs that are what the citizen profile says; quick when they are."""
    began = time.monotonic()
    site = _running(directory)
    if site is None:
        site = Site.make(DEFAULT_PREFIX, DEFAULT_NET, directory)
        say(f"a server and {PCS} PCs boot, each with its own address on {DEFAULT_NET}.0/24")
    site.up(PCS)
    site.init()
    known = site.status()
    new = [machine for machine in site.lab.pcs() if machine.name not in known]
    if new:
        say(f"pairing {len(new)} PCs by the codes on their screens")
        site.pair(new)
    if not portals.runs(site.server):
        say("the server plays some public services, for there is no Internet in the lab")
        played = portals.lasting(site.server, f"{site.lab.network.net}.40")
        site.write_layer(LAYER + played.layer)
        for machine in site.lab.pcs():
            _know(machine, played)
        if known:
            site.publish()
    if not all(row["profile"] for row in site.status().values()):
        say("publishing the profile citizen")
        say(site.labctl("profile", "publish", "citizen").stdout.strip().replace("\n", "; "))
    wrapper = write_labctl(directory)
    screens = start_viewer(site.lab)
    print(site.labctl("status").stdout)
    print(
        f"""The lab runs ({time.monotonic() - began:.0f} s).
The screens of its PCs, which take clicks and keys: {screens}pc-01 to pc-{PCS}
Be a citizen: Inizia, the tile INPS, Entra con SPID (any name, the word {WORD}), Aiuto, Fine sessione.
(The lab's server plays INPS, and the SUAP and PEC of the profile business; other tiles lead nowhere.)
And be the technician here:
  {wrapper} call list
  {wrapper} session start pc-02
  {wrapper} status --watch
  {wrapper} profile explain pc-03
  {wrapper} profile publish training
  python3 -m tests.lab.rig exec pc-03 lab-agent plan
  python3 -m tests.lab.rig exec pc-03 sh -c 'echo x > /etc/chromium/policies/managed/60-lab-allow.json'
  python3 -m tests.lab.rig cut pc-03      # and: heal pc-03
  make lab-down"""
    )


def _know(machine: Machine, played: Portals) -> None:
    """A PC finds the services that are played under their real names."""
    hosts = machine.root / "etc/hosts"
    others = [line for line in hosts.read_text().splitlines(keepends=True) if INPS not in line]
    hosts.write_text("".join(others) + played.hosts)


def _running(directory: Path) -> Site | None:
    """The lab that runs already, whatever code it was made from; None where there is none."""
    lab = Lab.at(directory)
    if not any(machine.is_up for machine in lab.machines()):
        return None
    today = {release: str(layer_path(release)) for release in lab.app_layers}
    if today != {release: str(path) for release, path in lab.app_layers.items()}:
        say("this lab runs the code it was made from, which has changed since: make lab-down lab")
    return Site(lab)


def write_labctl(directory: Path) -> str:
    """A script in build/ that is labctl on the lab's server."""
    script = PROJECT / "build/labctl"
    script.parent.mkdir(exist_ok=True)
    script.write_text(
        "#!/bin/sh\n# labctl on the server of the lab that `make lab` brought up.\n"
        f'cd "{PROJECT}" || exit 1\n'
        f'exec {sys.executable} -m tests.lab.rig --dir "{directory}" exec server \\\n'
        '  env LC_ALL="${LC_ALL:-${LANG:-C.UTF-8}}" LANGUAGE="${LANGUAGE:-}" labctl "$@"\n'
    )
    script.chmod(0o755)
    return "build/labctl"


def down(directory: Path) -> None:
    """Leave nothing of the lab behind but the base trees, which the next one starts from."""
    Lab.at(directory).down()
    (PROJECT / "build/labctl").unlink(missing_ok=True)


def main() -> int:
    """Run `up` or `down`; the exit code."""
    parser = argparse.ArgumentParser(prog="tests.lab.demo", description=__doc__)
    parser.add_argument("verb", choices=("up", "down"))
    parser.add_argument("--dir", type=Path, default=DEFAULT_DIRECTORY)
    arguments = parser.parse_args()
    os.umask(0o022)
    try:
        (up if arguments.verb == "up" else down)(arguments.dir)
    except (RigError, AssertionError) as error:
        say(str(error))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
