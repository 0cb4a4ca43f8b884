"""A station's end of the wire, for tests of how the controller takes good and bad company.

`Station` is a TLS server with a certificate of the test's choice whose answers
a test gives; it is built on ssl and http.server alone and shares nothing with
the agent. Acceptance runs against the real agent: test_controller_with_agents.
"""

import socket
import ssl
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Self

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from contract import wire
from contract.exchange import Answer, Ask
from contract.identity import station_name
from controller.agent_client import Peer
from controller.failures import Address
from controller.pki import Leaf, Pki, make_lab_keys
from controller.store.repositories import Issued

LAB = "fontana"


def now() -> datetime:
    return datetime.now(UTC)


class Keys:
    """A lab's keys in a folder of their own, and certificates of it for anybody."""

    def __init__(self, folder: Path, lab: str = LAB) -> None:
        self.folder = folder
        make_lab_keys(folder, lab, now())
        self.pki = Pki(folder, lab)
        self.pki.make_own_certificate(now())
        self.revoke()
        self._count = 0

    def revoke(self, *certificates: Issued) -> None:
        """The lab's revocation list names these and no others."""
        self._revocations = self.pki.revocations(certificates, 1, now())

    def tls(self) -> ssl.SSLContext:
        """How the controller connects, with the list as it is."""
        return self.pki.tls(self._revocations)

    def peer(self, station: str = "pc-01") -> Peer:
        """Whom the controller expects."""
        return Peer(LAB, station, self.tls())

    def station(self, station: str = "pc-01", at: datetime | None = None) -> tuple[Leaf, Path]:
        """A certificate of this lab's CA, made at a time, and a PEM file with it and its key."""
        key = ec.generate_private_key(ec.SECP256R1())
        request = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
        der = request.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.DER)
        leaf = self.pki.issue_station(station, der, at or now())
        assert isinstance(leaf, Leaf)
        return leaf, self.pem(key, x509.load_der_x509_certificate(leaf.der))

    def pem(self, key: ec.EllipticCurvePrivateKey, certificate: x509.Certificate) -> Path:
        """Key and certificate in one file."""
        self._count += 1
        file = self.folder / f"identity-{self._count}.pem"
        plain = serialization.NoEncryption()
        pem = serialization.Encoding.PEM
        file.write_bytes(
            key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain) + certificate.public_bytes(pem)
        )
        return file


def self_signed(keys: Keys, station: str = "pc-01") -> Path:
    """What an impostor makes for itself: the right name, nobody's signature."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, station)])
    alternative = x509.SubjectAlternativeName([x509.DNSName(station_name(LAB, station))])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now() - timedelta(days=1))
        .not_valid_after(now() + timedelta(days=1))
        .add_extension(alternative, critical=False)
        .sign(key, hashes.SHA256())
    )
    return keys.pem(key, certificate)


def server_tls(identity: Path, *, highest: ssl.TLSVersion | None = None) -> ssl.SSLContext:
    """A server's context with that certificate; it takes any client."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(identity)
    if highest is not None:
        context.maximum_version = highest
    return context


Respond = Callable[[Ask], Answer | bytes]


class Station:
    """Answers Asks as `respond` says: an Answer, or bytes as the body. Plain HTTP without `tls`."""

    def __init__(self, respond: Respond, tls: ssl.SSLContext | None = None, status: int = 200) -> None:
        self.asked: list[Ask] = []
        asked = self.asked

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def do_POST(self) -> None:
                ask = wire.decode(Ask, self.rfile.read(int(self.headers["Content-Length"])))
                asked.append(ask)
                said = respond(ask)
                body = said if isinstance(said, bytes) else wire.encode(said)
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                if status // 100 == 3:
                    self.send_header("Location", self.path)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def finish_request(self, request: socket.socket, address: object) -> None:  # type: ignore[override]  # any address
                if tls is not None:
                    request.settimeout(10)
                    request = tls.wrap_socket(request, server_side=True)
                Handler(request, address, self)

            def handle_error(self, *_: object) -> None:
                pass  # an impostor is refused in the handshake: that is the test

        self._server = Server(("127.0.0.1", 0), Handler)
        self.address = Address("127.0.0.1", self._server.server_address[1])
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class RawPeer:
    """Something on the LAN that accepts a connection and does `act` with it."""

    def __init__(self, act: Callable[[socket.socket], None]) -> None:
        self._act = act
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = Address("127.0.0.1", self._listener.getsockname()[1])
        self._thread = threading.Thread(target=self._run, daemon=True)

    def _run(self) -> None:
        while True:
            try:
                connection, _address = self._listener.accept()
            except OSError:
                return
            with connection:
                try:
                    self._act(connection)
                except OSError:
                    continue

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._listener.close()
