"""What a citizen is told of a PC, how many wishes are heard, and what a session's browser is started with."""

from typing import get_args

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.citizen_door import AT_ONCE, EVERY_S, Patience, heard
from agent.core.citizen import COMING_S, call_told, citizen_state
from agent.core.session import Sitting
from agent.resources.session import session_environment
from contract.desired import Session
from contract.session import SessionPhase
from contract.start import start_address


@pytest.mark.parametrize("phase", get_args(SessionPhase))
@pytest.mark.parametrize("well", [True, False])
def test_a_pc_is_only_free_when_it_is_available_and_as_it_shall_be(phase: SessionPhase, well: bool) -> None:
    told = citizen_state(Sitting(phase=phase), well=well, language="ro", monotonic=7.0)
    assert (told.state == "available") == (phase == "available" and well)
    assert (told.language, told.at_monotonic) == ("ro", 7.0)
    if phase == "active":
        assert told.state == "active", "a PC that is being repaired does not send its citizen away"


def test_the_citizens_own_language_and_the_fate_of_the_call() -> None:
    sitting = Sitting(phase="active", language="en", calls=("help",))
    called = citizen_state(sitting, well=True, language="it", monotonic=0.0)
    assert called.language == "en"
    assert "called" in str(called.sentence)
    coming = msgspec.structs.replace(sitting, calls=(), answered_s=100.0)
    assert "coming" in str(citizen_state(coming, well=True, language="it", monotonic=100.0).sentence)
    there = citizen_state(coming, well=True, language="it", monotonic=100.0 + COMING_S)
    assert there.sentence is None, "by then the operator has come"
    told = {str(call_told(calls)) for calls in ((), ("help",), ("more-time",), ("help", "more-time"))}
    assert len(told) == 4


@given(st.lists(st.floats(0, 5), min_size=1, max_size=200))
def test_of_a_thousand_presses_a_few_are_heard(pauses: list[float]) -> None:
    patience, now, count = Patience(at=0.0), 0.0, 0
    for pause in pauses:
        now += pause
        well, patience = heard(patience, now)
        count += well
        assert well or pause < EVERY_S
    assert count <= AT_ONCE + now / EVERY_S


def test_a_clock_that_stands_still_or_goes_back_gives_nothing_away() -> None:
    patience = Patience(left=0.0, at=10.0)
    assert heard(patience, 10.0)[0] is False
    assert heard(patience, 3.0)[0] is False


def test_a_session_is_in_the_citizens_language() -> None:
    own = Session(start_page=start_address("it"))
    assert session_environment("ab", own, None) == "LAB_SESSION=ab\n"
    assert session_environment("ab", own, "ro").splitlines() == [
        "LAB_SESSION=ab",
        "LANG=ro_RO.UTF-8",
        "LANGUAGE=ro",
        f'LAB_START_PAGE="{start_address("ro")}"',
    ]
    elsewhere = Session(start_page="https://www.inps.it/")
    assert "LAB_START_PAGE" not in session_environment("ab", elsewhere, "ro")
    assert session_environment("ab", None, "ro") == "LAB_SESSION=ab\n"
