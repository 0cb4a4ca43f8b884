"""A clock that was ahead once, and a journal that remembers it."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from agent.clock import SystemClock, kernel_synchronised
from agent.enforcer import Enforcer, set_right
from agent.journal import Journal
from agent.settings import Paths, Settings

AHEAD = datetime(2099, 1, 1, tzinfo=UTC)
PATIENCE = timedelta(hours=1)


@pytest.fixture
def poisoned(tmp_path: Path) -> Journal:
    """Written while the PC's clock said 2099."""
    journal = Journal(tmp_path / "journal.sqlite")
    journal.touch(AHEAD)
    return journal


def test_a_clock_nobody_vouches_for_does_not_go_behind_the_journal(poisoned: Journal) -> None:
    clock = SystemClock(poisoned.last_entry, lambda: False)
    assert not set_right(clock, poisoned)
    assert clock.now() == poisoned.last_entry == AHEAD


def test_a_synchronised_clock_brings_a_pc_back_from_the_future(poisoned: Journal, tmp_path: Path) -> None:
    synchronised = False
    clock = SystemClock(poisoned.last_entry, lambda: synchronised)
    assert not set_right(clock, poisoned)
    synchronised = True
    assert set_right(clock, poisoned)
    assert abs(clock.now() - datetime.now(UTC)) < PATIENCE
    assert not set_right(clock, poisoned), "once is enough"
    poisoned.close()
    again = Journal(tmp_path / "journal.sqlite")
    assert abs(again.last_entry - datetime.now(UTC)) < PATIENCE
    again.close()


def test_a_journal_that_is_not_ahead_is_left_alone(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.sqlite")
    journal.touch(datetime(2026, 11, 23, tzinfo=UTC))
    assert not set_right(SystemClock(journal.last_entry, lambda: True), journal)
    assert journal.last_entry == datetime(2026, 11, 23, tzinfo=UTC)


def test_the_kernel_can_be_asked() -> None:
    assert kernel_synchronised() in (True, False)


def test_the_enforcer_does_so_at_its_start(tmp_path: Path) -> None:
    """And leaves the system's clock alone, which it would else set to 2099."""
    paths = Paths(tmp_path)
    file = paths.enforcer_state / "journal.sqlite"
    before = Journal(file)
    before.touch(AHEAD)
    before.close()
    Enforcer(Settings(station="pc-01"), paths, synchronised=lambda: True)
    after = Journal(file)
    assert after.last_entry < AHEAD
    after.close()
