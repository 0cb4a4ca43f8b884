"""The front's port: HTTP/1.1 by h11 on asyncio, with or without mutual TLS, for very few peers.

Whoever is on the LAN may connect, so everything has a limit and a deadline: how
many connections, from one address and in all; how long a handshake, a request
and a pause may take; how long head and body may be. What goes wrong is answered
with a Fault of one sentence. The server knows nothing of what it serves: a Door
says what the port is at the moment, and may be changed while it is open.
"""

import asyncio
import logging
import socket
import ssl
from asyncio import sslproto
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, cast

import h11
import msgspec

from contract.exchange import Fault
from contract.sentence import Sentence, sentence
from contract.wire import encode

_log = logging.getLogger("lab-agent.front")

_PIECE = 1024

# asyncio gives each TLS connection a buffer of 256 KiB; a TLS record has 16 KiB at most.
sslproto.SSLProtocol.max_size = 16 * 1024


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


class Server:
    """Accepts and serves connections on any number of listening sockets."""

    def __init__(self, limits: Limits | None = None, may_use: Callable[[str], bool] | None = None) -> None:
        """`may_use` gets the local address of a connection and says whether it may come in there."""
        self.limits = limits or Limits()
        self._may_use = may_use
        self._loop = asyncio.get_running_loop()
        self._listeners: list[socket.socket] = []
        self._connections: dict[_Connection, asyncio.Task[None]] = {}
        self._door: Door | None = None
        self._said: dict[str, float] = {}

    def listen(self, listener: socket.socket) -> None:
        """Accept connections on a bound socket; the server closes it."""
        listener.setblocking(False)
        listener.listen(64)
        self._listeners.append(listener)
        self._loop.add_reader(listener, self._accept, listener)

    def open(self, door: Door | None) -> None:
        """From now on the port is `door`; None is shut. Who came through another one is cut off.

        A request that is being answered keeps its connection until its answer
        is out, unless it only waits.
        """
        self._door = door
        self.cut()

    def cut(self) -> None:
        """Close every connection (once its answer is out), so that each peer is checked anew."""
        for connection, task in list(self._connections.items()):
            if connection.made:
                connection.cut()
            else:
                task.cancel()

    async def close(self) -> None:
        """Stop listening and end every connection."""
        for listener in self._listeners:
            self._loop.remove_reader(listener)
            listener.close()
        self._listeners.clear()
        tasks = list(self._connections.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def say(self, kind: str, message: str, *args: object) -> None:
        """Log what a peer did, once a minute for each kind: the journal is not theirs to fill."""
        now = self._loop.time()
        if now >= self._said.get(kind, now):
            self._said[kind] = now + 60
            _log.warning(message, *args)

    def _accept(self, listener: socket.socket) -> None:
        for _ in range(16):
            try:
                accepted, address = listener.accept()
            except OSError:  # none waiting any more, gone already, or too many open files
                return
            door, peer = self._door, _plain(address[0])
            local = _plain(accepted.getsockname()[0])
            elsewhere = self._may_use is not None and not self._may_use(local)
            if door is None or elsewhere or not self._room_for(peer):
                accepted.close()
                continue
            accepted.setblocking(False)
            connection = _Connection(self, door, peer)
            task = self._loop.create_task(self._run(connection, accepted))
            self._connections[connection] = task

    def _room_for(self, peer: str) -> bool:
        if sum(other.peer == peer for other in self._connections) >= self.limits.per_peer:
            self.say("per-peer", "%s has too many connections; the next ones are refused", peer)
            return False
        if len(self._connections) < self.limits.connections:
            return True
        # Many liars have filled it: the oldest of those who have proved nothing gives way.
        self.say("full", "all %d connections are taken; unproven ones give way", self.limits.connections)
        for other, task in self._connections.items():
            if not other.proven:
                task.cancel()
                del self._connections[other]
                return True
        return False

    async def _run(self, connection: "_Connection", accepted: socket.socket) -> None:
        """One connection from accept to end; never raises."""
        try:
            context = connection.door.context() if connection.door.context else None
            await self._loop.connect_accepted_socket(
                lambda: connection,
                accepted,
                ssl=context,
                ssl_handshake_timeout=self.limits.handshake_s if context else None,
                ssl_shutdown_timeout=self.limits.linger_s if context else None,
            )
            await connection.ended
        except OSError as error:
            # ssl.SSLError among them: a handshake that was refused or took too long.
            self.say("handshake", "%s was not let in: %s", connection.peer, error)
        finally:
            connection.abort()
            accepted.close()
            self._connections.pop(connection, None)


class _Connection(asyncio.Protocol):
    """One peer's connection: reads a request, has it answered, and again."""

    def __init__(self, server: Server, door: Door, peer: str) -> None:
        self.server = server
        self.door = door
        self.peer = peer
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.proven = False
        """Whether it passed the door or is being answered; others give way when it is full."""
        self._limits = server.limits
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
            self.server.say("stranger", "%s was not let in: %s", self.peer, why)
            self.abort()
        return not why

    def _due(self, seconds: float | None) -> None:
        """End the connection after this time, unless asked again before."""
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
        if seconds is not None:
            self._deadline = asyncio.get_running_loop().call_later(seconds, self.abort)


def _plain(address: str) -> str:
    """An IPv4 address that came through an IPv6 socket, as IPv4."""
    return address.removeprefix("::ffff:").partition("%")[0]


def _too_long(route: Route) -> Sentence:
    return sentence("The body is too long; {count} bytes are the limit.", count=route.longest)
