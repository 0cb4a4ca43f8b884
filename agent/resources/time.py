"""Where the station gets the time: systemd-timesyncd, asking the lab's server first.

timesyncd reads its files when it starts.
"""

from agent.core.changes import Effect, Owned, Plan, Reader, Run
from agent.core.files import HEAD, FilePlanner, FileWish, Found, observe_files
from contract.desired import Resources
from contract.sentence import sentence

NAME = "time"
FILE = "/etc/systemd/timesyncd.conf.d/90-lab.conf"

_OUT = sentence("the lab no longer manages the time")
_UNREAD = sentence("timesyncd has not read its servers since they changed")
_RESTART = Run(argv=("systemctl", "restart", "systemd-timesyncd.service"))


def observe(wanted: Resources, owned: Owned, reader: Reader) -> Found:
    """The one file."""
    return observe_files((FILE,), owned, reader)


def plan(wanted: Resources, observed: Found, owned: Owned) -> Plan:
    """The file and the restart that makes it count."""
    planner = FilePlanner(NAME, observed, owned)
    if wanted.time is None:
        return (
            *planner.release_and_tell((FILE,), Effect.NEUTRAL, (_RESTART,), _OUT),
            *planner.tidy(()),
        )
    text = f"{HEAD}[Time]\nNTP={' '.join(wanted.time.servers)}\n"
    wish = FileWish(path=FILE, content=text.encode())
    return (
        *planner.put_and_tell((wish,), Effect.NEUTRAL, (_RESTART,), _UNREAD),
        *planner.tidy((FILE,)),
    )


def watched(wanted: Resources) -> tuple[str, ...]:
    """The one file."""
    return () if wanted.time is None else (FILE,)
