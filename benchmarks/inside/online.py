"""On the lab's server: when labctl's status first shows a PC online; prints that, by the monotonic clock.

python3 online.py STATION. Says "watching" once it does, then one line with the time.
It reads what `labctl status --watch` reads: a line at every change.
"""

import json
import socket
import sys
import time


def main() -> None:
    with socket.socket(socket.AF_UNIX) as door:
        door.connect("/run/lab-controller/door.sock")
        door.sendall(b"GET /v1/status/watch HTTP/1.1\r\nHost: door\r\n\r\n")
        reader = door.makefile("rb")
        said = False
        for line in reader:
            if not line.startswith(b"{"):
                continue  # HTTP's head, and the lengths of its chunks
            rows = {row["id"]: row["presence"] for row in json.loads(line)["stations"]}
            online = rows.get(sys.argv[1]) == "online"
            if not said and not online:
                print("watching", flush=True)
                said = True
            if said and online:
                print(time.monotonic(), flush=True)
                return


main()
