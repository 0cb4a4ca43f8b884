"""The one setting of the host's kernel that labs outgrow: how many inotify instances a user may have.

Each PC takes nine and more with a browser; Debian allows 128 in all. While labs run the limit is raised;
the last one to go puts back what was there.
"""

from __future__ import annotations

from pathlib import Path

from tests.lab.rig.cgroups import unified
from tests.lab.rig.host import lock, say

_INOTIFY = Path("/proc/sys/fs/inotify/max_user_instances")
_NEEDED = 2048


def raise_limits(bases: Path) -> None:
    """Make room for the inotify instances of several labs; prints a line when that changes the host."""
    with lock(bases / "limits.lock"):
        now = int(_INOTIFY.read_text())
        if now < _NEEDED:
            (bases / "inotify-was").write_text(str(now))
            _INOTIFY.write_text(str(_NEEDED))
            say(f"raised fs.inotify.max_user_instances from {now} to {_NEEDED} until the last lab is down")


def restore_limits(bases: Path) -> None:
    """Put back the host's limit, unless another lab is up."""
    before = bases / "inotify-was"
    if not before.exists() or any(unified().glob("*-lab/*/payload")):
        return
    with lock(bases / "limits.lock"):
        if before.exists():
            _INOTIFY.write_text(before.read_text())
            before.unlink()
