"""An old PC: one core, 4 GB of memory, no graphics card; what a citizen waits for, and what is left of it.

The lab's PC is held to one of this machine's cores and to 4 GB, has a screen that
the core draws, and a real Chromium; its server has the other core. Power-on is
that of the PC's own system, from its first process on: firmware, kernel and a
slow disk come on top. Memory is each page that any process of the PC maps, once
(and not the kernel's own: some 150 MB on a real PC); Chromium reads the whole
machine's memory, not the limit, so it does not spare any.
Goals, ours: 30 s to an offered session; the 5 s of `session` for its start and
its end; 3 GB of the 4 with a heavy page in sight.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

from benchmarks import groups
from benchmarks.bench_lab import small_lab
from benchmarks.inside import source
from benchmarks.report import Absent, Result
from benchmarks.session import TITLE, result, times
from tests.lab.rig import Machine
from tests.lab.screen import SCREEN, Screen
from tests.lab.site import LAYER, Site, wait_for

MEMORY, MEMORY_GOAL = "4G", 3e9
CORE = "1"
POWER_ON_GOAL_S = 30.0
RUNS, VISITS = 5, 3
SITE = "portale.test"
_LAYER = f"""{LAYER}
session: {{offered: true}}
remove:
  tiles: [anpr, inps, agenzia-entrate, health, app-io, pagopa, region-lazio]
tiles:
  - title: {{it: Il portale, en: The portal, ro: Portalul}}
    about: {{it: Un sito di prova della sala}}
    url: http://{SITE}/
allow: [.{SITE}]
"""
_TILE = (180, 340)
"""A place in the start page's first tile."""
_OFFERED = 'until xdotool search --onlyvisible --name "^lab-ground" >/dev/null 2>&1; do sleep 0.05; done'
_DRAWN = 'until xdotool search --onlyvisible --name "^Pronto" >/dev/null 2>&1; do sleep 0.02; done'
_PARTS = {
    "the session": ("lab.slice", "lab-kiosk.slice", "lab-session.service"),
    "the bar": ("lab.slice", "lab-kiosk.slice", "lab-bar.service"),
    "the agent": ("lab.slice", "lab-agent.slice"),
}
_MB = 1e6


def measure() -> list[Result | Absent]:
    """What a citizen waits for, and the memory."""
    with small_lab(3, layer=_LAYER, memory=MEMORY, cpus=CORE) as site:
        pc = site.pc(1)
        with _page(site, pc):
            wait_for(lambda: _free(site, pc), 60, "a free PC")
            booted = _power_on(site, pc)
            took = times(site, pc, RUNS, pcs=1)
            drawn, sizes = _visits(site, pc)
    used = sizes.pop("the PC")
    parts = ", ".join(f"{name} {size / _MB:.0f}" for name, size in sizes.items())
    return [
        Result("old PC: power-on to an offered session", 1, booted / POWER_ON_GOAL_S, f"{booted:.1f} s"),
        result("old PC: start to usable page", took.starts, "labctl session start to the page's window"),
        result("old PC: end to available", took.ends, f"{median(took.proofs):.2f} s of it wipe and proof"),
        result("old PC: tap on a heavy page to all drawn", drawn, "2.6 MB in 29 requests"),
        Result(
            "old PC: memory with that page, to 3 GB",
            1,
            used / MEMORY_GOAL,
            f"{used / _MB:.0f} MB of all processes; {parts} MB",
        ),
    ]


def _free(site: Site, pc: Machine) -> bool:
    return bool(site.row(pc.name).get("state") == "available")


def _power_on(site: Site, pc: Machine) -> float:
    """Seconds from the power button until the way in is on the screen, and the controller knows it free."""
    pc.sync()
    pc.poweroff()
    begin = time.perf_counter()
    pc.switch_on()
    wait_for(lambda: (pc.root / "run/lab-kiosk/Xauthority").exists() if pc.is_up else False, 60, "a screen")
    pc.run(["sh", "-c", _OFFERED], env=SCREEN, timeout=90)
    wait_for(lambda: _free(site, pc), 60, "a free PC")
    return time.perf_counter() - begin


def _visits(site: Site, pc: Machine) -> tuple[list[float], dict[str, int]]:
    """Seconds until the heavy page is drawn, a session each; bytes of the PC and its parts with the last."""
    drawn: list[float] = []
    sizes: dict[str, int] = {}
    screen = Screen(pc)
    payload = groups.slice_of(pc)
    for _ in range(VISITS):
        wait_for(lambda: _free(site, pc), 60, "a free PC")
        site.labctl("session", "start", pc.name)
        screen.shows(TITLE)
        time.sleep(2)  # as a person who reads the tiles
        begin = time.perf_counter()
        screen.click(*_TILE)
        pc.run(["sh", "-c", _DRAWN], env=SCREEN, timeout=60)
        drawn.append(time.perf_counter() - begin)
        time.sleep(5)
        sizes = {"the PC": groups.memory(groups.pids(payload)).distinct}
        for name, names in _PARTS.items():
            sizes[name] = groups.memory_of(pc, *names).pss
        screen.picture(Path("build/old-pc.png"))
        site.labctl("session", "end", pc.name)
    return drawn, sizes


@contextmanager
def _page(site: Site, pc: Machine) -> Iterator[None]:
    """The heavy page, on an address of its own at the lab's server, which the PC knows by name."""
    address = f"{site.lab.network.net}.23"
    site.server.net_run(["ip", "address", "add", f"{address}/24", "dev", "eth0"])
    hosts = pc.root / "etc/hosts"
    hosts.write_text(f"{hosts.read_text()}{address} {SITE}\n")
    with site.server.popen(["python3", "-c", source("page"), address]) as serving:
        if serving.stdout is None or not serving.stdout.readline():
            raise RuntimeError("the page is not served")
        yield
