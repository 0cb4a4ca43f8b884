"""Where the station gets the time: systemd-timesyncd, asking the lab's server first.

timesyncd reads its files when it starts. Whether it has started since our file
was written is what the entry `loaded` says: it is dropped before the file
changes and written after the restart, so a power cut in between is made good.
"""

from agent.core.changes import Action, Change, Effect, Forget, Owned, Plan, Reader, Remember, Run
from agent.core.files import FilePlanner, FileWish, Found, observe_files
from contract.desired import Resources
from contract.sentence import Sentence, sentence

NAME = "time"
FILE = "/etc/systemd/timesyncd.conf.d/90-lab.conf"

_HEAD = "# Written by lab-agent; what is changed here is put back.\n"
_OUT = sentence("the lab no longer manages the time")
_LOADED = "loaded"
_RESTART = Run(argv=("systemctl", "restart", "systemd-timesyncd.service"))


def observe(wanted: Resources, owned: Owned, reader: Reader) -> Found:
    """The one file."""
    return observe_files((FILE,), owned, reader)


def plan(wanted: Resources, observed: Found, owned: Owned) -> Plan:
    """The file and the restart that makes it count."""
    planner = FilePlanner(NAME, observed, owned)
    forget = Forget(kind=NAME, key=_LOADED)
    if wanted.time is None:
        return (
            *planner.release(FILE, Effect.NEUTRAL, _OUT),
            *((_restart(_OUT, (), forget),) if _LOADED in owned else ()),
            *planner.tidy(()),
        )
    text = f"{_HEAD}[Time]\nNTP={' '.join(wanted.time.servers)}\n"
    wish = FileWish(path=FILE, content=text.encode())
    written = planner.put(wish, Effect.NEUTRAL)
    if planner.is_right(wish) and owned.get(_LOADED) == wish.content:
        return (*written, *planner.tidy((FILE,)))
    unread = sentence("timesyncd has not read its servers since they changed")
    why = unread if planner.is_right(wish) else written[0].why
    before = (forget, *(action for change in written for action in change.actions))
    loaded = Remember(kind=NAME, key=_LOADED, value=wish.content)
    return (_restart(why, before, loaded), *planner.tidy((FILE,)))


def watched(wanted: Resources) -> tuple[str, ...]:
    """The one file."""
    return () if wanted.time is None else (FILE,)


def _restart(why: Sentence, before: tuple[Action, ...], after: Action) -> Change:
    actions = (*before, _RESTART, after)
    return Change(kind=NAME, subject=FILE, effect=Effect.NEUTRAL, why=why, actions=actions)
