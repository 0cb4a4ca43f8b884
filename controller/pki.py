"""The lab's keys: its certificate authority, the controller's certificate, the signing key.

Whom a certificate is for is never taken from a request: the caller knows it
(from the pairing code, or from the certificate the peer has just used).
"""

import os
import ssl
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from contract import wire
from contract.exchange import Signed
from contract.identity import controller_name, station_name
from controller.files import write_file
from controller.store.repositories import Issued
from controller.words import _

CA_YEARS = 30
LEAF_LIFE = timedelta(days=365)
RENEW_AFTER = LEAF_LIFE * 2 / 3
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
"""Leaf certificates begin here: a PC whose clock starts in 1970 must still be able to talk."""
FAR_AWAY = datetime(2100, 1, 1, tzinfo=UTC)
"""nextUpdate of revocation lists: an old list must not strand a PC."""

MAX_REQUEST_BYTES = 8192

_CA_KEY, _CA = "ca-key.pem", "ca.pem"
_OWN = "controller.pem"
"""The controller's key and certificate in one file, so that no crash parts them."""
_SIGNING_KEY = "signing-key.pem"


class PkiError(Exception):
    """Keys are missing or do not fit together; a sentence says which."""


@dataclass(frozen=True)
class Leaf:
    """A new certificate (DER), and what the store must know of it before it is handed out."""

    der: bytes
    issued: Issued

    @property
    def fingerprint(self) -> str:
        """SHA-256, hex."""
        return x509.load_der_x509_certificate(self.der).fingerprint(hashes.SHA256()).hex()


def make_lab_keys(directory: Path, lab: str, now: datetime) -> list[str]:
    """Make what is missing of the lab's keys; returns the names of the files that were made.

    Nothing that is there is ever replaced. A CA without its key (or the other
    way round) raises PkiError: a new one would strand every paired PC.
    """
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    made = []
    key_there, ca_there = (directory / _CA_KEY).exists(), (directory / _CA).exists()
    if key_there != ca_there:
        missing = directory / (_CA_KEY if ca_there else _CA)
        text = _("{file} is missing while its other half is there; restore it from the backup")
        raise PkiError(text.format(file=missing))
    if not ca_there:
        key = ec.generate_private_key(ec.SECP256R1())
        write_file(directory / _CA_KEY, _key_pem(key), 0o600)
        write_file(directory / _CA, _pem(_self_signed_ca(key, lab, now)), 0o644)
        made += [_CA_KEY, _CA]
    if not (directory / _SIGNING_KEY).exists():
        write_file(directory / _SIGNING_KEY, _key_pem(ed25519.Ed25519PrivateKey.generate()), 0o600)
        made.append(_SIGNING_KEY)
    return made


def _self_signed_ca(key: ec.EllipticCurvePrivateKey, lab: str, now: datetime) -> x509.Certificate:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"{lab} lab CA")])
    identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(EPOCH)
        .not_valid_after(_midnight(now) + timedelta(days=365 * CA_YEARS))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
        .add_extension(identifier, critical=False)
        .sign(key, hashes.SHA256())
    )


class Pki:
    """The lab's keys in use. Raises PkiError where they are missing: `labctl init` makes them."""

    def __init__(self, directory: Path, lab: str) -> None:
        self._directory = directory
        self._lab = lab
        try:
            self._ca_key = _load_ec_key(directory / _CA_KEY)
            self._ca = x509.load_pem_x509_certificate((directory / _CA).read_bytes())
            self._signing_key = _load_signing_key(directory / _SIGNING_KEY)
        except FileNotFoundError as error:
            text = _("{file} is missing. Make the lab first: labctl init")
            raise PkiError(text.format(file=error.filename)) from None
        except (OSError, ValueError, UnsupportedAlgorithm) as error:
            text = _("the keys in {folder} cannot be read: {reason}")
            raise PkiError(text.format(folder=directory, reason=error)) from None
        if self._ca.public_key() != self._ca_key.public_key():
            text = _("{one} and {other} in {folder} do not belong together; restore both from the backup")
            raise PkiError(text.format(one=_CA, other=_CA_KEY, folder=directory))
        self.ca_der = self._ca.public_bytes(serialization.Encoding.DER)
        self.signing_public_key = self._signing_key.public_key().public_bytes_raw()

    @property
    def ca_until(self) -> datetime:
        """When the CA's own certificate ends."""
        return self._ca.not_valid_after_utc

    def sign(self, payload: bytes) -> Signed:
        """Seal bytes as the lab's word."""
        return Signed(payload=payload, signature=self._signing_key.sign(payload))

    def seal(self, message: Any) -> Signed:
        """Encode a contract struct and seal it."""
        return self.sign(wire.encode(message))

    def issue_station(self, station: str, request: bytes, now: datetime) -> Leaf | str:
        """A certificate for `station` and the key in its signing request (DER), or why not, in a sentence.

        Names and extensions in the request are ignored.
        """
        key = _requested_key(request)
        if isinstance(key, str):
            return key
        return self._issue(station_name(self._lab, station), "station", key, now)

    def _issue(self, name: str, role: str, key: ec.EllipticCurvePublicKey, now: datetime) -> Leaf:
        purpose = ExtendedKeyUsageOID.SERVER_AUTH if role == "station" else ExtendedKeyUsageOID.CLIENT_AUTH
        issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._ca_key.public_key())
        certificate = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([]))  # the name is longer than the 64 characters a common name may have
            .issuer_name(self._ca.subject)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(EPOCH)
            .not_valid_after(now.replace(microsecond=0) + LEAF_LIFE)
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=True)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(signs_certificates=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([purpose]), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
            .add_extension(issuer, critical=False)
            .sign(self._ca_key, hashes.SHA256())
        )
        return Leaf(certificate.public_bytes(serialization.Encoding.DER), _issued(certificate, name, role))

    def revocations(self, revoked: Iterable[Issued], number: int, now: datetime) -> bytes:
        """The revocation list (DER) with its growing number."""
        builder = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(self._ca.subject)
            .last_update(EPOCH)  # again for clocks that start in 1970
            .next_update(FAR_AWAY)
            .add_extension(x509.CRLNumber(number), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self._ca_key.public_key()), critical=False
            )
        )
        for one in revoked:
            entry = x509.RevokedCertificateBuilder().serial_number(int(one.serial, 16))
            builder = builder.add_revoked_certificate(entry.revocation_date(one.revoked_at or now).build())
        return builder.sign(self._ca_key, hashes.SHA256()).public_bytes(serialization.Encoding.DER)

    def own_certificate(self) -> Issued | None:
        """The controller's certificate; None where there is none that is of this CA and fits its key."""
        try:
            pem = (self._directory / _OWN).read_bytes()
            certificate = x509.load_pem_x509_certificate(pem)
            key = serialization.load_pem_private_key(pem, password=None)
            certificate.verify_directly_issued_by(self._ca)
        except (OSError, ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
            return None
        if certificate.public_key() != key.public_key():
            return None
        return _issued(certificate, controller_name(self._lab), "controller")

    def make_own_certificate(self, now: datetime) -> Issued:
        """A new key and certificate for the controller. Raises OSError, and then the old ones stay."""
        key = ec.generate_private_key(ec.SECP256R1())
        leaf = self._issue(controller_name(self._lab), "controller", key.public_key(), now)
        certificate = x509.load_der_x509_certificate(leaf.der)
        write_file(self._directory / _OWN, _key_pem(key) + _pem(certificate), 0o600)
        return leaf.issued

    def tls(self, revocations: bytes) -> ssl.SSLContext:
        """The one way the controller opens TLS: 1.3, the lab's CA only, own certificate, `revocations` (DER).

        The host name that a connection is opened with is contract.identity's
        station_name; OpenSSL compares it with the peer's certificate.
        """
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        context.load_verify_locations(self._directory / _CA)
        _load_revocations(context, revocations)
        context.verify_flags |= ssl.VerifyFlags.VERIFY_CRL_CHECK_LEAF | ssl.VerifyFlags.VERIFY_X509_STRICT
        context.load_cert_chain(self._directory / _OWN)
        return context


def _load_revocations(context: ssl.SSLContext, revocations: bytes) -> None:
    """The ssl module takes lists from files only. One in memory needs no room on a disk that may be full."""
    pem = x509.load_der_x509_crl(revocations).public_bytes(serialization.Encoding.PEM)
    with os.fdopen(os.memfd_create("revocations"), "wb") as file:
        file.write(pem)
        file.flush()
        context.load_verify_locations(f"/proc/self/fd/{file.fileno()}")


def _issued(certificate: x509.Certificate, name: str, role: str) -> Issued:
    return Issued(f"{certificate.serial_number:x}", name, role, certificate.not_valid_after_utc)


def _requested_key(request: bytes) -> ec.EllipticCurvePublicKey | str:
    if len(request) > MAX_REQUEST_BYTES:
        text = _("its signing request has {count} bytes; the limit is {limit}")
        return text.format(count=len(request), limit=MAX_REQUEST_BYTES)
    try:
        parsed = x509.load_der_x509_csr(request)
        key = parsed.public_key()
        valid = parsed.is_signature_valid
    except (ValueError, UnsupportedAlgorithm, InvalidSignature):
        return _("its signing request cannot be read")
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        return _("its signing request is not for a P-256 key")
    return key if valid else _("its signing request is not signed by its own key")


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _midnight(now: datetime) -> datetime:
    return now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)


def _key_pem(key: ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _load_key(path: Path) -> object:
    return serialization.load_pem_private_key(path.read_bytes(), password=None)


def _load_ec_key(path: Path) -> ec.EllipticCurvePrivateKey:
    key = _load_key(path)
    if isinstance(key, ec.EllipticCurvePrivateKey):
        return key
    raise ValueError(f"{path.name} is no P-256 key")


def _load_signing_key(path: Path) -> ed25519.Ed25519PrivateKey:
    key = _load_key(path)
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return key
    raise ValueError(f"{path.name} is no Ed25519 key")
