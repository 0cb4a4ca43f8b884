"""The two sides of the citizen's door agree, though neither imports the other."""

from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.citizen import messages as bar
from agent.citizen.words import say
from agent.core import citizen as enforcer
from contract.desired import Language
from contract.sentence import Sentence, sentence
from contract.start import LANGUAGES
from contract.wire import ContractError

WORDS = st.text(st.characters(codec="utf-8"), max_size=20)
PLACES = st.sampled_from(("minutes", "what"))
SENTENCES = st.recursive(
    st.builds(
        Sentence, st.sampled_from(("{minutes} {what} {other}", "plain")), st.dictionaries(PLACES, WORDS)
    ),
    lambda inner: st.builds(
        Sentence, st.just("in {what}"), st.dictionaries(PLACES, inner | st.integers(0, 99))
    ),
    max_leaves=4,
)
SECONDS = st.floats(0, 1e6)


@given(
    st.builds(
        enforcer.CitizenState,
        state=st.sampled_from(bar.STATES),
        at_monotonic=SECONDS,
        language=st.sampled_from(tuple(bar.LANGUAGES)),
        ends_in_s=st.none() | SECONDS,
        sentence=st.none() | SENTENCES,
        stick=st.booleans(),
        paying_until_s=st.none() | SECONDS,
    )
)
def test_what_the_enforcer_says_is_what_the_bar_hears(state: enforcer.CitizenState) -> None:
    line = enforcer.state_line(state)
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    heard = bar.read_state(line)
    assert heard is not None
    assert (heard.state, heard.language, heard.at) == (state.state, state.language, state.at_monotonic)
    assert heard.ends_in_s == state.ends_in_s
    assert heard.stick is state.stick
    assert heard.paying_until_s == state.paying_until_s
    assert heard.sentence.said(str) == (str(state.sentence) if state.sentence else "")


@given(
    st.sampled_from(("start", "end", "help", "more-time", "save")),
    st.just("") | st.sampled_from(tuple(bar.LANGUAGES)),
)
def test_what_the_bar_asks_is_what_the_enforcer_hears(ask: str, value: str) -> None:
    heard = enforcer.read_ask(bar.ask_line(ask, value).rstrip())
    assert (heard.ask, heard.value) == (ask, value)


def test_both_know_the_same_states_languages_and_lengths() -> None:
    assert set(bar.STATES) == set(get_args(enforcer.CitizenStationState))
    assert bar.LANGUAGES == LANGUAGES
    assert set(LANGUAGES) == set(get_args(Language))
    assert bar.MAX_LINE == enforcer.MAX_LINE


def test_a_sentence_that_is_too_long_for_a_line_is_left_out() -> None:
    long = sentence("{what}", what=sentence("a" * 300 + "{what}", what="\x01" * 300))
    longer = sentence("{what}{minutes}{other}", what=long, minutes=long, other="\x01" * 300)
    state = enforcer.CitizenState("active", 1.0, "it", 60.0, longer)
    line = enforcer.state_line(state)
    assert len(line) <= bar.MAX_LINE
    heard = bar.read_state(line)
    assert heard is not None
    assert heard.ends_in_s == 60.0


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"{}",
        b"[]",
        b"\xff",
        b'{"state": "open", "language": "it", "at_monotonic": 1}',
        b'{"state": "active", "language": "fr", "at_monotonic": 1}',
        b'{"state": "active", "language": "it", "at_monotonic": "soon"}',
        b'{"state": "active", "language": "it", "at_monotonic": 1, "sentence": {"words": 1}}',
        b'{"state": "active", "language": "it", "at_monotonic": 1, "sentence": {"text": "x", "values": 3}}',
        b'{"a":' * 50_000,
    ],
)
def test_the_bar_takes_no_other_line_for_a_state(line: bytes) -> None:
    assert bar.read_state(line) is None


@pytest.mark.parametrize(
    "line",
    [
        b"{}",
        b'{"ask": "unlock"}',
        b'{"ask": "language", "value": "fr"}',
        b'{"ask": "end", "pid": 1}',
        b'{"ask": "end"}' + b" " * 4096,
    ],
)
def test_the_enforcer_takes_no_other_line_for_an_ask(line: bytes) -> None:
    with pytest.raises(ContractError):
        enforcer.read_ask(line)


def test_what_the_catalogue_lacks_is_said_as_it_came() -> None:
    assert say("Help", "it") == "Aiuto"
    assert say("no such words", "ro") == "no such words"
    assert enforcer.citizens("{minutes} left", minutes=3).said(str) == "3 left"
