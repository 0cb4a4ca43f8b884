"""The citizen's door of a real enforcer: what the session bar is told and may ask, and who is sent away."""

import json
import socket
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from agent.citizen.messages import ask_line
from agent.citizen_door import MAX_PEERS
from agent.core.citizen import MAX_LINE
from agent.core.messages import Perform, Performed
from contract.desired import Desktop, Resources, Session
from contract.start import start_address
from tests.integration.enforcer_kit import GENEROUS_S, Enforcer, apply, enforcer, eventually, pair
from tests.integration.lab_keys import LabKeys

KEYS = LabKeys()
OFFERED = Resources(desktop=Desktop(), session=Session(start_page=start_address("it"), language="ro"))


class Bar:
    """The bar's end of the door."""

    def __init__(self, running: Enforcer) -> None:
        self._link = socket.socket(socket.AF_UNIX)
        self._link.settimeout(GENEROUS_S)
        self._link.connect(str(running.root / "run/lab-agent/citizen.sock"))
        self._lines = self._link.makefile("rb")

    def told(self) -> dict[str, Any]:
        """The next state; EOFError when the enforcer has hung up."""
        try:
            line = self._lines.readline()
        except ConnectionResetError:
            line = b""
        if not line:
            raise EOFError
        state: dict[str, Any] = json.loads(line)
        return state

    def send(self, line: bytes) -> None:
        """Send bytes as they are."""
        self._link.sendall(line)

    def close(self) -> None:
        """Hang up."""
        self._lines.close()
        self._link.close()


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Enforcer]:
    with enforcer(tmp_path) as it:
        yield it


def test_the_bar_is_told_on_connection_and_at_each_change(running: Enforcer) -> None:
    with closing(Bar(running)) as bar, closing(Bar(running)) as second:
        # Below a prefix there is no screen to sit at, so nothing is ever offered there.
        assert (bar.told()["state"], second.told()["language"]) == ("out-of-service", "it")
        link = running.socket()
        pair(running, link, KEYS)
        apply(link, KEYS, 1, OFFERED)
        assert bar.told()["language"] == "ro", "the profile's"
        bar.send(ask_line("language", "en"))
        assert bar.told()["language"] == "en"
        assert [second.told()["language"] for _ in range(2)] == ["ro", "en"]
        link.close()


def test_a_call_reaches_the_lab_survives_the_agent_and_is_answered(running: Enforcer) -> None:
    link = running.socket()
    pair(running, link, KEYS)
    with closing(Bar(running)) as bar:
        assert "sentence" not in bar.told()
        bar.send(ask_line("help"))
        assert bar.told()["sentence"]["text"] == "The operator has been called."
        bar.send(ask_line("more-time"))
    called = link.until(lambda state: any("more time" in str(found.message) for found in state.conditions))
    assert [str(found.message) for found in called.conditions if found.type == "HelpWanted"] == [
        "the citizen asks for help and for more time"
    ]
    link.close()

    running.kill()
    running.start()
    link = running.socket()
    link.until(lambda state: any(found.type == "HelpWanted" and found.status for found in state.conditions))
    with closing(Bar(running)) as bar:
        assert bar.told()["sentence"]["text"] == "The operator has been called."
        told = link.ask(Perform(signed=KEYS.command("pc-01", 7, "call-answer")))
        assert isinstance(told, Performed)
        assert told.result is not None
        assert told.result.done
        assert bar.told()["sentence"]["text"] == "The operator is coming."
    link.until(lambda state: any(c.type == "HelpWanted" and not c.status for c in state.conditions))
    again = link.ask(Perform(signed=KEYS.command("pc-01", 8, "call-answer")))
    assert isinstance(again, Performed)
    assert again.result is not None
    assert (again.result.done, str(again.result.message)) == (False, "nobody calls")
    link.close()


def test_a_start_where_nothing_is_offered_starts_nothing(running: Enforcer) -> None:
    with closing(Bar(running)) as bar:
        bar.told()
        bar.send(ask_line("start") + ask_line("end") + ask_line("language", "ro"))
        told = bar.told()
        assert (told["state"], told["language"]) == ("out-of-service", "ro")
    with closing(running.socket()) as link:
        assert link.until(lambda _state: True).phase == "none"


@pytest.mark.parametrize(
    "line", [b"{}\n", b"\xff\n", b'{"ask": "unlock"}\n', b" " * (MAX_LINE + 1), b'{"ask": "end", "pid": 1}\n']
)
def test_nonsense_is_sent_away_and_nobody_else_with_it(running: Enforcer, line: bytes) -> None:
    with closing(Bar(running)) as good, closing(Bar(running)) as bad:
        good.told()
        bad.told()
        bad.send(line)
        with pytest.raises(EOFError):
            bad.told()
        good.send(ask_line("language", "en"))
        assert good.told()["language"] == "en"


def test_a_crowd_at_the_door_waits_outside(running: Enforcer) -> None:
    bars: list[Bar] = []
    try:
        with pytest.raises(EOFError):
            for _ in range(MAX_PEERS + 2):  # one place more is root's
                bars.append(Bar(running))
                bars[-1].told()
        assert len(bars) > MAX_PEERS
    finally:
        for bar in bars:
            bar.close()
    eventually(lambda: _is_welcome(running), "a free place")


def _is_welcome(running: Enforcer) -> bool:
    with closing(Bar(running)) as bar:
        try:
            bar.told()
        except EOFError:
            return False
        return True
