"""What wakes the enforcer, by a real inotify: what is named, whole directories, and nothing beside."""

import select
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.inotify import Flag, Inotify
from agent.watch import AGAIN_AFTER, Watch


@pytest.fixture
def watch(tmp_path: Path) -> Iterator[Watch]:
    for folder in ("etc/whole", "etc/some", "other"):
        (tmp_path / folder).mkdir(parents=True)
    it = Watch(tmp_path)
    it.follow(["/etc/whole/", "/etc/some/file", "/etc/gone/deep/file"])
    yield it
    it.close()


def concerns(watch: Watch) -> bool:
    """Whether what has happened (it has) is worth a look."""
    assert select.select([watch], [], [], 30)[0]
    return watch.take()


def test_each_name_in_a_whole_directory_counts(tmp_path: Path, watch: Watch) -> None:
    (tmp_path / "etc/whole/stranger").write_text("")
    assert concerns(watch)


def test_of_a_directory_with_a_file_of_ours_only_that_file_counts(tmp_path: Path, watch: Watch) -> None:
    (tmp_path / "etc/some/neighbour").write_text("")
    assert not concerns(watch)
    (tmp_path / "etc/some/file").write_text("")
    assert concerns(watch)


@pytest.mark.parametrize("folder", ["etc/some", "etc/whole"])
def test_the_directory_itself_counts(tmp_path: Path, watch: Watch, folder: str) -> None:
    (tmp_path / folder).chmod(0o700)
    assert concerns(watch)
    (tmp_path / folder).rename(tmp_path / "other/away")
    assert concerns(watch)


def test_a_directory_that_comes_counts_and_is_followed_then(tmp_path: Path, watch: Watch) -> None:
    (tmp_path / "etc/gone").mkdir()
    assert concerns(watch)
    watch.follow(["/etc/gone/deep/file"])
    (tmp_path / "etc/gone/deep").mkdir()
    assert concerns(watch)
    watch.follow(["/etc/gone/deep/file"])
    (tmp_path / "etc/gone/deep/file").write_text("")
    assert concerns(watch)


def test_what_is_watched_is_watched_anew_when_something_has_happened_and_now_and_then(
    tmp_path: Path, watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    added: list[str] = []
    add_watch = Inotify.add_watch

    def counted(self: Inotify, path: str, flags: Flag) -> int:
        added.append(path)
        return add_watch(self, path, flags)

    monkeypatch.setattr(Inotify, "add_watch", counted)
    paths = ["/etc/whole/", "/etc/some/file", "/etc/gone/deep/file"]
    watch.follow(paths)
    assert not added
    (tmp_path / "etc/some/neighbour").write_text("")
    assert not concerns(watch)
    watch.follow(paths)
    assert f"{tmp_path}/etc" in added
    added.clear()
    for _ in range(AGAIN_AFTER):
        watch.follow(paths)
    assert added.count(f"{tmp_path}/etc") == 1
    watch.follow([*paths, "/other/file"])
    assert f"{tmp_path}/other" in added
