"""Telling systemd how the process is: the sd_notify protocol in a few lines.

The protocol is a datagram of NAME=VALUE lines to the socket in $NOTIFY_SOCKET
(sd_notify(3)). Without that variable, as in tests and under a prefix, all of
this does nothing.
"""

import os
import socket


def notify(*lines: str) -> None:
    """Send lines such as "READY=1", "WATCHDOG=1" or "STATUS=..." to systemd, if it listens.

    Errors are left alone: a service that cannot report is still a service, and
    systemd's own watchdog is what notices.
    """
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return
    if address.startswith("@"):
        address = "\0" + address[1:]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
        try:
            sender.connect(address)
            sender.sendall("\n".join(lines).encode())
        except OSError:
            return


def watchdog_every_s() -> float | None:
    """Seconds between two "WATCHDOG=1": a third of what the unit allows; None where it has no watchdog."""
    text = os.environ.get("WATCHDOG_USEC", "")
    meant_for = os.environ.get("WATCHDOG_PID", "")
    if not text.isdigit() or int(text) == 0 or (meant_for and meant_for != str(os.getpid())):
        return None
    return int(text) / 1e6 / 3
