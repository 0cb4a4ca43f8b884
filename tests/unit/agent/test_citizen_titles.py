"""Which titles say that an address was refused."""

import json
import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.citizen.titles import Lists, read_lists, refused
from kiosk_profiles.hosts import allowed, parse_pattern

CASES = tomllib.loads((Path(__file__).parents[2] / "cases/citizen/titles.toml").read_text())
LISTS = Lists(tuple(CASES["allow"]), tuple(CASES["deny"]))


@pytest.mark.parametrize("title", CASES["refused"])
def test_a_refused_address(title: str) -> None:
    assert refused(title, LISTS)


@pytest.mark.parametrize("title", CASES["open"])
def test_anything_else(title: str) -> None:
    assert not refused(title, LISTS)


@pytest.mark.parametrize("title", [*CASES["refused"][:-1], *CASES["open"]])
def test_nothing_is_refused_where_the_lab_does_not_manage_the_browser(title: str) -> None:
    assert not refused(title, Lists())


HOSTS = st.sampled_from(("a.test", "b.a.test", "c.b.a.test", "d.test"))
PATHS = st.sampled_from(("", "/x", "/x/y"))
ENTRIES = st.lists(st.builds("{}{}{}".format, st.sampled_from(("", ".")), HOSTS, PATHS), max_size=4)


@given(HOSTS, PATHS, ENTRIES, ENTRIES)
def test_the_bar_decides_as_the_profile_language_does(
    host: str, path: str, allow: list[str], deny: list[str]
) -> None:
    """Two rooms that never import each other read the same lists; so they must agree about them."""
    title = f"{host}{path} - Chromium"
    due = allowed(f"https://{host}{path or '/'}", map(parse_pattern, allow), map(parse_pattern, deny))
    assert refused(title, Lists(tuple(allow), ("*", *deny))) is not due


def test_the_lists_are_read_from_the_two_policy_files() -> None:
    allow, deny = json.dumps({"URLAllowlist": ["a.test", 3]}), json.dumps({"URLBlocklist": ["*"], "Other": 1})
    assert read_lists(allow, deny) == Lists(("a.test",), ("*",))


@pytest.mark.parametrize("text", ["", "{", "[]", "3", '{"URLAllowlist": "*"}', '{"URLAllowlist": 3}'])
def test_a_broken_policy_file_has_no_entries(text: str) -> None:
    assert read_lists(text, text) == Lists()


@given(st.text())
def test_any_title_is_told(title: str) -> None:
    assert refused(title, LISTS) in (True, False)
