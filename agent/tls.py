"""Mutual TLS 1.3: the front's context, who may come in, and what the own certificate says.

OpenSSL itself checks chain, end, purpose (clientAuth) and revocation; of the
name in the certificate this module checks that it is the lab's controller's.
There are no session tickets, so every connection is checked in full.

A PC that wakes up in 1970 is not stranded: leaf certificates, the CA's own and
the revocation list begin at the epoch (docs/architecture.md), and only their
ends are compared with a clock that is too early to reach them.

A lab whose revocation list has not come yet has none checked: right after
pairing the lab has issued its first certificates, and the controller sends the
list in the first exchange. From then on a list is always in force, and one of
another CA (an earlier lab's) is never taken for it.
"""

import logging
import ssl
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec

from agent.renewal import revocations_head
from agent.settings import Paths
from contract.identity import controller_name, station_name

_log = logging.getLogger("lab-agent.front")

AGAIN_AFTER_S = 5.0
"""Files that cannot be used are tried again after this: the clock may have been put right."""

Peer = Mapping[str, Any]
"""A certificate as ssl.SSLSocket.getpeercert gives it."""


class Unusable(OSError):
    """The front's own papers do not let it speak TLS; the text says why."""


class Identity(msgspec.Struct, frozen=True):
    """Who the front's own certificate says it is, and until when."""

    station: str
    lab: str
    expires: datetime


class Papers:
    """The TLS context of the files in the front's folder, made anew whenever one of them changed."""

    def __init__(self, paths: Paths) -> None:
        self._paths = paths
        self._stamp: tuple[object, ...] = ()
        self._context: ssl.SSLContext | None = None
        self._problem = ""
        self._read_at = 0.0
        self.identity: Identity | None = None
        self.revocation_number = 0
        """Number of the revocation list in force; 0 is none."""

    def context(self) -> ssl.SSLContext:
        """The context for the next connection. Raises Unusable."""
        stamp = self._look()
        stale = self._context is None and time.monotonic() - self._read_at > AGAIN_AFTER_S
        if stamp != self._stamp or stale:
            self._read_at = time.monotonic()
            self._context, self.identity, self.revocation_number = None, None, 0
            try:
                self._read()
                self._problem = ""
            except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
                self._problem = f"the station's certificate cannot be used: {error}"
            self._stamp = stamp
        if self._context is None:
            raise Unusable(self._problem)
        return self._context

    def _look(self) -> tuple[object, ...]:
        seen: list[object] = []
        for path in (self._paths.identity_file, self._paths.ca_file, self._paths.revocations_file):
            try:
                status = path.stat()
            except FileNotFoundError:
                seen.append(None)
            else:
                seen.append((status.st_ino, status.st_mtime_ns, status.st_size))
        return tuple(seen)

    def _read(self) -> None:
        paths = self._paths
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        context.verify_mode = ssl.CERT_REQUIRED
        context.num_tickets = 0
        context.load_verify_locations(cafile=str(paths.ca_file))
        context.load_cert_chain(str(paths.identity_file))
        number = _revocation_number(paths)
        if number:
            context.load_verify_locations(cafile=str(paths.revocations_file))
            context.verify_flags |= ssl.VerifyFlags.VERIFY_CRL_CHECK_LEAF
        self.identity = read_identity(paths)
        self.revocation_number = number
        self._context = context


def read_identity(paths: Paths) -> Identity:
    """What a controller would see of the front's certificate, after checking it as a controller does.

    A handshake in memory against ourselves: the standard library has no other
    way to look into a certificate, and this one proves key, chain, purpose and
    end at the same time. Raises OSError (ssl.SSLError among them).
    """
    ours = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ours.num_tickets = 0
    ours.load_cert_chain(str(paths.identity_file))
    theirs = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    theirs.check_hostname = False
    theirs.load_verify_locations(cafile=str(paths.ca_file))
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    server = ours.wrap_bio(to_server, to_client, server_side=True)
    client = theirs.wrap_bio(to_client, to_server)
    for side in (client, server, client, server):
        try:
            side.do_handshake()
        except ssl.SSLWantReadError:
            continue
    peer: Peer = client.getpeercert() or {}
    names = dns_names(peer)
    station, _, rest = "".join(names).partition(".station.")
    lab = rest.removesuffix(".lab.internal")
    if names != [station_name(lab, station)]:
        raise ssl.SSLError(f"it is for {', '.join(names) or 'nobody'}, not for a station")
    return Identity(station, lab, _end(peer))


def stranger(peer: Peer | None, lab: str, now: datetime) -> str:
    """Why the other side, whose certificate OpenSSL accepted, may not come in; "" if it may.

    Asked at the handshake and again with each request, so that a connection
    does not outlive the certificate that opened it.
    """
    if not peer:
        return "it showed no certificate"
    names = dns_names(peer)
    if names != [controller_name(lab)]:
        return f"it is {', '.join(names) or 'nobody'}, not the controller of {lab}"
    if _end(peer) <= now:
        return f"its certificate ended on {_end(peer):%Y-%m-%d}"
    return ""


def dns_names(peer: Peer) -> list[str]:
    """The DNS names in a certificate; other kinds of name make it nobody's."""
    names = [(str(kind), str(value)) for kind, value in peer.get("subjectAltName", ())]
    return [value for _, value in names] if all(kind == "DNS" for kind, _ in names) else []


def _end(peer: Peer) -> datetime:
    return datetime.fromtimestamp(ssl.cert_time_to_seconds(str(peer["notAfter"])), UTC)


def _revocation_number(paths: Paths) -> int:
    """Number of the stored list; 0 where there is none or it is another CA's."""
    try:
        head = paths.revocations_file.read_text().partition("\n")[0] + "\n"
    except FileNotFoundError:
        return 0
    number = head.split()[1] if len(head.split()) == 4 else ""
    if not number.isdigit() or head != revocations_head(paths.ca_file.read_text(), int(number)):
        _log.warning("the stored revocation list is not this lab's and is left out")
        return 0
    return int(number)
