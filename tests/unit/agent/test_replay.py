"""A command that the lab signed is done once, however often and in whatever order somebody brings it."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from agent.journal import Journal
from contract.exchange import CommandResult
from contract.sentence import sentence

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


def name(number: int) -> str:
    return f"{number:032x}"


def bring(journal: Journal, number: int, issued_at: datetime) -> str:
    """What becomes of a command, as Station.perform has it: done, again, or refused."""
    if journal.result_of(name(number)) is not None:
        return "again"
    if not journal.receive(name(number), issued_at, NOON):
        return "refused"
    journal.set_sitting(b"{}", CommandResult(name(number), True, sentence("done")), NOON)
    return "done"


def test_one_that_was_forgotten_is_refused_and_not_done_again(tmp_path: Path) -> None:
    file = tmp_path / "journal.sqlite"
    journal = Journal(file, kept=5)
    for number in range(6):
        assert bring(journal, number, NOON + timedelta(seconds=number)) == "done"
    assert bring(journal, 0, NOON) == "refused"
    assert bring(journal, 1, NOON + timedelta(seconds=1)) == "again"
    journal.close()
    after = Journal(file, kept=5)
    assert bring(after, 0, NOON) == "refused", "a restart forgets nothing"
    assert bring(after, 5000, NOON + timedelta(days=1)) == "done", "the lab's next one is as good as ever"


def test_what_was_refused_stays_refused(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.sqlite")
    no = CommandResult(name(1), False, sentence("a session is beginning"))
    assert journal.receive(no.id, NOON, NOON)
    journal.refuse(no, NOON)
    assert journal.result_of(no.id) == no


def test_one_whose_effect_a_power_cut_prevented_is_still_done(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.sqlite")
    assert journal.receive(name(1), NOON, NOON)
    journal.close()
    assert bring(Journal(tmp_path / "journal.sqlite"), 1, NOON) == "done"


def test_another_lab_with_a_slower_clock_is_obeyed(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.sqlite", kept=5)
    for number in range(6):
        bring(journal, number, NOON + timedelta(seconds=number))
    journal.begin_unpairing(None, NOON)
    assert bring(journal, 5000, NOON - timedelta(days=1)) == "done"


@settings(max_examples=150, deadline=None)
@given(
    order=st.lists(st.integers(0, 9), max_size=40),
    issued=st.lists(st.integers(0, 6), min_size=10, max_size=10),
)
def test_never_twice_in_any_order(order: list[int], issued: list[int]) -> None:
    journal = Journal(Path(":memory:"), kept=3)
    done = [
        number
        for number in order
        if bring(journal, number, NOON + timedelta(seconds=issued[number])) == "done"
    ]
    journal.close()
    assert len(done) == len(set(done))
