"""A citizen's session as the lab sees it: how it is asked for, and the proof that nothing of it is left.

A proof names kinds of things and places, never what a citizen called a file.
"""

from typing import Annotated, Literal

import msgspec

from contract.wire import Message, Utc

SessionId = Annotated[str, msgspec.Meta(pattern=r"\A[0-9a-f]{32}\Z")]

Where = Annotated[str, msgspec.Meta(max_length=200)]

SessionPhase = Literal["none", "available", "reserved", "active", "ending", "wiping", "out-of-service"]
"""Where a PC is between two citizens: `none` where there are no sessions, `reserved` while one begins."""

Wish = Literal["help", "more-time"]
"""What a citizen calls the operator for, by a button of the session bar."""

Place = Literal["processes", "files", "changed-files", "shared-memory", "screen", "print-jobs"]

PLACES: tuple[Place, ...] = (
    "processes",  # of the kiosk user, detached ones too
    "files",  # that the kiosk user owns, on every file system
    "changed-files",  # of anybody, since the session began: with the canary's text, or open to everybody
    "shared-memory",  # System V segments, semaphores and queues
    "screen",  # the X server that knew the session: clipboard, selections, properties
    "print-jobs",  # anybody's, with their titles
)
"""Everything that has to be looked at before a PC may be called clean."""


class Looked(Message, frozen=True):
    """One kind of thing: how many there were before the wipe, how many after it."""

    place: Place
    found: Annotated[int, msgspec.Meta(ge=0)]
    left: Annotated[int, msgspec.Meta(ge=0)]
    where: Annotated[
        tuple[Annotated[str, msgspec.Meta(max_length=200)], ...], msgspec.Meta(max_length=8)
    ] = ()
    """Where the rest is: system folders or programs' names."""


class Proof(Message, frozen=True):
    """What a wipe looked at, when, and what it found. `seconds` is what it took."""

    session: str
    at: Utc
    seconds: Annotated[float, msgspec.Meta(ge=0)]
    looked: Annotated[tuple[Looked, ...], msgspec.Meta(max_length=32)]

    @property
    def clean(self) -> bool:
        """Whether every place was looked at and nothing is left in any."""
        seen = {look.place for look in self.looked}
        return seen.issuperset(PLACES) and not any(look.left for look in self.looked)
