"""Whom the controller talks with: the station with its own certificate, and nobody who only says so."""

import socket
import ssl
import struct
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from contract.exchange import Answer, Ask
from contract.sentence import sentence
from contract.wire import CONTRACT, MAX_MESSAGE_BYTES
from controller.agent_client import ANSWER_S, CONNECT_S, AgentClient, Peer, Reaper
from controller.failures import Address, Failure
from tests.integration.station_kit import Keys, RawPeer, Station, now, self_signed, server_tls
from tests.unit.controller.facts import answer


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    return Keys(tmp_path_factory.mktemp("lab"))


@pytest.fixture(scope="module")
def others(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    """Another lab that calls itself the same."""
    return Keys(tmp_path_factory.mktemp("other"))


@pytest.fixture
def reaper() -> Iterator[Reaper]:
    made = Reaper()
    yield made
    made.close()


def good(_: Ask) -> Answer:
    return answer()


def ask() -> Ask:
    return Ask(contract=CONTRACT, at=now())


def outcome(address: Address, reaper: Reaper, peer: Peer) -> Answer | Failure:
    with AgentClient(address, reaper, peer) as client:
        return client.exchange(ask())


def test_the_station_itself_is_heard_and_the_connection_kept(keys: Keys, reaper: Reaper) -> None:
    _leaf, identity = keys.station()
    peer = keys.peer()
    with Station(good, server_tls(identity)) as station, AgentClient(station.address, reaper, peer) as client:
        for _ in range(3):
            assert isinstance(client.exchange(ask()), Answer)
            assert not client.stumbled
    assert len(peer.tls.get_ca_certs()) == 1, "requests must not add public CAs to the lab's trust"


def another_pc(keys: Keys, _: Keys) -> ssl.SSLContext:
    return server_tls(keys.station("pc-02")[1])


def expired(keys: Keys, _: Keys) -> ssl.SSLContext:
    return server_tls(keys.station(at=now() - timedelta(days=366))[1])


def of_another_lab(_: Keys, others: Keys) -> ssl.SSLContext:
    return server_tls(others.station()[1])


def made_by_itself(keys: Keys, _: Keys) -> ssl.SSLContext:
    return server_tls(self_signed(keys))


def the_controllers_own(keys: Keys, _: Keys) -> ssl.SSLContext:
    return server_tls(keys.folder / "controller.pem")


def old_tls(keys: Keys, _: Keys) -> ssl.SSLContext:
    return server_tls(keys.station()[1], highest=ssl.TLSVersion.TLSv1_2)


@pytest.mark.parametrize(
    ("impostor", "says"),
    [
        (another_pc, "has the certificate of another PC"),
        (expired, "has expired"),
        (of_another_lab, "has a certificate of another lab"),
        (made_by_itself, "has a certificate it made itself"),
        (the_controllers_own, "not a station's"),
        (old_tls, "speaks an old TLS only"),
    ],
)
def test_an_impostor_gets_nothing_and_is_named(
    keys: Keys, others: Keys, reaper: Reaper, impostor: Callable[[Keys, Keys], ssl.SSLContext], says: str
) -> None:
    with Station(good, impostor(keys, others)) as station:
        found = outcome(station.address, reaper, keys.peer())
        assert isinstance(found, Failure)
        assert found.kind == "untrusted"
        assert says in str(found.message), found.message
        assert str(station.address) in str(found.message)
        assert station.asked == [], "not a byte of the exchange for somebody who is not the station"


def test_a_revoked_station_is_refused(tmp_path: Path, reaper: Reaper) -> None:
    keys = Keys(tmp_path)
    leaf, identity = keys.station()
    with Station(good, server_tls(identity)) as station:
        assert isinstance(outcome(station.address, reaper, keys.peer()), Answer)
        keys.revoke(leaf.issued)
        found = outcome(station.address, reaper, keys.peer())
        assert isinstance(found, Failure)
        assert (found.kind, "was revoked" in str(found.message)) == ("untrusted", True), found.message
        assert len(station.asked) == 1


def test_plain_http_where_tls_is_due(keys: Keys, reaper: Reaper) -> None:
    with Station(good) as station:
        found = outcome(station.address, reaper, keys.peer())
    assert isinstance(found, Failure)
    assert found.kind == "untrusted"
    assert "does not speak TLS" in str(found.message)


def test_nobody_there(keys: Keys, reaper: Reaper) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = Address("127.0.0.1", listener.getsockname()[1])
    found = outcome(address, reaper, keys.peer())
    assert found == Failure("away", sentence("Nothing listens at {address}.", address=str(address)))


@pytest.mark.parametrize(
    ("act", "kind"),
    [
        (lambda connection: None, "away"),
        (lambda connection: connection.sendall(b"hello\r\n" * 100), "untrusted"),
    ],
)
def test_something_else_that_listens(
    keys: Keys, reaper: Reaper, act: Callable[[socket.socket], None], kind: str
) -> None:
    with RawPeer(act) as peer:
        found = outcome(peer.address, reaper, keys.peer())
    assert isinstance(found, Failure)
    assert found.kind == kind
    assert str(found.message).count(".") >= 1
    assert "Traceback" not in str(found.message)


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"", "not of the contract"),
        (b"{", "not of the contract"),
        (b"[" * 100_000, "not of the contract"),
        (b'{"contract": 1, "station": "pc-01", "surprise": true}', "not of the contract"),
        (b"\x1f\x8b\x08" + b"\x00" * 100, "not of the contract"),
        (b" " * (MAX_MESSAGE_BYTES + 1), "more than"),
    ],
)
def test_a_station_that_talks_nonsense_is_a_sentence(
    keys: Keys, reaper: Reaper, body: bytes, says: str
) -> None:
    _leaf, identity = keys.station()
    with Station(lambda _: body, server_tls(identity)) as station:
        found = outcome(station.address, reaper, keys.peer())
    assert isinstance(found, Failure)
    assert found.kind == "garbage"
    assert says in str(found.message)
    assert len(str(found.message)) < 500


def test_a_refusal_comes_with_the_stations_own_words(keys: Keys, reaper: Reaper) -> None:
    _leaf, identity = keys.station()
    with Station(lambda _: b'{"error": {"text": "no room"}}', server_tls(identity), status=503) as station:
        found = outcome(station.address, reaper, keys.peer())
    assert found == Failure("refused", sentence("no room"), 503)


def test_a_redirect_is_not_followed(keys: Keys, reaper: Reaper) -> None:
    _leaf, identity = keys.station()
    with Station(lambda _: b"", server_tls(identity), status=307) as station:
        found = outcome(station.address, reaper, keys.peer())
        assert found == Failure("refused", sentence("HTTP status {status}", status=307), 307)
        assert len(station.asked) == 1


def drip(context: ssl.SSLContext) -> Callable[[socket.socket], None]:
    """One byte of a header a quarter second, for ever."""

    def act(connection: socket.socket) -> None:
        with context.wrap_socket(connection, server_side=True) as tls:
            tls.recv(65536)
            tls.sendall(b"HTTP/1.1 200 OK\r\nX-Drip: ")
            while True:
                tls.sendall(b"x")
                time.sleep(0.25)

    return act


def test_a_slow_drip_ends_in_bounded_time(keys: Keys, reaper: Reaper) -> None:
    """Each read is quick, so only the end of the whole round can stop it. It would hang here otherwise."""
    _leaf, identity = keys.station()
    with RawPeer(drip(server_tls(identity))) as peer:
        found = outcome(peer.address, reaper, keys.peer())
    assert isinstance(found, Failure)
    assert found.kind == "away"


def test_a_silent_station_ends_in_bounded_time(keys: Keys, reaper: Reaper) -> None:
    with RawPeer(lambda connection: time.sleep(CONNECT_S + ANSWER_S + 30)) as peer:
        found = outcome(peer.address, reaper, keys.peer())
    assert found == Failure("away", sentence("No answer from {address}.", address=str(peer.address)))


@pytest.mark.parametrize(
    "said",
    [
        b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"Transfer-Encoding: chunked\r\n\r\n5\r\nab",
        b"Transfer-Encoding: chunked\r\n\r\n-5\r\nab\r\n0\r\n\r\n",
        b"Transfer-Encoding: chunked\r\n\r\n" + b"f" * 70_000 + b"\r\n",
        b"Content-Encoding: " + b"gzip," * 9 + b"gzip\r\nContent-Length: 2\r\n\r\n{}",
        b"Content-Length: 100\r\n\r\n{",
        b"Content-Length: 5, 6\r\n\r\nabcdef",
        b"no colon here\r\n\r\n{}",
    ],
)
def test_a_body_that_breaks_off_or_is_framed_wrongly_is_a_sentence(
    keys: Keys, reaper: Reaper, said: bytes
) -> None:
    """What escaped here would end the station's threads, and with them, by the watchdog, the controller."""
    context = server_tls(keys.station()[1])

    def act(connection: socket.socket) -> None:
        with context.wrap_socket(connection, server_side=True) as tls:
            tls.recv(65536)
            tls.sendall(b"HTTP/1.1 200 OK\r\n" + said)

    with RawPeer(act) as peer:
        found = outcome(peer.address, reaper, keys.peer())
    assert isinstance(found, Failure)
    assert found.kind in ("away", "garbage")


def test_a_connection_cut_in_the_middle_of_an_answer_is_a_sentence(keys: Keys, reaper: Reaper) -> None:
    """As when a PC loses its power while it speaks."""
    context = server_tls(keys.station()[1])

    def act(connection: socket.socket) -> None:
        tls = context.wrap_socket(connection, server_side=True)
        tls.recv(65536)
        tls.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{")
        linger = struct.pack("ii", 1, 0)
        tls.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)  # closing is a reset
        tls.close()

    with RawPeer(act) as peer:
        found = outcome(peer.address, reaper, keys.peer())
    assert isinstance(found, Failure)
    assert found.kind in ("away", "garbage")
