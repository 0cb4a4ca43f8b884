"""The front's papers: a new key with its signing request, and whether what came back is the lab's.

A process of its own for each task, gone after some 0.1 s, so that the running
front carries no `cryptography` and what it parses of the LAN cannot reach it.
"""

import sys
from datetime import UTC, datetime

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from agent.core.paperwork import CheckCertificate, CheckRevocations, MakeRequest, Paper, Task
from contract.sentence import Told, sentence, system_words
from contract.wire import ContractError, decode, encode


class Unacceptable(Told):
    """What came is not what it should be; the sentence says why."""


def main() -> None:
    """Do the task on standard input."""
    try:
        paper = do(decode(Task, sys.stdin.buffer.read()))  # type: ignore[arg-type]  # a union is no type[T], yet msgspec decodes one
    except ContractError as error:
        paper = Paper(error=sentence("the helper was not understood: {detail}", detail=str(error)))
    except Unacceptable as error:
        paper = Paper(error=error.sentence)
    sys.stdout.buffer.write(encode(paper))


def do(task: Task) -> Paper:
    """What comes of `task`. Raises Unacceptable."""
    match task:
        case MakeRequest():
            return make_request(task.station)
        case CheckCertificate():
            return check_certificate(task)
        case CheckRevocations():
            return check_revocations(task)


def make_request(station: str) -> Paper:
    """A P-256 key and a PKCS #10 request signed with it; the CA decides on the names."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, station)])
    request = x509.CertificateSigningRequestBuilder(subject).sign(key, hashes.SHA256())
    return Paper(pem=_key_pem(key), der=request.public_bytes(serialization.Encoding.DER))


def check_certificate(task: CheckCertificate) -> Paper:
    """The identity, key and certificate in one PEM text, if the certificate is what was asked for."""
    key = serialization.load_pem_private_key(task.key_pem, None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise Unacceptable(sentence("the pending key is not an elliptic curve key"))
    try:
        certificate = x509.load_der_x509_certificate(task.certificate)
        certificate.verify_directly_issued_by(x509.load_der_x509_certificate(task.ca))
    except (ValueError, TypeError, InvalidSignature) as error:
        raise Unacceptable(
            sentence("the certificate is not from the lab's authority ({why})", why=system_words(error))
        ) from None
    if certificate.public_key() != key.public_key():
        raise Unacceptable(sentence("the certificate is for another key"))
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        usage = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except (ValueError, x509.ExtensionNotFound) as error:
        raise Unacceptable(
            sentence("the certificate lacks something ({why})", why=system_words(error))
        ) from None
    if names.get_values_for_type(x509.DNSName) != [task.name]:
        raise Unacceptable(sentence("the certificate is not for {name}", name=task.name))
    if ExtendedKeyUsageOID.SERVER_AUTH not in usage:
        raise Unacceptable(sentence("the certificate is not one for a server"))
    if certificate.not_valid_after_utc <= datetime.now(UTC):
        raise Unacceptable(
            sentence("the certificate ended on {day}", day=f"{certificate.not_valid_after_utc:%Y-%m-%d}")
        )
    return Paper(pem=_key_pem(key) + certificate.public_bytes(serialization.Encoding.PEM))


def check_revocations(task: CheckRevocations) -> Paper:
    """The list as PEM and its number, if the lab's authority signed it."""
    try:
        authority = x509.load_der_x509_certificate(task.ca).public_key()
        revocations = x509.load_der_x509_crl(task.revocations)
        number = revocations.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number
    except (ValueError, x509.ExtensionNotFound) as error:
        raise Unacceptable(
            sentence("that is no numbered revocation list ({why})", why=system_words(error))
        ) from None
    if not isinstance(authority, ec.EllipticCurvePublicKey) or not revocations.is_signature_valid(authority):
        raise Unacceptable(sentence("the revocation list is not signed by the lab's authority"))
    return Paper(pem=revocations.public_bytes(serialization.Encoding.PEM), number=number)


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


if __name__ == "__main__":
    main()
