"""The citizen's door: where the session bar hears how it stands, and says what was pressed.

A Unix socket for the user `lab-bar` and root, by what the kernel says of who
calls. On the screen behind the bar sits anybody, whose programs can press its
buttons a thousand times a second: lines are short, places few, wishes counted.
"""

import os
import pwd
import selectors
import socket
from collections.abc import Callable
from functools import partial
from pathlib import Path

import msgspec

from agent.core.citizen import MAX_LINE, CitizenAsk, CitizenState, read_ask, state_line
from agent.unix_door import open_door, welcome
from contract.wire import ContractError

BAR_USER = "lab-bar"

MAX_PEERS = 4
"""One is the bar's; a second while an old one is dying. One more place is root's."""

AT_ONCE, EVERY_S = 10.0, 0.5
"""So many wishes are heard at once, and after that one in so many seconds."""


class Patience(msgspec.Struct, frozen=True):
    """How many more wishes are heard, as of a monotonic time."""

    left: float = AT_ONCE
    at: float = 0.0


def heard(patience: Patience, now: float) -> tuple[bool, Patience]:
    """Whether one more wish is heard at `now`, and what is left then."""
    left = min(AT_ONCE, patience.left + max(0.0, now - patience.at) / EVERY_S)
    return left >= 1, Patience(left - (left >= 1), now)


class CitizenDoor:
    """The door and who stands in it. `act` is given each wish; `state` says how it stands now."""

    def __init__(
        self,
        path: Path,
        *,
        real: bool,
        selector: selectors.BaseSelector,
        state: Callable[[], CitizenState],
        act: Callable[[CitizenAsk], None],
        monotonic: Callable[[], float],
        log: Callable[[str], None],
    ) -> None:
        self._path = path
        self._selector = selector
        self._state = state
        self._act = act
        self._monotonic = monotonic
        self._log = log
        self._bar = _account() if real else None
        self._users = {0, os.geteuid()} | ({self._bar.pw_uid} if self._bar is not None else set())
        self._peers: dict[socket.socket, bytearray] = {}
        self._told: CitizenState | None = None
        self._patience = Patience(at=monotonic())
        self._listener: socket.socket | None = None

    def open(self) -> None:
        """Make the socket and listen. Raises OSError."""
        group = None if self._bar is None else self._bar.pw_gid
        self._listener = open_door(self._path, group=group, backlog=MAX_PEERS)
        self._selector.register(self._listener, selectors.EVENT_READ, self._welcome)

    def tell(self) -> None:
        """Tell everybody how it stands, if that is not what they were told last."""
        now = self._state()
        if self._told is not None and msgspec.structs.replace(now, at_monotonic=self._told.at_monotonic) == (
            self._told
        ):
            return
        self._told = now
        for link in list(self._peers):
            self._send(link, now)

    def close(self) -> None:
        """Send everybody away."""
        for link in list(self._peers):
            self._drop(link)
        if self._listener is not None:
            self._selector.unregister(self._listener)
            self._listener.close()
            self._path.unlink(missing_ok=True)

    def _welcome(self) -> None:
        if self._listener is None or (come := welcome(self._listener)) is None:
            return
        link, uid = come
        if uid not in self._users or len(self._peers) >= MAX_PEERS + (uid == 0):
            link.close()
            return
        self._peers[link] = bytearray()
        self._selector.register(link, selectors.EVENT_READ, partial(self._listen, link))
        self._send(link, self._state())

    def _listen(self, link: socket.socket) -> None:
        """Take what has come on a link; whoever hangs up or talks nonsense is dropped."""
        buffer = self._peers.get(link)
        if buffer is None:  # dropped in this very round
            return
        try:
            data = link.recv(MAX_LINE)
            if not data:
                self._drop(link)
                return
            buffer += data
            wishes = _wishes(buffer)
        except BlockingIOError:
            return
        except (OSError, ContractError) as error:
            self._log(f"the session bar's connection is dropped: {error}")
            self._drop(link)
            return
        for wish in wishes:
            well, self._patience = heard(self._patience, self._monotonic())
            if well:
                self._act(wish)

    def _send(self, link: socket.socket, state: CitizenState) -> None:
        """Send a line. Who does not take it at once is sent away, and may come again for the newest."""
        line = state_line(state)
        try:
            well = link.send(line) == len(line)
        except OSError:
            well = False
        if not well:
            self._drop(link)

    def _drop(self, link: socket.socket) -> None:
        if self._peers.pop(link, None) is not None:
            self._selector.unregister(link)
            link.close()


def _wishes(buffer: bytearray) -> list[CitizenAsk]:
    """Take the whole lines off `buffer`. Raises ContractError for what is none."""
    *lines, rest = bytes(buffer).split(b"\n")
    buffer[:] = rest
    if len(rest) > MAX_LINE:
        raise ContractError(f"a line of more than {MAX_LINE} bytes")
    return [read_ask(line) for line in lines]


def _account() -> pwd.struct_passwd | None:
    """The bar's user; None where there is none, and then only root may come."""
    try:
        return pwd.getpwnam(BAR_USER)
    except KeyError:
        return None
