"""The printer of the lab (ipp_printer.py) on a machine, switched on and off as a technician would."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.lab import ipp_printer
from tests.lab.rig import Machine

PORT = 9631
UNIT = "prova-printer.service"
FOLDER = "/root/printer"
_SOURCE = Path(ipp_printer.__file__).read_text(encoding="utf-8")


@contextmanager
def printer(server: Machine) -> Iterator[str]:
    """Its address, while it is switched on; what is printed is there as files (`jobs`)."""
    server.run(["install", "-D", "/dev/stdin", f"{FOLDER}/printer.py"], input=_SOURCE)
    on(server)
    try:
        yield f"ipp://{server.address}:{PORT}/ipp/print"
    finally:
        off(server)
        server.run(["rm", "-rf", FOLDER])


def on(server: Machine) -> None:
    """Switch it on, and wait until it answers."""
    server.run(
        [
            *("systemd-run", "--quiet", "--collect", f"--unit={UNIT}"),
            *("python3", f"{FOLDER}/printer.py", str(PORT), FOLDER),
        ]
    )
    answers = f"(: </dev/tcp/{server.address}/{PORT}) 2>/dev/null"
    server.run(["bash", "-c", f"until {answers}; do sleep 0.1; done"], timeout=20)


def off(server: Machine) -> None:
    """Switch it off, unless it is."""
    server.run(["systemctl", "stop", UNIT], check=False)


def jobs(server: Machine) -> list[bytes]:
    """The requests with which documents came."""
    folder = server.root / FOLDER.lstrip("/")
    return [path.read_bytes() for path in sorted(folder.glob("job-*"))]
