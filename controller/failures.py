"""Where an agent is, and why it does not answer, in a sentence for the technician."""

import socket
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from http.client import HTTPException, IncompleteRead, RemoteDisconnected
from typing import Literal

from contract.identity import DEFAULT_PORT
from contract.sentence import Sentence, sentence, system_words
from controller.words import _, mark

FailureKind = Literal["away", "untrusted", "refused", "garbage"]


@dataclass(frozen=True)
class Failure:
    """Why there is no answer.

    "away": nobody answers there. "untrusted": somebody does who cannot prove to
    be the station. "refused": the station said no (`status`, its own words).
    "garbage": what came is not of the contract.
    """

    kind: FailureKind
    message: Sentence
    status: int = 0
    closed: bool = False
    """"away": it was there and closed the connection."""


@dataclass(frozen=True)
class Address:
    """Where an agent listens."""

    host: str
    port: int = DEFAULT_PORT

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


def parse_address(text: str) -> Address | None:
    """`host`, `host:port`, `[v6]:port` or a bare IPv6 address; None where it is none of them."""
    host, port = text, str(DEFAULT_PORT)
    if text.startswith("["):
        host, bracket, rest = text[1:].partition("]")
        if not bracket or (rest and not rest.startswith(":")):
            return None
        port = rest[1:] or port
    elif text.count(":") == 1:
        host, _colon, port = text.partition(":")
    if not host or not port.isascii() or not port.isdigit() or not 0 < int(port) < 65536:
        return None
    return Address(host, int(port))


_VERIFICATION: tuple[tuple[str, str], ...] = (
    ("hostname mismatch", mark("What answers at {address} has the certificate of another PC.")),
    ("certificate revoked", mark("What answers at {address} has a certificate that was revoked.")),
    ("certificate has expired", mark("What answers at {address} has a certificate that has expired.")),
    ("certificate purpose", mark("What answers at {address} has a certificate that is not a station's.")),
    ("self-signed certificate", mark("What answers at {address} has a certificate it made itself.")),
    ("unable to get local issuer", mark("What answers at {address} has a certificate of another lab.")),
    ("certificate signature failure", mark("What answers at {address} has a certificate of another lab.")),
    ("unable to get certificate crl", mark("What answers at {address} has a certificate of another lab.")),
)
"""OpenSSL's verification errors (X509_verify_cert_error_string), and what they mean here."""

_NO_TLS = mark("What answers at {address} does not speak TLS: it may be waiting to be paired.")
_ALERTS: tuple[tuple[str, str], ...] = (
    ("WRONG_VERSION_NUMBER", _NO_TLS),
    ("HTTP_REQUEST", _NO_TLS),
    ("PROTOCOL_VERSION", mark("What answers at {address} speaks an old TLS only.")),
    ("UNKNOWN_CA", mark("What answers at {address} belongs to another lab and refuses this one.")),
    (
        "CERTIFICATE_REVOKED",
        mark("What answers at {address} says that the server's certificate was revoked."),
    ),
    (
        "CERTIFICATE_EXPIRED",
        mark("What answers at {address} says that the server's certificate has expired."),
    ),
    ("CERTIFICATE", mark("What answers at {address} refuses the server's certificate.")),
)
"""OpenSSL's reasons (SSL_R_...) for a handshake that failed otherwise."""


def failure_of(error: Exception, address: Address) -> Failure:
    """What an error of the HTTP library, of TLS or of a socket means for the technician."""
    chain = tuple(_chain(error))
    for one in chain:
        if isinstance(one, ssl.SSLError) and not isinstance(one, ssl.SSLEOFError | ssl.SSLZeroReturnError):
            return Failure("untrusted", _untrusted(one, address))
    if any(isinstance(one, TimeoutError) for one in chain):
        return Failure("away", sentence("No answer from {address}.", address=str(address)))
    if any(isinstance(one, socket.gaierror) for one in chain):
        return Failure("away", sentence('The name "{name}" is not known on this network.', name=address.host))
    for one in chain:
        if isinstance(one, ConnectionRefusedError):
            return Failure("away", sentence("Nothing listens at {address}.", address=str(address)))
        if isinstance(one, OSError) and one.errno and not isinstance(one, ConnectionError | ssl.SSLError):
            text = sentence(
                "{address} cannot be reached: {why}.", address=str(address), why=system_words(one)
            )
            return Failure("away", text)
        if isinstance(one, HTTPException) and not isinstance(one, RemoteDisconnected | IncompleteRead):
            text = sentence("What answers at {address} does not speak HTTP.", address=str(address))
            return Failure("garbage", text)
    return Failure("away", sentence("{address} closed the connection.", address=str(address)), closed=True)


def _untrusted(error: ssl.SSLError, address: Address) -> Sentence:
    if isinstance(error, ssl.SSLCertVerificationError):
        table, reason = _VERIFICATION, error.verify_message.lower()
    else:
        table, reason = _ALERTS, error.reason or ""
    meaning = next((means for part, means in table if part in reason), None)
    if meaning is not None:
        return sentence(meaning, address=str(address))
    return sentence(
        "What answers at {address} broke off the handshake: {reason}.",
        address=str(address),
        reason=reason or "?",
    )


def _chain(error: BaseException) -> Iterator[BaseException]:
    """An error and all that it was made of: urllib3 and requests keep causes in args as well."""
    todo: list[object] = [error]
    seen: set[int] = set()
    while todo:
        one = todo.pop(0)
        if not isinstance(one, BaseException) or id(one) in seen:
            continue
        seen.add(id(one))
        yield one
        todo += [one.__cause__, one.__context__, getattr(one, "reason", None), *one.args]


LONGEST_WORDS = 500
"""Characters of one of a peer's sentences that are shown: more than any of ours has."""


def printable(text: str) -> str:
    """A peer's words as one line without control characters: nothing that a terminal would obey."""
    return "".join(c if c.isprintable() else " " for c in text[:LONGEST_WORDS])


def in_words(said: Sentence) -> str:
    """A sentence, a peer's or our own, in the reader's language and printable."""
    return printable(said.said(_))


def clip(text: str) -> str:
    """At most a line of a peer's words, printable, without its full stop."""
    return printable(text[:300]).strip().rstrip(".")
