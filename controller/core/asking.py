"""What the controller has to say to a station, given what the station last said. Pure."""

from dataclasses import dataclass, field
from datetime import datetime

from contract.exchange import Answer, Ask, Position, Refusal, Signed, is_older
from contract.sentence import Sentence
from contract.wire import CONTRACT

MAX_JUMP = 1_000_000
"""How far past our own counters a station's numbers are believed: a restored server may be some
thousands behind, and a station that lies must not use the numbers up."""

LIST_STRIDE = 1 << 16
"""How much the number of the revocation list grows at most, each time by another amount, so that two
lists of one lab have one number once in so many times, however a server was restored."""


@dataclass(frozen=True)
class Outgoing:
    """All that a station shall get. `revision` 0: nothing is wanted of it."""

    revision: int = 0
    desired: Signed | None = None
    revocation_number: int = 0
    revocations: bytes = b""
    commands: tuple[Signed, ...] = ()
    certificate: bytes | None = None
    ack_through: Position | None = None


@dataclass(frozen=True)
class Heard:
    """What is known of a station from its answers since this process began.

    `answer` is the newest one. `refused`: what it would not take, so that it is
    not offered again before something is different.
    """

    answer: Answer | None = None
    refused: frozenset[tuple[str, int]] = field(default_factory=frozenset)
    refusals: tuple[Refusal, ...] = ()


@dataclass(frozen=True)
class Refused:
    """A revision that a station would not take, and why."""

    revision: int
    why: Sentence


def listen(out: Outgoing, known: Heard, at: datetime, hold_s: float) -> Ask:
    """The Ask that waits for news. Before the first answer there is nothing to compare with, so no wait."""
    last = known.answer
    if last is None:
        return Ask(contract=CONTRACT, at=at)
    return Ask(contract=CONTRACT, at=at, hold_s=hold_s, seen=last.news, ack_through=out.ack_through)


def tell(out: Outgoing, known: Heard, at: datetime) -> Ask:
    """The Ask that brings what is new for the station; it is never held.

    Before the first answer nothing is sent along: the station may have it all.
    """
    last = known.answer
    if last is None:
        return Ask(contract=CONTRACT, at=at)
    behind = last.status.desired_revision < out.revision and ("desired", out.revision) not in known.refused
    old_list = last.revocation_number < out.revocation_number
    old_list = old_list and ("revocations", out.revocation_number) not in known.refused
    certificate = out.certificate if last.signing_request is not None else None
    return Ask(
        contract=CONTRACT,
        at=at,
        seen=last.news,
        desired=out.desired if behind else None,
        commands=out.commands,
        ack_through=out.ack_through,
        revocations=out.revocations if old_list else None,
        certificate=certificate,
    )


def has_news(ask: Ask) -> bool:
    """Whether an Ask brings the station anything."""
    return bool(ask.desired or ask.commands or ask.revocations or ask.certificate)


def after(known: Heard, out: Outgoing, asked: Ask, answer: Answer) -> Heard:
    """What is known once `answer` has come to `asked`, while `out` is what the station shall have.

    A refusal counts for what was asked: of a document that was replaced meanwhile it says nothing.
    An answer that a later one has overtaken says nothing new of the station but what it refused.

    Another epoch is another journal, and other conditions may be other reasons:
    a station that had no room on its disk takes tomorrow what it refused today.
    """
    overtaken = known.answer is not None and is_older(answer.news, known.answer.news)
    newest = known.answer if known.answer is not None and overtaken else answer
    same = known.answer is not None and _standing(known.answer) == _standing(newest)
    refused = known.refused if same else frozenset()
    numbers = {"desired": out.revision, "revocations": out.revocation_number}
    meant = {"desired": asked.desired == out.desired, "revocations": asked.revocations == out.revocations}
    new = {(r.what, numbers[r.what]) for r in answer.refusals if meant.get(r.what)}
    # Only what is still wanted is remembered, so this never grows.
    kept = {(what, number) for what, number in refused if numbers.get(what) == number}
    refusals = answer.refusals or (known.refusals if same and kept else ())
    return Heard(newest, frozenset(kept | new), refusals)


def _standing(answer: Answer) -> tuple[str, frozenset[tuple[str, bool]]]:
    return answer.epoch, frozenset((one.type, one.status) for one in answer.status.conditions)


def refused(out: Outgoing, known: Heard) -> Refused | None:
    """Whether what the station shall be was refused by it, so that it is not offered again."""
    if ("desired", out.revision) not in known.refused:
        return None
    # Kept for as long as anything that was refused is; the last one may be about something else.
    said = [one for one in known.refusals if one.what == "desired"] or known.refusals
    return Refused(out.revision, said[-1].message)


def is_ahead(out: Outgoing, answer: Answer) -> bool:
    """Whether the station holds a revision that this server has not given: the server was restored."""
    return bool(out.revision) and out.revision < answer.status.desired_revision


def is_list_ahead(out: Outgoing, answer: Answer) -> bool:
    """The same of its revocation list."""
    return bool(out.revocation_number) and out.revocation_number < answer.revocation_number


def is_beyond(out: Outgoing, answer: Answer) -> bool:
    """Whether a station claims numbers that no restored server can be behind by."""
    return (
        answer.status.desired_revision > out.revision + MAX_JUMP
        or answer.revocation_number > out.revocation_number + MAX_JUMP * LIST_STRIDE
    )
