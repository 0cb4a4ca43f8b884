"""What the front's tests are made of: a lab's CA, a peer on the enforcer's socket, the front as a process.

The peer stands in for the enforcer's *end of the socket* only: it speaks the
real messages over the real Unix socket, keeps what it was asked, and answers
what the test gave it. The front, its TLS and its HTTP are the real ones, in a
process of their own.
"""

import http.client
import json
import os
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from agent.core.messages import (
    BeginPairing,
    Call,
    Deliver,
    Delivered,
    EndPairing,
    EnforcerState,
    PairingBegun,
    PairingEnded,
    Perform,
    Performed,
    Refused,
    Reply,
    Request,
    Return,
    Watch,
)
from agent.settings import Paths
from contract.exchange import EXCHANGE_PATH, Answer, Ask, CommandResult
from contract.identity import controller_name, station_name
from contract.pairing import PairDone, PairOffer
from contract.sentence import sentence
from contract.wire import CONTRACT, decode, encode

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
LAB = "riva"
STATION = "pc-03"
ATTEMPT = "0" * 32
"""What the station calls its pairing."""
GENEROUS_S = 20.0
REPOSITORY = Path(__file__).parents[2]


def eventually(true: Callable[[], Any], seconds: float = GENEROUS_S) -> Any:
    """The first value of `true()` that is; fails after a generous time."""
    end = time.monotonic() + seconds
    while not (value := true()):
        assert time.monotonic() < end, "it did not come true in time"
        time.sleep(0.02)
    return value


class Issued(msgspec.Struct):
    """A certificate with its key, as files for ssl.SSLContext."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey
    file: Path

    @property
    def pem(self) -> bytes:
        return key_pem(self.key) + self.certificate.public_bytes(serialization.Encoding.PEM)


def key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


class Authority:
    """A lab's certificate authority."""

    def __init__(self, folder: Path, lab: str = LAB) -> None:
        self.lab = lab
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"{lab} lab")])
        self.certificate = (
            x509.CertificateBuilder(self.name, self.name, self.key.public_key(), x509.random_serial_number())
            .not_valid_before(EPOCH)
            .not_valid_after(datetime.now(UTC) + timedelta(days=3650))
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(self.key.public_key()), critical=False)
            .add_extension(_ca_usage(), critical=True)
            .sign(self.key, hashes.SHA256())
        )
        self.file = folder / "ca.pem"
        self.file.write_bytes(self.certificate.public_bytes(serialization.Encoding.PEM))
        self._number = 0

    @property
    def der(self) -> bytes:
        return self.certificate.public_bytes(serialization.Encoding.DER)

    def issue(
        self,
        name: str,
        purpose: x509.ObjectIdentifier,
        until: datetime | None = None,
        public_key: ec.EllipticCurvePublicKey | None = None,
    ) -> Issued:
        """A leaf certificate for `name`; its key too, unless one is given."""
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = (
            x509.CertificateBuilder(
                self.name,
                x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name[:60])]),
                public_key or key.public_key(),
                x509.random_serial_number(),
            )
            .not_valid_before(EPOCH)
            .not_valid_after(until or datetime.now(UTC) + timedelta(days=365))
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
            .add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .sign(self.key, hashes.SHA256())
        )
        issued = Issued(certificate, key, self.folder / f"{certificate.serial_number:x}.pem")
        issued.file.write_bytes(issued.pem)
        return issued

    def controller(self, until: datetime | None = None) -> Issued:
        return self.issue(controller_name(self.lab), ExtendedKeyUsageOID.CLIENT_AUTH, until)

    def station(self, until: datetime | None = None, name: str = STATION) -> Issued:
        return self.issue(station_name(self.lab, name), ExtendedKeyUsageOID.SERVER_AUTH, until)

    def revocations(self, *revoked: Issued, number: int | None = None) -> bytes:
        """The next revocation list, DER."""
        self._number = number if number is not None else self._number + 1
        builder = (
            x509.CertificateRevocationListBuilder(self.name)
            .last_update(EPOCH)
            .next_update(datetime.now(UTC) + timedelta(days=3650))
            .add_extension(x509.CRLNumber(self._number), critical=False)
        )
        for issued in revoked:
            entry = x509.RevokedCertificateBuilder(issued.certificate.serial_number, datetime.now(UTC))
            builder = builder.add_revoked_certificate(entry.build())
        return builder.sign(self.key, hashes.SHA256()).public_bytes(serialization.Encoding.DER)


def _ca_usage() -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=False,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=True,
        crl_sign=True,
        encipher_only=False,
        decipher_only=False,
    )


class EnforcerPeer:
    """Listens on the enforcer's socket in a thread; see the head of this module."""

    def __init__(self, paths: Paths) -> None:
        self.path = paths.socket
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.asked: list[Request] = []
        self.replies: dict[type[Any], Reply] = {
            Deliver: Delivered(True, 1),
            Perform: Performed(CommandResult("0" * 32, True, sentence("done"))),
            BeginPairing: PairingBegun(PairOffer(ATTEMPT, b"message", STATION, b"request", bytes(32))),
            EndPairing: PairingEnded(PairDone(STATION)),
        }
        self.before_reply: Callable[[Request], None] = lambda request: None
        self._lock = threading.RLock()
        self._links: list[socket.socket] = []
        self._listener: socket.socket | None = None
        self.state = EnforcerState(
            station=STATION,
            epoch="e1",
            lab="",
            ca=b"",
            profile="",
            desired_revision=0,
            applied_revision=0,
            conditions=(),
            at=datetime.now(UTC),
        )

    def start(self) -> None:
        self.path.unlink(missing_ok=True)
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(self.path))
        self._listener.listen(4)
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def stop(self) -> None:
        """Gone, as after a kill -9: the socket file stays, nobody answers."""
        with self._lock:
            if self._listener is not None:
                self._listener.shutdown(socket.SHUT_RDWR)
                self._listener.close()
                self._listener = None
            for link in self._links:
                link.shutdown(socket.SHUT_RDWR)  # close() alone waits for the thread that reads
                link.close()
            self._links.clear()

    def say(self, **changes: Any) -> None:
        """A new state, sent to whoever watches."""
        with self._lock:
            self.state = msgspec.structs.replace(self.state, at=datetime.now(UTC), **changes)
            for link in list(self._links):
                try:
                    _write(link, Return(0, self.state))
                except OSError:
                    self._links.remove(link)  # that front is gone

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                link, _ = listener.accept()
            except OSError:
                return
            with self._lock:
                self._links.append(link)
            threading.Thread(target=self._serve, args=(link,), daemon=True).start()

    def _serve(self, link: socket.socket) -> None:
        stream = link.makefile("rb")
        while True:
            try:
                head = stream.read(4)
                if len(head) < 4:
                    return
                call = decode(Call, stream.read(int.from_bytes(head, "big")))
            except OSError:
                return
            with self._lock:
                if isinstance(call.request, Watch):
                    _write(link, Return(call.number, self.state))
                    continue
                self.asked.append(call.request)
            self.before_reply(call.request)
            with self._lock:
                _write(
                    link, Return(call.number, self.replies.get(type(call.request), Refused(sentence("no"))))
                )


def _write(link: socket.socket, message: Return) -> None:
    data = encode(message)
    link.sendall(len(data).to_bytes(4, "big") + data)


class FrontProcess:
    """The real front below a prefix, on a free loopback port."""

    def __init__(self, root: Path, prefix: tuple[str, ...] = (), **settings: Any) -> None:
        self.paths = Paths(root)
        self.prefix = prefix
        self.port = free_port()
        values = {
            "station": STATION,
            "port": self.port,
            "interfaces": ["127.0.0.1"],
            "announce": False,
        } | settings
        self.paths.etc_agent.mkdir(parents=True, exist_ok=True)
        text = "".join(f"{key} = {json.dumps(value)}\n" for key, value in values.items())
        self.paths.settings_file.write_text(text)
        self.paths.front_state.mkdir(parents=True, exist_ok=True)
        self.paths.run.mkdir(parents=True, exist_ok=True)
        self._log = root / "front.log"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, **environment: str) -> None:
        before = self.log()
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(
                [*self.prefix, sys.executable, "-m", "agent.main", "front", "--root", str(self.paths.root)],
                cwd=REPOSITORY,
                env=os.environ | environment,
                stderr=log,
            )
        eventually(lambda: "listens on port" in self.log().removeprefix(before))

    def stop(self) -> int:
        """SIGTERM, and how it ended."""
        assert self.process is not None
        self.process.terminate()
        return self.process.wait(GENEROUS_S)

    def kill(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait(GENEROUS_S)

    def log(self) -> str:
        return self._log.read_text() if self._log.exists() else ""

    def memory(self) -> int:
        """Resident bytes."""
        assert self.process is not None
        text = Path(f"/proc/{self.process.pid}/statm").read_text()
        return int(text.split()[1]) * os.sysconf("SC_PAGE_SIZE")

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), GENEROUS_S)

    def answers(self) -> bool:
        """Whether it speaks plain HTTP, as an unpaired station does."""
        try:
            return self.post("/", b"")[0] == 404
        except (OSError, http.client.HTTPException):
            return False

    def post(self, path: str, body: bytes, method: str = "POST") -> tuple[int, dict[str, Any]]:
        """One plain request: status and JSON."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=GENEROUS_S)
        connection.request(method, path, body)
        return read(connection)


def read(connection: http.client.HTTPConnection) -> tuple[int, dict[str, Any]]:
    response = connection.getresponse()
    return response.status, json.loads(response.read())


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def client_context(authority: Authority, own: Issued | None) -> ssl.SSLContext:
    """TLS as a controller does it: the station's certificate is checked by name, ours is shown."""
    context = ssl.create_default_context(ssl.Purpose.SERVER_AUTH, cafile=str(authority.file))
    context.verify_flags &= ~ssl.VerifyFlags.VERIFY_X509_STRICT
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if own is not None:
        context.load_cert_chain(str(own.file))
    return context


class Controller:
    """One keep-alive connection to the front, with a certificate."""

    def __init__(
        self, front: FrontProcess, authority: Authority, own: Issued | None, station: str = STATION
    ) -> None:
        self.socket = client_context(authority, own).wrap_socket(
            front.connect(), server_hostname=station_name(authority.lab, station)
        )
        self.connection = http.client.HTTPConnection("127.0.0.1", front.port, timeout=GENEROUS_S)
        self.connection.sock = self.socket

    def send(self, **fields: Any) -> None:
        """An Ask; `recv` has the Answer."""
        whole: dict[str, Any] = {"contract": CONTRACT, "at": datetime.now(UTC), **fields}
        ask = Ask(**whole)
        self.connection.request("POST", EXCHANGE_PATH, encode(ask))

    def recv(self) -> Answer:
        response = self.connection.getresponse()
        body = response.read()
        assert response.status == 200, body
        return decode(Answer, body)

    def ask(self, **fields: Any) -> Answer:
        self.send(**fields)
        return self.recv()

    def close(self) -> None:
        self.socket.close()


def paired(
    front: FrontProcess, enforcer: EnforcerPeer, authority: Authority, own: Issued | None = None
) -> None:
    """The files and the state that a pairing leaves."""
    own = own or authority.station()
    front.paths.identity_file.write_bytes(own.pem)
    front.paths.ca_file.write_bytes(authority.file.read_bytes())
    enforcer.say(lab=authority.lab, ca=authority.der)
