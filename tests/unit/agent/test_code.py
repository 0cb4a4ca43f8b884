"""A pairing code lives ten minutes of the monotonic clock, whatever the wall clock is turned to."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from agent import main
from agent.clock import since_boot
from agent.host import Host
from agent.pairing import Code, Pairing, show_code
from contract.pairing import CODE_LIFE_S

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


class Hands:
    """A clock whose two hands are turned apart."""

    def __init__(self) -> None:
        self.wall = NOON
        self.steady = 1000.0

    def now(self) -> datetime:
        return self.wall

    def monotonic(self) -> float:
        return self.steady


@pytest.fixture
def hands() -> Hands:
    return Hands()


@pytest.fixture
def pairing(hands: Hands, tmp_path: Path) -> Pairing:
    return Pairing("pc-01", Host(tmp_path), hands, lambda _code: None)


@pytest.mark.parametrize("jump", [timedelta(days=20000), -timedelta(days=20000), timedelta(minutes=11)])
def test_a_turned_clock_neither_ends_a_code_nor_makes_it_last(
    pairing: Pairing, hands: Hands, jump: timedelta
) -> None:
    first = pairing.code
    hands.steady += CODE_LIFE_S / 2
    hands.wall += jump
    assert pairing.refresh() == CODE_LIFE_S / 2
    assert pairing.code is first
    hands.steady += CODE_LIFE_S / 2
    hands.wall = NOON
    assert pairing.refresh() == CODE_LIFE_S
    assert pairing.code is not first


@pytest.mark.parametrize(
    ("left", "code", "said"),
    [(301.0, 0, "493027   (for 6 more min)"), (-1.0, 1, "there is no code"), (1e6, 1, "there is no code")],
)
def test_the_console_says_how_long_it_lives(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], left: float, code: int, said: str
) -> None:
    (tmp_path / "etc/lab-agent").mkdir(parents=True)
    (tmp_path / "etc/lab-agent/agent.toml").write_text('station = "pc-01"\n')
    show_code(tmp_path / "run/lab-agent/code", tmp_path / "run", Code("493027", since_boot() + left))
    assert main.main(["code", "--root", str(tmp_path)]) == code
    out, err = capsys.readouterr()
    assert said in out + err
