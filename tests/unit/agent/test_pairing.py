"""Talking to the pairing helper: whatever it does, the enforcer waits so long and no longer."""

import sys
from pathlib import Path

import pytest

from agent.host import Host
from agent.pairing import converse
from agent.ports import ActionFailed

LONG = b"x" * (1 << 20) + b"\n"
"""More than a pipe takes from one who writes to nobody."""

HANG = "import time; time.sleep(600)"
DRIP = """
import sys, time
while True:
    sys.stdout.write("x"); sys.stdout.flush(); time.sleep(0.05)
"""


def said(tmp_path: Path, program: str, line: bytes, timeout_s: int) -> bytes:
    helper = Host(tmp_path).start((sys.executable, "-c", program))
    try:
        return converse(helper, line, timeout_s)
    finally:
        helper.kill()
        helper.communicate()


def test_a_line_for_a_line_however_long(tmp_path: Path) -> None:
    program = "import sys; print(len(sys.stdin.readline()))"
    assert said(tmp_path, program, LONG, 30) == f"{len(LONG)}\n".encode()


@pytest.mark.parametrize(
    ("program", "line"),
    [
        pytest.param(HANG, b"task\n", id="says nothing"),
        pytest.param(f"import sys; sys.stdout.write('{{'); sys.stdout.flush(); {HANG}", b"task\n", id="half"),
        pytest.param(DRIP, b"task\n", id="byte by byte without end"),
        pytest.param(HANG, LONG, id="reads nothing"),
    ],
)
def test_a_helper_that_hangs_is_given_up(tmp_path: Path, program: str, line: bytes) -> None:
    with pytest.raises(ActionFailed, match="did not answer within 1 s"):
        said(tmp_path, program, line, 1)


@pytest.mark.parametrize(
    "program",
    [
        pytest.param("import sys; sys.stdin.readline()", id="ends without a word"),
        pytest.param("import sys; sys.stdin.readline(); print('x' * (1 << 20))", id="says far too much"),
    ],
)
def test_a_helper_that_gives_no_answer_is_a_sentence(tmp_path: Path, program: str) -> None:
    with pytest.raises(ActionFailed, match="no answer"):
        said(tmp_path, program, b"task\n", 30)
