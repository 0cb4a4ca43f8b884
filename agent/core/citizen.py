"""What the enforcer and the session bar say to each other at the citizen's door.

A Unix socket of the enforcer's, for the user `lab-bar` alone: lines of JSON
both ways, 4 KiB at most. The enforcer sends a CitizenState on connection and
whenever something changes; the bar sends a CitizenAsk for each press of a
button. The bar has no msgspec: agent/citizen/messages.py is its side of this,
and tests/unit/agent/test_citizen_messages.py holds the two together.
"""

from typing import Annotated, Literal

import msgspec

from agent.core.session import Sitting
from contract.desired import Language
from contract.sentence import Sentence, sentence
from contract.session import SessionPhase, Wish
from contract.wire import ContractError, Message, decode, encode

MAX_LINE = 4096

CitizenStationState = Literal["available", "starting", "active", "ending", "wiping", "out-of-service"]
citizens = sentence
"""Makes a sentence for citizens: by this name its text comes into the session bar's three catalogues."""

UNCLEAN = citizens(
    "This PC could not be cleaned after the last visit, so nobody may use it. Please ask the operator."
)
"""On the screen of a PC that is out of service."""

COMING_S = 180.0
"""So long it is said that the operator comes: from one end of a building to the other."""

Seconds = Annotated[float, msgspec.Meta(ge=0)]


class CitizenState(Message, frozen=True):
    """What the bar shows. `at_monotonic` is the PC's monotonic clock when this was true.

    `ends_in_s` is None where there is no end; `sentence` is one of those that
    `citizens` made, which are in the bar's catalogues. `stick` is whether
    documents can be saved to a stick. `paying_until_s` is when payment mode
    closes by itself, on the same clock as `at_monotonic`; None while it is closed.
    """

    state: CitizenStationState
    at_monotonic: Seconds
    language: Language
    ends_in_s: Seconds | None = None
    sentence: Sentence | None = None
    stick: bool = False
    paying_until_s: Seconds | None = None


class CitizenAsk(Message, frozen=True):
    """What the citizen wants. `value` is a language's code: the one to read, or to start in; else empty."""

    ask: Literal["start", "end", "help", "more-time", "language", "save"]
    value: Literal["", "it", "en", "ro"] = ""


def citizen_state(sitting: Sitting, *, well: bool, language: Language, monotonic: float) -> CitizenState:
    """What a citizen may know of a PC.

    `well`: it is as the lab wants it, so it may be offered. `language` is the
    profile's, for whoever has chosen none.
    """
    state = _STATES[sitting.phase]
    if state == "available" and not well:
        state = "out-of-service"
    coming = sitting.answered_s is not None and monotonic - sitting.answered_s < COMING_S
    return CitizenState(
        state=state,
        at_monotonic=monotonic,
        language=sitting.language or language,
        sentence=_CALLED if sitting.calls else _COMING if coming else _OF_PHASE.get(sitting.phase),
    )


def call_told(calls: tuple[Wish, ...]) -> Sentence:
    """What the citizen calls for, for the operator."""
    match calls:
        case ("help",):
            return sentence("the citizen asks for help")
        case ("more-time",):
            return sentence("the citizen asks for more time")
        case ():
            return sentence("nobody calls")
    return sentence("the citizen asks for help and for more time")


_STATES: dict[SessionPhase, CitizenStationState] = {
    "none": "out-of-service",
    "available": "available",
    "reserved": "starting",
    "active": "active",
    "ending": "ending",
    "wiping": "wiping",
    "out-of-service": "out-of-service",
}
_OF_PHASE: dict[SessionPhase, Sentence] = {"out-of-service": UNCLEAN}
_CALLED = citizens("The operator has been called.")
_COMING = citizens("The operator is coming.")


def state_line(state: CitizenState) -> bytes:
    """A state as the bar reads it; without its sentence where it would be too long for a line."""
    line = encode(state) + b"\n"
    return line if len(line) <= MAX_LINE else encode(msgspec.structs.replace(state, sentence=None)) + b"\n"


def read_ask(line: bytes) -> CitizenAsk:
    """What the bar asked, without its line's end. Raises ContractError for anything else."""
    if len(line) > MAX_LINE:
        raise ContractError(f"a line of {len(line)} bytes; the limit is {MAX_LINE}")
    return decode(CitizenAsk, line)
