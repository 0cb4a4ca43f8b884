"""Who is who: names of labs and stations, and the names that certificates carry.

A station is reached by address, so its certificate names what it *is*. The name
is written as a DNS name, because then the TLS library itself compares it (as a
host name) and no code of ours stands between a handshake and its refusal.
`.internal` is reserved for private use (ICANN, 2024) and resolves nowhere.
"""

import re
from typing import Annotated, Literal

import msgspec

_LABEL = r"\A[a-z0-9](?:[a-z0-9-]{0,30}[a-z0-9])?\Z"

LabId = Annotated[str, msgspec.Meta(pattern=_LABEL)]
StationId = Annotated[str, msgspec.Meta(pattern=_LABEL)]
PairingId = Annotated[str, msgspec.Meta(pattern=r"\A[0-9a-f]{32}\Z")]
"""One pairing of one station, for good: 16 random bytes that the station's root half makes, in hex.
Whatever the lab signs names it, so nothing from before a pairing counts after it."""
Role = Literal["station", "controller"]

_label = re.compile(_LABEL)


def is_label(text: str) -> bool:
    """Whether `text` can name a lab or a station: 1 to 32 of a-z, 0-9 and inner hyphens."""
    return _label.fullmatch(text) is not None


def station_name(lab: str, station: str) -> str:
    """The DNS name in the certificate of a lab's station."""
    return f"{station}.station.{lab}.lab.internal"


def controller_name(lab: str) -> str:
    """The DNS name in the certificate of a lab's controller."""
    return f"server.controller.{lab}.lab.internal"


SERVICE_TYPE = "_lab-agent._tcp.local."
"""DNS-SD type that agents announce. TXT keys: id, version, contract, pairing."""

DEFAULT_PORT = 7443
"""Port of an agent when its settings name none (unassigned by IANA's registry)."""
