"""The labs that benchmarks measure in, beside any other lab here.

One with a server and ten PCs, which most of them share, and small ones with one
PC, for those that need another PC than those ten: of a day long gone, or weak.
"""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.lab.install import app_layer
from tests.lab.rig import Lab
from tests.lab.site import LAYER, Site, pc_files, wait_for

PCS = 10
PREFIX, NET = "banco", "10.78.0"
DIRECTORY = Path("/var/lib/publiclab-bench")


@contextmanager
def bench_lab(*, keep: bool) -> Iterator[Site]:
    """Ten PCs, paired and converged on the citizen profile. Taken down at the end unless it is to be kept."""
    lab = Lab.at(DIRECTORY) if (DIRECTORY / "lab.json").exists() else None
    site = Site(lab) if lab is not None else Site.make(PREFIX, NET, DIRECTORY)
    try:
        site.up(PCS)
        site.init()
        wait_for(lambda: site.labctl("status", check=False).returncode == 0, 60, "the controller")
        known = site.status()
        site.pair([machine for machine in site.lab.pcs() if machine.name not in known])
        site.labctl("profile", "publish", "citizen")
        wait_for(lambda: _settled(site), 60, "ten PCs online and converged")
        yield site
    finally:
        if keep:
            print(f"bench: the lab stays up; take it down with: {down_command()}", file=sys.stderr)
        else:
            site.lab.down()


@contextmanager
def small_lab(
    number: int, *, code: Path | None = None, layer: str = LAYER, memory: str = "", cpus: str = ""
) -> Iterator[Site]:
    """A server and one PC in lab `number` (1 to 3), paired and converged on the citizen profile.

    `code` is an app layer to be installed on both instead of today's, `layer` the lab's own; `memory` and
    `cpus` are the PC's (see Lab.start). It is taken down at the end.
    """
    directory = DIRECTORY.with_name(f"{DIRECTORY.name}-{number}")
    layers = {"bookworm": code or app_layer("bookworm")}
    lab = Lab(f"{PREFIX}{number}", f"10.7{6 - number}.0", directory, app_layers=layers)
    lab.down()  # what a run that was killed has left
    site = Site(lab)
    try:
        lab.start("server", files={}, wait=False)
        lab.start("pc-01", files=pc_files(), memory=memory, cpus=cpus)
        site.server.wait_running()
        site.init(layer)
        wait_for(lambda: site.labctl("status", check=False).returncode == 0, 60, "the controller")
        site.pair([site.pc(1)])
        site.labctl("profile", "publish", "citizen")
        wait_for(lambda: _settled(site, 1), 90, "a PC online and converged")
        yield site
    finally:
        lab.down()


def down_command() -> str:
    """How a person takes the lab down."""
    return f"python3 -m tests.lab.rig --dir {DIRECTORY} down"


def quiet(site: Site, seconds: float = 2.0, pcs: int = PCS) -> None:
    """Let what the last measurement set off come to rest."""
    wait_for(lambda: _settled(site, pcs), 120, "PCs online and converged")
    time.sleep(seconds)


def until(look: Callable[[], bool], seconds: float, what: str, every: float = 0.001) -> float:
    """When `look` first held (perf_counter), asked each `every` seconds; AssertionError after `seconds`."""
    end = time.perf_counter() + seconds
    while not look():
        assert time.perf_counter() < end, f"{what}: not within {seconds:.0f} s"
        time.sleep(every)
    return time.perf_counter()


def _settled(site: Site, pcs: int = PCS) -> bool:
    stations = site.status().values()
    return len(stations) == pcs and all(
        station["presence"] == "online"
        and 0 < station["desired"] == station["applied"]
        and not any(one["type"] == "EnforcerLost" and one["status"] for one in station["conditions"])
        for station in stations
    )
