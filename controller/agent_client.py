"""Talking HTTP to one agent: mutual TLS for the exchange, plain HTTP for pairing only.

A station is reached by address and known by the name in its certificate, which
OpenSSL compares while it shakes hands. Whatever goes wrong comes back as a
`Failure` with a sentence; nothing that an agent sends raises here. An agent may
cost one thread a bounded time and a bounded number of bytes, no more.
"""

import socket
import ssl
import struct
import threading
import time
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self, TypeVar

import requests
from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import HTTPError

from contract import wire
from contract.exchange import EXCHANGE_PATH, Answer, Ask, Fault
from contract.identity import station_name
from contract.pairing import PAIR_FINISH_PATH, PAIR_START_PATH, PairDone, PairFinish, PairOffer, PairStart
from contract.sentence import sentence
from contract.wire import MAX_MESSAGE_BYTES, ContractError
from controller.failures import Address, Failure, clip, failure_of

CONNECT_S = 3.0
ANSWER_S = 6.0
"""How long an agent may take to shake hands, and for an answer beyond what it may hold."""
PAIRING_S = 20.0
"""SPAKE2 in pure Python and a new key on an old PC take seconds."""

T = TypeVar("T")


@dataclass(frozen=True)
class Peer:
    """Who must be at the other end, and the TLS context that makes sure of it."""

    lab: str
    station: str
    tls: ssl.SSLContext


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
        # What is unsent is thrown away at the close: a PC whose cable comes back must not get an old message.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
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
        """One round. Takes at most CONNECT_S + hold + ANSWER_S seconds.

        `stumbled` says that it failed on a kept connection, which may have died
        while nobody looked: asking again, on a new one, is then worth it.
        """
        before = self._line.count
        result = self._post(EXCHANGE_PATH, ask, Answer, ask.hold_s + ANSWER_S)
        away = isinstance(result, Failure) and result.kind == "away"
        self.stumbled = away and 0 < before == self._line.count and not self._closed
        return result

    def start_pairing(self, start: PairStart) -> PairOffer | Failure:
        """The first half of pairing."""
        return self._post(PAIR_START_PATH, start, PairOffer, PAIRING_S)

    def finish_pairing(self, finish: PairFinish) -> PairDone | Failure:
        """The second half of pairing."""
        return self._post(PAIR_FINISH_PATH, finish, PairDone, PAIRING_S)

    def _post(self, path: str, message: Any, kind: type[T], answer_s: float) -> T | Failure:
        self._line.start()
        if self._closed:
            return Failure("away", sentence("{address} is not asked any more.", address=str(self.address)))
        self._reaper.arm(self._line, CONNECT_S + answer_s)
        try:
            status, body = self._round(path, wire.encode(message), answer_s)
        # HTTPError: the body is read from urllib3 itself, whose errors are none of requests' there.
        except (requests.RequestException, HTTPError, OSError, ValueError) as error:
            failure = failure_of(error, self.address)
            return self._too_slow() if self._line.is_cut else failure
        finally:
            self._reaper.disarm(self._line)
        if self._line.is_cut:  # what was read until then may look like an answer
            return self._too_slow()
        if len(body) > MAX_MESSAGE_BYTES:
            self._line.cut()
            text = sentence("It answered with more than {limit} bytes.", limit=MAX_MESSAGE_BYTES)
            return Failure("garbage", text)
        return _read(status, body, kind)

    def _too_slow(self) -> Failure:
        return Failure("away", sentence("{address} took too long.", address=str(self.address)))

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
            text = sentence("Its answer is not of the contract: {detail}.", detail=clip(str(error)))
            return Failure("garbage", text)
    try:
        said = wire.decode(Fault, body).error
    except ContractError:
        said = sentence("HTTP status {status}", status=status)
    return Failure("refused", said, status)
