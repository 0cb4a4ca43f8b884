"""What goes through labctl's door about profiles: their texts, publications, groups and assignments."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints

from controller.door_models import Label, Model, Presence, WaitSeconds, Why


class ProfileItem(Model):
    """A profile the lab can use. `source`: the file it is in."""

    name: str
    title: str
    source: str
    published: int | None = Field(description="Number of its current publication; null before the first.")
    edited: bool = Field(description="The files say something else than the current publication.")
    assigned: list[str] = Field(description="Targets it is assigned to: lab, group:NAME, pc:ID.")


class Profiles(Model):
    """All profiles."""

    profiles: list[ProfileItem]


class ProfileText(Model):
    """A profile as written, and with everything it builds on."""

    name: str
    yaml: str
    resolved: dict[str, Any]


class Change(Model):
    """One setting that would change, by its path."""

    path: str
    before: Any
    after: Any


class StationDiff(Model):
    """What a publication of the files as they are would change on one station."""

    id: str
    changes: list[Change]


class Diff(Model):
    """Stations with that profile; those without changes have an empty list."""

    stations: list[StationDiff]


class Finding(Model):
    """Something `profile check` has to say about a file. `hint`: what to write instead."""

    file: str
    line: int | None
    severity: Literal["error", "warning"]
    message: str
    hint: str


class Check(Model):
    """`ok`: no errors (warnings may be there)."""

    ok: bool
    findings: list[Finding]


class PublishIn(Model):
    """`wait_s`: answer when all PCs that are there have applied it, or after so many seconds."""

    why: Why = ""
    wait_s: WaitSeconds = 30.0


class RollbackIn(Model):
    """`to`: a publication of that profile; the one before the current where it is missing."""

    to: Annotated[int, Field(ge=1, le=2**53)] | None = None
    why: Why = ""
    wait_s: WaitSeconds = 30.0


class AssignIn(Model):
    """`target`: "lab", "group:NAME" or "pc:ID"; `profile` null takes the assignment back."""

    target: Annotated[str, StringConstraints(pattern=r"^(lab|group:[a-z0-9-]{1,32}|pc:[a-z0-9-]{1,32})$")]
    profile: Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$")] | None
    wait_s: WaitSeconds = 30.0


class Waiting(Model):
    """A PC that has not applied it yet."""

    id: str
    presence: Presence
    reason: str


class Failed(Model):
    """A PC that answered that it could not."""

    id: str
    reason: str


class Rolled(Model):
    """What came of a publication, a rollback or an assignment, PC by PC.

    `revision` is the lab's counter afterwards; `publication` the publication that is current now.
    """

    publication: int
    revision: int
    changed: list[str] = Field(description="PCs that get a new revision by it.")
    unchanged: list[str] = Field(description="PCs it concerns that had it all already.")
    applied: list[str] = Field(description="Those of `changed` that were seen to have applied it.")
    waiting: list[Waiting]
    failed: list[Failed]


class Publication(Model):
    """An entry of a profile's history."""

    number: int
    profile: str
    at: datetime
    who: str
    why: str
    current: bool
    rollback_of: int | None


class Publications(Model):
    """The history of a profile, newest first."""

    publications: list[Publication]


class GroupIn(Model):
    """Who is in the group from now on; an empty list removes the group."""

    stations: Annotated[list[Label], Field(max_length=1000)]


class Group(Model):
    """A group of stations. `profile`: what is assigned to it; empty where nothing is."""

    name: str
    stations: list[str]
    profile: str


class Groups(Model):
    """All groups."""

    groups: list[Group]


class GroupSet(Model):
    """The group as it is now, and the PCs that get a new revision by it."""

    name: str
    stations: list[str]
    changed: list[str]


class Setting(Model):
    """One setting of a station and where it came from."""

    path: str
    value: Any
    layer: str = Field(description="lab, group:NAME, pc:ID, profile:NAME or service:NAME")
    file: str
    line: int | None


class Explained(Model):
    """All settings of a station. `revision`: the one that says so."""

    id: str
    profile: str
    revision: int
    settings: list[Setting]
