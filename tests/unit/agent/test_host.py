"""The host as the enforcer writes it, below a prefix."""

import os
from pathlib import Path

from agent.core.changes import MakeDirectory, WriteFile
from agent.host import Host


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
