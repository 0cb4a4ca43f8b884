"""What a hole in the browser would give: programs, run inside the session by somebody outside it.

Started by Chromium's own wrapper (a file in /etc/chromium.d), so it has all that the session's unit gives and
takes. Listens on a Unix socket at its only argument; one JSON object {argv, wait} a connection, answered by
the exit status. Runs under the PC's own Python.
"""

import json
import socket
import subprocess
import sys

TIMEOUT_S = 30


def main(path: str) -> None:
    """Serve until the session ends."""
    door = socket.socket(socket.AF_UNIX)
    door.bind(path)
    door.listen()
    while True:
        peer, _ = door.accept()
        with peer, peer.makefile() as asked:
            told = json.loads(asked.readline())
            peer.sendall(f"{run(told['argv'], wait=told['wait'])}\n".encode())


def run(argv: list[str], *, wait: bool) -> int:
    """The exit status; 127 for what is not there, 124 for what does not end, 0 for what is left running."""
    quiet = subprocess.DEVNULL
    try:
        started = subprocess.Popen(argv, stdin=quiet, stdout=quiet, stderr=quiet, start_new_session=True)
        return started.wait(TIMEOUT_S) if wait else 0
    except OSError:
        return 127
    except subprocess.TimeoutExpired:
        return 124


if __name__ == "__main__":
    main(sys.argv[1])
