"""The paired front: who is let in, and that nobody else is, before and while connected."""

import ssl
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.x509 import load_der_x509_csr
from cryptography.x509.oid import ExtendedKeyUsageOID

from contract.identity import controller_name, station_name
from tests.integration.front_kit import (
    LAB,
    STATION,
    Authority,
    Controller,
    EnforcerPeer,
    FrontProcess,
    Issued,
    client_context,
    eventually,
    paired,
)

REFUSED = (ConnectionError, ssl.SSLError, ssl.SSLEOFError)


class Lab:
    """A paired front with its CA and the enforcer's end of the socket."""

    def __init__(self, folder: Path) -> None:
        self.authority = Authority(folder / "pki")
        self.front = FrontProcess(folder / "pc")
        self.enforcer = EnforcerPeer(self.front.paths)
        self.enforcer.start()
        paired(self.front, self.enforcer, self.authority)
        self.controller = self.authority.controller()
        self.front.start()
        eventually(self.reachable)

    def reachable(self) -> bool:
        try:
            self.connect().ask()
        except (*REFUSED, AssertionError):
            return False
        return True

    def connect(self, own: Issued | None = None) -> Controller:
        return Controller(self.front, self.authority, own or self.controller)


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    made = Lab(tmp_path)
    yield made
    made.front.kill()
    made.enforcer.stop()


def test_the_controller_is_answered(lab: Lab) -> None:
    answer = lab.connect().ask()
    assert answer.station == STATION
    assert answer.epoch == "e1"
    assert answer.revocation_number == 0
    assert answer.certificate_expires is not None
    assert lab.connect().socket.version() == "TLSv1.3"


def impostor(kind: str, lab: Lab) -> Issued | None:
    authority, other = lab.authority, Authority(lab.front.paths.root / "other")
    past = datetime.now(UTC) - timedelta(days=1)
    client = ExtendedKeyUsageOID.CLIENT_AUTH
    makers: dict[str, Callable[[], Issued | None]] = {
        "no certificate": lambda: None,
        "another CA, same names": other.controller,
        "another lab's controller, another CA": lambda: Authority(
            lab.front.paths.root / "x", "arco"
        ).controller(),
        "another lab's name under this CA": lambda: authority.issue(controller_name("arco"), client),
        "expired": lambda: authority.controller(past),
        "a station": authority.station,
        "another station": lambda: authority.station(name="pc-04"),
        "a station's name for a client": lambda: authority.issue(station_name(LAB, STATION), client),
        "the controller's name for a server": lambda: authority.issue(
            controller_name(LAB), ExtendedKeyUsageOID.SERVER_AUTH
        ),
    }
    return makers[kind]()


@pytest.mark.parametrize(
    "kind",
    [
        "no certificate",
        "another CA, same names",
        "another lab's controller, another CA",
        "another lab's name under this CA",
        "expired",
        "a station",
        "another station",
        "a station's name for a client",
        "the controller's name for a server",
    ],
)
def test_an_impostor_gets_no_answer(lab: Lab, kind: str) -> None:
    own = impostor(kind, lab)
    with pytest.raises(REFUSED):
        Controller(lab.front, lab.authority, own).ask()
    eventually(lambda: "was not let in" in lab.front.log())
    assert "Traceback" not in lab.front.log()
    lab.connect().ask()


def test_tls_1_2_is_refused(lab: Lab) -> None:
    context = client_context(lab.authority, lab.controller)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with pytest.raises(REFUSED):
        context.wrap_socket(lab.front.connect(), server_hostname=station_name(LAB, STATION))


def test_plain_http_gets_nothing_from_a_paired_station(lab: Lab) -> None:
    with lab.front.connect() as plain:
        plain.sendall(b"POST /v1/pair/start HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}")
        answer = plain.recv(1000)
    assert b"HTTP" not in answer


def test_no_session_is_resumed(lab: Lab) -> None:
    """A ticket would let a revoked controller in without a look at its certificate."""
    controller = lab.connect()
    controller.ask()
    session = controller.socket.session
    assert session is None or not session.has_ticket


def test_the_station_proves_itself_by_name(lab: Lab) -> None:
    with pytest.raises(ssl.SSLCertVerificationError):
        Controller(lab.front, lab.authority, lab.controller, station="pc-04")


def test_revoked_before_it_connects(lab: Lab) -> None:
    old = lab.authority.controller()
    answer = lab.connect().ask(revocations=lab.authority.revocations(old))
    assert answer.revocation_number == 1
    assert not answer.refusals
    with pytest.raises(REFUSED):
        lab.connect(old).ask()
    assert lab.connect().ask().revocation_number == 1


def test_revoked_while_connected_is_cut_off(lab: Lab) -> None:
    old = lab.authority.controller()
    idle, held = lab.connect(old), lab.connect(old)
    idle.ask()
    held.send(hold_s=60, seen=held.ask().news)
    lab.connect().ask(revocations=lab.authority.revocations(old))
    with pytest.raises(REFUSED):
        idle.ask()
    with pytest.raises(REFUSED):
        held.recv()


def test_a_revocation_list_outlives_a_restart(lab: Lab) -> None:
    old = lab.authority.controller()
    lab.connect().ask(revocations=lab.authority.revocations(old))
    lab.front.kill()
    lab.front.start()
    assert eventually(lab.reachable)
    assert lab.connect().ask().revocation_number == 1
    with pytest.raises(REFUSED):
        lab.connect(old).ask()


def test_a_forged_an_old_and_a_broken_revocation_list_are_refused(lab: Lab) -> None:
    lab.connect().ask(revocations=lab.authority.revocations(number=7))
    controller = lab.connect()
    forged = Authority(lab.front.paths.root / "other").revocations(lab.controller, number=8)
    for wrong, why in (
        (forged, "not signed by the lab's authority"),
        (lab.authority.revocations(lab.controller, number=6), "older than 7"),
        (b"\x30\x00", "no numbered revocation list"),
        (b"", "no numbered revocation list"),
    ):
        answer = controller.ask(revocations=wrong)
        assert [refusal.what for refusal in answer.refusals] == ["revocations"]
        assert why in str(answer.refusals[0].message)
        assert answer.revocation_number == 7
    again = controller.ask(revocations=lab.authority.revocations(number=7))
    assert not again.refusals


def test_the_list_of_an_earlier_lab_is_left_out(lab: Lab) -> None:
    lab.connect().ask(revocations=lab.authority.revocations(number=3))
    lab.front.kill()
    other = Authority(lab.front.paths.root / "other")
    paired(lab.front, lab.enforcer, other)
    lab.front.start()
    lab.authority, lab.controller = other, other.controller()
    eventually(lab.reachable)
    assert lab.connect().ask().revocation_number == 0


def renewing(lab: Lab) -> bytes:
    """Pair with a certificate that is due, and the signing request that comes of it."""
    lab.front.kill()
    paired(
        lab.front, lab.enforcer, lab.authority, lab.authority.station(datetime.now(UTC) + timedelta(days=40))
    )
    lab.front.start()
    eventually(lab.reachable)
    request = eventually(lambda: lab.connect().ask().signing_request)
    assert isinstance(request, bytes)
    return request


def signed_for(lab: Lab, request: bytes, name: str = STATION, days: int = 365) -> bytes:
    public_key = load_der_x509_csr(request).public_key()
    issued = lab.authority.issue(
        station_name(LAB, name),
        ExtendedKeyUsageOID.SERVER_AUTH,
        datetime.now(UTC) + timedelta(days=days),
        public_key,  # type: ignore[arg-type]  # the front makes P-256 keys
    )
    return issued.certificate.public_bytes(serialization.Encoding.DER)


def test_the_certificate_renews_itself(lab: Lab) -> None:
    request = renewing(lab)
    before = lab.connect().ask()
    assert before.certificate_expires is not None
    certificate = signed_for(lab, request)
    answer = lab.connect().ask(certificate=certificate)
    assert not answer.refusals
    assert answer.signing_request is None
    assert answer.certificate_expires is not None
    assert answer.certificate_expires - before.certificate_expires > timedelta(days=300)
    shown = lab.connect().socket.getpeercert(binary_form=True)
    assert shown == certificate
    repeated = lab.connect().ask(certificate=certificate)
    assert not repeated.refusals
    assert not lab.front.paths.pending_key_file.exists()


def test_a_signing_request_outlives_a_restart(lab: Lab) -> None:
    request = renewing(lab)
    lab.front.kill()
    lab.front.start()
    eventually(lab.reachable)
    assert lab.connect().ask().signing_request == request


def test_a_certificate_that_is_not_ours_is_refused_and_the_old_one_stays(lab: Lab) -> None:
    request = renewing(lab)
    before = lab.front.paths.identity_file.read_bytes()
    other_key = lab.authority.station().certificate.public_bytes(serialization.Encoding.DER)
    strange = Authority(lab.front.paths.root / "other")
    strange_lab, lab.authority = lab.authority, strange
    foreign = signed_for(lab, request)
    lab.authority = strange_lab
    for wrong, why in (
        (other_key, "for another key"),
        (foreign, "not from the lab's authority"),
        (signed_for(lab, request, name="pc-04"), "is not for"),
        (signed_for(lab, request, days=-1), "ended on"),
        (b"garbage", "not from the lab's authority"),
    ):
        answer = lab.connect().ask(certificate=wrong)
        assert [refusal.what for refusal in answer.refusals] == ["certificate"]
        assert why in str(answer.refusals[0].message)
    assert lab.front.paths.identity_file.read_bytes() == before
    assert lab.connect().ask().signing_request == request


def test_a_certificate_nobody_asked_for_is_refused(lab: Lab) -> None:
    der = lab.authority.station().certificate.public_bytes(serialization.Encoding.DER)
    answer = lab.connect().ask(certificate=der)
    assert "asked for" in str(answer.refusals[0].message)


def test_a_certificate_about_to_end_is_a_condition(lab: Lab) -> None:
    lab.front.kill()
    paired(
        lab.front, lab.enforcer, lab.authority, lab.authority.station(datetime.now(UTC) + timedelta(days=9))
    )
    lab.front.start()
    eventually(lab.reachable)
    conditions = {c.type: c for c in lab.connect().ask().status.conditions}
    assert conditions["CertificateExpiring"].status


def test_the_port_is_shut_while_the_papers_are_broken_and_opens_when_they_are_whole(lab: Lab) -> None:
    whole = lab.front.paths.identity_file.read_bytes()
    lab.front.paths.identity_file.write_bytes(whole[:200])
    with pytest.raises(REFUSED):
        lab.connect().ask()
    lab.front.paths.identity_file.write_bytes(whole)
    assert eventually(lab.reachable)
    assert "Traceback" not in lab.front.log()


def test_an_expiring_controller_is_cut_off_at_its_next_request(lab: Lab) -> None:
    controller = lab.connect(lab.authority.controller(datetime.now(UTC) + timedelta(seconds=4)))
    controller.ask()

    def cut() -> bool:
        try:
            controller.ask()
        except REFUSED:
            return True
        return False

    eventually(cut)
    eventually(lambda: "its certificate ended" in lab.front.log())


def test_a_kill_in_the_middle_of_a_renewal(lab: Lab) -> None:
    """Each state that a kill -9 between two steps can leave on the disk: the station is reached in all."""
    request = renewing(lab)
    paths = lab.front.paths
    old, pending = paths.identity_file.read_bytes(), paths.pending_key_file.read_bytes()
    assert not lab.connect().ask(certificate=signed_for(lab, request)).refusals
    new = paths.identity_file.read_bytes()
    half = paths.identity_file.with_name(".identity.pem.new")
    for identity, left, waiting in ((old, new[:300], pending), (old, new, pending), (new, b"", pending)):
        lab.front.kill()
        paths.identity_file.write_bytes(identity)
        paths.pending_key_file.write_bytes(waiting)
        half.write_bytes(left)
        lab.front.start()
        eventually(lab.reachable)
        repeated = lab.connect().ask(certificate=signed_for(lab, request))
        assert not repeated.refusals
        assert not paths.pending_key_file.exists()


FAKETIME = next(iter(sorted(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"))), None)


@pytest.mark.skipif(FAKETIME is None, reason="NOT TESTED: a clock in 1970 needs Debian's package faketime")
def test_a_pc_that_wakes_up_in_1970_is_reached(lab: Lab) -> None:
    """OpenSSL's clock is in 1970 too: impostors stay out, the list is checked, the skew is said."""
    old = lab.authority.controller()
    lab.connect().ask(revocations=lab.authority.revocations(old))
    lab.front.kill()
    lab.enforcer.stop()  # nothing to tell the front a later time
    lab.front.start(
        LD_PRELOAD=str(FAKETIME), FAKETIME="@1970-01-01 00:10:00", FAKETIME_DONT_FAKE_MONOTONIC="1"
    )
    eventually(lab.reachable)
    answer = lab.connect().ask()
    assert answer.status.facts.at.year == 1970
    assert answer.revocation_number == 1
    skewed = next(found for found in answer.status.conditions if found.type == "ClockSkewed")
    assert skewed.status
    assert skewed.reason == "Behind"
    with pytest.raises(REFUSED):
        lab.connect(old).ask()
    with pytest.raises(REFUSED):
        Controller(lab.front, lab.authority, lab.authority.station()).ask()
