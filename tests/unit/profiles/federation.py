"""A SAML federation of the tests' own: keys, metadata and every way to forge it."""

import base64
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from lxml import etree
from signxml.algorithms import CanonicalizationMethod, SignatureMethod
from signxml.signer import XMLSigner

NOW = datetime(2026, 11, 23, 8, 0, tzinfo=UTC)
PUBLISHED = "2026-11-20T10:00:00Z"

MD = "urn:oasis:names:tc:SAML:2.0:metadata"
DS = "http://www.w3.org/2000/09/xmldsig#"
RPI = "urn:oasis:names:tc:SAML:metadata:rpi"


@dataclass(frozen=True)
class Signer:
    """A key and its self-signed certificate."""

    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate

    @property
    def pin(self) -> str:
        """SHA-256 of the certificate, as a lab pins it."""
        return hashlib.sha256(self.certificate.public_bytes(Encoding.DER)).hexdigest()


def signer(name: str, *, days: int = 365) -> Signer:
    """A fresh signer whose certificate ends `days` after NOW."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOW - timedelta(days=400))
        .not_valid_after(NOW + timedelta(days=days))
        .sign(key, hashes.SHA256())
    )
    return Signer(key, certificate)


def entity(number: int, *, host: str | None = None, attributes: str = "", logout: str | None = None) -> str:
    """An identity provider's descriptor."""
    host = host or f"idp-{number}.example.it"
    out = f'<md:SingleLogoutService Binding="b" Location="https://{logout}/out"/>' if logout else ""
    return (
        f'<md:EntityDescriptor entityID="https://idp-{number}.example.it" ID="_e{number}" {attributes}>'
        f'<md:IDPSSODescriptor protocolSupportEnumeration="p">{out}'
        f'<md:SingleSignOnService Binding="b" Location="https://{host}/sso"/></md:IDPSSODescriptor>'
        f'<md:Organization><md:OrganizationDisplayName xml:lang="en">Provider {number}'
        f'</md:OrganizationDisplayName><md:OrganizationDisplayName xml:lang="it">Gestore {number}'
        f"</md:OrganizationDisplayName></md:Organization></md:EntityDescriptor>"
    )


def service_provider() -> str:
    """An entity that signs nobody in."""
    return (
        '<md:EntityDescriptor entityID="https://sp.example.it"><md:SPSSODescriptor '
        'protocolSupportEnumeration="p"/></md:EntityDescriptor>'
    )


def metadata(entities: str, *, attributes: str = "", published: str = PUBLISHED) -> str:
    """The unsigned list."""
    info = f'<rpi:PublicationInfo publisher="example" creationInstant="{published}"/>' if published else ""
    return (
        f'<md:EntitiesDescriptor xmlns:md="{MD}" xmlns:rpi="{RPI}" ID="_all" {attributes}>'
        f"<md:Extensions>{info}</md:Extensions>{entities}</md:EntitiesDescriptor>"
    )


def tree(text: str | bytes) -> Any:
    """`text` as an lxml element."""
    return etree.fromstring(text.encode() if isinstance(text, str) else text)


def text_of(element: Any) -> bytes:
    """The bytes of an element."""
    return etree.tostring(element)


def sign(
    text: str, by: Signer, *, certificates: Mapping[str, Any] | None = None, reference: str = "#_all"
) -> bytes:
    """`text` with an enveloped signature as the federation makes it: first child, one reference."""
    root = tree(text)
    placeholder = etree.Element(f"{{{DS}}}Signature", {"Id": "placeholder"}, nsmap={"ds": DS})
    target = root if root.get("ID") == reference[1:] else next(root.iterfind(f".//*[@ID='{reference[1:]}']"))
    target.insert(0, placeholder)
    made = XMLSigner(
        signature_algorithm=SignatureMethod.ECDSA_SHA256,
        c14n_algorithm=CanonicalizationMethod.EXCLUSIVE_XML_CANONICALIZATION_1_0,
    ).sign(
        root,
        key=by.key,
        cert=[(certificates or {}).get("certificate", by.certificate)],
        reference_uri=reference,
        id_attribute="ID",
    )
    return text_of(made)


def with_certificate(signed: bytes, other: Signer) -> bytes:
    """The file with another certificate put in front of its own: the forger's usual try."""
    root = tree(signed)
    data = root.find(f".//{{{DS}}}X509Data")
    extra = etree.Element(f"{{{DS}}}X509Certificate")
    extra.text = base64.b64encode(other.certificate.public_bytes(Encoding.DER)).decode()
    data.insert(0, extra)
    return text_of(root)
