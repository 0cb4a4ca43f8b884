"""Whether the lab stands for some bytes: an Ed25519 signature, checked in a helper.

The helper is Debian's `openssl`, in the helpers' own account, fed through
anonymous files: it costs 6 ms and nothing stays. The enforcer itself never handles a signature, and
parses the payload only after the check.
"""

import os

from agent.host import HELPER, Host
from agent.ports import ActionFailed
from agent.trust import Trust
from contract.desired import DesiredState
from contract.exchange import Command, Signed
from contract.sentence import Sentence, Told, sentence
from contract.wire import CONTRACT

# SubjectPublicKeyInfo of an Ed25519 key is these twelve bytes and the key (RFC 8410).
_SPKI = bytes.fromhex("302a300506032b6570032100")

CHECK_TIMEOUT_S = 10

_OTHER_PAIRING = sentence(
    "it was signed for another pairing of this PC; if this stays, unpair the PC (lab-agent unpair, as root)"
    " and pair it again"
)


class SealBroken(Told):
    """The lab does not stand for these bytes, or that could not be found out; the sentence says which."""


def check_seal(host: Host, signed: Signed, signing_key: bytes) -> bytes:
    """The payload of `signed`, which the holder of `signing_key` signed. Raises SealBroken."""
    parts = (_SPKI + signing_key, signed.signature, signed.payload)
    files = [_anonymous(part) for part in parts]
    try:
        key, signature, payload = (f"/proc/self/fd/{file}" for file in files)
        argv = (
            *("openssl", "pkeyutl", "-verify", "-pubin", "-keyform", "DER", "-inkey", key),
            *("-rawin", "-in", payload, "-sigfile", signature),
        )
        try:
            done = host.run(argv, timeout_s=CHECK_TIMEOUT_S, user=HELPER, pass_fds=tuple(files))
        except ActionFailed as error:
            raise SealBroken(
                sentence("the lab's signature could not be checked: {why}", why=error.sentence)
            ) from None
    finally:
        for file in files:
            os.close(file)
    if done.returncode != 0:
        raise SealBroken(sentence("the lab's signature is not under it"))
    return signed.payload


def _anonymous(content: bytes) -> int:
    file = os.memfd_create("lab-agent", os.MFD_CLOEXEC)
    try:
        os.fchmod(file, 0o444)
        with os.fdopen(os.dup(file), "wb") as stream:
            stream.write(content)
    except OSError:
        os.close(file)
        raise
    return file


def not_for_us(document: DesiredState | Command, trust: Trust) -> Sentence | None:
    """Why a document that the lab signed is not for this station in this pairing; None if it is."""
    if document.contract != CONTRACT:
        return sentence(
            "it is of contract {its}, and this agent speaks {ours}", its=document.contract, ours=CONTRACT
        )
    if (document.lab, document.station) != (trust.lab, trust.station):
        return sentence(
            "it is for {station} of lab {lab}, not for {our_station} of {our_lab}",
            station=document.station,
            lab=document.lab,
            our_station=trust.station,
            our_lab=trust.lab,
        )
    if document.pairing != trust.pairing:
        return _OTHER_PAIRING
    return None
