"""A session without room: who says so, and what the citizen reads first."""

import os
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from agent.core.room import MARK
from agent.core.session import Sitting
from agent.desk import Desk
from agent.helpers import attendant
from agent.host import Host
from agent.room import FULL, Room
from contract.sentence import Sentence, sentence

SAVED = sentence("saved")


@pytest.fixture
def mark(tmp_path: Path) -> Path:
    """Where the attendant writes below a prefix."""
    file = tmp_path / MARK.lstrip("/")
    file.parent.mkdir(parents=True)
    return file


def has(monkeypatch: pytest.MonkeyPatch, **places: tuple[float, float]) -> None:
    """What each place has left: of its bytes and of its files."""

    def statvfs(place: Path) -> SimpleNamespace:
        if place.name not in places:
            raise FileNotFoundError(place)
        space, files = places[place.name]
        return SimpleNamespace(f_bavail=space * 1000, f_blocks=1000, f_favail=files * 1000, f_files=1000)

    monkeypatch.setattr(os, "statvfs", statvfs)


PLACES = (Path("/home"), Path("/tmp"), Path("/none"))


def test_no_room_in_one_place_is_no_room_and_a_little_more_is_not_yet_room_again(
    monkeypatch: pytest.MonkeyPatch, mark: Path
) -> None:
    def look(was: bool, **places: tuple[float, float]) -> bool:
        has(monkeypatch, **places)
        full = attendant.look(PLACES, mark, was=was)
        assert mark.exists() == full
        return full

    assert not look(False, home=(0.9, 0.9), tmp=(0.04, 0.9))
    assert look(False, home=(0.9, 0.9), tmp=(0.02, 0.9))
    assert look(True, home=(0.9, 0.9), tmp=(0.04, 0.9)), "no word that comes and goes"
    assert not look(True, home=(0.9, 0.9), tmp=(0.07, 0.9))
    assert look(False, home=(0.9, 0.0), tmp=(0.9, 0.9)), "files are counted as well"
    assert not look(True), "a place that cannot be asked has room"


def test_a_file_system_that_counts_no_files_has_room_for_more(
    monkeypatch: pytest.MonkeyPatch, mark: Path
) -> None:
    counted = SimpleNamespace(f_bavail=900, f_blocks=1000, f_favail=0, f_files=0)
    monkeypatch.setattr(os, "statvfs", lambda _place: counted)
    assert not attendant.look(PLACES, mark, was=False)


class Stick:
    """One whose helper has said `word`."""

    busy, ready = False, True
    word: Sentence | None = None

    def told(self) -> Sentence | None:
        """See Sticks."""
        return self.word


class Seat:
    """A desk with somebody at it, a stick, and a room below a prefix."""

    def __init__(self, root: Path) -> None:
        self.stick = Stick()
        self.room = Room(Host(root))
        self.sitting = Sitting(phase="active")
        self.printed: Sentence | None = None
        """What became of a print."""
        self._desk = Desk(
            SimpleNamespace(sitting=self.sitting),  # type: ignore[arg-type]  # what is asked of it here
            SimpleNamespace(monotonic=lambda: 5.0),
            offer=lambda: None,
            well=lambda: True,
            paying_until_s=lambda: 9.0,
            sticks=self.stick,  # type: ignore[arg-type]
            pages=SimpleNamespace(told=lambda: self.printed),  # type: ignore[arg-type]
            room=self.room,
        )

    def reads(self, *, active: bool = True) -> Sentence | None:
        """What the citizen reads after a look at the PC."""
        self.room.look(active=active)
        return self._desk.state().sentence


@pytest.fixture
def seat(tmp_path: Path) -> Iterator[Seat]:
    yield Seat(tmp_path)


def test_the_citizen_reads_it_until_something_newer_is_to_be_said(seat: Seat, mark: Path) -> None:
    assert seat.reads() is None
    seat.stick.word = sentence("read")
    assert seat.reads() == seat.stick.word
    mark.touch()
    assert seat.reads() == FULL, "what became of a stick before is no news"
    seat.stick.busy, seat.stick.word = True, sentence("being saved")
    assert seat.reads() == seat.stick.word
    seat.stick.busy, seat.stick.word = False, SAVED
    assert seat.reads() == SAVED, "it was asked to save"
    mark.unlink()
    assert seat.reads() == SAVED


def test_it_is_of_a_session_under_way_only_whatever_is_in_the_marks_place(seat: Seat, mark: Path) -> None:
    mark.mkdir()
    assert seat.reads() == FULL
    assert seat.reads(active=False) is None


def test_what_became_of_a_print_goes_before_all_else(tmp_path: Path) -> None:
    seat = Seat(tmp_path)
    seat.stick.word = sentence("of the stick")
    assert seat.reads() == seat.stick.word
    seat.printed = sentence("of the print")
    assert seat.reads() == seat.printed
