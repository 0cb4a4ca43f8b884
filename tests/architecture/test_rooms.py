"""One room for each third party, and nothing loaded at start-up that start-up does not need.

The import directions themselves are import-linter's (pyproject.toml); this is
what it has no words for.
"""

import ast
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]
PACKAGES = ("contract", "agent", "controller", "kiosk_profiles")

ROOMS = {
    "psutil": {"agent/facts.py"},
    "zeroconf": {"agent/announce.py", "controller/discovery.py"},
    "requests": {"controller/agent_client.py"},
    "apscheduler": {"controller/scheduler.py"},
    "sqlalchemy": {"controller/store/"},
    "alembic": {"controller/store/"},
    "typer": {"controller/cli/"},
    "rich": {"controller/cli/"},
    "cryptography": {"agent/helpers/", "controller/pki.py", "kiosk_profiles/spid.py"},
    "spake2": {"agent/helpers/spake.py", "controller/enrolment.py"},
    "h11": {"agent/connection.py"},
    # Chromium keeps its cookies in SQLite too: the session's canary is one.
    "sqlite3": {"agent/journal.py", "agent/helpers/citizen.py", "controller/store/"},
    "fastapi": {"controller/door.py", "controller/door_errors.py"},
    "uvicorn": {"controller/door.py", "controller/door_callers.py"},
    "signxml": {"kiosk_profiles/spid.py"},
    "defusedxml": {"kiosk_profiles/spid.py"},
    # The enforcer runs programs through its host; Popen's type is known where a helper is talked to;
    # `lab-agent run` starts both halves; `labctl --server` is ssh;
    # `labctl profile check --chromium` asks a Chromium; what reads a citizen's stick has limits of its own.
    "subprocess": {
        *("agent/host.py", "agent/pairing.py", "agent/session_runner.py", "agent/main.py"),
        "agent/helpers/media.py",
        *("controller/cli/remote.py", "controller/policy_reader.py"),
    },
}


def _imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (name.name.split(".")[0] for name in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.split(".")[0]


@pytest.mark.parametrize("library", sorted(ROOMS))
def test_each_third_party_has_one_room(library: str) -> None:
    users = {
        str(path.relative_to(PROJECT))
        for package in PACKAGES
        for path in (PROJECT / package).rglob("*.py")
        if library in _imports(path)
    }
    outside = {user for user in users if not any(user.startswith(room) for room in ROOMS[library])}
    assert not outside, f"{library} is imported outside its room"
    assert users, f"nothing uses {library}: take it out of this table and of pyproject.toml"


def _loaded(module: str) -> set[str]:
    code = f"import {module}, sys, json; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return {name.split(".")[0] for name in json.loads(done.stdout)}


@pytest.mark.parametrize(
    ("module", "never"),
    [
        (
            "agent.enforcer",
            {
                *("asyncio", "ssl", "zeroconf", "h11", "cryptography", "spake2", "psutil"),
                *("argparse", "tempfile", "_hashlib"),  # half a megabyte each, and the last is OpenSSL
            },
        ),
        ("agent.front", {"sqlite3", "cryptography", "spake2", "pydantic", "requests"}),
        (
            "controller.cli.main",
            {
                "rich",
                "pydantic",
                "sqlalchemy",
                "requests",
                "zeroconf",
                "fastapi",
                "cryptography",
                "yaml",
                "email",
            },
        ),
    ],
)
def test_nothing_is_loaded_that_start_up_does_not_need(module: str, never: set[str]) -> None:
    assert not _loaded(module) & never


def test_modules_are_rooms_not_halls() -> None:
    long = {
        str(path.relative_to(PROJECT)): lines
        for package in (*PACKAGES, "tests", "benchmarks")
        for path in (PROJECT / package).rglob("*.py")
        if (lines := len(path.read_text().splitlines())) > 480
    }
    assert not long, "near 400 lines a module is two"
