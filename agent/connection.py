"""One peer's connection to the front's port: HTTP/1.1 by h11, a request read, answered, and the next.

What is served is a Door's; how much of us anybody may use are Limits. Whoever
speaks may be a stranger, so all of it has a limit and a deadline, and what goes
wrong is answered with a Fault of one sentence.
"""

import asyncio
import logging
import ssl
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, cast

import h11
import msgspec

from contract.exchange import Fault
from contract.sentence import Sentence, sentence
from contract.wire import encode

_log = logging.getLogger("lab-agent.front")

_PIECE = 1024


class Limits(msgspec.Struct, frozen=True):
    """How much of the front anybody may use; durations in seconds."""

    connections: int = 32
    per_peer: int = 8
    head_bytes: int = 8 * 1024
    ahead_bytes: int = 16 * 1024
    """What a peer may send while its request is being answered."""
    handshake_s: float = 5
    request_s: float = 10
    """From the first byte of a request to its last."""
    idle_s: float = 75
    linger_s: float = 2
    """How long a refused peer's bytes are thrown away, so that it gets to read why."""


class Reply(msgspec.Struct, frozen=True):
    """An answer: the HTTP status and the contract struct that is its body."""

    status: int
    body: Any
    retry_after_s: float = 0


class Call:
    """One request that is being answered."""

    def __init__(self, body: bytes) -> None:
        self.body = body
        self.waiting = False
        """Set by a handler while it only waits for news: then it may be cut off without loss."""


Handler = Callable[[Call], Awaitable[Reply]]


class Route(msgspec.Struct, frozen=True):
    """A path that takes POST with at most `longest` bytes of body."""

    handle: Handler
    longest: int


def anyone(peer: object) -> str:
    """Why a peer may not come in: no reason for anybody."""
    return ""


class Door(msgspec.Struct, frozen=True):
    """What the port is: its routes, and for TLS a context for each new connection and who may use it.

    `stranger` gets the peer's certificate (as getpeercert gives it) and says why it may not
    come in, or "". Without `context` the port speaks plain HTTP.
    """

    routes: Mapping[str, Route]
    context: Callable[[], ssl.SSLContext] | None = None
    stranger: Callable[[Any], str] = anyone


class Connection(asyncio.Protocol):
    """One peer's connection: reads a request, has it answered, and again."""

    def __init__(self, door: Door, peer: str, limits: Limits, say: Callable[..., None]) -> None:
        """`say` takes a kind, and a line of the log with its values."""
        self.door = door
        self.peer = peer
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.proven = False
        """Whether it passed the door or is being answered; others give way when it is full."""
        self._limits = limits
        self._say = say
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=self._limits.head_bytes)
        self._transport: asyncio.Transport | None = None
        self._certificate: Any = None
        self._route: Route | None = None
        self._body = bytearray()
        self._begun = False
        self._ahead = 0
        self._answering: asyncio.Future[Reply] | None = None
        self._call: Call | None = None
        self._last = False
        self._lingering = False
        self._deadline: asyncio.TimerHandle | None = None

    # The transport calls these.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        if self.door.context is not None:
            self._certificate = transport.get_extra_info("peercert")
            if not self._let_in():
                return
            self.proven = True
        self._due(self._limits.idle_s if self.proven else self._limits.request_s)

    def data_received(self, data: bytes) -> None:
        if self._lingering:
            return
        if self._answering is not None:
            self._ahead += len(data)
            if self._ahead > self._limits.ahead_bytes:
                self.abort()
                return
        elif not self._begun:
            self._begun = True
            self._due(self._limits.request_s)
        try:
            # h11 limits a head that is incomplete, so a head is given to it in small pieces.
            while data and self._http.their_state is h11.IDLE and not self._lingering:
                self._http.receive_data(data[:_PIECE])
                data = data[_PIECE:]
                self._advance()
            if data and not self._lingering:
                self._http.receive_data(data)
                self._advance()
        except h11.RemoteProtocolError as error:
            self._refuse(
                error.error_status_hint,
                sentence("That is not HTTP/1.1 as it should be: {detail}.", detail=str(error)),
            )

    def eof_received(self) -> bool | None:
        return None  # whoever hangs up waits for nothing: the transport is closed

    def connection_lost(self, exc: Exception | None) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
        if self._answering is not None:
            self._answering.cancel()
        if not self.ended.done():
            self.ended.set_result(None)

    # The server calls these.

    @property
    def made(self) -> bool:
        """Whether accept and handshake are behind it."""
        return self._transport is not None

    def cut(self) -> None:
        """Close now, or after the answer that is being made."""
        if self._answering is not None and self._call is not None and not self._call.waiting:
            self._last = True
        elif not self._lingering:
            self.abort()

    def abort(self) -> None:
        """Close at once; what was not sent yet is lost."""
        if self._transport is not None:
            self._transport.abort()

    # One request.

    def _advance(self) -> None:
        """Take what h11 has understood so far."""
        while self._answering is None and not self._lingering:
            event = self._http.next_event()
            if isinstance(event, h11.Request):
                self._begin(event)
            elif isinstance(event, h11.Data):
                self._body += event.data
                if self._route is not None and len(self._body) > self._route.longest:
                    self._refuse(413, _too_long(self._route))
            elif isinstance(event, h11.EndOfMessage):
                self._answer()
            else:  # NEED_DATA, PAUSED, ConnectionClosed
                if self._http.they_are_waiting_for_100_continue and not self._lingering:
                    self._send(h11.InformationalResponse(status_code=100, headers=[]))
                return

    def _begin(self, request: h11.Request) -> None:
        """The head of a request: whether it is worth reading the rest."""
        if self.door.context is not None and not self._let_in():
            return
        path = request.target.partition(b"?")[0].decode("ascii", "replace")
        route = self.door.routes.get(path)
        headers = dict(request.headers)
        if route is None:
            self._refuse(404, sentence("There is nothing at this path."))
        elif request.method != b"POST":
            self._refuse(405, sentence("This path takes POST only."), (("Allow", "POST"),))
        elif b"content-length" not in headers or b"transfer-encoding" in headers:
            self._refuse(411, sentence("Send the body with a Content-Length."))
        elif int(headers[b"content-length"]) > route.longest:
            self._refuse(413, _too_long(route))
        else:
            self._route = route

    def _answer(self) -> None:
        """The request is complete: start its handler."""
        if self._route is None:
            return
        self._due(None)
        self._begun = False
        self._call = Call(bytes(self._body))
        self._body.clear()
        self._ahead = 0
        self.proven = True
        self._answering = asyncio.ensure_future(self._route.handle(self._call))
        self._answering.add_done_callback(self._answered)

    def _answered(self, task: "asyncio.Future[Reply]") -> None:
        if task.cancelled():
            return
        self._answering = self._call = None
        try:
            reply = task.result()
            body = encode(reply.body)
        except Exception:  # noqa: BLE001  # a bug is the peer's 500 and a traceback in the journal
            _log.exception("a request could not be answered")
            reply = Reply(500, Fault(sentence("The station could not answer; see its journal.")))
            body = encode(reply.body)
        if self._transport is None or self._transport.is_closing():
            return
        self.proven = self.door.context is not None
        headers = [("Retry-After", str(max(1, round(reply.retry_after_s))))] if reply.retry_after_s else []
        self._respond(reply.status, body, headers)
        if self._last or self._http.our_state is not h11.DONE:
            self._linger()
            return
        self._http.start_next_cycle()
        self._due(self._limits.idle_s)
        try:
            self._advance()  # what came meanwhile
        except h11.RemoteProtocolError:
            self.abort()

    def _refuse(self, status: int, why: Sentence, headers: tuple[tuple[str, str], ...] = ()) -> None:
        """Answer with a Fault and have done with this connection."""
        self._last = True
        if self._http.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            self._respond(status, encode(Fault(why)), list(headers))
        self._linger()

    def _respond(self, status: int, body: bytes, headers: list[tuple[str, str]]) -> None:
        headers += [("Content-Type", "application/json"), ("Content-Length", str(len(body)))]
        if self._last:
            headers.append(("Connection", "close"))
        self._send(h11.Response(status_code=status, headers=headers), h11.Data(data=body), h11.EndOfMessage())

    def _send(self, *events: h11.Event) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(b"".join(self._http.send(event) or b"" for event in events))

    def _linger(self) -> None:
        """The last answer is out: let the peer read it and hang up; then hang up ourselves."""
        self._lingering = True
        self._due(self._limits.linger_s)
        if self._transport is not None and self._transport.can_write_eof():
            self._transport.write_eof()

    def _let_in(self) -> bool:
        why = self.door.stranger(self._certificate)
        if why:
            self._say("stranger", "%s was not let in: %s", self.peer, why)
            self.abort()
        return not why

    def _due(self, seconds: float | None) -> None:
        """End the connection after this time, unless asked again before."""
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
        if seconds is not None:
            self._deadline = asyncio.get_running_loop().call_later(seconds, self.abort)


def _too_long(route: Route) -> Sentence:
    return sentence("The body is too long; {count} bytes are the limit.", count=route.longest)
