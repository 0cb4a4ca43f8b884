"""Pairing from the controller's side: who knows the code is paired, whoever else answers gains nothing."""

import contextlib
import secrets
import sqlite3
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import msgspec
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from spake2 import SPAKE2_B

from contract import wire
from contract.desired import DesiredState
from contract.exchange import Command
from contract.identity import station_name
from contract.pairing import Offered, PairDone, PairFinish, PairOffer, PairStart, confirmation
from contract.sentence import sentence
from controller.agent_client import Reaper
from controller.books import Books
from controller.clock import Clock
from controller.discovery import Discovery
from controller.enrolment import Enrolment
from controller.failures import Address, Failure
from controller.init import init_lab
from controller.main import Controller, build
from controller.paths import Paths
from controller.pki import Pki, make_lab_keys
from controller.problems import Problem
from controller.settings import load_settings
from controller.store.database import open_database
from controller.store.repositories import LabStore

CODE = "493027"
LAB = "fontana"
Bend = Callable[[PairOffer], PairOffer | bytes]


class Screen:
    """A PC that waits to be paired, with `code` on its screen. `bend` spoils its offer, `last` its end."""

    def __init__(
        self,
        code: str = CODE,
        station: str = "pc-03",
        bend: Bend | None = None,
        last: tuple[int, bytes] | None = None,
    ) -> None:
        self.finished: list[PairFinish] = []
        self.trusted: list[bool] = []
        self.starts = 0
        screen = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                status, answer = screen._start(body) if self.path.endswith("start") else screen._finish(body)
                self.send_response(status)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_: object) -> None:
                pass

        self._code, self._station, self._bend, self._last = code, station, bend, last
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = Address("127.0.0.1", self._server.server_address[1])
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})

    def _start(self, body: bytes) -> tuple[int, bytes]:
        self.starts += 1
        self._begun = wire.decode(PairStart, body)
        exchange = SPAKE2_B(self._code.encode(), idA=b"controller", idB=b"station")
        message = exchange.start()
        self._key = exchange.finish(self._begun.message)
        key = ec.generate_private_key(ec.SECP256R1())
        builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
        request = builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.DER)
        self._said = Offered(secrets.token_hex(16), self._station, message, request)
        proof = confirmation(self._key, "station", self._begun, self._said, b"")
        offer = PairOffer(**self._said._asdict(), confirmation=proof)
        bent = self._bend(offer) if self._bend else offer
        return 200, bent if isinstance(bent, bytes) else wire.encode(bent)

    def _finish(self, body: bytes) -> tuple[int, bytes]:
        finish = wire.decode(PairFinish, body)
        self.finished.append(finish)
        proof = confirmation(self._key, "controller", self._begun, self._said, finish.certificate)
        self.trusted.append(proof == finish.confirmation)
        return self._last or (200, wire.encode(PairDone(self._station)))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class Desk:
    """A lab that may pair, and what its store says afterwards."""

    def __init__(self, folder: Path) -> None:
        make_lab_keys(folder / "pki", LAB, datetime.now(UTC))
        self.books = Books(
            LAB,
            open_database(f"sqlite:///{folder / 'lab.sqlite'}"),
            LabStore(LAB),
            Pki(folder / "pki", LAB),
            Clock(),
        )
        self.reaper = Reaper()
        self.discovery = Discovery(
            (), Clock(), lambda _: None, lambda _: False
        )  # not started: hosts are named
        self.enrolment = Enrolment(self.books, self.discovery, self.reaper)

    def pair(self, *places: Address, station: str = "pc-03", code: str = CODE) -> Any:
        for place in places[1:]:
            self.discovery.add_host(place)
            self.discovery.learned(place, station)
        if len(places) > 1:
            self.discovery.add_host(places[0])
            self.discovery.learned(places[0], station)
        return self.enrolment.pair(station, code, places[0] if len(places) == 1 else None, lambda *_: None)

    def refused(self, *places: Address, **how: str) -> Problem:
        with pytest.raises(Problem) as caught:
            self.pair(*places, **how)
        return caught.value

    @property
    def stations(self) -> list[str]:
        with self.books.database.read() as tx:
            return [one.id for one in self.books.store.stations(tx)]

    def certificates(self, *, revoked: bool) -> int:
        with self.books.database.read() as tx:
            found = self.books.store.certificates(tx, station_name(LAB, "pc-03"))
        return sum(1 for one in found if (one.revoked_at is not None) == revoked)


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    made = Desk(tmp_path)
    yield made
    made.reaper.close()
    made.discovery.stop()
    made.books.database.close()


def test_who_knows_the_code_is_paired_and_can_trust_the_lab(desk: Desk) -> None:
    with Screen() as screen:
        paired = desk.pair(screen.address)
    assert desk.stations == ["pc-03"]
    assert paired.station.pairing == screen.finished[0].pairing
    assert screen.trusted == [True]
    assert screen.finished[0].certificate == paired.leaf.der


@pytest.mark.parametrize("code", ["493028", "000000"])
def test_a_wrong_code_is_a_sentence_and_nothing_is_kept(desk: Desk, code: str) -> None:
    with Screen() as screen:
        problem = desk.refused(screen.address, code=code)
    assert problem.error == "That is not the code of pc-03."
    assert (desk.stations, desk.certificates(revoked=False), screen.finished) == ([], 0, [])


def other_request(offer: PairOffer) -> PairOffer:
    """Somebody between puts in a request for a key of its own."""
    key = ec.generate_private_key(ec.SECP256R1())
    request = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).sign(key, hashes.SHA256())
    der = request.public_bytes(serialization.Encoding.DER)
    return msgspec.structs.replace(offer, signing_request=der)


@pytest.mark.parametrize(
    "bend",
    [
        other_request,
        lambda offer: msgspec.structs.replace(offer, pairing="0" * 32),
        lambda offer: msgspec.structs.replace(offer, message=offer.message[:-1]),
        lambda offer: msgspec.structs.replace(offer, message=b""),
        lambda offer: msgspec.structs.replace(offer, message=b"A" + offer.message[1:]),
        lambda offer: msgspec.structs.replace(offer, message=b"B" + bytes(32)),
        lambda offer: msgspec.structs.replace(offer, confirmation=bytes(32)),
    ],
)
def test_who_stands_between_makes_no_confirmation(desk: Desk, bend: Bend) -> None:
    with Screen(bend=bend) as screen:
        problem = desk.refused(screen.address)
    assert problem.kind == "refused"
    assert (desk.stations, desk.certificates(revoked=False), screen.finished) == ([], 0, [])


def test_an_offer_replayed_from_another_pairing_is_worth_nothing(desk: Desk) -> None:
    heard: list[PairOffer] = []

    def keep(offer: PairOffer) -> PairOffer:
        heard.append(offer)
        return offer

    with Screen(bend=keep) as screen:
        desk.pair(screen.address)
    with Screen(bend=lambda _: heard[0]) as liar:
        assert desk.refused(liar.address).error == "That is not the code of pc-03."
        assert liar.finished == []


def test_a_liar_with_the_same_id_is_passed_over(desk: Desk) -> None:
    with Screen(code="111111") as liar, Screen() as screen:
        paired = desk.pair(liar.address, screen.address)
    assert paired.station.port == screen.address.port
    assert liar.finished == []


def test_where_all_candidates_lie_the_code_is_what_is_said(desk: Desk) -> None:
    nobody = Address("127.0.0.1", 1)
    with Screen(code="111111") as liar:
        assert "not the code" in desk.refused(nobody, liar.address).error


def test_another_pc_at_that_address_is_named(desk: Desk) -> None:
    with Screen(station="pc-04") as screen:
        problem = desk.refused(screen.address)
    assert "is pc-04, not pc-03" in problem.error
    assert "labctl discover" in problem.hint


@pytest.mark.parametrize(
    ("bend", "says"),
    [
        (lambda _: b"hello", "not waiting to be paired"),
        (lambda offer: msgspec.structs.replace(offer, station="../../etc"), "not waiting to be paired"),
        (lambda offer: msgspec.structs.replace(offer, pairing="../../etc"), "not waiting to be paired"),
    ],
)
def test_what_is_no_agent_is_a_sentence(desk: Desk, bend: Bend, says: str) -> None:
    with Screen(bend=bend) as screen:
        assert says in desk.refused(screen.address).error


def test_nobody_there_says_how_to_look(desk: Desk) -> None:
    problem = desk.refused(Address("127.0.0.1", 1))
    assert problem.kind == "away"
    assert "labctl discover" in problem.hint
    with pytest.raises(Problem, match="has not been found") as caught:
        desk.enrolment.pair("pc-09", CODE, None, lambda *_: None)
    assert "--address" in caught.value.hint


def test_a_pc_that_refuses_at_the_end_is_no_station(desk: Desk) -> None:
    with Screen(last=(409, b'{"error": {"text": "the clock is wrong"}}')) as screen:
        problem = desk.refused(screen.address)
    assert "the clock is wrong" in problem.error
    assert desk.stations == []
    assert (desk.certificates(revoked=False), desk.certificates(revoked=True)) == (0, 1)


def test_a_pc_whose_last_word_is_lost_may_be_paired_and_is_kept(desk: Desk) -> None:
    with Screen(last=(200, b"")) as screen:
        problem = desk.refused(screen.address)
    assert "labctl status" in problem.hint
    assert desk.stations == ["pc-03"]


def test_pairing_again_revokes_the_certificate_before(desk: Desk) -> None:
    for _ in range(2):
        with Screen() as screen:
            desk.pair(screen.address)
    assert desk.stations == ["pc-03"]
    assert (desk.certificates(revoked=False), desk.certificates(revoked=True)) == (1, 1)


def test_a_command_names_the_pairing_it_is_for(desk: Desk) -> None:
    commands: list[Command] = []

    def nobody(_station: str, command: Command) -> Failure:
        commands.append(command)
        return Failure("away", sentence("nobody answers"))

    for _ in range(2):
        with Screen() as screen:
            desk.pair(screen.address)
    assert not desk.enrolment.unpair("pc-03", force=True, tell=nobody)
    assert [one.pairing for one in commands] == [screen.finished[0].pairing]
    with pytest.raises(Problem, match="no PC called pc-03"):
        desk.enrolment.unpair("pc-03", force=True, tell=nobody)


def test_one_guess_a_try(desk: Desk) -> None:
    """The controller must not help a guesser by asking one place twice."""
    with Screen(code="111111") as screen:
        desk.refused(screen.address)
        assert screen.starts == 1


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Controller]:
    """A whole controller without its door."""
    paths = Paths(tmp_path)
    init_lab(paths, LAB, "Sala", "Fontana", datetime.now(UTC))
    made = build(load_settings(paths.settings), paths, Clock())
    yield made
    made.household.sync.close()
    made.discovery.stop()
    made.books.database.close()


def test_a_pc_whose_last_word_is_lost_is_talked_with_at_once(running: Controller) -> None:
    """The hint sends the technician to labctl status: there the PC has to be."""
    with Screen(last=(200, b"")) as screen, pytest.raises(Problem):
        running.services.pair("pc-03", CODE, str(screen.address))
    assert [one.id for one in running.services.status().stations] == ["pc-03"]


def test_a_pc_that_refuses_to_be_paired_again_is_gone_and_its_certificate_revoked(
    running: Controller, tmp_path: Path
) -> None:
    with Screen() as screen:
        running.services.pair("pc-03", CODE, str(screen.address))
    with Screen(last=(409, b'{"error": {"text": "the disk is full"}}')) as screen, pytest.raises(Problem):
        running.services.pair("pc-03", CODE, str(screen.address))
    assert running.services.status().stations == []
    held = x509.load_pem_x509_crl(next(tmp_path.rglob("revocations.pem")).read_bytes())
    assert len(list(held)) == 2, "both of its certificates are on the list that counts"


def test_a_store_that_fails_ends_no_exchange(running: Controller, tmp_path: Path) -> None:
    """A full disk or a locked file: said, and tried again, but no reason for a station's threads to die."""
    with Screen() as screen:
        running.services.pair("pc-03", CODE, str(screen.address))
    household = running.household
    file = next(tmp_path.rglob("lab.sqlite"))
    with contextlib.closing(sqlite3.connect(file, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with ThreadPoolExecutor() as threads:
            moved = threads.submit(household.moved, "pc-03", Address("127.0.0.9"))
            renewed = threads.submit(household.renewal, "pc-03", b"")
            ahead = threads.submit(household.ahead, "pc-03", 9)
        assert "locked" in str(renewed.result())
        assert (moved.result(), ahead.result()) == (None, None)


def test_who_was_let_go_gets_no_certificate(running: Controller) -> None:
    """Its last answer may ask for one while it is being forgotten."""
    key = ec.generate_private_key(ec.SECP256R1())
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    request = builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.DER)
    assert isinstance(running.household.renewal("pc-03", request), str)


def test_who_is_paired_again_is_told_everything_anew(running: Controller) -> None:
    """What was signed for the pairing before is refused by the PC."""

    def told() -> DesiredState:
        with running.books.database.read() as tx:
            return wire.decode(DesiredState, running.books.store.desired(tx)["pc-03"].payload)

    with Screen() as first:
        running.services.pair("pc-03", CODE, str(first.address))
    running.services.publish("citizen", "anna", "", 0)
    before = told()
    assert before.pairing == first.finished[0].pairing
    with Screen() as second:
        running.services.pair("pc-03", CODE, str(second.address))
    after = told()
    assert after.pairing == second.finished[0].pairing != before.pairing
    assert after.revision > before.revision
    assert after.resources == before.resources
