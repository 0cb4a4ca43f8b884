"""Copies documents from a citizen's stick into the session, and from the session to the stick.

    stick import SOURCE    the stick's documents into /run/lab-files/import
    stick stage            what the session saved into /run/lab-files/staged (as root, which may read it)
    stick export SOURCE    that to the stick
    stick ended            after either: says so where it was cut short

Each step is a process of lab-stick-import@.service or lab-stick-export@.service, which
hold it: a user of its own, no network, one device. SOURCE is a block device or an
image. What became of it is a Report in /run/lab-stick/report.json.
"""

import contextlib
import filecmp
import os
import stat
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from agent.core import stick
from agent.core.stick import Left, Problem, Report, Rules
from agent.helpers.media import Entry, Medium, MediumError, NoRoom, TooLarge, Unreadable, open_medium
from contract.wire import ContractError, decode, encode

IMPORT = Path("/run/lab-files/import")
EXPORT = Path("/run/lab-files/export")
STAGED = Path("/run/lab-files/staged")
REPORT = Path(stick.REPORT)
RULES = Path("/etc/lab-agent/stick.json")

WORK_S = 240.0
"""How long all of it may take: 200 documents of 1 MB from a stick of 10 MB/s come in 20 s."""


class Teller:
    """Writes the report whenever it changes: who waits reads how far it has come, also after a sudden end."""

    def __init__(self, report: Report, place: Path) -> None:
        self.report = report
        self._place = place
        self._write()

    def done(self) -> None:
        """One document more."""
        self._to(done=self.report.done + 1)

    def left(self, why: Left) -> None:
        """One document was left."""
        self._to(left={**self.report.left, why: self.report.left.get(why, 0) + 1})

    def end(self, problem: Problem | None = None) -> Report:
        """It is over."""
        self._to(phase="ended", problem=problem)
        return self.report

    def _to(self, **changes: object) -> None:
        self.report = msgspec.structs.replace(self.report, **changes)
        self._write()

    def _write(self) -> None:
        fresh = self._place.with_suffix(".new")
        fresh.write_bytes(encode(self.report))
        fresh.chmod(0o644)
        fresh.replace(self._place)


def take_in(source: Path, into: Path, *, work: Path, rules: Rules, tell: Teller, until: float) -> None:
    """Copy the documents on `source` into the folder `into`, each whole or not at all.

    `until` is a time.monotonic(). Raises MediumError where the medium, not one document, is the trouble.
    """
    medium = open_medium(source, work)
    folders: dict[str, Path] = {"": into}
    taken: dict[Path, set[str]] = {}
    for entry in _walk(medium, until):
        kind = stick.kind_of(entry.name, rules.documents)
        if kind is None:
            tell.left("kind")
        elif tell.report.done >= rules.max_documents:
            tell.left("many")
        else:
            part = into / ".part"
            try:
                medium.read(entry, part, rules.max_document_bytes)
                with part.open("rb") as content:
                    head = content.read(stick.HEAD_BYTES)
                if not stick.agrees(kind, head):
                    tell.left("false")
                    continue
                folder = _folder(entry.folder, folders, taken)
                name = stick.free_name(stick.clean_name(entry.name), taken.setdefault(folder, set()))
                part.chmod(0o440)
                part.rename(folder / name)
                taken[folder].add(name.casefold())
                tell.done()
            except TooLarge:
                tell.left("large")
            except Unreadable:
                tell.left("unreadable")
            except OSError:  # the session's memory for documents is full
                tell.left("full")
            finally:
                with contextlib.suppress(OSError):
                    part.unlink(missing_ok=True)


def _walk(medium: Medium, until: float) -> Iterator[Entry]:
    """The files of a medium, top folder first, within the limits for folders, names, depth and time."""
    waiting, seen, names = deque([""]), 0, 0
    while waiting and seen < stick.FOLDERS:
        folder = waiting.popleft()
        seen += 1
        try:
            entries = medium.entries(folder)
        except Unreadable:
            continue
        for entry in entries:
            names += 1
            if names > stick.ENTRIES:
                return
            if time.monotonic() > until:
                raise MediumError("time")
            if stick.is_passed_over(entry.name):
                continue
            path = f"{folder}/{entry.name}" if folder else entry.name
            if not entry.is_folder:
                yield entry
            elif path.count("/") < stick.DEPTH:
                waiting.append(path)


def _folder(path: str, folders: dict[str, Path], taken: dict[Path, set[str]]) -> Path:
    """The folder in the session that stands for one of the stick's, made when it is needed."""
    if path not in folders:
        above, _, name = path.rpartition("/")
        parent = _folder(above, folders, taken)
        names = taken.setdefault(parent, set())
        own = stick.free_name(stick.clean_name(name), names)
        (parent / own).mkdir(0o750)
        names.add(own.casefold())
        folders[path] = parent / own
    return folders[path]


def stage(export: Path, staged: Path, rules: Rules, most: int) -> None:
    """Copy the documents in the session's folder `export` to `staged`, where the writer may read them.

    At most `most` bytes altogether. Links, pipes, folders and files of other kinds are left; what is too
    large comes as a file of its name with a hole in it that is too large as well, so that it is counted.
    """
    for old in staged.iterdir():
        old.unlink()
    room = most
    for name in sorted(os.listdir(export))[: rules.max_documents]:  # noqa: PTH208  # names alone
        if stick.is_passed_over(name) or stick.kind_of(name, rules.documents) is None:
            continue
        try:
            handle = os.open(export / name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError:
            continue
        with os.fdopen(handle, "rb") as document:
            about = os.fstat(handle)
            if not stat.S_ISREG(about.st_mode) or about.st_nlink != 1 or about.st_size == 0:
                continue  # an empty one is what a browser holds a name with while it downloads
            limit = min(rules.max_document_bytes, room)
            content = document.read(limit + 1)
        copy = staged / name
        copy.touch()
        if len(content) > limit:
            os.truncate(copy, rules.max_document_bytes + 1)
        else:
            copy.write_bytes(content)
            room -= len(content)
        copy.chmod(0o644)


def give_out(source: Path, staged: Path, *, work: Path, rules: Rules, tell: Teller, until: float) -> None:
    """Write what was staged to the top folder of `source`, and read each document back.

    Raises MediumError.
    """
    if not rules.export:
        raise MediumError("read-only")
    documents = sorted(staged.iterdir())
    if not documents:
        raise MediumError("nothing")
    medium = open_medium(source, work, write=True)
    taken = {entry.name.casefold() for entry in medium.entries("")}
    for document in documents:
        kind = stick.kind_of(document.name, rules.documents)
        if time.monotonic() > until:
            raise MediumError("time")
        if document.stat().st_size > rules.max_document_bytes:
            tell.left("large")
            continue
        with document.open("rb") as content:
            if kind is None or not stick.agrees(kind, content.read(stick.HEAD_BYTES)):
                tell.left("false")
                continue
        name = stick.free_name(stick.clean_name(document.name), taken)
        taken.add(name.casefold())
        try:
            medium.write(document, name)
            read_back(medium, document, name, work / "back")
            tell.done()
        except NoRoom:
            tell.left("full")
        except Unreadable:
            tell.left("unreadable")
    _to_the_medium(source)


def read_back(medium: Medium, document: Path, name: str, back: Path) -> None:
    """Raises Unreadable where the medium does not hold what was written."""
    written = next((entry for entry in medium.entries("") if entry.name == name), None)
    if written is None:
        raise Unreadable
    try:
        medium.read(written, back, document.stat().st_size)
        if not filecmp.cmp(document, back, shallow=False):
            raise Unreadable
    except TooLarge:
        raise Unreadable from None
    finally:
        back.unlink(missing_ok=True)


def _to_the_medium(source: Path) -> None:
    """Have the kernel write all it still holds for the medium."""
    handle = os.open(source, os.O_RDWR | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    except OSError:
        raise MediumError("gone") from None
    finally:
        os.close(handle)


def run(report: Report, place: Path, act: Callable[[Teller], None]) -> Report:
    """One import or export with its report; every expected trouble ends as a sentence."""
    tell = Teller(report, place)
    try:
        act(tell)
    except MediumError as error:
        sys.stderr.write(f"{error}\n")
        return tell.end(error.problem)
    return tell.end()


def cut_short(place: Path) -> None:
    """Make an end of a report whose writer was killed before it could, by a limit or the session's end."""
    with contextlib.suppress(OSError, ContractError):
        report = decode(Report, place.read_bytes())
        if report.phase == "working":
            Teller(report, place).end("time")


def main(words: list[str]) -> int:
    """Run one step; 0 where a report says how it went."""
    os.umask(0o027)
    until = time.monotonic() + WORK_S
    work = Path("/tmp")  # noqa: S108  # the unit's own, in memory
    match words:
        case ["import", source]:
            rules = decode(Rules, RULES.read_bytes())
            report = Report(way="import", phase="working", device=source)
            run(
                report,
                REPORT,
                lambda tell: take_in(Path(source), IMPORT, work=work, rules=rules, tell=tell, until=until),
            )
        case ["stage"]:
            room = os.statvfs(STAGED)
            stage(EXPORT, STAGED, decode(Rules, RULES.read_bytes()), room.f_bavail * room.f_frsize)
        case ["export", source]:
            rules = decode(Rules, RULES.read_bytes())
            report = Report(way="export", phase="working", device=source)
            run(
                report,
                REPORT,
                lambda tell: give_out(Path(source), STAGED, work=work, rules=rules, tell=tell, until=until),
            )
        case ["ended"]:
            cut_short(REPORT)
        case _:
            sys.stderr.write("usage: stick import SOURCE | stage | export SOURCE | ended\n")
            return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
