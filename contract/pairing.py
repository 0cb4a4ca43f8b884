"""Pairing: the four messages, and what both sides put under their HMAC.

The controller (side A) and the station (side B) run SPAKE2 over the six digits
that the station shows. The station confirms first; then the controller, who
thereby also hands over the station's certificate. Whoever sits between the two
and does not know the digits can make neither confirmation (one guess a try).

    A -> B  /v1/pair/start   PairStart(message, lab, ca, signing_key)
    B -> A                   PairOffer(pairing, message, station, signing_request, confirmation)
    A -> B  /v1/pair/finish  PairFinish(pairing, certificate, confirmation)
    B -> A                   PairDone(station)
"""

from typing import Annotated, NamedTuple

import msgspec

from contract.identity import LabId, PairingId, StationId
from contract.wire import Message

PAIR_START_PATH = "/v1/pair/start"
PAIR_FINISH_PATH = "/v1/pair/finish"

SPAKE_CONTROLLER = b"controller"
SPAKE_STATION = b"station"
"""The two identities of the SPAKE2 run (idA and idB)."""

CODE_DIGITS = 6
CODE_LIFE_S = 600
WRONG_TRIES = 5
TRY_EVERY_S = 2.0
"""Shortest time between two tries. With five tries a code and a new code after
them, a guesser needs 500,000 tries on average: over eleven days without rest."""

Blob = Annotated[bytes, msgspec.Meta(max_length=8192)]
Mac = Annotated[bytes, msgspec.Meta(min_length=32, max_length=32)]


class PairStart(Message, frozen=True):
    """The controller's half of the key exchange and what the station shall trust.

    `ca` is the lab's CA certificate (DER), `signing_key` the raw 32 bytes of
    the Ed25519 key that signs desired states and commands.
    """

    contract: int
    message: Blob
    lab: LabId
    ca: Blob
    signing_key: Annotated[bytes, msgspec.Meta(min_length=32, max_length=32)]


class PairOffer(Message, frozen=True):
    """The station's half, its signing request (DER) and its proof that it knows the code."""

    pairing: PairingId
    """Names this attempt, and the pairing if it comes to one; PairFinish repeats it."""
    message: Blob
    station: StationId
    signing_request: Blob
    confirmation: Mac


class PairFinish(Message, frozen=True):
    """The controller's proof, and the certificate (DER) it made for the station."""

    pairing: PairingId
    certificate: Blob
    confirmation: Mac


class PairDone(Message, frozen=True):
    """The station has stored all of it and answers by mutual TLS from now on."""

    station: StationId


class Offered(NamedTuple):
    """What of a PairOffer is under the HMACs: all but the station's own."""

    pairing: str
    station: str
    message: bytes
    signing_request: bytes


def confirmation(key: bytes, side: str, start: PairStart, offered: Offered, certificate: bytes) -> bytes:
    """The HMAC-SHA256 with which `side` ("station" or "controller") proves that it holds `key`.

    `certificate` is empty for the station, which speaks before there is one.
    Each part goes in with its length, so that no two transcripts are alike.
    """
    # Whoever knows these messages need not carry OpenSSL, which comes with these two: the enforcer does not.
    import hashlib  # noqa: PLC0415
    import hmac  # noqa: PLC0415

    parts = (
        b"lab-agent pairing 1",
        side.encode(),
        start.lab.encode(),
        offered.station.encode(),
        offered.pairing.encode(),
        start.message,
        offered.message,
        offered.signing_request,
        start.ca,
        start.signing_key,
        certificate,
    )
    mac = hmac.new(key, digestmod=hashlib.sha256)
    for part in parts:
        mac.update(len(part).to_bytes(4, "big"))
        mac.update(part)
    return mac.digest()
