"""Where the station gets the time: systemd-timesyncd, asking the lab's server first.

timesyncd reads its files when it starts. In force means: it has started since
they changed, and runs.
"""

from agent.core.changes import Action, Effect, Forget, Owned, Plan, Reader, Remember, Run
from agent.core.files import HEAD, FilePlanner, FileWish, Found, observe_files
from contract.desired import Resources
from contract.sentence import sentence
from contract.wire import Message

NAME = "time"
FILE = "/etc/systemd/timesyncd.conf.d/90-lab.conf"
UNIT = "systemd-timesyncd.service"

_PROCESSES = f"/sys/fs/cgroup/system.slice/{UNIT}/cgroup.events"
_WAS_OFF = "was-off"

_OUT = sentence("the lab no longer manages the time")
_UNREAD = sentence("timesyncd has not read its servers since they changed")
_STOPPED = sentence("timesyncd does not run")
_RESTART = Run(argv=("systemctl", "restart", UNIT))
_STOP = Run(argv=("systemctl", "stop", UNIT))


class Observed(Message, frozen=True):
    """The one file, and whether the service runs."""

    files: Found
    running: bool


def observe(wanted: Resources, owned: Owned, reader: Reader) -> Observed:
    """Nothing is asked while it is not managed."""
    managed = wanted.time is not None or bool(owned)
    return Observed(
        files=observe_files((FILE,), owned, reader), running=reader.running(UNIT) if managed else False
    )


def plan(wanted: Resources, observed: Observed, owned: Owned) -> Plan:
    """The file and the restart that makes it count; a service that was off before us is off after us."""
    planner = FilePlanner(NAME, observed.files, owned)
    if wanted.time is None:
        back: tuple[Action, ...] = (_RESTART,)
        if _WAS_OFF in owned:
            back = (_STOP, Forget(kind=NAME, key=_WAS_OFF))
        return (
            *planner.release_and_tell((FILE,), Effect.NEUTRAL, back, _OUT),
            *planner.tidy(()),
        )
    start: tuple[Action, ...] = (_RESTART,)
    if FILE not in owned and not observed.running:
        start = (Remember(kind=NAME, key=_WAS_OFF, value=b""), _RESTART)
    text = f"{HEAD}[Time]\nNTP={' '.join(wanted.time.servers)}\n"
    wish = FileWish(path=FILE, content=text.encode())
    return (
        *planner.put_and_tell(
            (wish,),
            Effect.NEUTRAL,
            start,
            _UNREAD if observed.running else _STOPPED,
            in_force=observed.running,
        ),
        *planner.tidy((FILE,)),
    )


def watched(wanted: Resources) -> tuple[str, ...]:
    """The one file, and the service's control group."""
    return () if wanted.time is None else (FILE, _PROCESSES)
