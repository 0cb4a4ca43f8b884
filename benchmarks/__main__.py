"""`make bench`: every benchmark of this folder in turn, or the ones named: python -m benchmarks cli_startup."""

import sys
from importlib import import_module
from pathlib import Path

HELPERS = {"__init__", "__main__", "report"}


def main() -> int:
    """Runs each module's `main()`, which reports for itself; 1 where a goal was missed or one failed."""
    names = sys.argv[1:] or sorted(
        path.stem
        for path in Path(__file__).parent.glob("*.py")
        if path.stem not in HELPERS and not path.stem.startswith("_")
    )
    missed = 0
    for name in names:
        print(f"== {name}")
        missed += import_module(f"benchmarks.{name}").main()
    return int(missed > 0)


if __name__ == "__main__":
    sys.exit(main())
