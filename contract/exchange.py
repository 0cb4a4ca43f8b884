"""The exchange: one request of the controller, both ways in one round.

The controller posts an Ask to `/v1/exchange`; the agent answers with an Answer.
It is idempotent: the same Ask twice does nothing more than once.
"""

from typing import Annotated, Any, Literal

import msgspec

from contract.desired import Revision
from contract.identity import LabId, PairingId, StationId
from contract.payment import PaymentOrder
from contract.sentence import Sentence
from contract.status import StatusReport
from contract.wire import Message, Utc

_COUNT_DIGITS = 18
"""More of them are no count; so many always fit a machine word."""

EXCHANGE_PATH = "/v1/exchange"

CommandId = Annotated[str, msgspec.Meta(pattern=r"\A[0-9a-f]{32}\Z")]
CommandKind = Literal[
    "unpair", "session-start", "session-end", "call-answer", "payment-open", "payment-close"
]


class Signed(Message, frozen=True):
    """Bytes that the lab stands for: an Ed25519 signature by the lab's signing key over `payload`.

    The payload stays as bytes until the signature was checked: nothing that
    may be forged is parsed by a process with rights.
    """

    payload: bytes
    signature: Annotated[bytes, msgspec.Meta(min_length=64, max_length=64)]


class Command(Message, frozen=True):
    """Something to be done once on one station, however often it arrives, in one of its pairings only."""

    contract: int
    id: CommandId
    lab: LabId
    station: StationId
    pairing: PairingId
    issued_at: Utc
    kind: CommandKind
    """A session has the id of the command that started it."""
    payment: PaymentOrder | None = None
    """With `payment-open` only."""


class CommandResult(Message, frozen=True):
    """What came of a command; the same again whenever the command arrives again."""

    id: CommandId
    done: bool
    message: Sentence


class Position(Message, frozen=True):
    """A place in a station's outbox. `epoch` names the journal: a re-imaged PC has another."""

    epoch: str
    sequence: Annotated[int, msgspec.Meta(ge=0)]


class OutboxItem(Message, frozen=True):
    """One message that must arrive once; `body` is a struct of contract.usage."""

    position: Position
    body: Any


class Ask(Message, frozen=True):
    """What the controller says and wants to know.

    `hold_s`: how long the agent may wait for news before it answers; 0 is at
    once. `seen`: the `news` of the last Answer; the agent waits only while its
    own is equal. `revocations`: the lab's certificate revocation list (DER),
    sent when the agent's `revocation_number` is behind. `certificate`: the
    renewed certificate (DER) for the signing request the agent sent.
    """

    contract: int
    at: Utc
    hold_s: Annotated[float, msgspec.Meta(ge=0, le=60)] = 0
    seen: str = ""
    desired: Signed | None = None
    commands: Annotated[tuple[Signed, ...], msgspec.Meta(max_length=16)] = ()
    ack_through: Position | None = None
    revocations: bytes | None = None
    certificate: bytes | None = None


class Refusal(Message, frozen=True):
    """Something in the Ask that the station would not take, and why, in a sentence."""

    what: Literal["desired", "command", "certificate", "revocations"]
    message: Sentence
    revision: Revision | None = None


class Answer(Message, frozen=True):
    """What the station is and has to say.

    `news` changes whenever something a technician would want to see at once
    changed (a revision, a condition, the state), not with every load figure. It
    is `RUN-COUNT`: of two answers of one run the higher count is the later.
    """

    contract: int
    station: StationId
    epoch: str
    news: str
    status: StatusReport
    outbox: tuple[OutboxItem, ...] = ()
    results: tuple[CommandResult, ...] = ()
    refusals: tuple[Refusal, ...] = ()
    revocation_number: int = 0
    certificate_expires: Utc | None = None
    signing_request: bytes | None = None
    """DER of a PKCS #10 request, when the station's certificate wants renewing."""


def is_older(news: str, than: str) -> bool:
    """Whether an Answer with the word `news` is certainly older than one with the word `than`.

    There are two connections to a station, so its answers may overtake one another.
    """
    (run, dash, count), (other_run, _, other) = news.rpartition("-"), than.rpartition("-")
    countable = all(len(one) <= _COUNT_DIGITS and one.isdecimal() for one in (count, other))
    return bool(dash) and run == other_run and countable and int(count) < int(other)


class Fault(Message, frozen=True):
    """The body of every answer that is not 200: one sentence, no traceback."""

    error: Sentence
