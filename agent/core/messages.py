"""What the front and the enforcer say to each other over their Unix socket.

The front holds the network, the enforcer holds the rights. The enforcer reads
nothing but these structs, so a hole in what parses the LAN is not root. Frames
are a four-byte big-endian length and the JSON of one struct; the front asks
and waits for the reply to its `Call` number; `EnforcerState` also comes unasked.
"""

from typing import Annotated

import msgspec

from contract.exchange import CommandResult, Signed
from contract.identity import PairingId
from contract.pairing import Blob, PairDone, PairFinish, PairOffer, PairStart
from contract.payment import OrderId
from contract.sentence import Sentence
from contract.session import Proof, SessionId, SessionPhase
from contract.status import Condition
from contract.wire import Message, Utc


class Deliver(Message, frozen=True, tag="deliver"):
    """A desired state from the controller, still sealed."""

    signed: Signed


class Delivered(Message, frozen=True, tag="delivered"):
    """Whether it was journalled; `message` says why not. A known revision again is accepted."""

    accepted: bool
    revision: int
    message: Sentence | None = None


class Perform(Message, frozen=True, tag="perform"):
    """A command from the controller, still sealed."""

    signed: Signed


class Performed(Message, frozen=True, tag="performed"):
    """`result` is None where the command was refused before it could be known."""

    result: CommandResult | None
    message: Sentence | None = None


class BeginPairing(Message, frozen=True, tag="begin-pairing"):
    """The controller's PairStart."""

    start: PairStart


class PairingBegun(Message, frozen=True, tag="pairing-begun"):
    """The station's offer."""

    offer: PairOffer


class EndPairing(Message, frozen=True, tag="end-pairing"):
    """The controller's PairFinish."""

    finish: PairFinish


class PairingEnded(Message, frozen=True, tag="pairing-ended"):
    """Everything is stored; an EnforcerState follows."""

    done: PairDone


class Refused(Message, frozen=True, tag="refused"):
    """The enforcer would not: one sentence, and after how many seconds a new try makes sense."""

    message: Sentence
    retry_after_s: float = 0


class Watch(Message, frozen=True, tag="watch"):
    """Send the state now and whenever it changes."""


class OpenUntil(Message, frozen=True):
    """The payment mode is open, until so many seconds since boot."""

    order: OrderId
    until_s: float


class EnforcerState(Message, frozen=True, tag="state"):
    """What the enforcer knows; the front makes the StatusReport of it and of its own facts.

    `lab` and `ca` (DER) are empty while unpaired.
    """

    station: str
    epoch: str
    lab: str
    ca: Blob
    profile: str
    desired_revision: int
    applied_revision: int
    conditions: tuple[Condition, ...]
    at: Utc
    phase: SessionPhase = "none"
    wipe: Proof | None = None
    session: SessionId | None = None
    payment: OpenUntil | None = None


class Leave(Message, frozen=True, tag="leave"):
    """`lab-agent unpair`: forget the lab. Taken from root only, not from the front."""


class Left(Message, frozen=True, tag="left"):
    """The station is unpaired, or was."""


class SpakeTask(Message, frozen=True):
    """To the pairing helper: the code on the screen, who we are, the pairing's id, the controller's half."""

    code: str
    station: str
    pairing: PairingId
    start: PairStart


class SpakeResult(Message, frozen=True):
    """From the pairing helper: the offer, or the identity (PEM: key, certificate), or why not."""

    offer: PairOffer | None = None
    identity: bytes = b""
    error: Sentence | None = None


Request = Deliver | Perform | BeginPairing | EndPairing | Watch | Leave
Reply = Delivered | Performed | PairingBegun | PairingEnded | Refused | Left | EnforcerState


class Call(Message, frozen=True):
    """One frame from the front; `number` comes back with the reply."""

    number: Annotated[int, msgspec.Meta(ge=1)]
    request: Request


class Return(Message, frozen=True):
    """One frame from the enforcer; number 0 is a state sent unasked."""

    number: Annotated[int, msgspec.Meta(ge=0)]
    reply: Reply
