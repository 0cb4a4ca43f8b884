"""What a PC reported reaches a technician's terminal in the terminal's language, through a real door."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from contract.sentence import sentence
from controller import door_models as m
from controller.failures import in_words
from controller.problems import Problem
from controller.words import _
from tests.unit.cli.lab import ARGV, NOW, Reciting, condition, environment, labctl, open_door, station

FULL = sentence(
    "The disk is nearly full: {left} are left; make room.",
    left=sentence("{size} on {mount}", size="120 MB", mount="/home"),
)
NEWER = sentence("{mount} is haunted.", mount="/home")
ITALIAN = "Disco quasi pieno: restano 120 MB su /home; fai spazio."


class Telling(Reciting):
    """A lab with one PC whose disk is full, shown as the controller shows it."""

    def status(self) -> m.Status:
        said = [condition("DiskPressure", in_words(one)) for one in (FULL, NEWER)]
        return m.Status(
            lab="x", name="x", at=NOW, revision=1, stations=[station(4, conditions=said, note=in_words(FULL))]
        )

    def doctor(self) -> m.Doctor:
        raise Problem("state", _("It is applying it."), in_words(FULL))


@pytest.fixture
def telling(tmp_path: Path) -> Iterator[Path]:
    with open_door(Telling(), tmp_path / "door.sock") as path:
        yield path


@pytest.mark.parametrize(
    ("language", "said"),
    [
        ({"LANG": "it_IT.UTF-8"}, ITALIAN),
        ({"LANG": "it_IT.UTF-8", "LC_ALL": "en_GB.UTF-8"}, str(FULL)),
        ({"LANG": "C.UTF-8"}, str(FULL)),
        ({"LANG": "de_DE.UTF-8"}, str(FULL)),
        ({"LANGUAGE": "de:it:en"}, ITALIAN),
    ],
)
def test_by_the_terminal_s_locale(telling: Path, language: dict[str, str], said: str) -> None:
    answer: dict[str, Any] = json.loads(labctl("status", "--json", door=telling, **language).stdout)
    told = [one["message"] for one in answer["stations"][0]["conditions"]]
    assert told == [said, "/home is haunted."], "a sentence that is newer than our catalogue stays English"
    assert answer["stations"][0]["note"] == said
    refused = labctl("doctor", door=telling, **language)
    assert said in refused.stdout


def test_a_watch_goes_on_in_the_language_it_began_in(telling: Path) -> None:
    watch = subprocess.Popen(
        [*ARGV, "status", "--watch", "--json"],
        env=environment(telling, LANG="it_IT.UTF-8"),
        stdout=subprocess.PIPE,
        text=True,
        encoding="utf-8",
    )
    try:
        assert watch.stdout is not None
        for _line in range(2):  # the second is made in another turn of the door's loop
            told = json.loads(watch.stdout.readline())
            assert told["stations"][0]["note"] == ITALIAN
    finally:
        watch.kill()
        watch.communicate()
