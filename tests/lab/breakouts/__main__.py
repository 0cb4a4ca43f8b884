"""`make breakouts`: try every row, or those of some classes, in a lab of its own and print the table."""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import NamedTuple

import pytest

from tests.lab.breakouts.table import Verdict

TESTS = "tests/lab/test_breakouts.py"
NOT_TRIED = "not tried"
SAID = {
    Verdict.HELD: ("got out", "held"),
    Verdict.BROKE: ("got out", "BROKE"),
    Verdict.NO_CONTROL: ("DID NOT", "-"),
    NOT_TRIED: ("-", "NOT TRIED"),
}
"""What the table says of the control on the free PC, and of the locked one."""
WIDTH = 52
_COLUMNS = (Verdict.HELD, Verdict.BROKE, Verdict.NO_CONTROL, NOT_TRIED)


class Row(NamedTuple):
    """One attempt that has been made. `why`: of one that could not be, what went wrong."""

    group: str
    name: str
    verdict: str
    seconds: float
    why: str = ""

    @property
    def line(self) -> str:
        """As the table has it, without its class."""
        control, locked = SAID[self.verdict]
        return f"  {self.name:<{WIDTH}} {control:<9} {locked:<10}{self.seconds:5.0f} s"


class Table:
    """Chooses the rows of some classes (all if none is named), collects how they end; a pytest plugin."""

    def __init__(self, classes: Sequence[str] = (), say: Callable[[str], None] = lambda _line: None) -> None:
        self.rows: list[Row] = []
        self._classes = frozenset(classes)
        self._say = say
        self._spent: Counter[str] = Counter()

    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        """Leave the rows of the chosen classes."""
        rows = [one for one in items if "[" in one.nodeid]
        chosen = [one for one in rows if not self._classes or _place(one.nodeid)[0] in self._classes]
        config.hook.pytest_deselected(items=[one for one in items if one not in chosen])
        items[:] = chosen

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """One row a test, said as it ends: when it has been called, or could not be."""
        group, name = _place(report.nodeid)
        self._spent[report.nodeid] += round(report.duration)
        if report.when != "call" and not report.failed:
            return
        verdict = dict(report.user_properties).get("verdict", NOT_TRIED)
        why = "" if verdict != NOT_TRIED else _why(report)
        row = Row(group, name, str(verdict), self._spent[report.nodeid], why)
        self.rows.append(row)
        self._say(f"{group}:\n{row.line}{why and f'  {why}'}")

    def text(self, seconds: float) -> str:
        """The whole table: each row below its class, then a line a class, then one for all."""
        groups = list(dict.fromkeys(row.group for row in self.rows))
        lines = []
        for group in groups:
            lines += ["", f"{group:<{WIDTH + 2}} {'control':<9} locked"]
            lines += [f"{row.line}{row.why and f'  {row.why}'}" for row in self.rows if row.group == group]
        lines += ["", f"{'class':<26}{'held':>6}{'broke':>7}{'no control':>12}{'not tried':>11}{'time':>9}"]
        for group in groups:
            its = [row for row in self.rows if row.group == group]
            lines.append(f"{group:<26}{_counts(its)}{_clock(sum(row.seconds for row in its)):>9}")
        lines.append(f"{'all':<26}{_counts(self.rows)}{_clock(seconds):>9}")
        held = sum(row.verdict == Verdict.HELD for row in self.rows)
        lines += ["", f"{len(self.rows)} attempts in {len(groups)} classes: {held} held"]
        return "\n".join(lines)

    @property
    def bad(self) -> int:
        """How many rows did not hold."""
        return sum(row.verdict != Verdict.HELD for row in self.rows)


def _why(report: pytest.TestReport) -> str:
    """What went wrong, in a line."""
    crash = getattr(report.longrepr, "reprcrash", None)
    return str(crash.message if crash else report.longrepr).strip().partition("\n")[0]


def _place(nodeid: str) -> tuple[str, str]:
    """Class and name of the row that a test is of."""
    group, _, name = nodeid.partition("[")[2].rstrip("]").partition(": ")
    return group, name


def _counts(rows: Sequence[Row]) -> str:
    found = Counter(row.verdict for row in rows)
    return "".join(f"{found[one]:>{width}}" for one, width in zip(_COLUMNS, (6, 7, 12, 11), strict=True))


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02}"


def main() -> int:
    """Exit code 0 when every row held."""
    from tests.lab.test_breakouts import FIRST

    parser = argparse.ArgumentParser(prog="make breakouts", description=__doc__)
    parser.add_argument("classes", nargs="*", metavar="CLASS", help=f"{', '.join(FIRST)}; all if none")
    classes = parser.parse_args().classes
    if unknown := [one for one in classes if one not in FIRST]:
        parser.error(f"no class is called {', '.join(unknown)}; there are {', '.join(FIRST)}")
    table = Table(classes, say=lambda line: print(line, flush=True))
    began = time.monotonic()
    code = pytest.main(["-p", "no:terminal", "-o", "addopts=", TESTS], plugins=[table])
    print(table.text(time.monotonic() - began))
    return 1 if table.bad or code else 0


if __name__ == "__main__":
    sys.exit(main())
