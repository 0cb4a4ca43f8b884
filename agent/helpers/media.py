"""A stick's file system, read and written in user space by mtools (FAT) and ntfs-3g's tools (NTFS).

The kernel never mounts it. Each program runs under limits of its own
(memory, CPU, written bytes, time), because what it reads may be made to break it;
what it says goes to files that those limits bound as well. Nothing it prints is
believed beyond being a name on the same stick.
"""

import os
import shutil
import signal
import stat
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple, Protocol

from agent.core.stick import Problem

MEMORY = 192 << 20
"""Address space of one program: mtools keeps a FAT in memory (at most 32 MB at 8 million clusters)."""
CPU_S = 20
"""Of one program: reading 500 MB from a file takes mtools a second."""
WAIT_S = 60.0
"""For one program, on a slow stick (10 MB/s)."""
LISTING = 4 << 20
"""Longest list of one folder, in bytes."""

_ENVIRONMENT = {
    "PATH": os.environ.get("PATH", os.defpath),
    "LC_ALL": "C.UTF-8",
    # Sticks with a geometry that no disk ever had are sold every day, and mtools refuses them by default.
    "MTOOLS_SKIP_CHECK": "1",
    "MTOOLSRC": "/dev/null",
    **{name: value for name, value in os.environ.items() if name == "LD_LIBRARY_PATH"},
}


class MediumError(Exception):
    """The medium as a whole is of no use; `problem` says why."""

    def __init__(self, problem: Problem, said: str = "") -> None:
        super().__init__(f"{problem}: {said}" if said else problem)
        self.problem: Problem = problem


class Unreadable(Exception):
    """One file or folder cannot be read or written."""


class NoRoom(Exception):
    """The medium is full."""


class TooLarge(Exception):
    """A file has more bytes than were allowed."""


class Entry(NamedTuple):
    """A name in a folder of the medium, whether it is a folder itself, and what the program knows it by."""

    folder: str
    name: str
    is_folder: bool
    handle: str


class Medium(Protocol):
    """A file system on a device or in an image file."""

    def entries(self, folder: str) -> list[Entry]:
        """What is in the folder at that path; "" is the top. Raises Unreadable."""

    def read(self, entry: Entry, into: Path, most: int) -> None:
        """Write a file's content to `into`. Raises TooLarge beyond `most` bytes, Unreadable."""

    def write(self, document: Path, name: str) -> None:
        """Put a document into the top folder, under a name that is free there. Raises Unreadable."""


def open_medium(source: Path, work: Path, write: bool = False) -> Medium:
    """The file system on `source`, a block device or an image; `work` is a folder for the programs' words.

    Raises MediumError.
    """
    try:
        handle = os.open(source, (os.O_RDWR if write else os.O_RDONLY) | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError:
        raise MediumError("gone") from None
    except OSError as error:
        raise MediumError("read-only" if write else "gone", str(error.strerror)) from None
    try:
        mode = os.fstat(handle).st_mode
    finally:
        os.close(handle)
    if not (stat.S_ISBLK(mode) or stat.S_ISREG(mode)):
        raise MediumError("format", "neither a block device nor a file")
    programs = Programs(work)
    found = programs.run(("blkid", "-p", "-s", "TYPE", "-o", "value", str(source)), programs.out, LISTING)
    kind = programs.text().strip()
    if kind in ("vfat", "msdos"):
        return _ready(Fat(source, programs))
    if kind == "ntfs":
        return _ready(Ntfs(source, programs))
    if kind in ("crypto_LUKS", "BitLocker"):
        raise MediumError("encrypted")
    if kind == "exfat":
        raise MediumError("exfat")
    raise MediumError("format" if kind else "broken", f"blkid ended with {found}")


class Programs:
    """Runs other people's programs on other people's data."""

    def __init__(self, work: Path) -> None:
        self.out = work / "out"
        self._err = work / "err"

    def run(self, argv: tuple[str, ...], into: Path, most: int | None) -> int:
        """Run a program with its output to `into`, at most `most` bytes; its exit code.

        None is for programs that write to the medium, which the limit would count as well.

        Raises TooLarge, MediumError where there is no such program or it does not come to an end.
        """
        if shutil.which(argv[0], path=f"{_ENVIRONMENT['PATH']}:/usr/sbin:/sbin") is None:
            raise MediumError("tools", f"there is no {argv[0]}")
        fsize = f"--fsize={most + 1}" if most is not None else "--fsize=unlimited"
        limits = (f"--as={MEMORY}", f"--cpu={CPU_S}", fsize, "--core=0", "--nofile=64")
        try:
            with into.open("wb") as out, self._err.open("wb") as err:
                code = subprocess.run(
                    ("prlimit", *limits, "--", *argv),
                    stdin=subprocess.DEVNULL,
                    stdout=out,
                    stderr=err,
                    env=_ENVIRONMENT,
                    timeout=WAIT_S,
                    check=False,
                ).returncode
        except subprocess.TimeoutExpired:
            raise MediumError("time", argv[0]) from None
        if code == -signal.SIGXCPU:
            raise MediumError("time", argv[0])
        if most is not None and into.stat().st_size > most:
            raise TooLarge
        if code != 0:
            sys.stderr.write(f"{argv[0]} ended with {code}\n")
        return code

    def text(self) -> str:
        """What the last one printed to `out`."""
        return self.out.read_bytes().decode(errors="replace")

    def said(self) -> str:
        """What the last one complained of."""
        return self._err.read_bytes().decode(errors="replace")


class Fat:
    """FAT12, FAT16 and FAT32, by mtools."""

    def __init__(self, source: Path, programs: Programs) -> None:
        self._source = str(source)
        self._programs = programs

    def entries(self, folder: str) -> list[Entry]:
        """See Medium."""
        top = f"::/{folder}" if folder else "::/"
        argv = ("mdir", "-i", self._source, "-a", "-b", _literal(top))
        listed = _list(self._programs, argv)
        prefix = f"::/{folder}/" if folder else "::/"
        found: list[Entry] = []
        for line in listed:
            name = line.removeprefix(prefix).removesuffix("/")
            if line.startswith(prefix) and name and "/" not in name:
                found.append(Entry(folder, name, line.endswith("/"), f"{prefix}{name}"))
        return found

    def read(self, entry: Entry, into: Path, most: int) -> None:
        """See Medium."""
        argv = ("mtype", "-i", self._source, "--", _literal(entry.handle))
        if self._programs.run(argv, into, most):
            raise Unreadable

    def write(self, document: Path, name: str) -> None:
        """See Medium. A name that is taken is skipped, never overwritten."""
        argv = ("mcopy", "-D", "s", "-i", self._source, "--", str(document), f"::/{name}")
        if self._programs.run(argv, self._programs.out, None):
            raise _why_not(self._programs.said())


class Ntfs:
    """NTFS, by ntfs-3g's own tools: files are read by their number, so no name is ever handed back."""

    def __init__(self, source: Path, programs: Programs) -> None:
        self._source = str(source)
        self._programs = programs

    def entries(self, folder: str) -> list[Entry]:
        """See Medium."""
        argv = ("ntfsls", "-q", "-a", "-i", "-F", "-p", f"/{folder}", self._source)
        found: list[Entry] = []
        for line in _list(self._programs, argv):
            number, _, name = line.strip(" ").partition(" ")
            is_folder, name = name.endswith("/"), name.removesuffix("/")
            if number.isdecimal() and name not in ("", ".", "..") and "/" not in name:
                found.append(Entry(folder, name, is_folder, number))
        return found

    def read(self, entry: Entry, into: Path, most: int) -> None:
        """See Medium."""
        argv = ("ntfscat", "-q", "-i", entry.handle, self._source)
        if self._programs.run(argv, into, most):
            raise Unreadable

    def write(self, document: Path, name: str) -> None:
        """See Medium."""
        argv = ("ntfscp", "-q", self._source, str(document), f"/{name}")
        if self._programs.run(argv, self._programs.out, None):
            raise _why_not(self._programs.said())


def _ready(medium: Medium) -> Medium:
    """The medium, seen to list its top folder. Raises MediumError."""
    try:
        medium.entries("")
    except Unreadable:
        raise MediumError("broken") from None
    return medium


def _list(programs: Programs, argv: tuple[str, ...]) -> list[str]:
    """A folder's listing by line. One that is too long is cut: a stick has no such folders by right."""
    try:
        code = programs.run(argv, programs.out, LISTING)
    except TooLarge:
        return programs.text().split("\n")[:-1]
    lines = [line for line in programs.text().split("\n") if line]
    if code and not lines:
        raise Unreadable
    return lines


def _literal(path: str) -> str:
    """mtools takes patterns; this is the path and no pattern."""
    return "".join(f"\\{c}" if c in "*?[]\\" else c for c in path)


def _why_not(said: str) -> Unreadable | MediumError | NoRoom:
    """What a writing program's complaint means."""
    words = said.lower()
    if "full" in words or "no space" in words:
        return NoRoom()
    if "hibernat" in words or "unclean" in words or "scheduled for check" in words or "unsafe state" in words:
        return MediumError("unclean")
    if "read-only" in words or "write-protected" in words or "permission denied" in words:
        return MediumError("read-only")
    return Unreadable()
