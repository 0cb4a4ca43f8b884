"""The door for the gate before the printer (agent.helpers.print_gate): may so many pages go?

A Unix socket for the user that CUPS runs its programs as, and root, by what the kernel says of who calls:
a citizen's program can neither ask nor give pages back.
"""

import os
import pwd
import selectors
import socket
from collections.abc import Callable
from functools import partial
from pathlib import Path

from agent.core.pages import MAX_LINE, PrintAnswer, PrintAsk
from agent.pages import Grant, Pages
from agent.unix_door import open_door, welcome
from contract.wire import ContractError, decode, encode

PRINT_USER = "lp"
MAX_PEERS = 32
"""CUPS prints one document at a time on each printer, of which a PC has 16 at most."""


class _Peer:
    """One gate: what has come of its line, and what it was granted."""

    def __init__(self) -> None:
        self.buffer = bytearray()
        self.grant: Grant | None = None


class PrintDoor:
    """The door and the gates that stand in it."""

    def __init__(
        self,
        path: Path,
        *,
        real: bool,
        selector: selectors.BaseSelector,
        pages: Pages,
        log: Callable[[str], None],
    ) -> None:
        self._path = path
        self._selector = selector
        self._pages = pages
        self._log = log
        self._account = _account() if real else None
        self._users = {0, os.geteuid()} | ({self._account.pw_uid} if self._account is not None else set())
        self._peers: dict[socket.socket, _Peer] = {}
        self._listener: socket.socket | None = None

    def open(self) -> None:
        """Make the socket and listen. Raises OSError."""
        group = None if self._account is None else self._account.pw_gid
        self._listener = open_door(self._path, group=group, backlog=MAX_PEERS)
        self._selector.register(self._listener, selectors.EVENT_READ, self._welcome)

    def close(self) -> None:
        """Send every gate away: what it was granted stays counted."""
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
        if uid not in self._users or len(self._peers) >= MAX_PEERS:
            link.close()
            return
        self._peers[link] = _Peer()
        self._selector.register(link, selectors.EVENT_READ, partial(self._listen, link))

    def _listen(self, link: socket.socket) -> None:
        """Take what has come on a link; whoever hangs up or talks nonsense is dropped."""
        peer = self._peers.get(link)
        if peer is None:  # dropped in this very round
            return
        try:
            data = link.recv(MAX_LINE)
            peer.buffer += data
            line, end, rest = peer.buffer.partition(b"\n")
            if not data or len(line) > MAX_LINE:
                self._drop(link)
            elif end:
                peer.buffer = rest
                self._answer(link, peer, decode(PrintAsk, bytes(line)))
        except BlockingIOError:
            return
        except (OSError, ContractError) as error:
            self._log(f"a print's connection is dropped: {error}")
            self._drop(link)

    def _answer(self, link: socket.socket, peer: _Peer, ask: PrintAsk) -> None:
        """A connection is for one document: one question, and what was granted may come back once."""
        if ask.ask == "unsent":
            if peer.grant is not None:
                self._pages.unsent(peer.grant)
            self._drop(link)
            return
        if peer.grant is not None:
            self._drop(link)
            return
        peer.grant = self._pages.ask(ask)
        try:
            link.send(encode(PrintAnswer(go=peer.grant is not None)) + b"\n")
        except OSError:  # it has gone, and will print nothing
            if peer.grant is not None:
                self._pages.unsent(peer.grant)
            raise

    def _drop(self, link: socket.socket) -> None:
        if self._peers.pop(link, None) is not None:
            self._selector.unregister(link)
            link.close()


def _account() -> pwd.struct_passwd | None:
    """CUPS' user; None where there is none, and then only root may come."""
    try:
        return pwd.getpwnam(PRINT_USER)
    except KeyError:
        return None
