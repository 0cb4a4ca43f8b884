"""What a station is now. Status is state: the latest report replaces the rest."""

from typing import Annotated, Literal

import msgspec

from contract.identity import StationId
from contract.payment import PaymentOpen
from contract.sentence import Sentence
from contract.session import Proof, SessionId
from contract.wire import Message, Utc

StationState = Literal[
    "unpaired",
    "available",
    "reserved",
    "active",
    "warned",
    "ending",
    "wiping",
    "out-of-service",
    "closed",
    "maintenance",
]

ConditionType = Literal[
    "Converged",
    "DiskPressure",
    "DiskSilent",
    "MemoryPressure",
    "Overheated",
    "ClockSkewed",
    "JournalFailed",
    "DesiredRefused",
    "CertificateExpiring",
    "EnforcerLost",
    "Unclean",
    "SessionFailed",
    "SessionFull",
    "Lacking",
    "HelpWanted",
    "BrowserUnchecked",
]
"""Converged is good when true; each of the others is bad when true."""


class Condition(Message, frozen=True):
    """One thing that holds, or not, about a station.

    `reason` is one CamelCase word for programs, `message` a sentence for the
    technician, `since` when `status` last changed.
    """

    type: ConditionType
    status: bool
    reason: str
    message: Sentence
    since: Utc


class Disk(Message, frozen=True):
    """A mounted file system; sizes in bytes."""

    mount: str
    total: int
    free: int


class Nic(Message, frozen=True):
    """A network card other than loopback; speed in Mbit/s (0 unknown), traffic in bytes since boot."""

    name: str
    mac: str
    addresses: tuple[str, ...]
    up: bool
    speed: int
    sent: int
    received: int


class Temperature(Message, frozen=True):
    """A sensor in degrees Celsius."""

    sensor: str
    celsius: float


class KioskProcess(Message, frozen=True):
    """A process of the kiosk user: name only, never its arguments (they hold addresses)."""

    pid: int
    name: str
    rss: int


class Footprint(Message, frozen=True):
    """What the agent's own processes cost: resident bytes and CPU seconds since they started."""

    rss: int
    cpu_s: float


class Hardware(Message, frozen=True):
    """What the inventory shows of a PC; empty where the firmware does not say."""

    vendor: str
    model: str
    serial: str
    cpu: str
    cores: int
    memory: int
    os: str
    kernel: str
    python: str


class Facts(Message, frozen=True):
    """What was read from the PC at `at`: fractions are 0 to 1, memory in bytes, durations in seconds."""

    at: Utc
    load: tuple[float, float, float]
    cpu: float
    memory_total: int
    memory_available: int
    disks: tuple[Disk, ...]
    nics: tuple[Nic, ...]
    temperatures: tuple[Temperature, ...]
    uptime_s: float
    users: tuple[str, ...]
    kiosk: tuple[KioskProcess, ...]
    clock_skew_s: float | None
    """Own clock minus the controller's at the last exchange; None before the first."""
    footprint: Footprint
    hardware: Hardware
    silent: tuple[str, ...] = ()
    """Mount points of the PC's own disks that did not say how much room they have."""


class StatusReport(Message, frozen=True):
    """The whole state of a station as the agent sees it."""

    station: StationId
    version: str
    state: StationState
    profile: str
    desired_revision: Annotated[int, msgspec.Meta(ge=0)]
    """Newest revision accepted and journalled; 0 is none."""
    applied_revision: Annotated[int, msgspec.Meta(ge=0)]
    """Newest revision that was observed to be in force; 0 is none."""
    conditions: tuple[Condition, ...]
    facts: Facts
    wipe: Proof | None = None
    """The proof of the last wipe; None where there was none, or it came to no proof."""
    session: SessionId | None = None
    """The session under way; None while nobody sits there."""
    payment: PaymentOpen | None = None
