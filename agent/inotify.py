"""inotify(7) by its three system calls, through the C library that is loaded anyway.

Written out because of what it would bring otherwise: the module that finds C
libraries imports temporary files, compression and random numbers, which is more
memory than all of the enforcer's own code (docs/decisions/0030-own-inotify.md).
"""

import ctypes
import os
import struct
from enum import IntFlag
from typing import NamedTuple

_HEAD = struct.Struct("iIII")
_READ_BYTES = 64 << 10


class Flag(IntFlag):
    """sys/inotify.h; the names without IN_."""

    ACCESS = 0x1
    MODIFY = 0x2
    ATTRIB = 0x4
    CLOSE_WRITE = 0x8
    OPEN = 0x20
    MOVED_FROM = 0x40
    MOVED_TO = 0x80
    CREATE = 0x100
    DELETE = 0x200
    DELETE_SELF = 0x400
    MOVE_SELF = 0x800
    Q_OVERFLOW = 0x4000
    IGNORED = 0x8000
    ONLYDIR = 0x1000000
    EXCL_UNLINK = 0x4000000


class Event(NamedTuple):
    """Something happened to the watched directory `watch`, or to what is called `name` in it."""

    watch: int
    flags: int
    name: str


class Inotify:
    """One inotify instance. Every method but `close` raises OSError."""

    def __init__(self) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._file = self._called(self._libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC))

    def fileno(self) -> int:
        """The descriptor that becomes readable."""
        return self._file

    def add_watch(self, path: str, flags: Flag) -> int:
        """Watch a directory; the number that its events carry, the same again if it is watched already."""
        encoded = ctypes.c_char_p(os.fsencode(path))
        return self._called(self._libc.inotify_add_watch(self._file, encoded, ctypes.c_uint32(flags)))

    def rm_watch(self, watch: int) -> None:
        """Watch it no longer."""
        self._called(self._libc.inotify_rm_watch(self._file, watch))

    def read(self) -> list[Event]:
        """What has happened since the last time; nothing is waited for."""
        events: list[Event] = []
        while True:
            try:
                data = os.read(self._file, _READ_BYTES)
            except BlockingIOError:
                return events
            at = 0
            while at < len(data):
                watch, flags, _cookie, length = _HEAD.unpack_from(data, at)
                at += _HEAD.size
                events.append(Event(watch, flags, os.fsdecode(data[at : at + length].rstrip(b"\0"))))
                at += length

    def close(self) -> None:
        """Stop watching all."""
        os.close(self._file)

    @staticmethod
    def _called(result: int) -> int:
        if result < 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))
        return result
