"""Seeing at once that somebody changed a managed file: inotify, no polling.

A file is watched through its directory (it is replaced by rename), and each
directory through the one above it (it may vanish and come back). A path that
ends in a slash is a directory in which everything matters.
"""

import errno
from collections.abc import Iterable
from pathlib import Path

from agent.inotify import Flag, Inotify

_EVENTS = (
    Flag.MODIFY
    | Flag.ATTRIB
    | Flag.CLOSE_WRITE
    | Flag.MOVED_FROM
    | Flag.MOVED_TO
    | Flag.CREATE
    | Flag.DELETE
    | Flag.DELETE_SELF
    | Flag.MOVE_SELF
    | Flag.ONLYDIR
    | Flag.EXCL_UNLINK
)


AGAIN_AFTER = 10
"""Calls of `follow` after which all is watched anew though nothing has happened."""


class Watch:
    """Watches the directories of some paths below `root`; register `fileno()` for reading."""

    def __init__(self, root: Path) -> None:
        self._prefix = "" if root == Path("/") else str(root)
        self._inotify = Inotify()
        self._names: dict[int, frozenset[str] | None] = {}
        self._paths: set[str] = set()
        self._stirred, self._calls = True, 0
        self._wanted: dict[str, frozenset[str] | None] = {}

    def fileno(self) -> int:
        """The descriptor that becomes readable."""
        return self._inotify.fileno()

    def follow(self, paths: Iterable[str]) -> None:
        """Watch for changes of these files from now on, and of nothing else.

        Called after each look at the host: a directory that was not there the
        last time is found now. Where nothing has happened since, nothing is done: one
        that comes or goes is told by the one above it. (What is not told: a file
        system mounted over one. So every so many calls all are watched anew.)
        """
        paths = set(paths)
        if paths != self._paths:
            self._paths, self._wanted, self._stirred = paths, _directories(paths), True
        self._calls += 1
        if not self._stirred and self._calls % AGAIN_AFTER:
            return
        self._stirred = False
        seen: dict[int, frozenset[str] | None] = {}
        for directory, names in self._wanted.items():
            try:
                watch = self._inotify.add_watch(self._prefix + directory, _EVENTS)
            except OSError as error:
                if error.errno in (errno.ENOENT, errno.ENOTDIR):
                    continue
                raise
            seen[watch] = names
        for watch in set(self._names) - set(seen):
            try:
                self._inotify.rm_watch(watch)
            except OSError as error:
                if error.errno != errno.EINVAL:  # the directory is gone, and its watch with it
                    raise
        self._names = seen

    def take(self) -> bool:
        """Take what has happened; whether any of it concerns a watched file."""
        concerns = False
        for event in self._inotify.read():
            self._stirred = True
            names = self._names.get(event.watch, frozenset())
            own = Flag.DELETE_SELF | Flag.MOVE_SELF | Flag.Q_OVERFLOW | Flag.IGNORED
            named = (
                names is None or event.name in names or not event.name
            )  # without one: the directory itself
            concerns = concerns or bool(event.flags & own) or named
        return concerns

    def close(self) -> None:
        """Stop watching."""
        self._inotify.close()


def _directories(paths: Iterable[str]) -> dict[str, frozenset[str] | None]:
    """Directory to the names in it that matter; None is all.

    Each comes after the one above it, which tells of it if it is made at this very moment.
    """
    found: dict[str, frozenset[str] | None] = {}
    for path in paths:
        place = path.rstrip("/")
        if place != path:
            found[place or "/"] = None
        while place:  # texts, not paths: there are hundreds, and each look comes by here
            place, _slash, name = place.rpartition("/")
            names = found.get(place or "/", frozenset())
            if names is not None:
                found[place or "/"] = names | {name}
    return dict(sorted(found.items()))
