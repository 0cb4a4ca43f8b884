"""What the enforcer makes of the stick helper's words, which nobody vouches for."""

from pathlib import Path

import pytest

from agent.core.stick import Report, told
from agent.host import Host
from agent.sticks import BUSY, NO_STICK, Sticks
from contract.sentence import Sentence
from contract.wire import encode


class Pc:
    """A prefix with what the helper wrote and the links that udev made."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.logged: list[str] = []
        self.sticks = Sticks(Host(root), self.logged.append)

    def report(self, content: bytes) -> None:
        """What the helper wrote."""
        place = self.root / "run/lab-stick/report.json"
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content)

    def plug(self, name: str) -> None:
        """A stick's link."""
        links = self.root / "dev/labstick"
        links.mkdir(parents=True, exist_ok=True)
        (links / name).touch()

    def save(self) -> Sentence | None:
        """What the citizen reads after having asked to save."""
        self.sticks.save()
        return self.sticks.told()


@pytest.fixture
def pc(tmp_path: Path) -> Pc:
    return Pc(tmp_path)


READ = Report(way="import", phase="ended", device="/dev/labstick/sda1", done=2)


def test_without_a_stick_there_is_nothing_to_say_and_nowhere_to_save(pc: Pc) -> None:
    pc.sticks.look()
    assert pc.sticks.told() is None
    assert not pc.sticks.ready
    assert pc.save() == NO_STICK


def test_what_became_of_a_stick_is_told(pc: Pc) -> None:
    pc.report(encode(READ))
    pc.plug("sda1")
    pc.sticks.look()
    assert pc.sticks.told() == told(READ)
    assert pc.sticks.ready
    assert not pc.sticks.busy


def test_a_stick_that_was_not_read_in_this_session_is_not_written_to(pc: Pc) -> None:
    pc.plug("sda1")
    assert pc.save() == NO_STICK


def test_one_that_was_taken_out_is_not_written_to(pc: Pc) -> None:
    pc.report(encode(READ))
    pc.plug("sdb1")
    assert pc.save() == NO_STICK


def test_while_it_is_read_nothing_is_saved(pc: Pc) -> None:
    pc.report(encode(Report(way="import", phase="working", device="/dev/labstick/sda1")))
    pc.plug("sda1")
    assert pc.save() == BUSY


@pytest.mark.parametrize(
    "device",
    ["/dev/sda", "/dev/labstick/../sda", "/dev/labstick/sda1\n", "/dev/labstick/", "/etc/passwd", ""],
)
def test_the_helper_names_no_other_device(pc: Pc, device: str) -> None:
    pc.report(encode(Report(way="import", phase="ended", device=device, done=1)))
    pc.plug("sda1")
    assert pc.save() == NO_STICK


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"way":"import"}', b" " * 5000, b"\xff\xfe"])
def test_words_without_sense_are_none(pc: Pc, content: bytes) -> None:
    pc.report(content)
    pc.sticks.look()
    assert pc.sticks.told() is None
    assert pc.save() == NO_STICK


def test_a_refusal_is_told_until_there_is_news(pc: Pc) -> None:
    assert pc.save() == NO_STICK
    assert pc.sticks.busy
    pc.report(encode(READ))
    pc.sticks.look()
    assert pc.sticks.told() == told(READ)
