"""Whom the station obeys: one lab, its CA and its signing key, settled by pairing."""

import base64
import os
import pwd
from pathlib import Path

from agent.settings import Paths
from contract.identity import LabId, PairingId, StationId
from contract.wire import ContractError, Message, decode, encode


class Trust(Message, frozen=True):
    """What pairing settled. `ca` is DER, `signing_key` the 32 raw bytes of an Ed25519 key."""

    lab: LabId
    station: StationId
    ca: bytes
    signing_key: bytes
    pairing: PairingId


class TrustStore:
    """The one file that says so; there is none while the station is unpaired."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "trust.json"

    def load(self, station: str) -> Trust | None:
        """The trust of `station`; None while unpaired, and when the PC was given another id."""
        try:
            trust = decode(Trust, self._file.read_bytes())
        except FileNotFoundError:
            return None
        except ContractError as error:
            raise ContractError(
                f"{self._file} is damaged ({error}); remove it and pair the station again"
            ) from None
        return trust if trust.station == station else None

    def save(self, trust: Trust) -> None:
        """Keep it; whole or not at all, also through a power cut."""
        write_private(self._file, encode(trust))

    def remove(self) -> None:
        """Forget the lab."""
        self._file.unlink(missing_ok=True)


def give_papers(paths: Paths, front_user: str, ca: bytes, identity: bytes) -> None:
    """The front's folder after a pairing: `ca` (DER), `identity` (PEM, key and certificate), and no old list.

    On a real PC all of it is the front's own. Raises OSError.
    """
    folder = paths.front_state
    folder.mkdir(0o700, parents=True, exist_ok=True)
    owner: tuple[int, int] | None = None
    if os.geteuid() == 0 and paths.root.as_posix() == "/":
        account = pwd.getpwnam(front_user)
        owner = (account.pw_uid, account.pw_gid)
        os.chown(folder, *owner)
    paths.revocations_file.unlink(missing_ok=True)
    write_private(paths.ca_file, _pem(ca), owner)
    write_private(paths.identity_file, identity, owner)


def _pem(der: bytes) -> bytes:
    """A certificate as PEM text; the ssl module, which could do it, costs 5 MB."""
    body = base64.encodebytes(der).replace(b"\n", b"")
    lines = (body[at : at + 64] for at in range(0, len(body), 64))
    return b"\n".join((b"-----BEGIN CERTIFICATE-----", *lines, b"-----END CERTIFICATE-----", b""))


def write_private(path: Path, content: bytes, owner: tuple[int, int] | None = None) -> None:
    """Write `path` by rename, mode 0600, owned by (uid, gid) if given, on the disk when this returns."""
    fresh = path.with_name(f".{path.name}.new")
    fresh.unlink(missing_ok=True)
    handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(handle, "wb") as stream:
        stream.write(content)
        stream.flush()
        if owner is not None:
            os.fchown(handle, *owner)
        os.fsync(handle)
    fresh.replace(path)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
