"""What a plan is made of: changes, each with its actions as data.

An action says everything about one effect, so a dry run prints exactly what
would be done and a test compares plans as values.
"""

from enum import IntEnum
from typing import Protocol

import msgspec

from contract.desired import Resources
from contract.sentence import Sentence
from contract.wire import Message


class FileState(Message, frozen=True):
    """A path as it was found. `ours` is false for a link, a device, or a file of another owner.

    `target` is where a link leads.
    """

    content: bytes
    mode: int
    ours: bool = True
    target: str | None = None


class WriteFile(Message, frozen=True, tag="write"):
    """Put `content` at `path` by rename, so that a reader sees the old file or the new."""

    path: str
    content: bytes
    mode: int = 0o644


class MakeLink(Message, frozen=True, tag="link"):
    """Put a symbolic link to `target` at `path` by rename."""

    path: str
    target: str


class RemoveFile(Message, frozen=True, tag="remove"):
    """Remove the file or link at `path`."""

    path: str


class MakeDirectory(Message, frozen=True, tag="mkdir"):
    """Make one directory, its parent being there; one that is there becomes root's, with this mode."""

    path: str
    mode: int = 0o755


class RemoveDirectory(Message, frozen=True, tag="rmdir"):
    """Remove a directory that we made, if nobody else keeps anything in it."""

    path: str


class SetKernel(Message, frozen=True, tag="sysctl"):
    """Set a kernel parameter in the running kernel."""

    key: str
    value: str


class Run(Message, frozen=True, tag="run"):
    """Run a program; anything but exit code 0 is a failure."""

    argv: tuple[str, ...]
    timeout_s: float = 30


class LoadRules(Message, frozen=True, tag="rules"):
    """Make one table of the kernel's packet filter what `rules` says, in one step; empty removes it."""

    table: str
    rules: str


class Reload(Message, frozen=True, tag="reload"):
    """Have a running service of ours read its files again (SIGUSR1), or start it.

    A signal takes microseconds, and cuts nobody's connection; `systemctl reload` takes 20 ms of a PC.
    """

    unit: str


class Remember(Message, frozen=True, tag="remember"):
    """Journal what was there before us, or what we know we have done; the first entry stays."""

    kind: str
    key: str
    value: bytes


class Forget(Message, frozen=True, tag="forget"):
    """Drop an entry of the journal: we no longer own what it names."""

    kind: str
    key: str


Action = (
    WriteFile
    | MakeLink
    | RemoveFile
    | MakeDirectory
    | RemoveDirectory
    | SetKernel
    | LoadRules
    | Reload
    | Run
    | Remember
    | Forget
)


class Effect(IntEnum):
    """What a change does to the lock-down, in the order in which changes are applied."""

    TIGHTEN = 0
    NEUTRAL = 1
    LOOSEN = 2


class Change(Message, frozen=True):
    """One difference and how it goes away. `why` is a sentence for the technician.

    Without actions it is what only a person can mend: the PC does not count as
    converged, or, where it is `advice`, it does and the technician is told.
    """

    kind: str
    subject: str
    effect: Effect
    why: Sentence
    actions: tuple[Action, ...]
    advice: bool = False


Owned = dict[str, bytes]
"""What the journal remembers of one kind: key to the encoded value (see Remember)."""

Plan = tuple[Change, ...]


class Reader(Protocol):
    """What deciding may ask of a host."""

    def file(self, path: str) -> FileState | None:
        """The file at `path`; None where there is nothing."""

    def directory(self, path: str) -> int | None:
        """The mode of root's directory at `path`; None where nothing, a link or somebody else's is."""

    def is_directory(self, path: str) -> bool:
        """Whether there is a directory at `path`, whoever's it is; where a link leads counts."""

    def names(self, path: str) -> tuple[str, ...] | None:
        """Names in the directory at `path`, sorted; None where there is no directory."""

    def kernel(self, key: str) -> str | None:
        """A kernel parameter's value in force, blanks folded; None where the kernel has no such key."""

    def rules(self, table: str) -> str | None:
        """A table of the running kernel's packet filter, as nft lists it; None where there is none."""

    def uid(self, user: str) -> int | None:
        """A user's id; None where the PC has no such user."""

    def running(self, unit: str) -> bool:
        """Whether a service of systemd has a process; named with its slice where that is not system.slice."""

    def program(self, path: str) -> bool:
        """Whether there is a program at `path` that can be run."""


class Kind(Protocol):
    """A resource kind: a module with these functions (agent/resources)."""

    NAME: str

    def observe(self, wanted: Resources, owned: Owned, reader: Reader) -> msgspec.Struct:
        """Everything that the plan needs to know about the host, as data."""

    def plan(self, wanted: Resources, observed: msgspec.Struct, owned: Owned) -> Plan:
        """The changes from observed to wanted; empty where they agree."""

    def watched(self, wanted: Resources) -> tuple[str, ...]:
        """Paths whose change is worth a look at once; with a slash at its end a directory, with all in it."""
