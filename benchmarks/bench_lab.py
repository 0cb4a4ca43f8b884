"""The lab that benchmarks measure in: a server and ten PCs of the rig, beside any other lab here."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.lab.rig import Lab
from tests.lab.site import Site, wait_for

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


def down_command() -> str:
    """How a person takes the lab down."""
    return f"python3 -m tests.lab.rig --dir {DIRECTORY} down"


def quiet(site: Site, seconds: float = 2.0) -> None:
    """Let what the last measurement set off come to rest."""
    wait_for(lambda: _settled(site), 120, "ten PCs online and converged")
    time.sleep(seconds)


def until(look: Callable[[], bool], seconds: float, what: str, every: float = 0.001) -> float:
    """When `look` first held (perf_counter), asked each `every` seconds; AssertionError after `seconds`."""
    end = time.perf_counter() + seconds
    while not look():
        assert time.perf_counter() < end, f"{what}: not within {seconds:.0f} s"
        time.sleep(every)
    return time.perf_counter()


def _settled(site: Site) -> bool:
    stations = site.status().values()
    return len(stations) == PCS and all(
        station["presence"] == "online"
        and 0 < station["desired"] == station["applied"]
        and not any(one["type"] == "EnforcerLost" and one["status"] for one in station["conditions"])
        for station in stations
    )
