"""What a citizen sits at: screen, window manager and session bar run, and the browser knows where to begin.

The session itself (lab-session.service) is no resource: it lasts from a start to
an end, and agent/core/session.py decides about it.
"""

from agent.core.changes import Action, Change, Effect, Forget, Owned, Plan, Reader, Remember, Run
from agent.core.files import FilePlanner, FileWish, Found, observe_files
from agent.core.languages import LOCALES
from agent.core.units import (
    BAR_UNIT,
    DESKTOP_UNIT,
    SCREEN_UNIT,
    SESSION_UNIT,
    SHUTDOWN_UNIT,
    SLICE,
    processes,
)
from contract.desired import Language, Program, Resources, Session
from contract.sentence import Sentence, sentence
from contract.start import LANGUAGES, start_address
from contract.wire import Message

NAME = "session"
ENVIRONMENT = "/etc/lab-agent/session/environment"
UNITS = (SCREEN_UNIT, DESKTOP_UNIT, BAR_UNIT)
"""In the order in which they are started."""

_WINDOW_MANAGER = "openbox"
NEEDS = (
    ("/usr/bin/openbox", _WINDOW_MANAGER),
    ("/usr/bin/chromium", "chromium"),
)
"""What none of it goes without, each with Debian's package that brings it."""

START_S = 60.0
"""An X server that does not come up gives up by itself before that."""

_STARTED = "started"
# A slice does not go with its last unit, nor the last wipe with the last session.
_STOP_ALL = Run(argv=("systemctl", "stop", "lab-kiosk.slice", SHUTDOWN_UNIT), timeout_s=START_S)


class Observed(Message, frozen=True):
    """The browser's environment, the units that run, and the packages that are not there."""

    files: Found
    running: frozenset[str]
    lacking: tuple[str, ...] = ()


def observe(wanted: Resources, owned: Owned, reader: Reader) -> Observed:
    """Nothing is asked while it is not managed."""
    managed = wanted.session is not None or bool(owned)
    running = frozenset(unit for unit in UNITS if managed and reader.running(f"{SLICE}/{unit}"))
    needs = NEEDS if wanted.session is not None else ()
    lacking = tuple(package for path, package in needs if not reader.program(path))
    return Observed(observe_files((ENVIRONMENT,), owned, reader), running, lacking)


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
        over = (_STOP_ALL, Forget(kind=NAME, key=_STARTED))
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
            (SCREEN_UNIT, sentence("the screen does not run")),
            (DESKTOP_UNIT, sentence("the window manager does not run")),
            (BAR_UNIT, sentence("the session bar does not run")),
        )
        if unit not in observed.running and (unit != DESKTOP_UNIT or _WINDOW_MANAGER not in observed.lacking)
    ]
    # Nothing can be done but to say so: the PC does not count as converged, and nobody is offered it.
    lacking = (
        _change(
            package, Effect.LOOSEN, sentence("it is not installed: apt install {package}", package=package)
        )
        for package in observed.lacking
    )
    wish = FileWish(path=ENVIRONMENT, content=environment(section).encode())
    return (*planner.put(wish, Effect.NEUTRAL), *start, *lacking, *planner.tidy((ENVIRONMENT,)))


def watched(wanted: Resources) -> tuple[str, ...]:
    """The environment, the programs, and the control groups of the units and of the session."""
    if wanted.session is None:
        return ()
    programs = (path for path, _package in NEEDS)
    return (ENVIRONMENT, *programs, *map(processes, (*UNITS, SESSION_UNIT)))


def environment(session: Session) -> str:
    """systemd.exec(5), EnvironmentFile: the contract keeps what would need escaping out of the address."""
    return f"""# Written by lab-agent; what is changed here is put back.
LAB_START_PAGE="{session.start_page}"
{_language(session.language)}{_programs(session.programs)}"""


def session_environment(session: str, offer: Session | None, language: Language | None) -> str:
    """What one session adds to `environment`: its key, and what follows from the citizen's language."""
    chosen = ""
    if offer is not None and language is not None:
        chosen = _language(language)
        if offer.start_page in map(start_address, LANGUAGES):
            chosen += f'LAB_START_PAGE="{start_address(language)}"\n'
    return f"LAB_SESSION={session}\n{chosen}"


def _language(language: Language) -> str:
    return f"LANG={LOCALES[language]}\nLANGUAGE={language}\n"


def _programs(programs: tuple[Program, ...]) -> str:
    return f'LAB_PROGRAMS="{" ".join(programs)}"\n' if programs else ""


def _change(subject: str, effect: Effect, why: Sentence, *actions: Action) -> Change:
    return Change(kind=NAME, subject=subject, effect=effect, why=why, actions=actions)
