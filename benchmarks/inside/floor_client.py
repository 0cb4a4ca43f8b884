"""On the lab's server: the least that could be done to reach all PCs at once over kept connections.

python3 floor_client.py RUNS SIZE SYNCS PORT PEM CA HOST...; prints one JSON
object: name -> milliseconds of each run. `raw` sends the payload and no syncs,
`synced` has the PCs sync as their agents do, `unchanged` sends no payload.
"""

import json
import socket
import ssl
import sys
import time


def connect(host: str, port: int, pem: str, ca: str) -> ssl.SSLSocket:
    """One connection, as good as the exchange's: TLS 1.3 with both certificates."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.load_cert_chain(pem)
    context.load_verify_locations(ca)
    plain = socket.create_connection((host, port))
    plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return context.wrap_socket(plain, server_hostname="floor.internal")


def round_trip(lines: list[ssl.SSLSocket], size: int, syncs: str) -> float:
    """Milliseconds until all have answered."""
    message = f"{size} {syncs}\n".encode() + b"p" * size
    begin = time.perf_counter()
    for line in lines:
        line.sendall(message)
    for line in lines:
        got = b""
        while not got.endswith(b"\n"):
            got = line.recv(4096)
    return (time.perf_counter() - begin) * 1000


def main() -> None:
    runs, size, syncs, port, pem, ca, *hosts = sys.argv[1:]
    lines = [connect(host, int(port), pem, ca) for host in hosts]
    kinds = {"raw": (int(size), ""), "synced": (int(size), syncs), "unchanged": (0, "")}
    times: dict[str, list[float]] = {name: [] for name in kinds}
    for run in range(int(runs) + 2):
        for name, (length, how) in kinds.items():
            took = round_trip(lines, length, how)
            if run > 1:
                times[name].append(took)
            time.sleep(0.05)
    print(json.dumps(times))


main()
