"""What the enforcer and the session bar say to each other at the citizen's door.

A Unix socket of the enforcer's, for the user `lab-bar` alone: lines of JSON
both ways, 4 KiB at most. The enforcer sends a CitizenState on connection and
whenever something changes; the bar sends a CitizenAsk for each press of a
button. The bar has no msgspec: agent/citizen/messages.py is its side of this,
and tests/unit/agent/test_citizen_messages.py holds the two together.
"""

from typing import Annotated, Literal

import msgspec

from contract.desired import Language
from contract.sentence import Sentence, sentence
from contract.wire import ContractError, Message, decode, encode

MAX_LINE = 4096

CitizenStationState = Literal["available", "active", "ending", "wiping", "out-of-service"]
citizens = sentence
"""Makes a sentence for citizens: by this name its text comes into the session bar's three catalogues."""

UNCLEAN = citizens(
    "This PC could not be cleaned after the last visit, so nobody may use it. Please ask the operator."
)
"""On the screen of a PC that is out of service."""

Seconds = Annotated[float, msgspec.Meta(ge=0)]


class CitizenState(Message, frozen=True):
    """What the bar shows. `at_monotonic` is the PC's monotonic clock when this was true.

    `ends_in_s` is None where there is no end; `sentence` is one of those that
    `citizens` made, which are in the bar's catalogues.
    """

    state: CitizenStationState
    at_monotonic: Seconds
    language: Language
    ends_in_s: Seconds | None = None
    sentence: Sentence | None = None


class CitizenAsk(Message, frozen=True):
    """What the citizen wants. `value` is the language's code, and empty for the rest."""

    ask: Literal["end", "help", "more-time", "language"]
    value: Literal["", "it", "en", "ro"] = ""


def state_line(state: CitizenState) -> bytes:
    """A state as the bar reads it; without its sentence where it would be too long for a line."""
    line = encode(state) + b"\n"
    return line if len(line) <= MAX_LINE else encode(msgspec.structs.replace(state, sentence=None)) + b"\n"


def read_ask(line: bytes) -> CitizenAsk:
    """What the bar asked, without its line's end. Raises ContractError for anything else."""
    if len(line) > MAX_LINE:
        raise ContractError(f"a line of {len(line)} bytes; the limit is {MAX_LINE}")
    return decode(CitizenAsk, line)
