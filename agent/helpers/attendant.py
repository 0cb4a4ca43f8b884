"""Stays in the session beside the browser: holds the canary on the screen, and sees how much room is left.

    python -m agent.helpers.attendant TEXT    until killed; TEXT is the session's canary

The session's files are in memory that no other process sees, so it is said by a
mark in the folder that the session shares with the enforcer (agent/room.py).
"""

import os
import sys
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from threading import Thread

from agent.core.room import MARK, is_full
from agent.helpers import selections

EVERY_S = 3.0
"""Between two looks: one system call for each place."""

SHARED = tuple(map(Path, ("/tmp", "/var/tmp", "/dev/shm")))  # noqa: S108  # these are the places


def main(text: str) -> int:
    """Attend until killed, or until the screen goes; 1 where there is none."""
    home = Path.home()
    Thread(target=_watch, args=((home, home / "Downloads", *SHARED), Path(MARK)), daemon=True).start()
    return selections.main(["hold", text])


def _watch(places: tuple[Path, ...], mark: Path) -> None:
    full = False
    while True:
        full = look(places, mark, was=full)
        time.sleep(EVERY_S)


def look(places: Iterable[Path], mark: Path, *, was: bool) -> bool:
    """Set or take away the mark where that changes; whether there is no room left in one of the places."""
    full = is_full(min(map(_left, places)), was)
    if full != was:
        with suppress(OSError):  # without it the session goes on as it is
            mark.touch() if full else mark.unlink(missing_ok=True)
    return full


def _left(place: Path) -> float:
    """The fraction of bytes or of files that is left, whichever is less; 1 where that cannot be told."""
    try:
        found = os.statvfs(place)
    except OSError:
        return 1.0
    pairs = ((found.f_bavail, found.f_blocks), (found.f_favail, found.f_files))
    return min((free / whole for free, whole in pairs if whole), default=1.0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
