"""A web site of the lab's, to see from its own log who has reached it.

Each site is one process on an address of its own; `serve.py` is all of it and
runs under the machine's own Python. The page is one plain colour, so that a
pixel tells it, links to the other site, and answers `/via` by sending on there.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.lab.rig import Machine
from tests.lab.rig.host import wait_until

SERVE = Path(__file__).with_name("serve.py").read_text()


@dataclass(frozen=True)
class Web:
    """A site while it runs. `colour` is that of its pages, red, green and blue of 0 to 255."""

    machine: Machine
    name: str
    address: str
    colour: tuple[int, int, int]

    @property
    def log(self) -> Path:
        """Where its requests are written, a path a line; seen from the host."""
        return self.machine.root / "run" / f"{self.name}.log"

    def visits(self) -> list[str]:
        """Paths of the pages that were asked for, the oldest first."""
        return [line for line in self.log.read_text().splitlines() if line != "/favicon.ico"]


@contextmanager
def web(machine: Machine, name: str, address: str, colour: tuple[int, int, int], other: str) -> Iterator[Web]:
    """Serve http://`name`/ on `machine` at `address`, a second one that its card gets meanwhile.

    `other` is the name of the site that the page leads to.
    """
    site = Web(machine, name, address, colour)
    machine.net_run(["ip", "address", "add", f"{address}/24", "dev", "eth0"])
    try:
        argv = ["python3", "-c", SERVE, address, name, "#{:02x}{:02x}{:02x}".format(*colour), other]
        with machine.popen([*argv, f"/run/{name}.log"]):
            if not wait_until(site.log.exists, timeout=20):
                raise AssertionError(f"the site {name} did not start")
            yield site
    finally:
        machine.net_run(["ip", "address", "del", f"{address}/24", "dev", "eth0"])
