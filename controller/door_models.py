"""What goes through labctl's door, as pydantic models: they are the OpenAPI description too.

Ages and durations are seconds, memory and disk figures bytes, instants UTC.
"""

from datetime import date, datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from contract.identity import DEFAULT_PORT

_LABEL = r"^[a-z0-9](?:[a-z0-9-]{0,30}[a-z0-9])?$"

Label = Annotated[str, StringConstraints(pattern=_LABEL)]
Presence = Literal["online", "stale", "offline"]
Role = Literal["operator", "technician"]
Why = Annotated[str, StringConstraints(max_length=500)]
WaitSeconds = Annotated[float, Field(ge=0, le=600, allow_inf_nan=False)]
Host = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9\[][A-Za-z0-9.:\[\]%_-]{0,252}$")]


class Model(BaseModel):
    """Base: immutable, and a misspelt field is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Problem(Model):
    """The body of every answer that is not 2xx."""

    error: str
    hint: str = ""


class Whoami(Model):
    """Who the door takes the caller for."""

    uid: int
    user: str
    role: Role


class Condition(Model):
    """One thing that holds, or not, about a station; `message` is in the request's language."""

    type: str
    status: bool
    reason: str
    message: str
    since: datetime


class StationStatus(Model):
    """One line of `labctl status`."""

    id: str
    presence: Presence
    state: str = Field(description="Station state as it last said; 'unknown' before the first answer.")
    profile: str = Field(description="Profile assigned to it; empty where none is.")
    desired: int = Field(description="Revision it shall have; 0 is none.")
    applied: int = Field(description="Revision it was last seen to have; 0 is none.")
    load: float | None = Field(description="Load average over one minute.")
    memory: float | None = Field(description="Fraction of memory in use, 0 to 1.")
    last_seen: datetime | None
    age_s: float | None = Field(description="Seconds since the last answer.")
    address: str
    conditions: list[Condition]
    note: str = Field(
        description="What stands between controller and station, in a sentence; empty if nothing."
    )
    payment_until: datetime | None = Field(
        default=None, description="The payment mode is open there, and closes by itself then."
    )


class Status(Model):
    """The lab on one screen."""

    lab: str
    name: str
    at: datetime
    revision: int
    stations: list[StationStatus]


class DiskUse(Model):
    """A file system of a station, in bytes."""

    mount: str
    total: int
    free: int


class HardwareInfo(Model):
    """What the firmware and the kernel say a station is (contract.status.Hardware)."""

    vendor: str
    model: str
    serial: str
    cpu: str
    cores: int
    memory: int
    os: str
    kernel: str
    python: str


class InventoryItem(Model):
    """A station as a thing one owns."""

    id: str
    hardware: HardwareInfo | None
    mac: list[str]
    address: str
    disks: list[DiskUse]
    version: str
    paired_at: datetime
    last_seen: datetime | None
    certificate_until: datetime | None


class Inventory(Model):
    """All stations of the lab."""

    stations: list[InventoryItem]


class DiscoverIn(Model):
    """`timeout_s`: wait at most so long for PCs to speak up; `hosts` (name, address, or either with
    :port) are remembered and asked directly, for networks without multicast."""

    timeout_s: Annotated[float, Field(ge=0, le=30, allow_inf_nan=False)] = 1.0
    hosts: Annotated[list[Host], Field(max_length=64)] = []


class Found(Model):
    """Somewhere a lab agent may be."""

    id: str = Field(description="What it calls itself; empty for a host that was only named with --add.")
    address: str
    port: int = DEFAULT_PORT
    version: str
    pairing: Literal["open", "paired", "unknown"]
    known: bool = Field(description="A station of this lab has this id.")
    verified: bool = Field(description="It proved by its certificate to be that station at this address.")
    note: str


class Discovered(Model):
    """What was found, by id."""

    found: list[Found]


class PairIn(Model):
    """`code` is what the PC's screen shows; `address` (host or host:port) skips discovery."""

    code: Annotated[str, StringConstraints(pattern=r"^[0-9]{3}[ -]?[0-9]{3}$")]
    address: Host | None = None


class Paired(Model):
    """The station is of this lab now. `fingerprint`: SHA-256 of its certificate, hex."""

    id: str
    address: str
    fingerprint: str


class UnpairIn(Model):
    """`force`: forget the station even if it cannot be told now."""

    force: bool = False


class Unpaired(Model):
    """`told`: the station itself has forgotten the lab."""

    id: str
    told: bool


class SessionIn(Model):
    """How long to wait until the PC has done it."""

    wait_s: WaitSeconds = 0


class Looked(Model):
    """One kind of thing that a wipe looked at: how many before it, how many after it, where those are."""

    place: str
    found: int
    left: int
    where: list[str]


class Canary(Model):
    """A canary's spot: whether it was there when the session ended, and whether it still is."""

    spot: str
    seen: bool
    left: bool


class Wipe(Model):
    """The proof of a wipe (contract.session.Proof)."""

    at: datetime
    seconds: float
    clean: bool
    looked: list[Looked]
    canaries: list[Canary]


class SessionOut(Model):
    """A station's state as it last said, and the proof of its last wipe."""

    id: str
    state: str
    wipe: Wipe | None


class CallAnswered(Model):
    """Whose call was answered."""

    id: str


class DoctorCheck(Model):
    """One thing that was looked at. `ok` null: could not be told; `at`: what the clock says, if it is off."""

    name: str
    ok: bool | None
    message: str
    hint: str
    at: datetime | None = None


class Doctor(Model):
    """The server's own health."""

    checks: list[DoctorCheck]


class SpidProvider(Model):
    """An identity provider of the federation: its SAML entity and the hosts its pages need."""

    entity: Annotated[str, StringConstraints(min_length=1, max_length=300)]
    name: Annotated[str, StringConstraints(max_length=120)] = ""
    hosts: Annotated[list[Host], Field(min_length=1, max_length=32)]


class SpidIn(Model):
    """`published`: the day of the federation's list; `force`: take an empty, shrunken or older one too."""

    providers: Annotated[list[SpidProvider], Field(max_length=200)]
    published: date | None = None
    force: bool = False


class SpidOut(Model):
    """Hosts that came and went, and the file that was written (empty if nothing changed)."""

    added: list[str]
    removed: list[str]
    written: str
