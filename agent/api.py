"""The front's port, with or without mutual TLS, for very few peers.

Whoever is on the LAN may connect, so there are limits: how many connections,
from one address and in all; how long a handshake may take. The server knows
nothing of what it serves: a Door says what the port is at the moment, and may
be changed while it is open. What a peer says there is agent/connection.py's.
"""

import asyncio
import logging
import socket
from asyncio import sslproto
from collections.abc import Callable

from agent.connection import Connection, Door, Limits

_log = logging.getLogger("lab-agent.front")

# asyncio gives each TLS connection a buffer of 256 KiB; a TLS record has 16 KiB at most.
sslproto.SSLProtocol.max_size = 16 * 1024


class Server:
    """Accepts and serves connections on any number of listening sockets."""

    def __init__(self, limits: Limits | None = None, may_use: Callable[[str], bool] | None = None) -> None:
        """`may_use` gets the local address of a connection and says whether it may come in there."""
        self.limits = limits or Limits()
        self._may_use = may_use
        self._loop = asyncio.get_running_loop()
        self._listeners: list[socket.socket] = []
        self._connections: dict[Connection, asyncio.Task[None]] = {}
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
            connection = Connection(door, peer, self.limits, self.say)
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

    async def _run(self, connection: Connection, accepted: socket.socket) -> None:
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


def _plain(address: str) -> str:
    """An IPv4 address that came through an IPv6 socket, as IPv4."""
    return address.removeprefix("::ffff:").partition("%")[0]
