"""Images of sticks in files, made and read by the programs that do it everywhere: no mount, no root."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

PROGRAMS = ("mkfs.vfat", "mkntfs", "mcopy", "mmd", "mdir", "mtype", "ntfsls", "ntfscat", "ntfscp", "blkid")
_PATH = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin"
missing = [name for name in PROGRAMS if shutil.which(name, path=_PATH) is None]
needs_programs = pytest.mark.skipif(
    bool(missing),
    reason=f"NOT TESTED without {', '.join(missing)}: apt-get install mtools dosfstools ntfs-3g",
)


def run(*argv: str | Path) -> bytes:
    """Run a program to its good end; what it printed."""
    environment = {**os.environ, "PATH": _PATH, "LC_ALL": "C.UTF-8", "MTOOLS_SKIP_CHECK": "1"}
    done = subprocess.run(
        tuple(map(str, argv)),
        env=environment,
        capture_output=True,
        stdin=subprocess.DEVNULL,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode(errors="replace")
    return done.stdout


class FatImage:
    """An empty FAT file system in a file; `bits` are 12, 16 or 32."""

    def __init__(self, path: Path, size_mb: int = 8, bits: int = 16) -> None:
        self.path = path
        with path.open("wb") as image:
            image.truncate(size_mb << 20)
        run("mkfs.vfat", "-F", str(bits), "-s", "1", path)

    def folder(self, name: str) -> None:
        """Make a folder."""
        run("mmd", "-i", self.path, f"::/{name}")

    def put(self, name: str, content: bytes) -> None:
        """Put a file there."""
        loose = self.path.with_suffix(".loose")
        loose.write_bytes(content)
        run("mcopy", "-i", self.path, loose, f"::/{name}")
        loose.unlink()

    def get(self, name: str) -> bytes:
        """A file's content."""
        return run("mtype", "-i", self.path, f"::/{name}")

    def names(self) -> set[str]:
        """What is in the top folder."""
        listed = run("mdir", "-i", self.path, "-a", "-b", "::/").decode()
        return {line.removeprefix("::/") for line in listed.splitlines()}

    def at(self, offset: int, data: bytes) -> None:
        """Write bytes behind the file system's back."""
        with self.path.open("r+b") as image:
            image.seek(offset)
            image.write(data)


class NtfsImage:
    """An empty NTFS file system in a file."""

    def __init__(self, path: Path, size_mb: int = 16) -> None:
        self.path = path
        with path.open("wb") as image:
            image.truncate(size_mb << 20)
        run("mkntfs", "-Q", "-F", "-q", "-s", "512", "-p", "0", path)

    def put(self, name: str, content: bytes) -> None:
        """Put a file into the top folder."""
        loose = self.path.with_suffix(".loose")
        loose.write_bytes(content)
        run("ntfscp", "-q", self.path, loose, name)
        loose.unlink()

    def get(self, name: str) -> bytes:
        """A file's content."""
        return run("ntfscat", "-q", self.path, name)

    def names(self) -> set[str]:
        """What is in the top folder."""
        return set(run("ntfsls", "-q", "-a", self.path).decode().splitlines()) - {".", ".."}
