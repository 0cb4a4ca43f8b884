"""What a look at the PC makes the technician read."""

import re
from datetime import UTC, datetime

import pytest

from agent.converge import Outcome
from agent.core.changes import Change, Effect
from agent.telling import MOST, Looked, converged, lacking
from contract.sentence import sentence

NOW = datetime(2026, 11, 23, 9, 5, 7, tzinfo=UTC)


def change(subject: str, *, advice: bool = False) -> Change:
    return Change("kind", subject, Effect.NEUTRAL, sentence("it is missing"), (), advice)


BROKEN = Outcome(done=(), failed=change("b"), reason=sentence("it is broken"))
ROWS = [
    (Looked(Outcome(()), 0, (), False), "Unmanaged: no lab has said"),
    (Looked(Outcome(()), 7, (), True), "Applied: revision 7 is in force"),
    (Looked(Outcome((change("b"), change("a"))), 7, (), False), "Applied: .* a, b was put back at 09:05:07"),
    (Looked(Outcome((change("a"),)), 7, (), True), "Applied: revision 7 is in force$"),
    (Looked(BROKEN, 7, (), True), "ActionFailed: revision 7 is not in force: kind, b: it is broken"),
    (Looked(BROKEN, 0, (), False), "ActionFailed: kind, b: it is broken"),
    (Looked(Outcome(()), 7, ("boot",), False), "NotReadable: .* boot stay as they are"),
    (Looked(Outcome(()), 0, ("boot",), False), "NotReadable: "),
    (Looked(BROKEN, 7, ("boot",), False), "ActionFailed: "),
]  # fmt: skip


@pytest.mark.parametrize(("looked", "says"), ROWS)
def test_what_converged_says(looked: Looked, says: str) -> None:
    told = converged(looked, False, NOW)
    assert told is not None
    assert told.status == (told.reason in ("Unmanaged", "Applied"))
    assert re.match(says, f"{told.reason}: {told.message}")


def test_a_look_that_finds_nothing_says_nothing_new() -> None:
    assert converged(Looked(Outcome(()), 7, (), False), True, NOW) is None


def test_many_things_are_not_all_named() -> None:
    told = converged(Looked(Outcome(tuple(change(f"{n:02}") for n in range(40))), 7, (), False), True, NOW)
    assert told is not None
    assert "05, ... was put back" in str(told.message)
    advice = tuple(change(f"{n:02}", advice=True) for n in range(40))
    said = lacking(Outcome((), advice=advice), was=False)
    assert said is not None
    assert str(said.message).count("missing") == MOST


def test_advice_comes_and_goes() -> None:
    assert lacking(Outcome(()), was=False) is None
    said = lacking(Outcome((), advice=(change("chinese", advice=True),)), was=False)
    assert said is not None
    assert (said.status, str(said.message)) == (True, "chinese: it is missing")
    over = lacking(Outcome(()), was=True)
    assert over is not None
    assert not over.status
    assert lacking(BROKEN, was=True) is None, "what was not looked at is not over"
