"""`make breakouts`: try every row in a lab of its own and print the table."""

from __future__ import annotations

import sys

import pytest

WIDTH = 44


class Table:
    """Collects the verdicts as the tests end; a pytest plugin."""

    def __init__(self) -> None:
        self.rows: list[tuple[str, str, str]] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """One row a test, when it has been called (or could not be)."""
        if report.when == "call" or report.failed:
            group, _, name = report.nodeid.partition("[")[2].rstrip("]").partition(": ")
            said = dict(report.user_properties)
            self.rows.append((group, name, str(said.get("verdict", "not tried"))))

    def print(self) -> int:
        """The whole table; how many rows did not hold."""
        for group in dict.fromkeys(row[0] for row in self.rows):
            print(f"\n{group}")
            for its, name, verdict in self.rows:
                if its == group:
                    print(f"  {name:<{WIDTH}} {verdict}")
        bad = sum(verdict != "held" for _, _, verdict in self.rows)
        print(f"\n{len(self.rows)} attempts, {len(self.rows) - bad} held")
        return bad


def main() -> int:
    """Exit code 0 when every row held."""
    table = Table()
    code = pytest.main(["-q", "--no-header", "--no-summary", "tests/lab/test_breakouts.py"], plugins=[table])
    return 1 if table.print() or code else 0


if __name__ == "__main__":
    sys.exit(main())
