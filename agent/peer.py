"""One connection of the enforcer's socket: calls come in and answers go out as frames.

A frame is four bytes, most significant first, that say how many bytes of a
message follow. Nothing here waits: what is not whole is kept until more comes.
"""

import socket
import struct

from agent.core.messages import Call, Return
from contract.wire import MAX_MESSAGE_BYTES, ContractError, decode, encode

_HEAD = struct.Struct(">I")


class Peer:
    """One connection to the socket, and what is still to be read and written on it."""

    def __init__(self, link: socket.socket, uid: int) -> None:
        self.link = link
        self.uid = uid
        self.watching = False
        self._incoming = bytearray()
        self._outgoing = bytearray()

    def read(self) -> list[Call]:
        """Every whole call that has come. Raises OSError when the peer has gone, ContractError."""
        try:
            data = self.link.recv(256 << 10)
        except BlockingIOError:
            return []
        if not data:
            raise ConnectionResetError("it hung up")
        self._incoming += data
        calls: list[Call] = []
        while (call := _frame(self._incoming)) is not None:
            calls.append(call)
        return calls

    def write(self, message: Return) -> None:
        """Add a message to what is to be sent."""
        data = encode(message)
        self._outgoing += _HEAD.pack(len(data)) + data

    def flush(self) -> int:
        """Send what the socket takes; how many bytes are left. Raises OSError when the peer has gone."""
        try:
            while self._outgoing:
                del self._outgoing[: self.link.send(self._outgoing)]
        except BlockingIOError:
            return len(self._outgoing)
        return 0


def _frame(buffer: bytearray) -> Call | None:
    """Take one whole frame off `buffer`; None when there is none yet. Raises ContractError."""
    if len(buffer) < _HEAD.size:
        return None
    (length,) = _HEAD.unpack_from(buffer)
    if length > MAX_MESSAGE_BYTES:
        raise ContractError(f"a frame of {length} bytes; the limit is {MAX_MESSAGE_BYTES}")
    end = _HEAD.size + length
    if len(buffer) < end:
        return None
    call = decode(Call, bytes(buffer[_HEAD.size : end]))
    del buffer[:end]
    return call
