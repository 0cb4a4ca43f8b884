"""The kernel's word on its packet filter: which generation it is at, and when that changes.

Reading a ruleset means running nft (5 ms); asking for its generation is one
netlink message (20 us). So the ruleset is read again only when somebody,
anybody, has changed it, and a change wakes the enforcer without polling.
Numbers: linux/netfilter/nfnetlink.h and nf_tables.h.
"""

import socket
import struct

_NETLINK_NETFILTER = 12
_SOL_NETLINK, _ADD_MEMBERSHIP, _GROUP_NFTABLES = 270, 1, 7
_NEWGEN, _GETGEN = (10 << 8) | 15, (10 << 8) | 16
_HEAD = struct.Struct("=IHHII")
_GETGEN_MESSAGE = struct.pack("=IHHIIBBH", 20, _GETGEN, 1, 1, 0, 0, 0, 0)
_GEN_ID = 1


class PacketFilter:
    """The packet filter of the network namespace we are in."""

    def __init__(self) -> None:
        self._asking = _socket()
        self._asking.settimeout(2)
        self._hearing = _socket()
        self._hearing.setblocking(False)
        self._hearing.setsockopt(_SOL_NETLINK, _ADD_MEMBERSHIP, _GROUP_NFTABLES)

    def generation(self) -> int:
        """A number that is another one after every change of any ruleset. Raises OSError."""
        self._asking.send(_GETGEN_MESSAGE)
        data = self._asking.recv(4096)
        (_length, kind, *_rest) = _HEAD.unpack_from(data)
        at = _HEAD.size + 4
        while kind == _NEWGEN and at + 4 <= len(data):
            size, attribute = struct.unpack_from("=HH", data, at)
            if attribute == _GEN_ID:
                return int.from_bytes(data[at + 4 : at + 8], "big")
            at += (size + 3) & ~3
        raise OSError("the kernel did not say its packet filter's generation")

    def fileno(self) -> int:
        """Readable when a ruleset has changed."""
        return self._hearing.fileno()

    def take(self) -> bool:
        """Take what has happened; whether anything has."""
        happened = False
        try:
            while self._hearing.recv(1 << 16):
                happened = True
        except BlockingIOError:
            return happened
        except OSError:  # ENOBUFS: more than the socket holds, so something surely has
            return True
        return happened


def _socket() -> socket.socket:
    made = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, _NETLINK_NETFILTER)
    made.bind((0, 0))  # the kernel's broadcasts pass by a socket that has no port yet
    return made
