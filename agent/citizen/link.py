"""The bar's end of the citizen's door. It never waits: the screen must not stand still for a dead peer."""

import socket

from agent.citizen.messages import MAX_LINE, State, read_state

DOOR = "/run/lab-agent/citizen.sock"


class Link:
    """One connection, or none. Make it again with `connect` after it broke."""

    def __init__(self, path: str = DOOR) -> None:
        self._path = path
        self._socket: socket.socket | None = None
        self._rest = b""

    @property
    def up(self) -> bool:
        """Whether there is a connection."""
        return self._socket is not None

    def fileno(self) -> int:
        """The descriptor to watch; -1 where there is no connection."""
        return self._socket.fileno() if self._socket is not None else -1

    def connect(self) -> bool:
        """Try to get through; whether there is a connection now."""
        link = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
        try:
            link.connect(self._path)
        except OSError:  # nobody there, or too busy to answer: the next try will tell
            link.close()
            return False
        self._socket, self._rest = link, b""
        return True

    def read(self) -> State | None:
        """The newest state that has come; None where there is none. Down afterwards if the peer has gone."""
        if self._socket is None:
            return None
        try:
            data = self._socket.recv(16 * MAX_LINE)
        except BlockingIOError:
            return None
        except OSError:
            data = b""
        *lines, self._rest = (self._rest + data).split(b"\n")
        if not data or len(self._rest) > MAX_LINE:
            self.close()
            return None
        states = [state for line in lines if (state := read_state(line)) is not None]
        return states[-1] if states else None

    def send(self, line: bytes) -> bool:
        """Send a line; whether it went."""
        if self._socket is None:
            return False
        try:
            return self._socket.send(line) == len(line)
        except OSError:
            self.close()
            return False

    def close(self) -> None:
        """Hang up."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None
