"""What the front asks of its short-lived helper: everything that needs to look into certificates.

One task on standard input, one Paper on standard output, both as JSON.
"""

from contract.pairing import Blob
from contract.sentence import Sentence
from contract.wire import Message


class MakeRequest(Message, frozen=True, tag="make-request"):
    """A new key and a signing request for it. Paper: `pem` is the key, `der` the request."""

    station: str


class CheckCertificate(Message, frozen=True, tag="check-certificate"):
    """Is `certificate` (DER) the CA's, for `name` and the key in `key_pem`? Paper: `pem`, the identity."""

    certificate: bytes
    ca: Blob
    name: str
    key_pem: bytes


class CheckRevocations(Message, frozen=True, tag="check-revocations"):
    """Is `revocations` (DER) signed by the CA? Paper: `pem`, the list, and `number`, its CRL number."""

    revocations: bytes
    ca: Blob


Task = MakeRequest | CheckCertificate | CheckRevocations


class Paper(Message, frozen=True):
    """What came of a task; where there is an `error`, nothing else counts."""

    pem: bytes = b""
    der: bytes = b""
    number: int = 0
    error: Sentence | None = None
