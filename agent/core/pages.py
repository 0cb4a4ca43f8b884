"""The limit of pages in a session: what the gate before the printer asks and is told, what the citizen reads.

A page is one printed side of paper, copies counted. The gate (agent.helpers.print_gate) is CUPS' last
program before the printer; on a Unix socket of the enforcer's, for the user `lp` alone, it says how many
pages it is about to send: lines of JSON both ways. The enforcer decides, and journals what it counted
before it answers. While the gate's connection lasts it may give back what was never sent.
"""

from typing import Annotated, Literal

import msgspec

from agent.core.citizen import citizens
from agent.core.session import Sitting
from contract.sentence import Sentence
from contract.wire import Message

MAX_LINE = 256
MOST_PAGES = 1_000_000
SAID_S = 60.0
"""So long the bar says what became of a print."""


class PrintAsk(Message, frozen=True):
    """`pages` are about to be printed; they are not known (0); or none of what was granted has been sent."""

    ask: Literal["print", "unknown", "unsent"]
    pages: Annotated[int, msgspec.Meta(ge=0, le=MOST_PAGES)] = 0


class PrintAnswer(Message, frozen=True):
    """Whether the document may go to the printer."""

    go: bool


class Verdict(Message, frozen=True):
    """What is answered; `counted` are the pages to note before, `sentence` is for the bar."""

    go: bool
    counted: int = 0
    sentence: Sentence | None = None


def verdict(sitting: Sitting, limit: int | None, ask: PrintAsk) -> Verdict:
    """Whether so much may be printed now. A limit of None is none, 0 lets nothing through.

    Whoever prints while a session lasts prints on its account: a job's user is what its sender says. Where
    nobody sits, nothing is counted: it is the technician's test page. Between the two nothing is
    printed, because it can only be what the session left.
    """
    if sitting.phase in ("none", "available"):
        return Verdict(go=True)
    if sitting.phase not in ("reserved", "active"):
        return Verdict(go=False)
    if limit is None:
        return Verdict(go=True, counted=ask.pages)
    if ask.ask == "unknown" or not ask.pages:
        return Verdict(go=False, sentence=_UNKNOWN)
    left = limit - sitting.printed
    if ask.pages > left:
        return Verdict(go=False, sentence=_too_many(ask.pages, max(0, left)))
    return Verdict(go=True, counted=ask.pages, sentence=_sent(left - ask.pages))


_UNKNOWN = citizens("Not printed: its pages could not be counted. Ask the operator.")


def _too_many(pages: int, left: int) -> Sentence:
    return citizens(
        "Not printed. Pages to print: {pages}. Pages left in this session: {left}. Ask the operator.",
        pages=pages,
        left=left,
    )


def _sent(left: int) -> Sentence:
    return citizens("Sent to the printer. Pages left in this session: {left}.", left=left)
