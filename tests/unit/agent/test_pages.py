"""Who may print how much: the verdict for each print, and that no sequence of prints gets past the limit."""

from datetime import UTC, datetime
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.core.pages import PrintAsk, verdict
from agent.core.session import Began, Booted, Chose, Printed, Sitting, Start, Started, step
from contract.session import SessionPhase

BEGAN = Began(at=datetime(2026, 11, 23, tzinfo=UTC), boot="a", boot_s=1.0)
SEATED: tuple[SessionPhase, ...] = ("reserved", "active")
FREE: tuple[SessionPhase, ...] = ("none", "available")


def prints(sitting: Sitting, limit: int | None, pages: int) -> Sitting:
    """The state after a print was asked for."""
    decided = verdict(sitting, limit, PrintAsk("print", pages))
    assert decided.go or not decided.counted
    return step(sitting, Printed(sitting.session, decided.counted)) if decided.counted else sitting


def test_as_many_as_the_limit_and_not_one_more() -> None:
    sitting = prints(Sitting(phase="active", session="1"), 3, 2)
    assert sitting.printed == 2
    refused = verdict(sitting, 3, PrintAsk("print", 2))
    assert (refused.go, refused.counted) == (False, 0)
    assert str(refused.sentence) == (
        "Not printed. Pages to print: 2. Pages left in this session: 1. Ask the operator."
    )
    last = verdict(sitting, 3, PrintAsk("print", 1))
    assert (last.go, last.counted) == (True, 1)
    assert str(last.sentence) == "Sent to the printer. Pages left in this session: 0."
    assert not verdict(prints(sitting, 3, 1), 3, PrintAsk("print", 1)).go


@given(
    limit=st.integers(1, 20),
    asks=st.lists(st.tuples(st.integers(1, 30), st.booleans(), st.booleans()), max_size=30),
)
def test_no_row_of_prints_gets_past_the_limit(limit: int, asks: list[tuple[int, bool, bool]]) -> None:
    sitting, sent = Sitting(phase="active", session="1", boot="a"), 0
    for pages, comes_back, restarts in asks:
        before = sitting.printed
        sitting = prints(sitting, limit, pages)
        if comes_back and sitting.printed > before:
            sitting = step(sitting, Printed("1", before - sitting.printed))
        sent += sitting.printed - before
        if restarts:
            sitting = step(sitting, Booted("a"))
        sitting = step(sitting, Chose("ro"))
        assert 0 <= sitting.printed == sent <= limit


@pytest.mark.parametrize("phase", get_args(SessionPhase))
def test_nobodys_pages_are_counted_and_what_a_session_left_is_not_printed(phase: SessionPhase) -> None:
    decided = verdict(Sitting(phase=phase, session="1", printed=9), 10, PrintAsk("print", 2))
    assert decided.go == (phase in FREE)
    assert verdict(Sitting(phase=phase, session="1"), 10, PrintAsk("print", 2)).go == (phase in FREE + SEATED)
    assert (decided.sentence is not None) == (phase in SEATED)


def test_what_cannot_be_counted_is_not_printed_where_pages_are_counted() -> None:
    sitting = Sitting(phase="active", session="1")
    for ask in (PrintAsk("unknown"), PrintAsk("print", 0)):
        refused = verdict(sitting, 10, ask)
        assert not refused.go
        assert "could not be counted" in str(refused.sentence)
        assert verdict(sitting, None, ask).go
    assert verdict(sitting, None, PrintAsk("print", 500)).counted == 500, "for a limit that comes later"
    assert not verdict(sitting, 0, PrintAsk("print", 1)).go


def test_the_next_session_starts_anew_and_takes_nothing_back_from_the_last() -> None:
    sitting = Sitting(phase="available", session="1", printed=7)
    begun = step(step(sitting, Start("2", BEGAN)), Started())
    assert (begun.session, begun.printed) == ("2", 0)
    assert step(begun, Printed("1", 5)) == begun
    assert step(begun, Printed("1", -5)) == begun
    assert step(step(begun, Printed("2", 3)), Printed("2", -5)).printed == 0, "never fewer than none"
    ended = Sitting(phase="ending", session="2", printed=3)
    assert step(ended, Printed("2", 3)) == ended
