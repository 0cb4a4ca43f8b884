"""A hundred agents instead of ten: the same publication, from the controller's door to every agent "applied".

Goal: at most 10 times the ten. The real controller as a process of its own; the
agents' real fronts, ten in a process, and real enforcers, each a process (forked,
so that a hundred fit); real TLS over loopback, real seals checked by openssl,
real journals on the disk. What a PC's disk would hold is in memory (/dev/shm).
"""

import asyncio
import contextlib
import json
import multiprocessing
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from agent.enforcer import Enforcer
from agent.front import Front
from agent.renewal import revocations_head
from agent.settings import Paths, Settings
from agent.trust import Trust, TrustStore
from benchmarks.report import Absent, Result, report
from controller.clock import Clock
from controller.main import build
from controller.paths import Paths as ControllerPaths
from controller.pki import Leaf
from controller.settings import load_settings
from controller.store.repositories import Station
from controller.trust import CRL

RUNS = 5
SIZES = (10, 100)
FRONTS_A_PROCESS = 10
PORT = 21000
READY_S = 120
PLACE = Path(__file__).parents[1] / "build" / "hundred"
MEMORY = Path("/dev/shm")
PROFILE = "citizen"
PAIRING = "0" * 32
LAYER = "etc/lab-controller/layers/lab.yaml"
DOOR = "run/lab-controller/door.sock"


def main() -> int:
    """Measures both sizes and reports; the number of goals missed."""
    if not MEMORY.is_dir():
        return report([Absent("hundred: to ten", f"there is no {MEMORY}")])
    took = {}
    for size in SIZES:
        with _lab(size) as server:
            took[size] = median(_publish(server, size) for _ in range(RUNS))
    ten, hundred = (took[size] * 1000 for size in SIZES)
    detail = f"{hundred:.0f} ms to {ten:.0f} ms"
    return report([Result("publish: a hundred agents, to ten", 10, hundred / ten, detail)])


def _publish(server: Path, size: int) -> float:
    """Seconds of one changed publication, all `size` agents having looked again and found it so."""
    (server / LAYER).write_text(f"allow:\n  - prova-{time.time_ns()}.example\n")
    begin = time.perf_counter()
    answer = _ask(server, f"/v1/profiles/{PROFILE}/publish", {"why": "", "wait_s": 60})
    took = time.perf_counter() - begin
    if len(answer.get("applied", ())) != size:
        raise RuntimeError(f"not all {size} agents applied it: {str(answer)[:400]}")
    time.sleep(0.5)
    return took


@contextlib.contextmanager
def _lab(size: int) -> Iterator[Path]:
    """A lab of `size` paired agents and its controller, all running; gives the controller's prefix."""
    shutil.rmtree(PLACE, ignore_errors=True)
    prefixes = MEMORY / f"publiclab-{os.getpid()}"
    server = PLACE / "server"
    python = [sys.executable, "-m"]
    init = [*python, "controller.cli.main", "init", "--root", str(server), "--lab", "prova"]
    subprocess.run([*init, "--name", "Prova", "--comune", "Prova"], check=True, capture_output=True)
    settings = server / "etc/lab-controller/lab.toml"
    settings.write_text(settings.read_text().replace("interfaces = []", 'interfaces = ["127.0.0.1"]', 1))
    (server / LAYER).parent.mkdir(parents=True, exist_ok=True)
    agents = [(_settings(at), Paths(prefixes / f"pc-{at:03d}")) for at in range(1, size + 1)]
    _pair(server, agents)
    context = multiprocessing.get_context("fork")
    fronts = [agents[at : at + FRONTS_A_PROCESS] for at in range(0, size, FRONTS_A_PROCESS)]
    running = [context.Process(target=_enforcer, args=agent) for agent in agents]
    running += [context.Process(target=_fronts, args=(some,)) for some in fronts]
    try:
        for process in running:
            process.start()
        with (PLACE / "controller.log").open("wb") as log:
            argv = [*python, "controller.main", "--root", str(server)]
            controller = subprocess.Popen(argv, stdout=log, stderr=log)
        try:
            _wait_online(server, size)
            _publish(server, size)
            yield server
        finally:
            controller.terminate()
            controller.wait(20)
    finally:
        for process in running:
            process.terminate()
        for process in running:
            process.join(20)
        shutil.rmtree(prefixes, ignore_errors=True)
        shutil.rmtree(PLACE, ignore_errors=True)


def _settings(at: int) -> Settings:
    return Settings(station=f"pc-{at:03d}", port=PORT + at, interfaces=("127.0.0.1",), announce=False)


def _pair(server: Path, agents: Sequence[tuple[Settings, Paths]]) -> None:
    """Leave on both sides what a pairing leaves; a hundred key exchanges are another benchmark."""
    paths = ControllerPaths(server)
    controller = build(load_settings(paths.settings), paths, Clock())
    books = controller.books
    now = datetime.now(UTC)
    with books.database.read() as tx:
        number = books.store.counter(tx, CRL)
    revocations = x509.load_der_x509_crl(books.pki.revocations((), number, now))
    ca = _pem(books.pki.ca_der)
    # A hundred agents that look into a list at once are a hundred helpers, here on one PC's processors.
    listed = revocations_head(ca.decode(), number).encode()
    listed += revocations.public_bytes(serialization.Encoding.PEM)
    for settings, place in agents:
        journal = PLACE / "journals" / settings.station
        journal.mkdir(parents=True)
        place.enforcer_state.parent.mkdir(parents=True)
        place.enforcer_state.symlink_to(journal)  # the journal alone is on the disk
        place.front_state.mkdir(parents=True)
        key = ec.generate_private_key(ec.SECP256R1())
        request = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
        der = request.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.DER)
        leaf = books.pki.issue_station(settings.station, der, now)
        if not isinstance(leaf, Leaf):
            raise TypeError(leaf)
        private = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        place.identity_file.write_bytes(private + _pem(leaf.der))
        place.ca_file.write_bytes(ca)
        place.revocations_file.write_bytes(listed)
        trust = Trust(
            lab=books.lab,
            station=settings.station,
            ca=books.pki.ca_der,
            signing_key=books.pki.signing_public_key,
            pairing=PAIRING,
        )
        TrustStore(place.enforcer_state).save(trust)
        with books.database.write() as tx:
            books.store.add_certificate(tx, leaf.issued)
            books.store.put_station(tx, Station(settings.station, "127.0.0.1", settings.port, now, PAIRING))
    controller.household.sync.close()
    books.database.close()


def _pem(der: bytes) -> bytes:
    return x509.load_der_x509_certificate(der).public_bytes(serialization.Encoding.PEM)


def _enforcer(settings: Settings, paths: Paths) -> None:
    _quiet()
    Enforcer(settings, paths).run()


def _fronts(agents: Sequence[tuple[Settings, Paths]]) -> None:
    """Several fronts on one loop, until SIGTERM."""
    _quiet()

    async def serve() -> None:
        tasks = [asyncio.ensure_future(Front(settings, paths).run()) for settings, paths in agents]
        gathered = asyncio.gather(*tasks)
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, gathered.cancel)
        with contextlib.suppress(asyncio.CancelledError):
            await gathered

    asyncio.run(serve())


def _quiet() -> None:
    """What an agent logs goes where the controller's does not: nowhere."""
    silent = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silent, 2)


def _wait_online(server: Path, size: int) -> None:
    end = time.monotonic() + READY_S
    online = 0
    while online < size:
        if time.monotonic() > end:
            log = (PLACE / "controller.log").read_text()[-800:]
            raise RuntimeError(f"{online} of {size} agents are online after {READY_S} s: {log}")
        time.sleep(0.2)
        with contextlib.suppress(OSError):
            stations = _ask(server, "/v1/status")["stations"]
            online = sum(station["presence"] == "online" for station in stations)


def _ask(server: Path, target: str, body: object = None) -> dict[str, Any]:
    """One request at the door."""
    content = b"" if body is None else json.dumps(body).encode()
    head = f"{'GET' if body is None else 'POST'} {target} HTTP/1.1\r\nHost: door\r\nConnection: close\r\n"
    head += f"Content-Type: application/json\r\nContent-Length: {len(content)}\r\n\r\n"
    with socket.socket(socket.AF_UNIX) as door:
        door.connect(str(server / DOOR))
        door.sendall(head.encode() + content)
        parts = []
        while part := door.recv(65536):
            parts.append(part)
    raw = b"".join(parts)
    answer: dict[str, Any] = json.loads(raw.partition(b"\r\n\r\n")[2])
    return answer


if __name__ == "__main__":
    sys.exit(main())
