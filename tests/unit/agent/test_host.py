"""The host as the enforcer writes it, below a prefix."""

import os
from pathlib import Path

import pytest

from agent.core.changes import FileState, MakeDirectory, MakeLink, WriteFile
from agent.host import Host
from agent.ports import ActionFailed


def test_what_is_made_for_others_can_be_read_by_them_whatever_the_services_umask(tmp_path: Path) -> None:
    host = Host(tmp_path, lambda _line: None)
    before = os.umask(0o077)
    try:
        host.do(MakeDirectory(path="/policies"))
        host.do(WriteFile(path="/policies/a.json", content=b"{}", mode=0o644))
        assert os.umask(0o077) == 0o077, "the umask is as before"
    finally:
        os.umask(before)
    assert (tmp_path / "policies").stat().st_mode & 0o777 == 0o755
    assert (tmp_path / "policies/a.json").stat().st_mode & 0o777 == 0o644
    assert (tmp_path / "etc/lab-agent").stat().st_mode & 0o777 == 0o755
    assert list((tmp_path / "etc/lab-agent").iterdir()) == [], "nothing of the writing is left"


def test_a_link_is_told_from_a_file_and_put_back_as_it_was(tmp_path: Path) -> None:
    host = Host(tmp_path, lambda _line: None)
    (tmp_path / "unit").symlink_to("/lib/systemd/system/poweroff.target")
    found = host.file("/unit")
    assert found == FileState(content=b"", mode=0, ours=False, target="/lib/systemd/system/poweroff.target")
    host.do(WriteFile(path="/unit", content=b""))
    assert (tmp_path / "unit").is_file()
    host.do(MakeLink(path="/unit", target="/lib/systemd/system/poweroff.target"))
    assert host.file("/unit") == found
    assert [path.name for path in tmp_path.iterdir() if path.name.endswith("lab-new")] == []


def test_a_directory_of_ours_is_told_from_a_link_and_made_ours_again(tmp_path: Path) -> None:
    host = Host(tmp_path)
    host.do(MakeDirectory(path="/ours"))
    assert host.directory("/ours") == 0o755
    (tmp_path / "ours").chmod(0o700)
    assert host.directory("/ours") == 0o700
    host.do(MakeDirectory(path="/ours"))
    assert host.directory("/ours") == 0o755
    (tmp_path / "link").symlink_to("ours")
    (tmp_path / "file").write_text("")
    assert [host.directory(path) for path in ("/link", "/file", "/file/below", "/none")] == [None] * 4
    with pytest.raises(ActionFailed):
        host.do(MakeDirectory(path="/link"))


def test_a_helper_whose_account_is_missing_is_not_started_as_somebody_else(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    host = Host()
    with pytest.raises(ActionFailed, match="no account lab-nobody-has-it on this PC: systemd-sysusers"):
        host.run(("true",), timeout_s=10, user="lab-nobody-has-it")
    with pytest.raises(ActionFailed, match="no account lab-nobody-has-it"):
        host.start(("true",), user="lab-nobody-has-it")
