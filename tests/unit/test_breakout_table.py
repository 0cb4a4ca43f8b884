"""The table of `make breakouts`: what it says of rows that held, broke, proved nothing or were not tried."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from tests.lab.breakouts.__main__ import Table
from tests.lab.breakouts.table import Verdict

TEST = "tests/lab/test_breakouts.py::test_breakout"


def _report(row: str, verdict: Verdict | None, *, when: str = "call", said: str = "") -> Any:
    properties = [("verdict", str(verdict))] if verdict else []
    return SimpleNamespace(
        nodeid=f"{TEST}[{row}]", when=when, failed=verdict is not Verdict.HELD, duration=65.0,
        user_properties=properties, longrepr=said,
    )  # fmt: skip


def test_each_row_says_control_and_lock_and_each_class_is_counted() -> None:
    said: list[str] = []
    table = Table(say=said.append)
    for report in (
        _report("keys: F11", Verdict.HELD),
        _report("keys: every key with alt", Verdict.BROKE),
        _report("USB: a stick", Verdict.NO_CONTROL),
        _report("USB: a camera", None, when="setup", said="AssertionError: no lab\nwhere and how"),
    ):
        table.pytest_runtest_logreport(report)
    text = table.text(seconds=3700)
    lines = [" ".join(line.split()) for line in text.splitlines()]
    assert "F11 got out held 65 s" in lines
    assert "every key with alt got out BROKE 65 s" in lines
    assert "a stick DID NOT - 65 s" in lines
    assert "a camera - NOT TRIED 65 s AssertionError: no lab" in lines
    assert lines[-5:] == [
        "keys 1 1 0 0 2:10",
        "USB 0 0 1 1 2:10",
        "all 1 1 1 1 61:40",
        "",
        "4 attempts in 2 classes: 1 held",
    ]
    assert table.bad == 3
    assert len(said) == 4


def test_a_row_that_a_fixture_prepared_is_said_once_with_all_its_time() -> None:
    table = Table()
    for when in ("setup", "call", "teardown"):
        table.pytest_runtest_logreport(_report("keys: F11", Verdict.HELD, when=when))
    assert [(row.name, row.seconds) for row in table.rows] == [("F11", 130)]


@pytest.mark.parametrize(
    ("classes", "left"),
    [((), ["keys: F11", "USB: a stick"]), (("USB",), ["USB: a stick"])],
)
def test_classes_are_chosen(classes: tuple[str, ...], left: list[str]) -> None:
    dropped: dict[str, Any] = {}
    hook = SimpleNamespace(pytest_deselected=dropped.update)
    ids = (f"{TEST}[keys: F11]", f"{TEST}[USB: a stick]", "tests/lab/test_breakouts.py::test_every_class")
    items: Any = [SimpleNamespace(nodeid=one) for one in ids]
    config: Any = SimpleNamespace(hook=hook)
    Table(classes).pytest_collection_modifyitems(config, items)
    assert [one.nodeid for one in items] == [f"{TEST}[{row}]" for row in left]
    assert len(dropped["items"]) == 3 - len(left)
