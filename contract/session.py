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


Spot = Literal[
    "home",
    "downloads",
    "tmp",
    "var-tmp",
    "runtime",
    "shared-files",
    "shared-memory",
    "semaphores",
    "messages",
    "queue",
    "process",
    "socket",
    "cookie",
    "local-storage",
    "clipboard",
    "selection",
    "cut-buffer",
    "print-title",
]

SPOTS: tuple[Spot, ...] = (
    *("home", "downloads", "tmp", "var-tmp", "runtime"),  # files
    "shared-files",  # POSIX shared memory: files in /dev/shm
    *("shared-memory", "semaphores", "messages"),  # System V's three
    "queue",  # a message queue of POSIX's
    "process",  # one that has left the session's own, and its words
    "socket",  # that a process of the session listens on, by name
    *("cookie", "local-storage"),  # in the browser's profile
    *("clipboard", "selection", "cut-buffer"),  # of the screen: what was copied, marked, stored
    "print-title",  # of a job that waits, in the spool and in what is logged
)
"""Where a canary is planted as a session begins: text with random content that nothing else on the PC has."""


class Canary(Message, frozen=True):
    """One canary: whether it was there when the session ended, and whether it still is after the wipe.

    One that was not there proves nothing of its spot: it could not be planted (a PC without a printer), the
    citizen's own took its place (the clipboard), or nobody could look any more (after a power cut).
    """

    spot: Spot
    seen: bool
    left: bool = False


class Looked(Message, frozen=True):
    """One kind of thing: how many there were as the session ended, how many after the wipe.

    `found` counts what went with the session's own unit as well, where somebody could look before it went.
    """

    place: Place
    found: Annotated[int, msgspec.Meta(ge=0)]
    left: Annotated[int, msgspec.Meta(ge=0)]
    where: Annotated[
        tuple[Annotated[str, msgspec.Meta(max_length=200)], ...], msgspec.Meta(max_length=8)
    ] = ()
    """Where the rest is: system folders, with the program that writes there, or programs' names."""


class Proof(Message, frozen=True):
    """What a wipe looked at, when, and what it found. `seconds` is what it took."""

    session: str
    at: Utc
    seconds: Annotated[float, msgspec.Meta(ge=0)]
    looked: Annotated[tuple[Looked, ...], msgspec.Meta(max_length=32)]
    canaries: Annotated[tuple[Canary, ...], msgspec.Meta(max_length=32)] = ()

    @property
    def clean(self) -> bool:
        """Whether every place was looked at, and nothing is left in any, no canary either."""
        places = {look.place for look in self.looked}
        left = any(look.left for look in self.looked) or any(canary.left for canary in self.canaries)
        return places.issuperset(PLACES) and not left
