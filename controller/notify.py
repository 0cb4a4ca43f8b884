"""Telling systemd how the service is: sd_notify(3), without a library."""

import os
import socket
from contextlib import suppress


def notify(state: str) -> None:
    """Send one assignment such as READY=1. Nothing happens where systemd did not start us."""
    place = os.environ.get("NOTIFY_SOCKET")
    if not place:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as line, suppress(OSError):
        line.sendto(state.encode(), "\0" + place[1:] if place.startswith("@") else place)


def watchdog_every_s() -> float | None:
    """How often systemd must hear of us, with room for two misses; None where it does not watch."""
    limit = os.environ.get("WATCHDOG_USEC", "")
    ours = os.environ.get("WATCHDOG_PID") in (None, str(os.getpid()))
    return int(limit) / 3e6 if ours and limit.isdigit() and int(limit) > 0 else None
