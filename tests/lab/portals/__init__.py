"""Public services by their real names, as a citizen's browser reaches them from a PC of the lab: over TLS.

One process on the server plays all of them (serve.py). Their certificate is of an
authority that the lab made for the test, and that its layer has browsers trust; so
the services that ship, with the addresses that ship, are what is tried.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from tests.lab.portals.serve import INPS, MAIL, SHOP, SHOP_LOGIN, SPID
from tests.lab.rig import Machine
from tests.lab.rig.host import wait_until

NAMES = (INPS, SPID, SHOP, SHOP_LOGIN, MAIL)
FOLDER, UNIT = "/run/portals", "prova-portals.service"
SERVE = Path(__file__).with_name("serve.py")


@dataclass(frozen=True)
class Portals:
    """The services while they run."""

    machine: Machine
    address: str
    mark: str
    """A text in all that they show."""
    authority: str
    """The certificate of who vouches for them: base64 of its DER, as Chromium's policy takes it."""

    @property
    def layer(self) -> str:
        """For the lab's layer: browsers trust the services."""
        return f"browser: {{policies: {{CACertificates: [{self.authority}]}}}}\n"

    @property
    def hosts(self) -> str:
        """For /etc/hosts of a PC."""
        return f"{self.address} {' '.join(NAMES)}\n"

    def visits(self) -> list[str]:
        """What was asked for: host, method and path, the oldest first."""
        lines = (self.machine.root / FOLDER.lstrip("/") / "log").read_text().splitlines()
        return [line for line in lines if not line.endswith("/favicon.ico")]

    def received(self) -> dict[str, bytes]:
        """What was handed in, by its name."""
        folder = self.machine.root / FOLDER.lstrip("/") / "received"
        return {path.name: path.read_bytes() for path in folder.iterdir()}


def lasting(machine: Machine, address: str) -> Portals:
    """The services on `machine` until it goes down, at an address of its own: for `make lab`."""
    authority, served = _certificates()
    machine.run(["install", "-D", "-m", "600", "/dev/stdin", f"{FOLDER}/tls.pem"], input=served)
    machine.run(["install", "/dev/stdin", f"{FOLDER}/serve.py"], input=SERVE.read_text())
    machine.net_run(["ip", "address", "replace", f"{address}/24", "dev", "eth0"])
    unit = ("systemd-run", "--quiet", "--collect", f"--unit={UNIT}")
    machine.run([*unit, "python3", f"{FOLDER}/serve.py", address, FOLDER, ""])
    return Portals(machine, address, "", authority)


def runs(machine: Machine) -> bool:
    """Whether `lasting` ones are there."""
    return machine.run(["systemctl", "is-active", UNIT], check=False).returncode == 0


@contextmanager
def portals(machine: Machine, address: str, mark: str) -> Iterator[Portals]:
    """The services on `machine`, at an address that its card gets meanwhile."""
    authority, served = _certificates()
    root = machine.root
    machine.run(["install", "-D", "-m", "600", "/dev/stdin", f"{FOLDER}/tls.pem"], input=served)
    machine.net_run(["ip", "address", "add", f"{address}/24", "dev", "eth0"])
    try:
        with machine.popen(["python3", "-c", SERVE.read_text(), address, FOLDER, mark]):
            if not wait_until((root / FOLDER.lstrip("/") / "log").exists, timeout=20):
                raise AssertionError("the services did not start")
            yield Portals(machine, address, mark, authority)
    finally:
        machine.net_run(["ip", "address", "del", f"{address}/24", "dev", "eth0"])
        machine.run(["rm", "-rf", FOLDER])


def _certificates() -> tuple[str, bytes]:
    """The authority's certificate in base64, and the services' certificate and key in PEM."""
    key, theirs = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    name = _name("Sala di prova")
    authority = (
        _begun(name, name, key)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    certificate = (
        _begun(_name(INPS), name, theirs)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(one) for one in NAMES]), critical=False)
        .sign(key, hashes.SHA256())
    )
    private = theirs.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    trusted = base64.b64encode(authority.public_bytes(Encoding.DER)).decode()
    return trusted, certificate.public_bytes(Encoding.PEM) + private


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _begun(subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=30))
    )
