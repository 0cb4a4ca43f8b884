"""The lab's keys: what is made, what is refused, and that nothing is ever made over."""

import ssl
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from contract.identity import controller_name, station_name
from controller.pki import EPOCH, LEAF_LIFE, Leaf, Pki, PkiError, make_lab_keys
from controller.store.repositories import Issued

NOW = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)
DER = serialization.Encoding.DER


@pytest.fixture
def pki(tmp_path: Path) -> Pki:
    make_lab_keys(tmp_path / "pki", "fontana", NOW)
    return Pki(tmp_path / "pki", "fontana")


def request(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | None = None, name: str = "x") -> bytes:
    key = key or ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    builder = x509.CertificateSigningRequestBuilder().subject_name(subject)
    alternative = x509.SubjectAlternativeName([x509.DNSName(controller_name("fontana"))])
    return builder.add_extension(alternative, critical=False).sign(key, hashes.SHA256()).public_bytes(DER)


def issued(leaf: Leaf | str) -> x509.Certificate:
    assert isinstance(leaf, Leaf)
    return x509.load_der_x509_certificate(leaf.der)


def names(certificate: x509.Certificate) -> list[str]:
    found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    return found.value.get_values_for_type(x509.DNSName)


def test_a_station_gets_its_own_name_and_role_whatever_it_asks_for(pki: Pki) -> None:
    certificate = issued(pki.issue_station("pc-01", request(name="server"), NOW))
    assert names(certificate) == [station_name("fontana", "pc-01")]
    usage = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage)
    assert list(usage.value) == [ExtendedKeyUsageOID.SERVER_AUTH]
    assert not certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    assert list(certificate.subject) == []


def test_a_pc_that_wakes_up_in_1970_finds_its_certificate_valid(pki: Pki) -> None:
    certificate = issued(pki.issue_station("pc-01", request(), NOW))
    assert certificate.not_valid_before_utc == EPOCH
    assert certificate.not_valid_after_utc == NOW + LEAF_LIFE


def test_two_certificates_never_share_a_serial(pki: Pki) -> None:
    first, second = (issued(pki.issue_station("pc-01", request(), NOW)) for _ in range(2))
    assert first.serial_number != second.serial_number


def other_curve() -> bytes:
    return request(ec.generate_private_key(ec.SECP384R1()))


def rsa_key() -> bytes:
    return request(rsa.generate_private_key(65537, 2048))


def forged() -> bytes:
    """A request for somebody else's key: the signature does not fit."""
    good = bytearray(request())
    good[-1] ^= 1
    return bytes(good)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (other_curve, "not for a P-256 key"),
        (rsa_key, "not for a P-256 key"),
        (forged, "not signed by its own key"),
        (lambda: b"", "cannot be read"),
        (lambda: b"garbage" * 100, "cannot be read"),
        (lambda: b"x" * 100_000, "the limit is"),
    ],
)
def test_a_bad_request_gets_a_sentence_and_no_certificate(pki: Pki, make: object, says: str) -> None:
    assert callable(make)
    answer = pki.issue_station("pc-01", make(), NOW)
    assert isinstance(answer, str)
    assert says in answer


def test_the_controllers_key_and_certificate_come_in_one_file(pki: Pki, tmp_path: Path) -> None:
    assert pki.own_certificate() is None
    made = pki.make_own_certificate(NOW)
    assert (made.name, made.role) == (controller_name("fontana"), "controller")
    assert pki.own_certificate() == made
    file = tmp_path / "pki/controller.pem"
    assert file.stat().st_mode & 0o777 == 0o600
    first = file.read_bytes()
    assert pki.make_own_certificate(NOW).serial != made.serial
    begin = b"-----BEGIN CERTIFICATE-----"
    key = file.read_bytes().partition(begin)[0]
    file.write_bytes(key + begin + first.partition(begin)[2])
    assert pki.own_certificate() is None, "a certificate of another key"


def test_the_revocation_list_names_what_was_revoked_and_its_number(pki: Pki) -> None:
    gone = Issued("a1b2", "pc-01", "station", NOW + LEAF_LIFE, NOW)
    crl = x509.load_der_x509_crl(pki.revocations([gone], 7, NOW))
    assert crl.get_revoked_certificate_by_serial_number(0xA1B2) is not None
    assert crl.get_revoked_certificate_by_serial_number(0xA1B3) is None
    assert crl.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number == 7
    assert crl.last_update_utc == EPOCH
    ca = x509.load_der_x509_certificate(pki.ca_der).public_key()
    assert isinstance(ca, ec.EllipticCurvePublicKey)
    assert crl.is_signature_valid(ca)


def test_the_lab_signs_with_the_key_that_stations_pin(pki: Pki) -> None:
    signed = pki.sign(b"what it shall be")
    key = ed25519.Ed25519PublicKey.from_public_bytes(pki.signing_public_key)
    key.verify(signed.signature, signed.payload)


def test_tls_trusts_the_labs_ca_and_nobody_else(pki: Pki) -> None:
    pki.make_own_certificate(NOW)
    context = pki.tls(pki.revocations([], 1, NOW))
    assert context.minimum_version is ssl.TLSVersion.TLSv1_3
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname
    assert context.verify_flags & ssl.VERIFY_CRL_CHECK_LEAF
    assert context.get_ca_certs(binary_form=True) == [pki.ca_der]


def test_keys_are_private_and_never_made_over(tmp_path: Path) -> None:
    place = tmp_path / "pki"
    made = make_lab_keys(place, "fontana", NOW)
    assert sorted(made) == ["ca-key.pem", "ca.pem", "signing-key.pem"]
    assert place.stat().st_mode & 0o777 == 0o700
    for name in ("ca-key.pem", "signing-key.pem"):
        assert (place / name).stat().st_mode & 0o777 == 0o600
    before = {name: (place / name).read_bytes() for name in made}
    assert make_lab_keys(place, "fontana", NOW) == []
    assert {name: (place / name).read_bytes() for name in made} == before


@pytest.mark.parametrize("lost", ["ca-key.pem", "ca.pem"])
def test_half_a_ca_is_an_error_not_a_new_ca(tmp_path: Path, lost: str) -> None:
    place = tmp_path / "pki"
    make_lab_keys(place, "fontana", NOW)
    (place / lost).unlink()
    with pytest.raises(PkiError, match=f"{lost} is missing"):
        make_lab_keys(place, "fontana", NOW)
    with pytest.raises(PkiError, match="is missing"):
        Pki(place, "fontana")


def test_keys_of_two_labs_do_not_mix(tmp_path: Path) -> None:
    for lab in ("one", "two"):
        make_lab_keys(tmp_path / lab, lab, NOW)
    (tmp_path / "one/ca.pem").write_bytes((tmp_path / "two/ca.pem").read_bytes())
    with pytest.raises(PkiError, match="do not belong together"):
        Pki(tmp_path / "one", "one")


def test_a_key_file_that_is_none_is_a_sentence(tmp_path: Path) -> None:
    make_lab_keys(tmp_path, "fontana", NOW)
    (tmp_path / "signing-key.pem").write_text("not a key")
    with pytest.raises(PkiError, match="cannot be read"):
        Pki(tmp_path, "fontana")
