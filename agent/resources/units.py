"""The units that a citizen's screen, session and network hang on: as they were when the lab took the PC over.

A drop-in may have a unit run something else, or without its walls; a mask keeps
it from starting at all. What stands there when the lab takes the PC over is the
installer's (an X server for an odd graphics card) and is remembered with its
content; what comes, goes or changes later is put back, and a unit whose drop-ins
were touched is started anew, because it may have been started with them.

There is no section of its own: it goes with the kinds that use these units. In a
profile that manages neither, a technician may change them.
"""

from agent.core.changes import (
    Action,
    Change,
    Effect,
    FileState,
    Forget,
    MakeDirectory,
    MakeLink,
    Owned,
    Plan,
    Reader,
    Remember,
    RemoveFile,
    Run,
    WriteFile,
)
from contract.desired import Resources
from contract.sentence import Sentence, sentence
from contract.wire import Message, decode, encode

NAME = "units"
UNITS = (
    "lab-proxy.service",
    "lab-screen.service",
    "lab-desktop.service",
    "lab-bar.service",
    "lab-session.service",
    "lab-wipe.service",
    "lab-kiosk.slice",
)
"""In the order in which they are started."""
PLACES = (
    "/etc/systemd/system",
    "/etc/systemd/system.control",
    "/run/systemd/system",
    "/run/systemd/system.control",
)
"""Where something can be laid over an installed unit (systemd.unit(5)), also by `systemctl set-property`."""

_TAKEN = "taken"
_LOADED = "loaded"
_SHARED = ("service.d", "lab-.service.d", "slice.d", "lab-.slice.d")
"""Drop-ins for all units of a type, or with a name that begins so."""

_CAME = sentence("it changes a unit of the lab's behind its back")
_WENT = sentence("it is missing or changed, and was here when the lab took the PC over")
_UNREAD = sentence("systemd has not read its units since they changed")
_RELOAD = Run(argv=("systemctl", "daemon-reload"))


class Observed(Message, frozen=True):
    """What is laid over our units, by path."""

    over: dict[str, FileState]


def observe(wanted: Resources, owned: Owned, reader: Reader) -> Observed:
    """Masks and drop-ins; nothing is looked for while none of the units is used."""
    over: dict[str, FileState] = {}
    for place in PLACES if _managed(wanted) else ():
        for name in reader.names(place) or ():
            path = f"{place}/{name}"
            if name in UNITS:
                state = reader.file(path)
                # A file with content is the unit itself, as an installer or an upgrade put it there.
                if state is not None and (not state.ours or not state.content):
                    over[path] = state
            elif name in _SHARED or name.removesuffix(".d") in UNITS:
                for drop_in in reader.names(path) or ():
                    state = reader.file(f"{path}/{drop_in}")
                    if state is not None and drop_in.endswith(".conf"):
                        over[f"{path}/{drop_in}"] = state
    return Observed(over=over)


def plan(wanted: Resources, observed: Observed, owned: Owned) -> Plan:
    """What came is removed, what went is put back, and systemd is told."""
    if not _managed(wanted):
        forget = tuple(Forget(kind=NAME, key=key) for key in sorted(owned))
        out = sentence("the lab no longer uses these units")
        return (_change(NAME, Effect.LOOSEN, out, *forget),) if forget else ()
    if _TAKEN not in owned:
        kept = tuple(
            Remember(kind=NAME, key=path, value=encode(state))
            for path, state in sorted(observed.over.items())
        )
        marks = (Remember(kind=NAME, key=key, value=b"") for key in (_LOADED, _TAKEN))
        taken = sentence("what is there when the lab takes the PC over belongs to it")
        return (_change(NAME, Effect.NEUTRAL, taken, *kept, *marks),)
    known = {path: decode(FileState, value) for path, value in owned.items() if path.startswith("/")}
    wrong = sorted(
        path for path in observed.over.keys() | known.keys() if observed.over.get(path) != known.get(path)
    )
    if not wrong and _LOADED in owned:
        return ()
    actions: list[Action] = [Forget(kind=NAME, key=_LOADED)]
    for path in wrong:
        actions += _back(path, known.get(path))
    actions += [_RELOAD, *_start_anew(wrong), Remember(kind=NAME, key=_LOADED, value=b"")]
    why = _UNREAD if not wrong else _WENT if wrong[0] in known else _CAME
    return (_change(wrong[0] if wrong else NAME, Effect.TIGHTEN, why, *actions),)


def watched(wanted: Resources) -> tuple[str, ...]:
    """Where a mask or a drop-in would appear."""
    if not _managed(wanted):
        return ()
    folders = (*_SHARED, *(f"{unit}.d" for unit in UNITS))
    masks = (f"{place}/{unit}" for place in PLACES for unit in UNITS)
    return (*masks, *(f"{place}/{folder}/" for place in PLACES for folder in folders))


def _managed(wanted: Resources) -> bool:
    return wanted.session is not None or wanted.network is not None


def _back(path: str, known: FileState | None) -> tuple[Action, ...]:
    if known is None:
        return (RemoveFile(path=path),)
    folder = MakeDirectory(path=path.rpartition("/")[0])
    if known.target is not None:
        return (folder, MakeLink(path=path, target=known.target))
    return (folder, WriteFile(path=path, content=known.content, mode=known.mode))


def _start_anew(wrong: list[str]) -> tuple[Action, ...]:
    """Units that may run with drop-ins that were not the lab's. A mask changes nothing of what runs."""
    folders = {path.rpartition("/")[0].rpartition("/")[2] for path in wrong}
    shared = not folders.isdisjoint(_SHARED)
    touched = [unit for unit in UNITS if unit.endswith(".service") and (shared or f"{unit}.d" in folders)]
    return (Run(argv=("systemctl", "try-restart", *touched), timeout_s=60),) if touched else ()


def _change(subject: str, effect: Effect, why: Sentence, *actions: Action) -> Change:
    return Change(kind=NAME, subject=subject, effect=effect, why=why, actions=actions)
