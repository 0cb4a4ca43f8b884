"""What a lab holds, for tests that need a real one: a CA, a signing key, and both rounds of a pairing."""

from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from spake2 import SPAKE2_A

from contract.desired import DesiredState, Resources
from contract.exchange import Command, CommandKind, Signed
from contract.identity import station_name
from contract.pairing import (
    SPAKE_CONTROLLER,
    SPAKE_STATION,
    Offered,
    PairFinish,
    PairOffer,
    PairStart,
    confirmation,
)
from contract.payment import PaymentOrder
from contract.wire import CONTRACT, Message, encode

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


class LabKeys:
    """The keys of one lab."""

    def __init__(self, lab: str = "prova") -> None:
        self.lab = lab
        self.pairing = "0" * 32
        """The pairing that what is signed names: the last one made, see `ControllerHalf.finish`."""
        self.signing_key = ed25519.Ed25519PrivateKey.generate()
        self._ca_key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, lab)])
        self._ca = self._certificate(
            lab, self._ca_key.public_key(), x509.BasicConstraints(ca=True, path_length=0)
        )

    @property
    def ca(self) -> bytes:
        """The CA certificate (DER)."""
        return self._ca.public_bytes(serialization.Encoding.DER)

    @property
    def signing_public(self) -> bytes:
        """The raw public key under which desired states are checked."""
        return self.signing_key.public_key().public_bytes_raw()

    def sign(self, document: Message) -> Signed:
        """Seal a document."""
        payload = encode(document)
        return Signed(payload=payload, signature=self.signing_key.sign(payload))

    def desired(self, station: str, revision: int, resources: Resources, **changes: object) -> Signed:
        """A sealed desired state; `changes` bend it."""
        parts: dict[str, object] = {
            "contract": CONTRACT,
            "lab": self.lab,
            "station": station,
            "pairing": self.pairing,
            "revision": revision,
            "profile": "citizen",
            "issued_at": NOON,
            "resources": resources,
        }
        return self.sign(DesiredState(**{**parts, **changes}))  # type: ignore[arg-type]  # bent on purpose

    def command(
        self,
        station: str,
        number: int = 1,
        kind: CommandKind = "unpair",
        payment: PaymentOrder | None = None,
    ) -> Signed:
        """A sealed command; to unpair, if nothing else is said."""
        return self.sign(
            Command(
                contract=CONTRACT,
                id=f"{number:032x}",
                lab=self.lab,
                station=station,
                pairing=self.pairing,
                issued_at=NOON,
                kind=kind,
                payment=payment,
            )
        )

    def issue(
        self, request: bytes, name: str, purpose: x509.ObjectIdentifier = ExtendedKeyUsageOID.SERVER_AUTH
    ) -> bytes:
        """A certificate (DER) for the key of a signing request, under `name` and for `purpose`."""
        key = x509.load_der_x509_csr(request).public_key()
        assert isinstance(key, ec.EllipticCurvePublicKey)
        extensions = (x509.SubjectAlternativeName([x509.DNSName(name)]), x509.ExtendedKeyUsage([purpose]))
        return self._certificate(name[:60], key, *extensions).public_bytes(serialization.Encoding.DER)

    def _certificate(
        self, subject: str, key: ec.EllipticCurvePublicKey, *extensions: x509.ExtensionType
    ) -> x509.Certificate:
        builder = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)]))
            .issuer_name(self._name)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(EPOCH)
            .not_valid_after(datetime.now(UTC) + timedelta(days=30))
        )
        for extension in extensions:
            builder = builder.add_extension(extension, critical=True)
        return builder.sign(self._ca_key, hashes.SHA256())


class ControllerHalf:
    """The controller's side of one pairing, written from contract/pairing.py and not from the controller."""

    def __init__(self, keys: LabKeys, code: str) -> None:
        self._keys = keys
        self._spake = SPAKE2_A(code.encode(), idA=SPAKE_CONTROLLER, idB=SPAKE_STATION)
        self.start = PairStart(
            contract=CONTRACT,
            message=self._spake.start(),
            lab=keys.lab,
            ca=keys.ca,
            signing_key=keys.signing_public,
        )

    def finish(self, offer: PairOffer, name: str = "", certificate: bytes = b"") -> PairFinish:
        """The second round for `offer`; AssertionError when the station did not know the code."""
        key = self._spake.finish(offer.message)
        parts = Offered(offer.pairing, offer.station, offer.message, offer.signing_request)
        assert confirmation(key, "station", self.start, parts, b"") == offer.confirmation
        name = name or station_name(self._keys.lab, offer.station)
        certificate = certificate or self._keys.issue(offer.signing_request, name)
        proof = confirmation(key, "controller", self.start, parts, certificate)
        self._keys.pairing = offer.pairing
        return PairFinish(pairing=offer.pairing, certificate=certificate, confirmation=proof)
