"""One pairing, station's side: SPAKE2, the station's new key, and both proofs.

Started by the enforcer for one attempt, as lab-helper, and gone after it; so the
running agent carries neither spake2 nor cryptography. It says one line for each
line it is told: a SpakeTask gives an offer, a PairFinish gives the identity.
"""

import hmac
import sys

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from spake2 import SPAKE2_B, SPAKEError

from agent.core.messages import SpakeResult, SpakeTask
from contract.identity import station_name
from contract.pairing import SPAKE_CONTROLLER, SPAKE_STATION, Offered, PairFinish, PairOffer, confirmation
from contract.sentence import Told, sentence, system_words
from contract.wire import ContractError, decode, encode


class PairingRefused(Told):
    """The other side did not prove itself; the sentence says how."""


def main() -> None:
    """Answer the two lines on standard input."""
    try:
        task = decode(SpakeTask, sys.stdin.buffer.readline())
        attempt = Attempt(task)
        _say(SpakeResult(offer=attempt.offer))
        finish = decode(PairFinish, sys.stdin.buffer.readline())
        _say(SpakeResult(identity=attempt.finish(finish)))
    except PairingRefused as error:
        _say(SpakeResult(error=error.sentence))
    except ContractError as error:
        _say(SpakeResult(error=sentence("the helper was not understood: {detail}", detail=str(error))))


class Attempt:
    """One run of the protocol."""

    def __init__(self, task: SpakeTask) -> None:
        self._start = task.start
        self._key = ec.generate_private_key(ec.SECP256R1())
        request = x509.CertificateSigningRequestBuilder(
            subject_name=x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, task.station)])
        ).sign(self._key, hashes.SHA256())
        spake = SPAKE2_B(task.code.encode(), idA=SPAKE_CONTROLLER, idB=SPAKE_STATION)
        said = Offered(
            pairing=task.pairing,
            station=task.station,
            message=spake.start(),
            signing_request=request.public_bytes(serialization.Encoding.DER),
        )
        self._said = said
        try:
            self._shared = spake.finish(task.start.message)
        except (SPAKEError, AssertionError, ValueError) as error:
            raise PairingRefused(sentence("the key exchange's first message is not one")) from error
        self.offer = PairOffer(
            pairing=said.pairing,
            message=said.message,
            station=said.station,
            signing_request=said.signing_request,
            confirmation=self._confirmation("station", b""),
        )

    def finish(self, finish: PairFinish) -> bytes:
        """Key and certificate as one PEM text, after the controller's proof. Raises PairingRefused."""
        due = self._confirmation("controller", finish.certificate)
        if finish.pairing != self.offer.pairing or not hmac.compare_digest(due, finish.confirmation):
            raise PairingRefused(sentence("the controller did not prove that it knows the code"))
        certificate = self._checked(finish.certificate)
        key = self._key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        return key + certificate.public_bytes(serialization.Encoding.PEM)

    def _confirmation(self, side: str, certificate: bytes) -> bytes:
        return confirmation(self._shared, side, self._start, self._said, certificate)

    def _checked(self, der: bytes) -> x509.Certificate:
        """The certificate, if it is for our key and our name and from the CA we were told of."""
        try:
            certificate = x509.load_der_x509_certificate(der)
            certificate.verify_directly_issued_by(x509.load_der_x509_certificate(self._start.ca))
            names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        except Exception as error:  # noqa: BLE001  # whatever is wrong with it, it is no certificate of ours
            raise PairingRefused(
                sentence("the certificate is not from the lab's authority ({why})", why=system_words(error))
            ) from None
        due = station_name(self._start.lab, self._said.station)
        if names.get_values_for_type(x509.DNSName) != [due]:
            raise PairingRefused(sentence("the certificate is not for {name}", name=due))
        if certificate.public_key() != self._key.public_key():
            raise PairingRefused(sentence("the certificate is for another key"))
        return certificate


def _say(result: SpakeResult) -> None:
    sys.stdout.buffer.write(encode(result) + b"\n")
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
