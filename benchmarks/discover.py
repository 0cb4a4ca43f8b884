"""Finding PCs: `labctl discover` beside avahi-browse, and how soon a PC that announces itself is online.

Goals: 1/5 of `avahi-browse -t -r` for the same ten; 0.5 s from the first packet
of a PC that was switched on to "online" in what `labctl status --watch` shows.
"""

from statistics import median

from benchmarks.bench_lab import PCS, quiet
from benchmarks.inside import source
from benchmarks.report import Absent, Result, in_turns
from contract.identity import SERVICE_TYPE
from tests.lab.rig import Machine
from tests.lab.rig.inside import Inside
from tests.lab.site import Site, wait_for

RUNS = 7
BOOTS = 3
GOAL_S = 0.5
TYPE = SERVICE_TYPE.removesuffix(".local.")


def measure(site: Site) -> list[Result | Absent]:
    """Both."""
    quiet(site)
    return [_browse(site), _switched_on(site)]


def _browse(site: Site) -> Result:
    def ours() -> None:
        told = site.labctl("discover").stdout
        _all_there(told, "labctl discover")

    def theirs() -> None:
        told = site.server.run(["avahi-browse", "-t", "-r", "-p", TYPE]).stdout
        _all_there(told, "avahi-browse")

    mine, peer = in_turns(RUNS, ours, theirs)
    detail = f"{mine.wall * 1000:.0f} ms to {peer.wall * 1000:.0f} ms"
    return Result("discover: ten PCs, to avahi-browse", 1 / 5, mine.wall / peer.wall, detail)


def _all_there(told: str, who: str) -> None:
    missing = [name for name in (f"pc-{at:02d}" for at in range(1, PCS + 1)) if name not in told]
    if missing:
        raise RuntimeError(f"{who} did not find {', '.join(missing)}")


def _switched_on(site: Site) -> Result:
    took = [_one_boot(site, site.pc(number)) for number in range(2, 2 + BOOTS)]
    detail = f"slowest of {BOOTS} {max(took) * 1000:.0f} ms, median {median(took) * 1000:.0f} ms"
    return Result("discover: announced to online within 0.5 s", 1, max(took) / GOAL_S, detail)


def _one_boot(site: Site, pc: Machine) -> float:
    """Seconds from the first announcement to "online", of a PC that was off until it was shown so."""
    pc.poweroff()
    wait_for(lambda: site.status()[pc.name]["presence"] == "offline", 60, f"{pc.name} shown offline")
    watch = ["python3", "-c", source("online"), pc.name]
    listen = ["python3", "-c", source("announced"), pc.name, pc.address]
    with site.server.popen(watch) as status, site.server.popen(listen) as ear:
        _line(status), _line(ear)
        pc.poweron()
        announced, online = float(_line(ear)), float(_line(status))
    return max(0.0, online - announced)


def _line(process: Inside) -> str:
    """The next line that a program inside prints."""
    if process.stdout is None:
        raise RuntimeError("the program inside has no output")
    return process.stdout.readline().decode().strip()
