"""Files a machine gets on its disk before its first boot, as data and as the archive its launcher unpacks."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from tests.lab.rig.host import RigError


@dataclass(frozen=True, slots=True)
class File:
    """A regular file with its permission bits and owner (numeric ids as inside the machine)."""

    data: bytes
    mode: int = 0o644
    uid: int = 0
    gid: int = 0


@dataclass(frozen=True, slots=True)
class Link:
    """A symbolic link; `target` is what it says, e.g. /etc/systemd/system/x.service to enable a unit."""

    target: str


Content = bytes | str | File | Link


def enable(
    unit: str, *, target: str = "multi-user.target", where: str = "/etc/systemd/system"
) -> dict[str, Link]:
    """The link that `systemctl enable` would make, for the `files` of a machine not yet booted."""
    return {f"/etc/systemd/system/{target}.wants/{unit}": Link(f"{where}/{unit}")}


def _as_file(content: bytes | str | File) -> File:
    if isinstance(content, File):
        return content
    return File(content.encode() if isinstance(content, str) else content)


def write_archive(path: Path, files: Mapping[str, Content]) -> None:
    """Write `files` (absolute path -> content) as a tar archive.

    Only the files are in it, no directories, so unpacking never changes the mode of a directory that
    exists. Raises RigError for a relative path.
    """
    with tarfile.open(path, "w") as archive:
        for name, content in files.items():
            if not PurePosixPath(name).is_absolute():
                raise RigError(f"a machine's file needs an absolute path, not {name!r}")
            entry = tarfile.TarInfo(name.lstrip("/"))
            if isinstance(content, Link):
                entry.type = tarfile.SYMTYPE
                entry.linkname = content.target
                archive.addfile(entry)
                continue
            file = _as_file(content)
            entry.size = len(file.data)
            entry.mode = file.mode
            entry.uid, entry.gid = file.uid, file.gid
            archive.addfile(entry, io.BytesIO(file.data))
