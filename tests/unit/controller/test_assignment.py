"""Which profile a station has."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.core.assignment import assigned, conflicts

GROUPS = {"aula": ["pc-01", "pc-02"], "banco": ["pc-02"], "vuoto": []}


@pytest.mark.parametrize(
    ("station", "assignments", "expected"),
    [
        ("pc-01", {}, None),
        ("pc-01", {"lab": "citizen"}, ("citizen", "lab")),
        ("pc-01", {"lab": "citizen", "group:aula": "training"}, ("training", "group:aula")),
        ("pc-03", {"lab": "citizen", "group:aula": "training"}, ("citizen", "lab")),
        ("pc-01", {"group:aula": "training", "pc:pc-01": "operator"}, ("operator", "pc:pc-01")),
        ("pc-02", {"group:aula": "training", "group:banco": "business"}, ("training", "group:aula")),
        ("pc-02", {"group:vuoto": "business"}, None),
    ],
)
def test_pc_over_group_over_lab(
    station: str, assignments: dict[str, str], expected: tuple[str, str] | None
) -> None:
    found = assigned(station, GROUPS, assignments)
    assert (found and (found.profile, found.target)) == expected


def test_groups_come_in_an_order_that_does_not_depend_on_chance() -> None:
    found = assigned("pc-02", dict(reversed(GROUPS.items())), {"lab": "citizen"})
    assert found is not None
    assert found.groups == ("aula", "banco")


def test_groups_that_disagree_are_named() -> None:
    asking = {"group:aula": "training", "group:banco": "business"}
    assert conflicts("pc-02", GROUPS, asking) == ("aula", "banco")
    assert conflicts("pc-01", GROUPS, asking) == ()
    assert conflicts("pc-02", GROUPS, {**asking, "pc:pc-02": "citizen"}) == ()


names = st.sampled_from(["a", "b", "c"])


@given(st.dictionaries(names, st.lists(names)), st.dictionaries(names, names), names)
def test_a_pcs_own_assignment_always_wins(
    groups: dict[str, list[str]], others: dict[str, str], station: str
) -> None:
    assignments = {f"group:{name}": profile for name, profile in others.items()}
    found = assigned(station, groups, {**assignments, "lab": "x", f"pc:{station}": "own"})
    assert found is not None
    assert found.profile == "own"
