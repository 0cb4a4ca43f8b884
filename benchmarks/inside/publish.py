"""On the lab's server: publishes, changed and unchanged in turns, as a technician and at the door.

python3 publish.py RUNS PCS; prints one JSON object: name -> milliseconds of each run.
`labctl` is the whole command from its start to its end; `door` is from the
first byte of the request at the controller's socket to the last of the answer.
Both say how many PCs applied what was published, and it must be all of them.
"""

import json
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

LAYER = Path("/etc/lab-controller/layers/lab.yaml")
MARK = "# benchmarks/inside/publish.py\n"
DOOR = "/run/lab-controller/door.sock"
PROFILE = "citizen"
REST_S = 0.5


def at_the_door() -> tuple[float, dict[str, Any]]:
    """Seconds, and the answer."""
    body = json.dumps({"why": "", "wait_s": 30}).encode()
    head = f"POST /v1/profiles/{PROFILE}/publish HTTP/1.1\r\nHost: door\r\nConnection: close\r\n"
    head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    with socket.socket(socket.AF_UNIX) as door:
        door.connect(DOOR)
        begin = time.perf_counter()
        door.sendall(head.encode() + body)
        parts = []
        while part := door.recv(65536):
            parts.append(part)
        took = time.perf_counter() - begin
    return took, json.loads(b"".join(parts).partition(b"\r\n\r\n")[2])


def by_labctl() -> tuple[float, dict[str, Any]]:
    """Seconds, and the answer."""
    begin = time.perf_counter()
    argv = ["labctl", "profile", "publish", PROFILE, "--json"]
    done = subprocess.run(argv, capture_output=True, check=True)
    return time.perf_counter() - begin, json.loads(done.stdout)


def main() -> None:
    runs, pcs = int(sys.argv[1]), int(sys.argv[2])
    plain = LAYER.read_text().split(MARK)[0]
    times: dict[str, list[float]] = {}
    try:
        for run in range(runs + 1):
            for name, call in (("labctl", by_labctl), ("door", at_the_door)):
                LAYER.write_text(f"{plain}{MARK}allow:\n  - prova-{time.time_ns()}.example\n")
                for kind, counted in (("changed", "applied"), ("unchanged", "unchanged")):
                    took, answer = call()
                    if len(answer.get(counted, ())) != pcs:
                        raise SystemExit(f"{kind}: not {pcs} PCs {counted}: {answer}")
                    if run:  # the first round warms both up
                        times.setdefault(f"{name} {kind}", []).append(took * 1000)
                    time.sleep(REST_S)
    finally:
        LAYER.write_text(plain)
    print(json.dumps(times))


main()
