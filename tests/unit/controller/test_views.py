"""What a PC says of itself reaches a technician's terminal: as words, and as nothing else."""

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contract.exchange import Refusal
from contract.sentence import Sentence, sentence
from contract.status import Condition, Disk, Nic
from controller.core.fleet import Hearing, Presence
from controller.failures import LONGEST_WORDS, Address, clip, printable
from controller.live import Seen, View
from controller.store.repositories import Station
from controller.views import show_inventory, show_status, standing
from tests.unit.controller.facts import AT, FACTS, answer, report

EVIL = "\x1b]0;all is well\x07\x1b[2J\r\npc-04  online\x9b31m\u202e"
LIE = Sentence(f"{EVIL} {{evil}} {{evil.__class__}}", {"evil": Sentence("{more}", {"more": EVIL})})


def heard(**changes: Any) -> View:
    refusals = (Refusal("desired", LIE, 7),)
    seen = Seen(Hearing(), Address("10.0.0.3"), AT, answer(status=report(**changes), refusals=refusals))
    return View("pc-01", Presence.ONLINE, seen, 1.0, sentence("It said: {evil}", evil=EVIL))


def strings(value: object) -> list[str]:
    if isinstance(value, dict):
        return [text for one in value.values() for text in strings(one)]
    if isinstance(value, list):
        return [text for one in value for text in strings(one)]
    return [value] if isinstance(value, str) else []


BROKEN = Condition("Converged", False, "ActionFailed", LIE, AT)


@pytest.fixture
def view() -> View:
    hardware = msgspec.structs.replace(FACTS.hardware, vendor=EVIL, model=EVIL, serial=EVIL)
    facts = msgspec.structs.replace(
        FACTS,
        hardware=hardware,
        disks=(Disk(EVIL, 1, 1),),
        nics=(Nic(EVIL, EVIL, (EVIL,), True, 0, 0, 0),),
    )
    odd = Condition("Overheated", True, EVIL, LIE, AT)
    return heard(conditions=(BROKEN, odd), facts=facts, version=EVIL)


def test_status_and_inventory_carry_no_control_characters(view: View) -> None:
    row = Station("pc-01", "10.0.0.3", 7443, datetime(2026, 1, 1, tzinfo=UTC), "a" * 32)
    shown = [show_status(view, "citizen", 7), show_inventory(row, view, None)]
    said = [text for one in shown for text in strings(one.model_dump())]
    assert [text for text in said if not text.isprintable()] == []
    assert any("all is well" in text for text in said), "the words themselves are still there"


@pytest.mark.parametrize(("held", "word"), [(0, "failed"), (7, "failed")])
def test_why_a_publication_failed_carries_none(held: int, word: str) -> None:
    found = standing(heard(desired_revision=held, conditions=(BROKEN,)), 7, None)
    assert found.word == word
    assert found.reason.isprintable()


@given(st.text(max_size=2000))
def test_any_words_are_one_printable_line(text: str) -> None:
    for made in (printable(text), clip(text)):
        assert made.isprintable()
        assert len(made) <= LONGEST_WORDS
    plain = "".join(c for c in text if c.isprintable())[:100]
    assert printable(plain) == plain
