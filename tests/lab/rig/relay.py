"""Passes Ethernet frames between two interfaces, each held for a while: the delay of a slow network.

Runs as a program of its own in the lan namespace: relay.py PORT PEER MS JITTER_MS. Frames keep their order.
Frames carry their offload header along, so that large segments and unfinished checksums pass as they came.
"""

from __future__ import annotations

import os
import random
import select
import socket
import struct
import sys
import time
from collections import deque
from pathlib import Path

_SOL_PACKET = 263
_PACKET_ADD_MEMBERSHIP = 1
_PACKET_VNET_HDR = 15
_PACKET_IGNORE_OUTGOING = 23
_PACKET_MR_PROMISC = 1
_ETH_P_ALL = 3
_LARGEST = 70_000  # bytes: a 64 KiB segment with its headers
_BUFFER = 4 << 20


def _open(interface: str) -> socket.socket:
    """A raw socket that gets every frame arriving on an interface, and none that leaves it."""
    link = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    link.setsockopt(_SOL_PACKET, _PACKET_VNET_HDR, 1)
    link.setsockopt(_SOL_PACKET, _PACKET_IGNORE_OUTGOING, 1)
    link.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)
    membership = struct.pack("IHH8s", socket.if_nametoindex(interface), _PACKET_MR_PROMISC, 0, b"")
    link.setsockopt(_SOL_PACKET, _PACKET_ADD_MEMBERSHIP, membership)
    link.bind((interface, _ETH_P_ALL))
    return link


def relay(left: socket.socket, right: socket.socket, delay: float, jitter: float) -> None:
    """Pass frames both ways for ever, each `delay` seconds late, give or take `jitter`."""
    # per receiving socket: the one to send on, and (due time, frame) in order
    lines: dict[socket.socket, tuple[socket.socket, deque[tuple[float, bytes]]]] = {
        left: (right, deque()),
        right: (left, deque()),
    }
    while True:
        now = time.monotonic()
        waiting = []
        for out, queue in lines.values():
            while queue and queue[0][0] <= now:
                try:
                    out.send(queue.popleft()[1])
                except OSError:
                    continue  # the cable is out: the frame is lost, as it would be
            if queue:
                waiting.append(queue[0][0] - now)
        ready, _, _ = select.select(list(lines), [], [], min(waiting, default=None))
        for link in ready:
            queue = lines[link][1]
            try:
                frame = link.recv(_LARGEST)
            except OSError:
                continue  # link down is reported once on the socket
            due = time.monotonic() + max(0.0, delay + random.uniform(-jitter, jitter))
            queue.append((max(due, queue[-1][0]) if queue else due, frame))


def main() -> None:
    """Read the arguments, say in the file RIG_READY that the relay works, and work."""
    left, right = _open(sys.argv[1]), _open(sys.argv[2])
    Path(os.environ["RIG_READY"]).touch()
    relay(left, right, float(sys.argv[3]) / 1000, float(sys.argv[4]) / 1000)


if __name__ == "__main__":
    main()
