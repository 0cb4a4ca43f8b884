"""Wrong files: every sentence, by table, and sizes and bytes that no table can hold."""

import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from kiosk_profiles.profile import Layer
from kiosk_profiles.yamltext import MAX_BYTES, parse
from tests.unit.profiles.lab import library

CASES: list[dict[str, Any]] = tomllib.loads(
    (Path(__file__).parents[2] / "cases/profiles/wrong.toml").read_text(encoding="utf-8")
)["case"]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_every_mistake_is_told_with_its_line_and_its_cure(case: dict[str, Any]) -> None:
    file = case.get("file", "profiles/hall.yaml")
    found = [finding for finding in library({file: case["text"]}).check() if finding.file == file]
    assert [str(finding).removeprefix(file + ":") for finding in found] == case["says"]


def test_a_broken_file_is_never_half_used() -> None:
    lab = library({"profiles/citizen.yaml": "title: {it: Mia}\ndescription: {it: Mia}\nstrat_page: x\n"})
    assert [finding.severity for finding in lab.findings("citizen")] == ["error"]


@pytest.mark.parametrize(
    ("content", "line", "message"),
    [
        (b"allow: []\n# caf\xe9\n", 2, "this is not UTF-8 text"),
        (b"\xff\xfea\x00l\x00", 1, "this is not UTF-8 text"),
        (b"allow: []\ndeny: ['\x07']\n", 2, "a character here cannot stand in a YAML file"),
        (b"[" * 100_000, 1, "this is nested more than 12 deep"),
        (b"a: " + b"{a: " * 5_000, 1, "this is nested more than 12 deep"),
        (b"#" * (MAX_BYTES + 1), 0, f"the file has {MAX_BYTES + 1} bytes; the limit is {MAX_BYTES}"),
        (b"? [a, b]\n: c\n", 1, "a key must be one word"),
    ],
)
def test_bytes_that_are_no_yaml_of_ours(content: bytes, line: int, message: str) -> None:
    document, problems = parse(content)
    assert document is None
    assert [(problem.line, problem.message) for problem in problems] == [(line, message)]


def test_words_keep_their_meaning() -> None:
    """`no` is a word and a date is a text; YAML 1.1 would make them False and a date."""
    text = b"a: [no, on, 2026-11-23, 010, 1_000, 'true', true, ~, 12, 1.5, 99999999999999999999]"
    document, _ = parse(text)
    assert document is not None
    words = ["no", "on", "2026-11-23", "010", "1_000", "true", True, None, 12, 1.5, "99999999999999999999"]
    assert document.data == {"a": words}


def test_a_byte_order_mark_is_no_part_of_the_first_key() -> None:
    document, _ = parse(b"\xef\xbb\xbfallow: []")
    assert document is not None
    assert document.data == {"allow": []}


@given(st.one_of(st.binary(max_size=400), st.text(max_size=400).map(str.encode)))
@settings(max_examples=300, deadline=None)
def test_no_bytes_make_it_fall_over(content: bytes) -> None:
    document, problems = parse(content)
    assert (document is None) == bool(problems)


_scalars = st.none() | st.booleans() | st.integers(-9, 9) | st.text("ab.:*/- ", max_size=8)
_trees = st.recursive(
    _scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab", max_size=3), inner),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from([*Layer.model_fields, "other"]), _trees))
@settings(max_examples=200, deadline=None)
def test_any_tree_is_a_layer_or_is_refused_in_sentences(data: dict[str, Any]) -> None:
    text = yaml.safe_dump(data)
    for finding in library({"layers/lab.yaml": text}).check(["citizen"]):
        assert finding.message
        assert "pydantic" not in str(finding)
        assert finding.line <= text.count("\n") + 400
