"""Hears from the kernel when a network card, link or address comes or goes: rtnetlink(7), no polling."""

import asyncio
import socket
from collections.abc import Callable

# linux/rtnetlink.h; the socket module has no names for these.
RTMGRP_LINK = 0x1
RTMGRP_IPV4_IFADDR = 0x10
RTMGRP_IPV6_IFADDR = 0x100

DEBOUNCE_S = 0.2
"""A card that comes up sends a handful of messages within this."""


class LinkWatch:
    """Calls `changed` in the event loop, a moment after anything changed on the network's side."""

    def __init__(self, changed: Callable[[], None]) -> None:
        self._changed = changed
        self._loop = asyncio.get_running_loop()
        self._soon: asyncio.TimerHandle | None = None
        kind = socket.SOCK_RAW | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK
        self._socket = socket.socket(socket.AF_NETLINK, kind, socket.NETLINK_ROUTE)
        self._socket.bind((0, RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR))
        self._loop.add_reader(self._socket, self._heard)

    def close(self) -> None:
        """Listen no longer."""
        self._loop.remove_reader(self._socket)
        self._socket.close()
        if self._soon is not None:
            self._soon.cancel()

    def _heard(self) -> None:
        try:
            self._socket.recv(65536)  # what it says does not matter: the reader looks for himself
        except BlockingIOError:
            return
        except OSError:
            pass  # ENOBUFS: more changed than the kernel kept; all the more reason to look
        if self._soon is None:
            self._soon = self._loop.call_later(DEBOUNCE_S, self._now)

    def _now(self) -> None:
        self._soon = None
        self._changed()
