"""How loud the PC is when a session begins: silent, or at a level.

lab-session.service sets it (amixer) before the browser starts, so each citizen
finds it the same, whatever the one before did. In between it is the citizen's:
nothing here watches a volume.
"""

from agent.core.changes import Change, Effect, Owned, Plan, Reader
from agent.core.files import HEAD, FilePlanner, FileWish, Found, observe_files
from contract.desired import Resources, Sound
from contract.sentence import sentence
from contract.wire import Message

NAME = "sound"
LEVEL = "/etc/lab-agent/sound/level"
PROGRAM, PACKAGE = "/usr/bin/amixer", "alsa-utils"
CARDS = "/dev/snd"

_OUT = sentence("the lab no longer manages the sound")


class Observed(Message, frozen=True):
    """The file, and whether there is a sound card that nothing can set."""

    files: Found
    deaf: bool


def observe(wanted: Resources, owned: Owned, reader: Reader) -> Observed:
    """What the session's unit will read, and whether it can do anything with it."""
    deaf = False
    if wanted.sound is not None:
        controls = (name for name in reader.names(CARDS) or () if name.startswith("controlC"))
        deaf = any(True for _card in controls) and not reader.program(PROGRAM)
    return Observed(files=observe_files((LEVEL,), owned, reader), deaf=deaf)


def plan(wanted: Resources, observed: Observed, owned: Owned) -> Plan:
    """The one file; a card without the program that sets it is told."""
    section = wanted.sound
    planner = FilePlanner(NAME, observed.files, owned)
    if section is None:
        return (*planner.release(LEVEL, Effect.NEUTRAL, _OUT), *planner.tidy(()))
    why = sentence("it is missing, so the sound stays as it is: apt install {package}", package=PACKAGE)
    lacking = Change(kind=NAME, subject=PROGRAM, effect=Effect.NEUTRAL, why=why, actions=(), advice=True)
    wish = FileWish(path=LEVEL, content=environment(section).encode())
    return (
        *planner.put(wish, Effect.NEUTRAL),
        *((lacking,) if observed.deaf else ()),
        *planner.tidy((LEVEL,)),
    )


def watched(wanted: Resources) -> tuple[str, ...]:
    """The one file."""
    return () if wanted.sound is None else (LEVEL,)


def environment(sound: Sound) -> str:
    """What amixer is told of the main control."""
    told = f"{sound.level}% unmute" if sound.level else "0% mute"
    return f'{HEAD}LAB_SOUND="{told}"\n'
