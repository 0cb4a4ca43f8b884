"""The SPID federation's SAML metadata: who signs citizens in, and at which hosts.

A file from the network decides where citizens type their passwords, so nothing
in it counts before its signature does, and the signature counts only against
the one certificate whose SHA-256 fingerprint the lab pinned: a file may bring
any certificate it likes. After that, only the bytes that the verifier says were
signed are read; the rest of the file might as well not be there (that is what
stops wrapping: a genuine signed part carried inside a forged whole).

The only module that needs lxml, signxml and cryptography; it is loaded when an
update runs and at no other time.
"""

import base64
import binascii
import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from urllib.parse import urlsplit
from xml.etree.ElementTree import Element, ParseError

import defusedxml
from cryptography import x509
from defusedxml.ElementTree import fromstring
from signxml.exceptions import SignXMLException
from signxml.verifier import SignatureConfiguration, VerifyResult, XMLVerifier

from kiosk_profiles.findings import _
from kiosk_profiles.hosts import PatternError, parse_pattern
from kiosk_profiles.services import FederationProvider

MAX_BYTES = 8 << 20
"""The federation's file of 2025-11-25, twelve providers, has 138 kB."""

_MD = "{urn:oasis:names:tc:SAML:2.0:metadata}"
_DS = "{http://www.w3.org/2000/09/xmldsig#}"
_RPI = "{urn:oasis:names:tc:SAML:metadata:rpi}"
_LANG = "{http://www.w3.org/XML/1998/namespace}lang"
_FEDERATION = f"{_MD}EntitiesDescriptor"


class MetadataError(ValueError):
    """Why the file is not taken, in a sentence; `hint` says what to do."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


@dataclass(frozen=True)
class Federation:
    """What the federation signed: its providers, and the day it published them (UTC)."""

    providers: tuple[FederationProvider, ...]
    published: date


def read_metadata(content: bytes, pin: str, now: datetime) -> Federation:
    """The federation in `content`, if the certificate with fingerprint `pin` signed all of it.

    `pin` is the SHA-256 of the certificate (DER) in hexadecimal, colons or not.
    `now` is an aware instant. Raises MetadataError for everything else.
    """
    wanted = normal_fingerprint(pin)
    if len(content) > MAX_BYTES:
        raise MetadataError(
            _("the file has {size} bytes; the limit is {limit}", size=len(content), limit=MAX_BYTES),
            _("check that it is the federation's metadata"),
        )
    document = _parse(content)
    if document.tag != _FEDERATION:
        raise MetadataError(
            _("this is no federation's metadata: it starts with {tag}", tag=_local(document.tag)),
            _("use the file that lists all identity providers (spid-entities-idps.xml)"),
        )
    certificate = _pinned_certificate(document, wanted)
    if not certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc:
        end = certificate.not_valid_after_utc.date().isoformat()
        raise MetadataError(
            _("the pinned certificate is not valid now (it ends on {day})", day=end),
            _("check this machine's clock; else get the federation's new fingerprint and pin that"),
        )
    signed = _parse(_verified(content, certificate, now))
    if signed.tag != _FEDERATION or signed.get("ID") != document.get("ID"):
        raise MetadataError(
            _(
                "the signature covers only a part of the file ({tag}), not the whole list",
                tag=_local(signed.tag),
            ),
            _("this may be a forgery: fetch the file again from the federation"),
        )
    return _federation(signed, now)


def normal_fingerprint(pin: str) -> str:
    """A SHA-256 fingerprint as 64 small hexadecimal digits. Raises MetadataError for anything else."""
    digits = pin.replace(":", "").replace(" ", "").lower()
    if re.fullmatch(r"[0-9a-f]{64}", digits) is None:
        raise MetadataError(
            _("the pinned fingerprint is not a SHA-256 in hexadecimal (64 digits)"),
            _("copy it from the federation's published certificate: docs/profiles.md says how"),
        )
    return digits


def _parse(content: bytes) -> Element:
    try:
        return fromstring(content, forbid_dtd=True, forbid_entities=True, forbid_external=True)
    except defusedxml.DefusedXmlException:
        raise MetadataError(
            _("the file declares a document type or entities, which metadata has no use for"),
            _("this is an attack or a broken file: fetch it again from the federation"),
        ) from None
    except (ParseError, ValueError, LookupError) as error:
        raise MetadataError(
            _("the file is not XML: {problem}", problem=str(error)), _("fetch it again from the federation")
        ) from None


def _pinned_certificate(document: Element, wanted: str) -> x509.Certificate:
    """The certificate of the file's own signature whose fingerprint is the pinned one."""
    signature = document.find(f"{_DS}Signature")
    if signature is None:
        raise MetadataError(
            _("the file is not signed"), _("fetch it from the federation's own registry, over https")
        )
    offered = []
    for element in signature.iterfind(f"{_DS}KeyInfo/{_DS}X509Data/{_DS}X509Certificate"):
        try:
            der = base64.b64decode("".join((element.text or "").split()), validate=True)
        except (binascii.Error, ValueError):
            continue
        offered.append(hashlib.sha256(der).hexdigest())
        if offered[-1] == wanted:
            try:
                return x509.load_der_x509_certificate(der)
            except ValueError as error:
                message = _("the pinned certificate cannot be read: {problem}", problem=str(error))
                raise MetadataError(message) from None
    found = ", ".join(offered) or _("none")
    raise MetadataError(
        _("the file is signed with another certificate than the pinned one (it brings {found})", found=found),
        _("do not trust it; if the federation announced a new certificate, pin that fingerprint"),
    )


def _verified(content: bytes, certificate: x509.Certificate, now: datetime) -> bytes:
    """The bytes that the certificate's key signed."""
    expected = SignatureConfiguration(
        location="./",  # the signature of the list itself, never one of a part
        expect_references=1,
        ignore_ambiguous_key_info=False,
        verification_time=now,
    )
    try:
        result = XMLVerifier().verify(content, x509_cert=certificate, expect_config=expected)
    except (SignXMLException, ValueError) as error:
        raise MetadataError(
            _(
                "the signature does not hold: {problem}",
                problem=str(error).strip(": ") or type(error).__name__,
            ),
            _("the file was changed after it was signed: fetch it again from the federation"),
        ) from None
    assert isinstance(result, VerifyResult)  # noqa: S101 - a list only where several references are expected
    return result.signed_data


def _federation(signed: Element, now: datetime) -> Federation:
    for element in (signed, *signed.iter(f"{_MD}EntityDescriptor"), *signed.iter(f"{_MD}IDPSSODescriptor")):
        until = element.get("validUntil")
        if until is not None and _instant(until) < now:
            name = element.get("entityID") or _("the list")
            raise MetadataError(
                _("{name} was valid until {until} only", name=name, until=until),
                _("fetch the federation's current file"),
            )
    info = signed.find(f"{_MD}Extensions/{_RPI}PublicationInfo")
    created = info.get("creationInstant") if info is not None else None
    if created is None:
        raise MetadataError(_("the list does not say when it was published"), _("fetch it again"))
    published = _instant(created)
    if published > now:
        raise MetadataError(
            _("the list was published in the future ({instant})", instant=created),
            _("check this machine's clock"),
        )
    providers: dict[str, FederationProvider] = {}
    for entity in signed.iter(f"{_MD}EntityDescriptor"):
        provider = _provider(entity)
        if provider is None:
            continue
        if provider.entity in providers:
            raise MetadataError(_("{entity} is in the list twice", entity=provider.entity))
        providers[provider.entity] = provider
    return Federation(tuple(providers[name] for name in sorted(providers)), published.astimezone(UTC).date())


def _provider(entity: Element) -> FederationProvider | None:
    """The identity provider that an entity is, or None where it signs nobody in."""
    role = entity.find(f"{_MD}IDPSSODescriptor")
    if role is None:
        return None
    name = entity.get("entityID", "")
    hosts = tuple(dict.fromkeys(_hosts(name, role, "SingleSignOnService")))
    if not name or not hosts:
        raise MetadataError(_("{entity} has no address to sign in at", entity=name or _("an entity")))
    logout = tuple(
        host for host in dict.fromkeys(_hosts(name, role, "SingleLogoutService")) if host not in hosts
    )
    return FederationProvider(name, _display_name(entity) or name, hosts, logout)


def _hosts(entity: str, role: Element, service: str) -> Iterator[str]:
    for element in role.iterfind(f"{_MD}{service}"):
        for address in (element.get("Location"), element.get("ResponseLocation")):
            if address is not None:
                yield _host(entity, address)


def _host(entity: str, address: str) -> str:
    try:
        parts = urlsplit(address)
        host = parts.hostname or ""
        parse_pattern("." + host)
    except (ValueError, PatternError):
        host = ""
        parts = urlsplit("")
    if parts.scheme != "https" or not host:
        raise MetadataError(
            _("{entity} has an address that is not https: {address}", entity=entity, address=address)
        )
    return host


def _display_name(entity: Element) -> str:
    """The organisation's name, Italian first; one line."""
    for tag in ("OrganizationDisplayName", "OrganizationName"):
        names = entity.findall(f"{_MD}Organization/{_MD}{tag}")
        for element in sorted(names, key=lambda element: element.get(_LANG) != "it"):
            text = " ".join((element.text or "").split())
            if text and "://" not in text:
                return text[:120]
    return ""


def _instant(text: str) -> datetime:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise MetadataError(_("'{text}' is no instant", text=text)) from None
    return found if found.tzinfo is not None else found.replace(tzinfo=UTC)


def _local(tag: str) -> str:
    return tag.rpartition("}")[2]
