"""Unix sockets that the enforcer listens at: made whole, and the kernel says who calls."""

import os
import socket
import struct
from pathlib import Path

_CREDENTIALS = struct.Struct("3i")


def open_door(path: Path, *, group: int | None, backlog: int) -> socket.socket:
    """A listening socket at `path`, for root and `group` (None: leave the group as it is) to come to.

    It does not block. Made under another name: whoever finds it finds it open,
    with its rights. Raises OSError.
    """
    path.parent.mkdir(0o755, parents=True, exist_ok=True)
    fresh = path.with_name(f".{path.name}.new")
    fresh.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    listener.bind(str(fresh))
    fresh.chmod(0o660)
    if group is not None:
        os.chown(fresh, 0, group)
    listener.listen(backlog)
    fresh.replace(path)
    listener.setblocking(False)
    return listener


def welcome(listener: socket.socket) -> tuple[socket.socket, int] | None:
    """Who has come, and as which user; None where nobody has any more, or no descriptor is left.

    The link does not block.
    """
    try:
        link, _ = listener.accept()
    except OSError:  # the next one is asked again
        return None
    raw = link.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    _pid, uid, _gid = _CREDENTIALS.unpack(raw)
    link.setblocking(False)
    return link, uid
