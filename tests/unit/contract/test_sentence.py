"""What is said crosses in pieces, is bounded, and reads well in any language and from any liar."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contract.sentence import LONGEST, LONGEST_SAID, MOST_SENTENCES, Sentence, sentence, system_words
from contract.wire import ContractError, decode, encode

FULL = sentence("cannot write {path}: {why}", path="/etc/x", why=sentence("No space left on device"))
ITALIAN = {
    "cannot write {path}: {why}": "non si può scrivere {path}: {why}",
    "No space left on device": "spazio esaurito",
}


def translated(text: str) -> str:
    return ITALIAN.get(text, text)


def test_it_is_read_in_each_language_with_the_sentences_in_it() -> None:
    assert str(FULL) == "cannot write /etc/x: No space left on device"
    assert FULL.said(translated) == "non si può scrivere /etc/x: spazio esaurito"
    assert decode(Sentence, encode(FULL)) == FULL


def test_an_older_reader_shows_english() -> None:
    newer = sentence("{path} is haunted: {why}", path="/etc/x", why=sentence("No space left on device"))
    assert newer.said(translated) == "/etc/x is haunted: spazio esaurito"


def test_values_are_never_translated_nor_looked_into() -> None:
    text = "{a} {a.__class__} {a!r} {b} {0} {"
    assert (
        sentence(text, a="No space left on device").said(translated)
        == "No space left on device {a.__class__} {a!r} {b} {0} {"
    )
    assert sentence("{a}", a="{b}", b="no").said(translated) == "{b}", "values are not filled in turn"


def deep(levels: int) -> str:
    """JSON of a sentence in a sentence in a ..."""
    return '{"text":"{a}","values":{"a":' * levels + '{"text":"x"}' + "}}" * levels


@pytest.mark.parametrize(
    "document",
    [
        {},
        {"text": ""},  # gettext answers it with the catalogue's own header
        {"text": "x" * (LONGEST + 1)},
        {"text": "x", "values": {"a": "x" * (LONGEST + 1)}},
        {"text": "x", "values": {"A B": "x"}},
        {"text": "x", "values": {"a": 2**60}},
        {"text": "x", "values": {"a": 1.5}},
        {"text": "x", "values": {f"{letter}": "x" for letter in "abcdefghi"}},
        {"text": "x", "values": {"a": ["x"]}},
        {"text": "x", "more": "x"},
        "x",
    ],
)
def test_what_is_other_or_larger_than_anything_we_say_is_refused(document: object) -> None:
    with pytest.raises(ContractError):
        decode(Sentence, json.dumps(document).encode())


@pytest.mark.parametrize("levels", [MOST_SENTENCES, 500, 20_000])
def test_what_is_deeper_is_refused_at_any_depth(levels: int) -> None:
    assert decode(Sentence, deep(MOST_SENTENCES - 1).encode())
    with pytest.raises(ContractError):
        decode(Sentence, deep(levels).encode())


def test_a_liar_s_places_do_not_multiply() -> None:
    made = sentence("x" * 100)
    for _ in range(MOST_SENTENCES - 1):
        made = Sentence("{a}" * (LONGEST // 3), {"a": made})
    assert len(made.said(str)) == LONGEST_SAID
    assert decode(Sentence, encode(made)) == made


words = st.text(st.characters(exclude_categories=()), max_size=400) | st.integers()


@given(
    text=st.text(st.characters(codec="utf-8"), min_size=1, max_size=LONGEST),
    values=st.dictionaries(st.sampled_from("abcd"), words),
)
def test_whatever_values_we_are_given_what_we_say_can_be_read(text: str, values: dict[str, Any]) -> None:
    made = sentence(text, **values)
    for _ in range(MOST_SENTENCES + 3):  # as when each hand wraps what another said
        made = sentence("it said: {why}", why=made)
    assert decode(Sentence, encode(made)) == made
    assert len(str(made)) <= LONGEST_SAID


def test_the_system_s_words() -> None:
    assert str(system_words(OSError(28, "No space left on device"))) == "No space left on device"
    assert str(system_words(ValueError("odd"))) == "odd"
    assert str(system_words(TimeoutError())) == "TimeoutError"
