"""Who calls at labctl's door, and how much of it one person can have.

The kernel says who is calling (SO_PEERCRED); nothing in the request can.
Everybody on the server may knock, so nobody may take all the places: each has
a share, and where all are taken a technician still gets in.
"""

import asyncio
import contextlib
import grp
import os
import pwd
import socket
import struct
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from controller.door_errors import refusal
from controller.services import Caller
from controller.words import _

MAX_BODY_BYTES = 1 << 20
CALLS, CALLS_EACH = 48, 24
"""Calls that are answered at the same time, and one person's; a publication waits in one of 40 threads."""
CONNECTIONS, CONNECTIONS_EACH = 256, 64
"""Connections that are open at the same time, and one person's."""


@dataclass(frozen=True)
class Door:
    """Where the door is and which groups may use it."""

    socket: Path
    technicians: str
    operators: str


def caller_of(uid: int, door: Door) -> Caller | None:
    """Who `uid` is at the door; None where neither group has it.

    Root and the user the controller runs as are technicians: both can read its keys anyway.
    """
    try:
        entry = pwd.getpwuid(uid)
        user, groups = entry.pw_name, _group_names(entry.pw_name, entry.pw_gid)
    except KeyError:
        user, groups = str(uid), set()
    if uid in (0, os.geteuid()) or door.technicians in groups:
        return Caller(uid=uid, user=user, technician=True)
    if door.operators in groups:
        return Caller(uid=uid, user=user, technician=False)
    return None


def _group_names(user: str, gid: int) -> set[str]:
    names = set()
    for group in os.getgrouplist(user, gid):
        with contextlib.suppress(KeyError):  # a gid without a name has no rights here
            names.add(grp.getgrgid(group).gr_name)
    return names


def user_of(uid: int) -> str:
    """The name of `uid`, or its number where it has none."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def is_technician(uid: int, door: Door) -> bool:
    """Whether a technician's rights are the caller's."""
    caller = caller_of(uid, door)
    return caller is not None and caller.technician


class Crowd:
    """Places, of which each person has at most a share. Technicians find one also where none is left:
    they are few, and each has no more than a share. For one thread."""

    def __init__(self, places: int, share: int, is_technician: Callable[[int], bool]) -> None:
        self._places = places
        self._share = share
        self._is_technician = is_technician
        self._taken: Counter[int] = Counter()

    def enter(self, uid: int) -> bool:
        """Take a place; returns whether there was one. Groups are looked up only where it is crowded."""
        if self._taken[uid] >= self._share:
            return False
        if self._taken.total() >= self._places and not self._is_technician(uid):
            return False
        self._taken[uid] += 1
        return True

    def leave(self, uid: int) -> None:
        """Give one back."""
        self._taken[uid] -= 1
        if not self._taken[uid]:
            del self._taken[uid]


def peer_protocol(door: Door) -> type[H11Protocol]:
    """uvicorn's protocol with the peer's uid, as the kernel knows it, where ASGI has the client's address."""
    connections = Crowd(CONNECTIONS, CONNECTIONS_EACH, partial(is_technician, door=door))

    class PeerProtocol(H11Protocol):
        _uid: int | None = None

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as in uvicorn's own
            super().connection_made(transport)
            peer: socket.socket = transport.get_extra_info("socket")
            packed = peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
            pid, uid, _gid = struct.unpack("3i", packed)
            self.client = (str(uid), pid)
            if connections.enter(uid):
                self._uid = uid
            else:  # at once: whoever waits for a request holds what there is too little of
                transport.write(_crowded())
                transport.close()

        def connection_lost(self, exc: Exception | None) -> None:
            super().connection_lost(exc)
            if self._uid is not None:
                connections.leave(self._uid)
                self._uid = None

    return PeerProtocol


def _crowded() -> bytes:
    body = bytes(_busy().body)
    head = "HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\nConnection: close\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


def _busy() -> JSONResponse:
    return refusal(503, _("The controller is answering too many at once."), _("Try again in a moment."))


class Bounded:
    """Refuses what would be too much: a body, before it is all here, and callers at the same time."""

    def __init__(self, app: ASGIApp, door: Door) -> None:
        self._app = app
        self._calls = Crowd(CALLS, CALLS_EACH, partial(is_technician, door=door))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        uid = int(scope["client"][0])
        if not self._calls.enter(uid):
            await _busy()(scope, receive, send)
            return
        try:
            await self._app(scope, _bounded(receive), send)
        finally:
            self._calls.leave(uid)


def _bounded(receive: Receive) -> Receive:
    seen = 0

    async def bounded() -> Message:
        nonlocal seen
        message = await receive()
        seen += len(message.get("body", b""))
        if seen > MAX_BODY_BYTES:
            raise HTTPException(413, f"The request is longer than {MAX_BODY_BYTES} bytes.")
        return message

    return bounded
