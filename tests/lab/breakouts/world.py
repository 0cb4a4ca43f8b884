"""Two sites of the lab's server: an allowed one, where attempts start, and one that is not."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.lab.rig import Machine
from tests.lab.rig.host import wait_until

SERVE = Path(__file__).with_name("serve.py").read_text()
INSIDE, OUTSIDE = "portale.test", "fuori.test"
LIKE = (f"non{INSIDE}", f"{INSIDE}.{OUTSIDE}", INSIDE.replace(".", "a") + ".test")
"""Names that look like the allowed one and lead to the site that is not."""
ADDRESS = "OUTSIDE-ADDRESS"
"""In a page or a flag: the outside site's address."""
Page = tuple[str, Mapping[str, str], str]
"""Content type, further headers, body."""


@dataclass(frozen=True)
class World:
    """Both sites while they run, the lab's server and a third PC: addresses, and what each site has heard."""

    inside: str
    outside: str
    server: str
    neighbour: str
    run: Path

    def heard(self, name: str) -> list[str]:
        """A line for whoever asked a site for anything: client, port, what."""
        return (self.run / f"{name}.log").read_text().splitlines()


@contextmanager
def world(server: Machine, net: str, pages: Mapping[str, Page], neighbour: str) -> Iterator[World]:
    """Serve both on the lab's server, at addresses that its card gets meanwhile."""
    inside, outside = f"{net}.31", f"{net}.32"
    with ExitStack() as stack:
        for name, address, content in ((INSIDE, inside, pages), (OUTSIDE, outside, {})):
            server.net_run(["ip", "address", "add", f"{address}/24", "dev", "eth0"])
            stack.callback(server.net_run, ["ip", "address", "del", f"{address}/24", "dev", "eth0"])
            log = f"/run/{name}.log"
            seen = server.root / log.lstrip("/")
            seen.unlink(missing_ok=True)
            spec = json.dumps({"address": address, "log": log, "pages": content}).replace(ADDRESS, outside)
            stack.enter_context(server.popen(["python3", "-c", SERVE, spec]))
            if not wait_until(seen.exists, timeout=20):
                raise AssertionError(f"the site {name} did not start")
        yield World(inside, outside, server.address, neighbour, server.root / "run")


@contextmanager
def known(machine: Machine, here: World) -> Iterator[None]:
    """The PC has both names in its /etc/hosts, in place of a DNS."""
    hosts = machine.root / "etc/hosts"
    before = hosts.read_text()
    hosts.write_text(f"{before}{here.inside} {INSIDE}\n{here.outside} {OUTSIDE} {' '.join(LIKE)}\n")
    try:
        yield
    finally:
        hosts.write_text(before)
