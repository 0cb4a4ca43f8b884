"""What a citizen sits at: the screen and the window manager run, and the browser knows where to begin.

The session itself (lab-session.service) is no resource: it lasts from a start to
an end, and agent/core/session.py decides about it.
"""

from agent.core.changes import Action, Change, Effect, Forget, Owned, Plan, Reader, Remember, Run
from agent.core.files import FilePlanner, FileWish, Found, observe_files
from contract.desired import Resources, Session
from contract.sentence import Sentence, sentence
from contract.wire import Message

NAME = "session"
ENVIRONMENT = "/etc/lab-agent/session/environment"
SLICE = "lab.slice/lab-kiosk.slice"
SCREEN, DESKTOP = UNITS = ("lab-screen.service", "lab-desktop.service")
"""In the order in which they are started."""

START_S = 60.0
"""An X server that does not come up gives up by itself before that."""

_STARTED = "started"
_LOCALES = {"it": "it_IT.UTF-8", "en": "en_GB.UTF-8", "ro": "ro_RO.UTF-8"}


class Observed(Message, frozen=True):
    """The browser's environment, and the units that run."""

    files: Found
    running: frozenset[str]


def observe(wanted: Resources, owned: Owned, reader: Reader) -> Observed:
    """Nothing is asked while it is not managed."""
    managed = wanted.session is not None or bool(owned)
    running = frozenset(unit for unit in UNITS if managed and reader.running(f"{SLICE}/{unit}"))
    return Observed(files=observe_files((ENVIRONMENT,), owned, reader), running=running)


def plan(wanted: Resources, observed: Observed, owned: Owned) -> Plan:
    """The environment, then the units; the units come last of all kinds, when the PC is locked down."""
    section = wanted.session
    planner = FilePlanner(NAME, observed.files, owned)
    if section is None:
        out = sentence("the lab no longer offers sessions")
        stop = [
            _change(unit, Effect.TIGHTEN, out, Run(argv=("systemctl", "stop", unit)))
            for unit in reversed(UNITS)
            if unit in observed.running and _STARTED in owned
        ]
        forget = (Forget(kind=NAME, key=_STARTED),) if _STARTED in owned else ()
        done = [_change(NAME, Effect.TIGHTEN, out, *forget)] if forget else []
        return (*stop, *done, *planner.release(ENVIRONMENT, Effect.LOOSEN, out), *planner.tidy(()))
    remember = () if _STARTED in owned else (Remember(kind=NAME, key=_STARTED, value=b""),)
    start = [
        _change(
            unit,
            Effect.LOOSEN,
            why,
            *remember,
            Run(argv=("systemctl", "start", unit), timeout_s=START_S),
        )
        for unit, why in (
            (SCREEN, sentence("the screen does not run")),
            (DESKTOP, sentence("the window manager does not run")),
        )
        if unit not in observed.running
    ]
    wish = FileWish(path=ENVIRONMENT, content=environment(section).encode())
    return (*planner.put(wish, Effect.NEUTRAL), *start, *planner.tidy((ENVIRONMENT,)))


def watched(wanted: Resources) -> tuple[str, ...]:
    """The environment, and the control groups of the units and of the session."""
    if wanted.session is None:
        return ()
    groups = (f"/sys/fs/cgroup/{SLICE}/{unit}/cgroup.events" for unit in (*UNITS, "lab-session.service"))
    return (ENVIRONMENT, *groups)


def environment(session: Session) -> str:
    """systemd.exec(5), EnvironmentFile: the contract keeps what would need escaping out of the address."""
    return f"""# Written by lab-agent; what is changed here is put back.
LAB_START_PAGE="{session.start_page}"
LANG={_LOCALES[session.language]}
LANGUAGE={session.language}
"""


def _change(subject: str, effect: Effect, why: Sentence, *actions: Action) -> Change:
    return Change(kind=NAME, subject=subject, effect=effect, why=why, actions=actions)
