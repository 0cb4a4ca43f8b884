"""Who looks for canaries is not led astray by what a citizen put in the way, and names who writes."""

import os
import sys
from pathlib import Path

import pytest

from agent.helpers.witness import content, writers


def test_a_file_is_read_and_nothing_else_is_followed_or_waited_for(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("words")
    (tmp_path / "link").symlink_to(tmp_path / "file")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    assert content(str(tmp_path / "file")) == b"words"
    for other in ("link", "pipe", "folder", "nothing", "file/below"):
        assert content(str(tmp_path / other)) == b"", other


def test_a_file_without_an_end_is_not_read_whole(tmp_path: Path) -> None:
    with (tmp_path / "long").open("wb") as file:
        file.truncate(1 << 40)
    assert len(content(str(tmp_path / "long"))) < 1 << 30


@pytest.mark.parametrize(("mode", "named"), [("a", True), ("w", True), ("r+", True), ("r", False)])
def test_the_program_that_writes_a_file_is_named_and_one_that_reads_is_not(
    tmp_path: Path, mode: str, named: bool
) -> None:
    path = tmp_path / "file"
    path.touch()
    program = str(Path(sys.executable).resolve())
    with path.open(mode):
        assert writers([str(path)]) == ({str(path): program} if named else {})
    assert writers([str(path)]) == {}
