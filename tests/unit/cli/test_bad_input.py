"""Whatever a technician gets wrong: one clear sentence, the right exit code, no traceback, nothing done."""

import tomllib
from pathlib import Path
from typing import Any

import pytest

from tests.unit.cli.lab import ROOT, Reciting, labctl

CASES = tomllib.loads((ROOT / "tests/cases/labctl/bad_input.toml").read_text())["case"]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_bad_input(case: dict[str, Any], services: Reciting, door: Path, tmp_path: Path) -> None:
    argv = [argument.replace("{place}", str(tmp_path)) for argument in case["argv"]]
    done = labctl(*argv, door=door)
    assert case["says"] in " ".join(done.stderr.split())
    assert done.returncode == case["code"]
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


@pytest.mark.parametrize("argv", [(), ("profile",), ("group",), ("services",)], ids=str)
def test_without_a_command_the_help_is_shown(argv: tuple[str, ...]) -> None:
    done = labctl(*argv)
    assert done.returncode == 2
    assert "Commands:" in done.stderr + done.stdout


def test_nothing_is_sent_after_a_wrong_argument(services: Reciting, door: Path) -> None:
    labctl("pair", "pc-03", "12345", door=door)
    labctl("profile", "assign", "citizen", "room:one", door=door)
    assert services.calls == []
