"""The ports: what the enforcer's deciding and acting may ask of the world."""

from datetime import datetime
from typing import Protocol

from agent.core.changes import (
    Forget,
    LoadRules,
    MakeDirectory,
    MakeLink,
    Owned,
    Reader,
    Reload,
    Remember,
    RemoveDirectory,
    RemoveFile,
    Run,
    SetKernel,
    WriteFile,
)
from contract.sentence import Told

HostAction = (
    WriteFile | MakeLink | RemoveFile | MakeDirectory | RemoveDirectory | SetKernel | LoadRules | Reload | Run
)


class ActionFailed(Told):
    """An effect that did not happen; the sentence says what and why."""


class HostWriter(Protocol):
    """The one way to change the host. Every action may be done again without harm."""

    def do(self, action: HostAction) -> None:
        """Do one action; it is on the disk when this returns. Raises ActionFailed."""


class Host(Reader, HostWriter, Protocol):
    """A host that is read and changed."""


class Memory(Protocol):
    """What the journal keeps for the resource kinds."""

    def owned(self) -> dict[str, Owned]:
        """Everything remembered, by kind."""

    def remember(self, entry: Remember) -> None:
        """Keep an entry; an entry of that kind and key that is there stays as it is."""

    def forget(self, entry: Forget) -> None:
        """Drop an entry; none there is fine."""


class Clock(Protocol):
    """Time as the agent takes it."""

    def now(self) -> datetime:
        """UTC, never before the journal's last entry (but see agent.clock)."""

    def monotonic(self) -> float:
        """Seconds that only grow; not related to now()."""
