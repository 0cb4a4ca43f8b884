"""What a citizen sits at: the screen and the window manager run, and the browser knows where to begin.

The session itself (lab-session.service) is no resource: it lasts from a start to
an end, and agent/core/session.py decides about it. But where its programs are
missing no session may begin, and that is said here.
"""

from agent.core.changes import Action, Change, Effect, Forget, Owned, Plan, Reader, Remember, Run
from agent.core.files import FilePlanner, FileWish, Found, observe_files
from agent.core.languages import LOCALES
from contract.desired import Resources, Session
from contract.sentence import Sentence, sentence
from contract.wire import Message

NAME = "session"
ENVIRONMENT = "/etc/lab-agent/session/environment"
SLICE = "lab.slice/lab-kiosk.slice"
SCREEN, DESKTOP = UNITS = ("lab-screen.service", "lab-desktop.service")
"""In the order in which they are started."""

WINDOW_MANAGER = "/usr/bin/openbox"
PROGRAMS = {WINDOW_MANAGER: "openbox", "/usr/bin/chromium": "chromium"}
"""What the units run, and the package that brings it; which X server runs is the PC's own affair."""

START_S = 60.0
"""An X server that does not come up gives up by itself before that."""

_STARTED = "started"
_STOP_ALL = Run(argv=("systemctl", "stop", "lab-kiosk.slice"))


class Observed(Message, frozen=True):
    """The browser's environment, the units that run, and the programs that are not there."""

    files: Found
    running: frozenset[str]
    missing: tuple[str, ...] = ()


def observe(wanted: Resources, owned: Owned, reader: Reader) -> Observed:
    """Nothing is asked while it is not managed."""
    managed = wanted.session is not None or bool(owned)
    running = frozenset(unit for unit in UNITS if managed and reader.running(f"{SLICE}/{unit}"))
    missing = tuple(path for path in PROGRAMS if wanted.session is not None and not reader.program(path))
    return Observed(files=observe_files((ENVIRONMENT,), owned, reader), running=running, missing=missing)


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
        over = (_STOP_ALL, Forget(kind=NAME, key=_STARTED))  # a slice does not go with its last unit
        done = [_change(NAME, Effect.TIGHTEN, out, *over)] if _STARTED in owned else []
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
        if unit not in observed.running and (unit != DESKTOP or WINDOW_MANAGER not in observed.missing)
    ]
    lacking = [
        _change(
            path, Effect.NEUTRAL, sentence("it is missing: apt install {package}", package=PROGRAMS[path])
        )
        for path in observed.missing
    ]
    wish = FileWish(path=ENVIRONMENT, content=environment(section).encode())
    return (*lacking, *planner.put(wish, Effect.NEUTRAL), *start, *planner.tidy((ENVIRONMENT,)))


def watched(wanted: Resources) -> tuple[str, ...]:
    """The environment, the programs, and the control groups of the units and of the session."""
    if wanted.session is None:
        return ()
    groups = (f"/sys/fs/cgroup/{SLICE}/{unit}/cgroup.events" for unit in (*UNITS, "lab-session.service"))
    return (ENVIRONMENT, *PROGRAMS, *groups)


def environment(session: Session) -> str:
    """systemd.exec(5), EnvironmentFile: the contract keeps what would need escaping out of the address."""
    return f"""# Written by lab-agent; what is changed here is put back.
LAB_START_PAGE="{session.start_page}"
LANG={LOCALES[session.language]}
LANGUAGE={session.language}
"""


def _change(subject: str, effect: Effect, why: Sentence, *actions: Action) -> Change:
    return Change(kind=NAME, subject=subject, effect=effect, why=why, actions=actions)
