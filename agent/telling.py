"""What a look at the host means for the technician: the conditions `Converged` and `Lacking`. Pure."""

from collections.abc import Iterable
from datetime import datetime
from functools import reduce

import msgspec

from agent.converge import Outcome
from contract.sentence import Sentence, sentence

MOST = 6
"""So many things that were put back, or are lacking, are named in one sentence."""

_UNMANAGED = sentence("no lab has said what this PC shall be")
_COMPLETE = sentence("this PC has all that the profile makes use of")


class Told(msgspec.Struct, frozen=True):
    """A condition's status, its one word, and the sentence."""

    status: bool
    reason: str
    message: Sentence


class Looked(msgspec.Struct, frozen=True):
    """A look at the host: what came of it, for which revision (0: none), and what of that cannot be read.

    `fresh`: it is the first for its revision.
    """

    outcome: Outcome
    revision: int
    unread: tuple[str, ...]
    fresh: bool


def converged(looked: Looked, applied: bool, now: datetime) -> Told | None:
    """What `Converged` says from now on; None where it goes on as before. `applied`: it says so already."""
    outcome, revision = looked.outcome, looked.revision
    if outcome.failed is not None and outcome.reason is not None:
        failed = outcome.failed
        told = sentence(
            "{kind}, {subject}: {why}", kind=failed.kind, subject=failed.subject, why=outcome.reason
        )
        if revision:  # named, because the next one may fail for the same reason, and that is news
            told = sentence("revision {number} is not in force: {why}", number=revision, why=told)
        return Told(False, "ActionFailed", told)
    if looked.unread:
        told = sentence(
            "this version of the agent cannot read all of what the lab wants; {sections} stay as they"
            " are: publish again (labctl profile publish)",
            sections=", ".join(looked.unread),
        )
        return Told(False, "NotReadable", told)
    if revision == 0:
        return Told(True, "Unmanaged", _UNMANAGED)
    if outcome.done and not looked.fresh:
        told = sentence(
            "revision {number} is in force; {subjects} was put back at {hour} UTC",
            number=revision,
            subjects=_some({change.subject for change in outcome.done}),
            hour=f"{now:%H:%M:%S}",
        )
        return Told(True, "Applied", told)
    if looked.fresh or not applied:
        return Told(True, "Applied", sentence("revision {number} is in force", number=revision))
    return None


def lacking(outcome: Outcome, was: bool) -> Told | None:
    """What `Lacking` says from now on; None where it goes on as before. `was`: it has said something."""
    if outcome.failed is not None:
        return None  # nobody has looked so far
    told = [sentence("{subject}: {why}", subject=one.subject, why=one.why) for one in outcome.advice[:MOST]]
    if told:
        first, *others = told
        whole = reduce(lambda some, one: sentence("{some}; {one}", some=some, one=one), others, first)
        return Told(True, "Advice", whole)
    return Told(False, "Complete", _COMPLETE) if was else None


def _some(subjects: Iterable[str]) -> str:
    """Names in order, the first few of many."""
    named = sorted(subjects)
    return ", ".join(named if len(named) <= MOST else (*named[:MOST], "..."))
