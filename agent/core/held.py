"""What the journal holds, as far as this version of the agent can read it.

The contract may have another shape when the agent is another version than the
one that took a document in. A section that cannot be read is neither guessed at
nor given up: its kind is left alone, so that what it locked stays locked, until
the lab publishes again.
"""

from datetime import datetime
from typing import Any

import msgspec

from agent.core.session import Sitting
from contract.desired import DesiredState, Resources
from contract.wire import ContractError, Message, decode

_SECTIONS: dict[str, Any] = {field.name: field.type for field in msgspec.structs.fields(Resources)}

EVERYTHING = tuple(_SECTIONS)
"""What is unread of a document of which nothing can be read."""


class _Outline(msgspec.Struct, frozen=True):
    """What each document of each version names; whatever else it has is left out."""

    contract: int
    lab: str
    station: str
    pairing: str
    revision: int
    profile: str
    issued_at: datetime
    resources: dict[str, msgspec.Raw]


class HeldState(Message, frozen=True):
    """A desired state, and the sections that its document has and we cannot read.

    No `desired` where the document does not even say whose it is.
    """

    desired: DesiredState | None
    unread: tuple[str, ...] = ()

    def is_ours_to_keep(self, kind: str) -> bool:
        """Whether a resource kind may be brought to what is wanted, or taken back.

        While anything is unread only what was read is acted on: a section that is
        not there may be one that has another name today.
        """
        if not self.unread:
            return True
        return self.desired is not None and getattr(self.desired.resources, kind, None) is not None


def read_held(payload: bytes) -> HeldState:
    """The document in `payload`, section by section where it cannot be read as a whole. Never raises."""
    try:
        return HeldState(decode(DesiredState, payload))
    except ContractError:
        pass
    try:
        outline = decode(_Outline, payload)
    except ContractError:
        return HeldState(None, EVERYTHING)
    read: dict[str, Any] = {}
    for name, raw in outline.resources.items():
        try:
            read[name] = decode(_SECTIONS[name], memoryview(raw))
        except (ContractError, KeyError):
            continue
    unread = tuple(sorted(outline.resources.keys() - read.keys()))
    desired = DesiredState(
        contract=outline.contract,
        lab=outline.lab,
        station=outline.station,
        pairing=outline.pairing,
        revision=outline.revision,
        profile=outline.profile,
        issued_at=outline.issued_at,
        resources=Resources(**read),
    )
    return HeldState(desired, unread or EVERYTHING)


def read_sitting(stored: bytes) -> Sitting:
    """Where the PC was between two citizens; what cannot be read may have been a session, so it is wiped."""
    if not stored:
        return Sitting()
    try:
        return decode(Sitting, stored)
    except ContractError:
        return Sitting(phase="wiping")
