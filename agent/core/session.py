"""Where a PC is between two citizens, and what follows from what happens to it: pure.

The law, whatever the sequence of events and power cuts: a PC is available only
after a proof that says clean, made after the last session could have begun.
"""

from datetime import datetime
from enum import Enum

import msgspec

from contract.desired import Language
from contract.sentence import Sentence, sentence
from contract.session import Proof, SessionPhase, Wish
from contract.wire import Message, Utc


class Effect(Enum):
    """What is to be done after the new state was journalled. Each may be done again without harm."""

    START = "start"
    STOP = "stop"
    WIPE = "wipe"


class Began(Message, frozen=True):
    """When a session began: by the wall clock, and in seconds since a boot, which nobody sets."""

    at: Utc
    boot: str
    boot_s: float


class Sitting(Message, frozen=True):
    """The state, as it is journalled. `session` is the one under way, or the last; empty before the first.

    `boot` names the boot in which the agent last started. What the citizen chose
    and asked for ends with the wipe: `language` (None: the profile's), `calls`
    that nobody has answered yet, and when the last ones were (seconds since boot).
    """

    phase: SessionPhase = "none"
    session: str = ""
    boot: str = ""
    began: Began | None = None
    proof: Proof | None = None
    language: Language | None = None
    calls: tuple[Wish, ...] = ()
    answered_s: float | None = None
    printed: int = 0
    """Pages that went to the printer in this session, or were let go to it."""


class Booted(Message, frozen=True):
    """The agent has started, in the boot with this id."""

    boot: str


class Managed(Message, frozen=True):
    """Whether the lab wants sessions on this PC."""

    wanted: bool


class Start(Message, frozen=True):
    """A session shall begin."""

    session: str
    began: Began


class End(Message, frozen=True):
    """The session shall end; where a wipe failed, it shall be tried again."""


class Started(Message, frozen=True):
    """The session's unit has started."""


class StartFailed(Message, frozen=True):
    """The session's unit would not start."""


class Stopped(Message, frozen=True):
    """The session's unit was stopped, or would not be: the wipe ends what is left either way."""


class Wiped(Message, frozen=True):
    """The wipe has ended; None where it did not come to a proof."""

    proof: Proof | None


class Chose(Message, frozen=True):
    """The citizen wants to read this language."""

    language: Language


class Called(Message, frozen=True):
    """The citizen calls the operator."""

    wish: Wish


class Answered(Message, frozen=True):
    """The operator has seen the calls, and comes; told so many seconds since boot."""

    at_s: float


class Printed(Message, frozen=True):
    """Pages of this session go to the printer; fewer than none where they were given back."""

    session: str
    pages: int


Event = (
    Booted
    | Managed
    | Start
    | End
    | Started
    | StartFailed
    | Stopped
    | Wiped
    | Chose
    | Called
    | Answered
    | Printed
)

MARGIN_S = 60.0
"""A session is taken to have begun so much earlier, against the steps of a clock that is being corrected."""

_DUE: dict[SessionPhase, Effect] = {
    "reserved": Effect.START,
    "active": Effect.START,
    "ending": Effect.STOP,
    "wiping": Effect.WIPE,
}


def due(sitting: Sitting) -> Effect | None:
    """What a phase is about; done again where it may have been interrupted."""
    return _DUE.get(sitting.phase)


def step(sitting: Sitting, event: Event) -> Sitting:
    """The state after an event, whose effect is `due`; what makes no sense in a state changes nothing."""
    match event:
        case Booted(boot):
            return _booted(sitting, boot)
        case Wiped(proof):
            return _wiped(sitting, proof)
        case Start(session, began):
            if sitting.phase == "available":
                return msgspec.structs.replace(
                    sitting, phase="reserved", session=session, began=began, printed=0
                )
            return sitting
        case Chose() | Called() | Answered():
            return _asked(sitting, event)
        case Printed(session, pages):
            return _printed(sitting, session, pages)
        case Managed(wanted):
            follows = _WANTED if wanted else _UNWANTED
        case End():
            follows = _END
        case Started():
            follows = _STARTED
        case StartFailed():
            follows = _START_FAILED
        case Stopped():
            follows = _STOPPED
    return msgspec.structs.replace(sitting, phase=follows.get(sitting.phase, sitting.phase))


_Follows = dict[SessionPhase, SessionPhase]
_WANTED: _Follows = {"none": "wiping"}
_UNWANTED: _Follows = {"available": "none", "reserved": "ending", "active": "ending"}
_END: _Follows = {"reserved": "ending", "active": "ending", "out-of-service": "wiping"}
_STARTED: _Follows = {"reserved": "active"}
_START_FAILED: _Follows = {"reserved": "ending", "active": "ending"}
_STOPPED: _Follows = {"ending": "wiping"}


def _booted(sitting: Sitting, boot: str) -> Sitting:
    """A new boot proves nothing about what is on the disks; an agent that only restarted goes on."""
    again = sitting.phase == "out-of-service" or (sitting.phase != "none" and sitting.boot != boot)
    return msgspec.structs.replace(sitting, phase="wiping" if again else sitting.phase, boot=boot)


def _asked(sitting: Sitting, event: Chose | Called | Answered) -> Sitting:
    """What a citizen chooses and asks for moves the PC nowhere."""
    match event:
        case Chose(language):
            return msgspec.structs.replace(sitting, language=language)
        case Called(wish):
            calls = sitting.calls if wish in sitting.calls else (*sitting.calls, wish)
            return msgspec.structs.replace(sitting, calls=calls, answered_s=None)
        case Answered(at_s):
            return msgspec.structs.replace(sitting, calls=(), answered_s=at_s) if sitting.calls else sitting


def _printed(sitting: Sitting, session: str, pages: int) -> Sitting:
    """What another session printed, or gives back, is not this one's."""
    if sitting.session != session or sitting.phase not in ("reserved", "active"):
        return sitting
    return msgspec.structs.replace(sitting, printed=max(0, sitting.printed + pages))


def _wiped(sitting: Sitting, proof: Proof | None) -> Sitting:
    if sitting.phase != "wiping":
        return sitting
    clean = proof is not None and proof.clean and proof.session == sitting.session
    phase: SessionPhase = "available" if clean else "out-of-service"
    return msgspec.structs.replace(
        sitting, phase=phase, proof=proof, language=None, calls=(), answered_s=None
    )


def oldest(sitting: Sitting, now: datetime, boot: str, boot_s: float) -> float:
    """Nothing of the session can be older on a disk than this (seconds since 1970); 0 where nobody knows.

    Clocks are set while sessions last: a file is dated by the clock before or
    by the one after, so the earlier of both beginnings counts.
    """
    began = sitting.began
    if began is None or now < began.at:
        return 0.0
    start = began.at.timestamp()
    if began.boot == boot:
        start = min(start, now.timestamp() - (boot_s - began.boot_s))
    return max(0.0, start - MARGIN_S)


WHY_NOT: dict[SessionPhase, Sentence] = {
    "none": sentence("the lab offers no sessions on this PC"),
    "reserved": sentence("a session is beginning"),
    "active": sentence("a session is under way"),
    "ending": sentence("a session is ending"),
    "wiping": sentence("the last session is being wiped"),
    "out-of-service": sentence("the PC could not be proved clean"),
}
"""Why no session may begin."""
