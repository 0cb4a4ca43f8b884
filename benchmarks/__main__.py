"""`make bench`: every benchmark of this folder in turn, or those named: python -m benchmarks cli_startup."""

import sys
from importlib import import_module
from pathlib import Path


def main() -> int:
    """Runs each module's `main()`, which reports for itself; 1 where a goal was missed. Helpers have none."""
    here = Path(__file__).parent.glob("*.py")
    names = sys.argv[1:] or sorted(path.stem for path in here if not path.stem.startswith("_"))
    missed = 0
    for name in names:
        module = import_module(f"benchmarks.{name}")
        if hasattr(module, "main"):
            print(f"== {name}", flush=True)
            missed += module.main()
    return int(missed > 0)


if __name__ == "__main__":
    sys.exit(main())
