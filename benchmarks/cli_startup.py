"""`labctl status` for ten PCs, in a pipe, beside a Typer program that only says hello.

Goal: at most 1.5 times its CPU, the whole process counted, in Italian, whose
catalogue has to be read. The door is the controller's own, over use cases that
recite ten PCs; its CPU is not in the figure.
"""

import sys
import tempfile
from pathlib import Path

from benchmarks.report import command, in_turns, ratio_result, report
from tests.unit.cli.lab import Reciting, environment, open_door

RUNS = 25
GOAL = 1.5

HELLO = """
import typer
app = typer.Typer(add_completion=False)
@app.command()
def main(name: str = "world"):
    print("hello", name)
app()
"""

STATUS = "from controller.cli.main import main; main()"


def main() -> int:
    """Measures and reports; the number of goals missed."""
    with tempfile.TemporaryDirectory() as place, open_door(Reciting(), Path(place) / "door.sock") as door:
        env = environment(door, LANG="it_IT.UTF-8")
        labctl = command([sys.executable, "-c", STATUS, "status"], env)
        hello = command([sys.executable, "-c", HELLO], env)
        ours, peer = in_turns(RUNS, labctl, hello, warm_up=2)
    return report(
        [ratio_result("cli-startup: labctl status", GOAL, ours.cpu * 1000, peer.cpu * 1000, "ms CPU")]
    )


if __name__ == "__main__":
    sys.exit(main())
