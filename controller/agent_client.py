"""Talking HTTP to one agent: mutual TLS for the exchange, plain HTTP for pairing only.

A station is reached by address and known by the name in its certificate, which
OpenSSL compares while it shakes hands. Whatever goes wrong comes back as a
`Failure` with a sentence; nothing that an agent sends raises here. An agent may
cost one thread a bounded time and a bounded number of bytes, no more.
"""

import socket
import ssl
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from http.client import HTTPException, IncompleteRead, RemoteDisconnected
from types import TracebackType
from typing import Any, Literal, Self, TypeVar

import requests
from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection

from contract import wire
from contract.exchange import EXCHANGE_PATH, Answer, Ask, Fault
from contract.identity import DEFAULT_PORT, station_name
from contract.pairing import PAIR_FINISH_PATH, PAIR_START_PATH, PairDone, PairFinish, PairOffer, PairStart
from contract.wire import MAX_MESSAGE_BYTES, ContractError

CONNECT_S = 3.0
ANSWER_S = 6.0
"""How long an agent may take to shake hands, and for an answer beyond what it may hold."""
PAIRING_S = 20.0
"""SPAKE2 in pure Python and a new key on an old PC take seconds."""

FailureKind = Literal["away", "untrusted", "refused", "garbage"]
T = TypeVar("T")


@dataclass(frozen=True)
class Failure:
    """Why there is no answer, in a sentence.

    "away": nobody answers there. "untrusted": somebody does who cannot prove to
    be the station. "refused": the station said no (`status`, its own words).
    "garbage": what came is not of the contract.
    """

    kind: FailureKind
    message: str
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


@dataclass(frozen=True)
class Peer:
    """Who must be at the other end, and the TLS context that makes sure of it."""

    lab: str
    station: str
    tls: ssl.SSLContext


def parse_address(text: str) -> Address | None:
    """`host`, `host:port`, `[v6]:port` or a bare IPv6 address; None where it is none of them."""
    host, port = text, str(DEFAULT_PORT)
    if text.startswith("["):
        host, bracket, rest = text[1:].partition("]")
        if not bracket or (rest and not rest.startswith(":")):
            return None
        port = rest[1:] or port
    elif text.count(":") == 1:
        host, _, port = text.partition(":")
    if not host or not port.isascii() or not port.isdigit() or not 0 < int(port) < 65536:
        return None
    return Address(host, int(port))


class Reaper:
    """Cuts lines whose time is over: one thread for all of them.

    Each read of a socket has a timeout of its own, but one byte a second
    passes that for ever; so the whole round has an end as well.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._ends: dict[_Line, float] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="reaper", daemon=True)
        self._thread.start()

    def arm(self, line: "_Line", seconds: float) -> None:
        """Cut `line` if it is not disarmed within so many seconds (to the next full second)."""
        with self._lock:
            self._ends[line] = time.monotonic() + seconds

    def disarm(self, line: "_Line") -> None:
        """The round is over."""
        with self._lock:
            self._ends.pop(line, None)

    def close(self) -> None:
        """End the thread."""
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.wait(1.0):
            now = time.monotonic()
            with self._lock:
                due = [line for line, end in self._ends.items() if end <= now]
                for line in due:
                    del self._ends[line]
            for line in due:
                line.cut()


class _Line:
    """The socket of a connection, so that another thread can cut it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._socket: socket.socket | None = None
        self._cut = False
        self.count = 0

    def opened(self, sock: socket.socket) -> None:
        with self._lock:
            self.count += 1
            self._socket = sock
            if self._cut:
                _shut(sock)

    @property
    def is_cut(self) -> bool:
        with self._lock:
            return self._cut

    def start(self) -> None:
        with self._lock:
            self._cut = False

    def cut(self) -> None:
        with self._lock:
            self._cut = True
            if self._socket is not None:
                _shut(self._socket)


def _shut(sock: socket.socket) -> None:
    try:
        # The plain socket below TLS: shutdown of an SSLSocket would wait for its reader.
        socket.socket.shutdown(sock, socket.SHUT_RDWR)
    except OSError:
        return  # closed already: what was wanted


class _PinnedAdapter(HTTPAdapter):
    """One pool to one address, with our TLS context as it is.

    requests would add the public CAs to the context's trust; here nobody does.
    """

    def __init__(self, pool: HTTPConnectionPool) -> None:
        super().__init__()
        self._pool = pool

    def get_connection_with_tls_context(self, *_: Any, **__: Any) -> HTTPConnectionPool:
        """The one pool, whatever the URL says."""
        return self._pool

    def cert_verify(self, *_: Any, **__: Any) -> None:
        """Nothing to add: the context verifies."""

    def close(self) -> None:
        """Close the pool's connections."""
        self._pool.close()
        super().close()


class AgentClient:
    """One keep-alive connection to one agent. One thread asks; any other may `cut`."""

    def __init__(self, address: Address, reaper: Reaper, peer: Peer | None = None) -> None:
        """With `peer`, that station must be at `address`; without, plain HTTP for pairing."""
        self.address = address
        self.stumbled = False
        self._closed = False
        self._reaper = reaper
        self._line = _Line()
        self._url = f"{'https' if peer else 'http'}://{address}"
        # No Session: no proxy, netrc, cookie or redirect stands between a lab's server and its PCs,
        # and a round costs a third less.
        self._adapter = _PinnedAdapter(_pool(address, self._line, peer))
        self._request = requests.Request("POST", self._url, {"Content-Type": "application/json"}).prepare()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End what is under way, from any thread, and do nothing more."""
        self._closed = True
        self._line.cut()
        self._adapter.close()

    def cut(self) -> None:
        """End what is under way, from another thread: it fails as "away", or is tried anew."""
        self._line.cut()

    def exchange(self, ask: Ask) -> Answer | Failure:
        """One round. Takes at most CONNECT_S + hold + ANSWER_S seconds, twice that after a stumble.

        A kept connection may have died while nobody looked: where it fails, the
        round is tried again on a new one (it is idempotent), and `stumbled` set.
        """
        answer_s = ask.hold_s + ANSWER_S
        before = self._line.count
        result = self._post(EXCHANGE_PATH, ask, Answer, answer_s)
        stale = isinstance(result, Failure) and result.kind == "away" and 0 < before == self._line.count
        self.stumbled = stale and not self._closed
        return self._post(EXCHANGE_PATH, ask, Answer, answer_s) if self.stumbled else result

    def start_pairing(self, start: PairStart) -> PairOffer | Failure:
        """The first half of pairing."""
        return self._post(PAIR_START_PATH, start, PairOffer, PAIRING_S)

    def finish_pairing(self, finish: PairFinish) -> PairDone | Failure:
        """The second half of pairing."""
        return self._post(PAIR_FINISH_PATH, finish, PairDone, PAIRING_S)

    def _post(self, path: str, message: Any, kind: type[T], answer_s: float) -> T | Failure:
        self._line.start()
        if self._closed:
            return Failure("away", f"{self.address} is not asked any more.")
        self._reaper.arm(self._line, CONNECT_S + answer_s)
        try:
            status, body = self._round(path, wire.encode(message), answer_s)
        except (requests.RequestException, OSError, ValueError) as error:
            failure = failure_of(error, self.address)
            return failure if not self._line.is_cut else Failure("away", f"{self.address} took too long.")
        finally:
            self._reaper.disarm(self._line)
        if self._line.is_cut:  # what was read until then may look like an answer
            return Failure("away", f"{self.address} took too long.")
        if len(body) > MAX_MESSAGE_BYTES:
            self._line.cut()
            return Failure("garbage", f"It answered with more than {MAX_MESSAGE_BYTES} bytes.")
        return _read(status, body, kind)

    def _round(self, path: str, body: bytes, answer_s: float) -> tuple[int, bytes]:
        request = self._request.copy()
        request.url = self._url + path
        request.body = body
        request.headers["Content-Length"] = str(len(body))
        response = self._adapter.send(request, stream=True, timeout=(CONNECT_S, answer_s))
        with response:
            # Undecoded: nobody asked for compression, and a small answer must not become a large one.
            data = response.raw.read(MAX_MESSAGE_BYTES + 1, decode_content=False)
            return response.status_code, data


def _pool(address: Address, line: _Line, peer: Peer | None) -> HTTPConnectionPool:
    class PlainConnection(HTTPConnection):
        def connect(self) -> None:
            super().connect()
            line.opened(self.sock)

    class TlsConnection(HTTPSConnection):
        def connect(self) -> None:
            super().connect()
            line.opened(self.sock)

    if peer is None:
        plain = HTTPConnectionPool(address.host, address.port, maxsize=1, retries=False)
        plain.ConnectionCls = PlainConnection
        return plain
    pool = HTTPSConnectionPool(
        address.host,
        address.port,
        maxsize=1,
        retries=False,
        ssl_context=peer.tls,
        cert_reqs="CERT_REQUIRED",
        # Not assert_hostname: that would make urllib3 compare in Python and switch OpenSSL's check off.
        server_hostname=station_name(peer.lab, peer.station),
    )
    pool.ConnectionCls = TlsConnection
    return pool


def _read(status: int, body: bytes, kind: type[T]) -> T | Failure:
    if status == 200:
        try:
            return wire.decode(kind, body)
        except ContractError as error:
            return Failure("garbage", f"Its answer is not of the contract: {_clip(str(error))}.")
    try:
        said = _clip(wire.decode(Fault, body).error)
    except ContractError:
        said = f"HTTP status {status}"
    return Failure("refused", said, status)


_VERIFICATION: tuple[tuple[str, str], ...] = (
    ("hostname mismatch", "has the certificate of another PC"),
    ("certificate revoked", "has a certificate that was revoked"),
    ("certificate has expired", "has a certificate that has expired"),
    ("unsuitable certificate purpose", "has a certificate that is not a station's"),
    ("unsupported certificate purpose", "has a certificate that is not a station's"),
    ("self-signed certificate", "has a certificate it made itself"),
    ("unable to get local issuer", "has a certificate of another lab"),
    ("certificate signature failure", "has a certificate of another lab"),
    ("unable to get certificate crl", "has a certificate of another lab"),
)
"""OpenSSL's verification errors (X509_verify_cert_error_string), and what they mean here."""

_ALERTS: tuple[tuple[str, str], ...] = (
    ("WRONG_VERSION_NUMBER", "does not speak TLS: it may be waiting to be paired, or be something else"),
    ("HTTP_REQUEST", "does not speak TLS: it may be waiting to be paired, or be something else"),
    ("PROTOCOL_VERSION", "speaks an old TLS only"),
    ("UNKNOWN_CA", "belongs to another lab: it refuses this lab's certificate"),
    ("CERTIFICATE_REVOKED", "says that the server's certificate was revoked"),
    ("CERTIFICATE_EXPIRED", "says that the server's certificate has expired; look at the clocks of both"),
    ("CERTIFICATE", "refuses the server's certificate"),
)
"""OpenSSL's reasons (SSL_R_...) for a handshake that failed otherwise."""


def failure_of(error: Exception, address: Address) -> Failure:
    """What an error of requests, or of a socket, means for the technician."""
    chain = tuple(_chain(error))
    for one in chain:
        if isinstance(one, ssl.SSLError) and not isinstance(one, ssl.SSLEOFError | ssl.SSLZeroReturnError):
            return Failure("untrusted", f"What answers at {address} {_untrusted(one)}.")
    if any(isinstance(one, TimeoutError | requests.Timeout) for one in chain):
        return Failure("away", f"No answer from {address}.")
    if any(isinstance(one, socket.gaierror) for one in chain):
        return Failure("away", f'The name "{address.host}" is not known on this network.')
    for one in chain:
        if isinstance(one, ConnectionRefusedError):
            return Failure("away", f"Nothing listens at {address}.")
        if isinstance(one, OSError) and one.errno and not isinstance(one, ConnectionError | ssl.SSLError):
            return Failure("away", f"{address} cannot be reached: {(one.strerror or str(one)).lower()}.")
        if isinstance(one, HTTPException) and not isinstance(one, RemoteDisconnected | IncompleteRead):
            return Failure("garbage", f"What answers at {address} does not speak HTTP.")
    return Failure("away", f"{address} closed the connection.", closed=True)


def _untrusted(error: ssl.SSLError) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        text = error.verify_message.lower()
        return next((means for part, means in _VERIFICATION if part in text), f"fails the check: {text}")
    reason = error.reason or "no reason given"
    return next((means for part, means in _ALERTS if part in reason), f"broke off the handshake ({reason})")


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


def _clip(text: str) -> str:
    """At most a line of a peer's words, printable."""
    clean = "".join(c if c.isprintable() else " " for c in text[:300]).strip()
    return clean.rstrip(".")
