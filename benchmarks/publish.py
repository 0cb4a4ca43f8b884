"""A profile published to ten PCs, against ansible-core doing the same, and against the least there could be.

`labctl profile publish` from key press to ten PCs that have looked again and
found it so. Goals: 1/50 of ansible's wall time, 1/25 where nothing changed;
from the request at the controller's door on, 3 times what raw TLS over kept
connections takes plus the agents' own syncs, 1/300 of ansible where nothing
changed. The least is a program of a few lines on either end (benchmarks/inside)
with the same payload, the same ten PCs and disks; it decides and checks nothing.
"""

import contextlib
import json
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from statistics import median

from cryptography.x509.oid import ExtendedKeyUsageOID

from benchmarks import peers
from benchmarks.bench_lab import PCS, quiet
from benchmarks.inside import source
from benchmarks.playbook import Playbook
from benchmarks.report import Absent, Result
from tests.integration.front_kit import Authority
from tests.lab.site import Site

ROUNDS = 3
RUNS = 4
"""Of ours in a round; ansible has one of each kind."""
PORT = 7999
ENFORCER = "lab-enforcer.service"
SYNCS = "jfdj"
"""What an agent syncs for one changed file, seen with strace: the accepted revision in the journal, the
file, its directory, the applied revision in the journal."""


_PAYLOAD_BYTES = """
import sqlite3
journal = sqlite3.connect("file:/var/lib/lab-agent/enforcer/journal.sqlite?mode=ro", uri=True)
print(journal.execute("SELECT max(length(payload)) FROM desired").fetchone()[0])
"""


def measure(site: Site) -> list[Result | Absent]:
    """The four ratios."""
    bin_directory = peers.venv("ansible", peers.ANSIBLE)
    playbook = Playbook(site, peers.PEERS / "playbook", bin_directory) if bin_directory else None
    mine: dict[str, list[float]] = {}
    theirs: dict[str, list[float]] = {}
    least: dict[str, list[float]] = {}
    if playbook is not None:
        _ansible(site, playbook)  # once for nothing: it compiles itself, and its files become the PCs'
    for _ in range(ROUNDS):  # in turns, so that a machine that gets busy gets busy for all
        _add(mine, _ours(site))
        _add(least, _floor(site))
        if playbook is not None:
            _add(theirs, _ansible(site, playbook))
    ours, floor = _medians(mine), _medians(least)
    results: list[Result | Absent] = [_against_floor(ours, floor)]
    if playbook is None:
        return [*results, Absent("publish: ansible-core", "it cannot be installed from PyPI here")]
    ansible = _medians(theirs)
    for name, goal, own, peer in (
        ("publish: changed, whole command", 1 / 50, "labctl changed", "changed"),
        ("publish: unchanged, whole command", 1 / 25, "labctl unchanged", "unchanged"),
        ("publish: unchanged, from the door", 1 / 300, "door unchanged", "unchanged"),
    ):
        took = f"{ours[own]:.0f} ms to ansible's {ansible[peer]:.0f} ms"
        results.append(Result(name, goal, ours[own] / ansible[peer], took))
    return results


def _ours(site: Site) -> dict[str, list[float]]:
    quiet(site)
    told = site.server.run(["python3", "-c", source("publish"), str(RUNS), str(PCS)], timeout=300).stdout
    times: dict[str, list[float]] = json.loads(told)
    return times


def _ansible(site: Site, playbook: Playbook) -> dict[str, list[float]]:
    """One run with a change and one without, in milliseconds."""
    times = {}
    for pc in playbook.pcs:  # or it would put back at once what ansible changes
        pc.run(["systemctl", "stop", ENFORCER])
    try:
        playbook.change()
        for kind, expected in (("changed", PCS), ("unchanged", 0)):
            took, changed = playbook.run()
            if changed != expected:
                raise RuntimeError(f"ansible changed {changed} PCs, not {expected}")
            times[kind] = [took * 1000]
    finally:
        for pc in playbook.pcs:
            pc.run(["systemctl", "start", ENFORCER])
    quiet(site)
    return times


def _add(times: dict[str, list[float]], more: Mapping[str, list[float]]) -> None:
    for name, each in more.items():
        times.setdefault(name, []).extend(each)


def _against_floor(ours: Mapping[str, float], floor: Mapping[str, float]) -> Result:
    """Three times the wire, and the syncs once: how much longer they make the floor's round."""
    syncs = max(0.0, floor["synced"] - floor["raw"])
    allowed = 3 * floor["raw"] + syncs
    took = ours["door changed"]
    detail = f"{took:.0f} ms to 3 x {floor['raw']:.1f} ms of raw TLS + {syncs:.1f} ms of syncs"
    return Result("publish: changed, from the door", 1, took / allowed, detail)


def _floor(site: Site) -> dict[str, list[float]]:
    """Runs of `raw`, `synced` and `unchanged`, in milliseconds."""
    folder = peers.PEERS / "floor"
    with _floor_stations(site, folder) as hosts:
        size = _payload_bytes(site)
        argv = ["python3", "-c", source("floor_client"), str(5 * RUNS), str(size), SYNCS, str(PORT)]
        argv += ["/run/floor/client.pem", "/run/floor/ca.pem", *hosts]
        times: dict[str, list[float]] = json.loads(site.server.run(argv, timeout=120).stdout)
    return times


@contextlib.contextmanager
def _floor_stations(site: Site, folder: Path) -> Iterator[list[str]]:
    """The floor's program on every PC, listening; gives their addresses."""
    _make_keys(folder)
    machines = [site.server, *site.lab.pcs()]
    with contextlib.ExitStack() as stack:
        for machine in machines:
            place = machine.root / "run/floor"
            shutil.copytree(folder, place, dirs_exist_ok=True)
            stack.callback(shutil.rmtree, place, ignore_errors=True)
        for pc in site.lab.pcs():
            # Beside the journal: the same disk. Not in /tmp or /run, which have none.
            (pc.root / "var/lib/floor").mkdir(exist_ok=True)
            stack.callback(shutil.rmtree, pc.root / "var/lib/floor", ignore_errors=True)
            argv = ["python3", "-c", source("floor_station"), str(PORT), "/var/lib/floor"]
            station = stack.enter_context(pc.popen([*argv, "/run/floor/server.pem", "/run/floor/ca.pem"]))
            if station.stdout is None or station.stdout.readline().strip() not in (b"ready", "ready"):
                raise RuntimeError(f"the floor's program does not start on {pc.name}")
        yield [pc.address for pc in site.lab.pcs()]


def _make_keys(folder: Path) -> None:
    authority = Authority(folder, "floor")
    authority.issue("floor.internal", ExtendedKeyUsageOID.SERVER_AUTH).file.rename(folder / "server.pem")
    authority.issue("client.internal", ExtendedKeyUsageOID.CLIENT_AUTH).file.rename(folder / "client.pem")


def _payload_bytes(site: Site) -> int:
    """Length of one sealed desired state as the controller sends it (base64 in JSON: four thirds)."""
    told = site.pc(1).run(["python3", "-c", _PAYLOAD_BYTES])
    return int(told.stdout) * 4 // 3


def _medians(times: Mapping[str, list[float]]) -> dict[str, float]:
    return {name: median(each) for name, each in times.items()}
