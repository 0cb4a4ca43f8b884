"""The front's link to the enforcer: frames of agent.core.messages over its Unix socket.

The link mends itself: while the enforcer is away every call is refused with a
sentence and the last known state stays readable, marked as old by `up`.
"""

import asyncio
import logging
import os
import socket
import struct
from collections.abc import Callable
from pathlib import Path

from agent.core.messages import Call, EnforcerState, Refused, Reply, Request, Return, Watch
from contract.sentence import sentence
from contract.wire import MAX_MESSAGE_BYTES, ContractError, decode, encode

CALL_TIMEOUT_S = 20.0
"""Longer than any helper of the enforcer runs; afterwards the link counts as broken."""

_FIRST_RETRY_S = 0.1
_LAST_RETRY_S = 5.0

_log = logging.getLogger("lab-agent.front")

AWAY = Refused(
    sentence("The station's own service (lab-enforcer) is restarting; try again in a few seconds."), 2.0
)


class EnforcerLink:
    """One connection to the enforcer, made again whenever it breaks.

    `changed` is called in the event loop whenever `state` or `up` changed.
    """

    def __init__(self, path: Path, changed: Callable[[], None]) -> None:
        self._path = path
        self._changed = changed
        self._writer: asyncio.StreamWriter | None = None
        self._waiting: dict[int, asyncio.Future[Reply]] = {}
        self._number = 0
        self._turned_at = asyncio.get_running_loop().time()
        self._beat_at = self._turned_at
        self.state: EnforcerState | None = None
        """The newest state the enforcer sent, however long ago."""
        self.pid: int | None = None
        """The enforcer's process id while the link is up (from the kernel, not from the peer)."""

    @property
    def up(self) -> bool:
        """Whether the enforcer is connected."""
        return self._writer is not None

    @property
    def for_s(self) -> float:
        """Seconds since `up` last changed (or since the start)."""
        return asyncio.get_running_loop().time() - self._turned_at

    @property
    def alive(self) -> bool:
        """Whether the link's own task makes progress: connected, or tried again lately."""
        return self.up or asyncio.get_running_loop().time() - self._beat_at < 6 * _LAST_RETRY_S

    async def run(self) -> None:
        """Keep the link; never returns. Bugs raise, a missing enforcer does not."""
        delay = _FIRST_RETRY_S
        said = False
        while True:
            self._beat_at = asyncio.get_running_loop().time()
            try:
                reader, writer = await asyncio.open_unix_connection(str(self._path))
            except OSError as error:
                if not said:
                    _log.warning("no enforcer at %s (%s); trying on", self._path, error.strerror or error)
                    said = True
                await asyncio.sleep(delay)
                delay = min(delay * 2, _LAST_RETRY_S)
                continue
            try:
                pid, uid = _peer(writer)
                if uid not in (0, os.getuid()):
                    _log.error("%s is served by user %d, not by the enforcer", self._path, uid)
                else:
                    delay, said = _FIRST_RETRY_S, False
                    await self._serve(reader, writer, pid)
            except (OSError, EOFError, ContractError) as error:
                _log.warning("the link to the enforcer broke: %s", error or type(error).__name__)
            finally:
                self._down()
                writer.close()
            await asyncio.sleep(delay)

    async def call(self, request: Request) -> Reply:
        """The enforcer's reply; `Refused` also where it is away or does not answer in time."""
        writer = self._writer
        if writer is None:
            return AWAY
        self._number += 1
        number = self._number
        frame = encode(Call(number, request))
        if len(frame) > MAX_MESSAGE_BYTES:
            return Refused(
                sentence("The message is too long for the station: {count} bytes.", count=len(frame))
            )
        answer: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        self._waiting[number] = answer
        writer.write(len(frame).to_bytes(4, "big") + frame)
        try:
            return await asyncio.wait_for(answer, CALL_TIMEOUT_S)
        except TimeoutError:
            _log.error("the enforcer left a %s unanswered for %.0f s", type(request).__name__, CALL_TIMEOUT_S)
            writer.transport.abort()
            return AWAY
        finally:
            self._waiting.pop(number, None)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, pid: int) -> None:
        self._writer, self.pid = writer, pid
        self._turned_at = asyncio.get_running_loop().time()
        self._number += 1
        watch = encode(Call(self._number, Watch()))
        writer.write(len(watch).to_bytes(4, "big") + watch)
        while True:
            size = int.from_bytes(await reader.readexactly(4), "big")
            if size > MAX_MESSAGE_BYTES:
                raise ContractError(f"a frame of {size} bytes; the limit is {MAX_MESSAGE_BYTES}")
            came = decode(Return, await reader.readexactly(size))
            if isinstance(came.reply, EnforcerState):
                self.state = came.reply
                self._changed()
            waiting = self._waiting.get(came.number)
            if waiting is not None and not waiting.done():
                waiting.set_result(came.reply)

    def _down(self) -> None:
        if self._writer is None:
            return
        self._writer, self.pid = None, None
        self._turned_at = asyncio.get_running_loop().time()
        for waiting in self._waiting.values():
            if not waiting.done():
                waiting.set_result(AWAY)
        self._changed()


def _peer(writer: asyncio.StreamWriter) -> tuple[int, int]:
    """(process id, user id) of who holds the other end, as the kernel knows it."""
    raw: socket.socket = writer.get_extra_info("socket")
    pid, uid, _ = struct.unpack("3i", raw.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    return pid, uid
