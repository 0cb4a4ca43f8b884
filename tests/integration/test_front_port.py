"""The front's port in bad company: garbage, too much of everything, and all of it slowly."""

import json
import select
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from contract.exchange import Fault
from contract.pairing import PAIR_FINISH_PATH, PAIR_START_PATH
from contract.wire import decode
from tests.integration.front_kit import (
    GENEROUS_S,
    Authority,
    Controller,
    EnforcerPeer,
    FrontProcess,
    eventually,
    paired,
)

FLAT = 8 << 20
"""Bytes that a resident set may grow by under attack and still be called flat."""


@pytest.fixture(scope="module")
def front(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FrontProcess]:
    made = FrontProcess(tmp_path_factory.mktemp("pc"))
    enforcer = EnforcerPeer(made.paths)
    enforcer.start()
    made.start()
    eventually(made.answers)
    yield made
    made.kill()
    enforcer.stop()


@pytest.fixture(autouse=True)
def never_a_traceback(front: FrontProcess) -> Iterator[None]:
    yield
    assert "Traceback" not in front.log()


def talk(front: FrontProcess, sent: bytes, seconds: float = GENEROUS_S) -> bytes:
    """Everything the front says to `sent` until it hangs up."""
    with front.connect() as peer:
        peer.settimeout(seconds)
        heard = b""
        try:
            peer.sendall(sent)
            peer.shutdown(socket.SHUT_WR)
            while piece := peer.recv(65536):
                heard += piece
        except ConnectionError:
            pass
    return heard


def fault(heard: bytes) -> tuple[int, str]:
    head, _, body = heard.partition(b"\r\n\r\n")
    sentence = str(decode(Fault, body).error)
    assert sentence.endswith(".")
    assert "\n" not in sentence
    return int(head.split()[1]), sentence


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", 404),
        (b"POST /v1/exchange HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n", 404),
        (b"GET /v1/pair/start HTTP/1.1\r\nHost: x\r\n\r\n", 405),
        (b"DELETE /v1/pair/start HTTP/1.1\r\nHost: x\r\n\r\n", 405),
        (b"POST /v1/pair/start HTTP/1.1\r\nHost: x\r\n\r\n", 411),
        (b"POST /v1/pair/start HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 411),
        (b"POST /v1/pair/start HTTP/1.1\r\nHost: x\r\nContent-Length: 999999999\r\n\r\n", 413),
        (b"POST /v1/pair/start HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n", 400),
        (b"POST /v1/pair/start HTTP/1.1\r\nHost: x\r\nContent-Length: %s\r\n\r\n" % (b"9" * 5000), 400),
        (b"POST /v1/pair/start HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}", 400),
        (b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"x" * 20000 + b"\r\n\r\n", 431),
        (b"GET /" + b"x" * 20000, 431),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(20), 400),
        (b"SSH-2.0-nothing\r\n\r\n", 400),
    ],
)
def test_each_wrong_request_gets_its_status_and_one_sentence(
    front: FrontProcess, request_: bytes, status: int
) -> None:
    if status == 400 and b"\r\n\r\n" not in request_:
        request_ += b"\r\n\r\n"
    assert fault(talk(front, request_))[0] == status


def test_a_body_that_is_longer_than_it_said(front: FrontProcess) -> None:
    """What may come while an answer is made is bounded; beyond that the peer is hung up on."""
    heard = talk(
        front, b"POST /v1/pair/start HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}" + b"x" * 50_000
    )
    assert not heard or heard.startswith(b"HTTP/1.1 400")
    assert front.answers()


def test_two_requests_on_one_connection(front: FrontProcess) -> None:
    one = b"POST /v1/pair/start HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}"
    with front.connect() as peer:
        peer.sendall(one + one)
        heard = b""
        while heard.count(b"HTTP/1.1 400") < 2:
            heard += peer.recv(4096)
    with front.connect() as peer:
        for _ in range(3):
            peer.sendall(one)
            assert peer.recv(4096).startswith(b"HTTP/1.1 400")


def test_expect_100_continue(front: FrontProcess) -> None:
    with front.connect() as peer:
        peer.sendall(
            b"POST /v1/pair/start HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n"
        )
        assert peer.recv(4096).startswith(b"HTTP/1.1 100")
        peer.sendall(b"{}")
        assert peer.recv(4096).startswith(b"HTTP/1.1 400")


slow = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@slow
@given(sent=st.binary(max_size=4096))
def test_any_bytes_are_answered_with_a_fault_or_nothing(front: FrontProcess, sent: bytes) -> None:
    heard = talk(front, sent)
    if heard:
        assert fault(heard)[0] in (400, 404, 405, 411, 413, 431)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=12,
)
fields = st.sampled_from(["contract", "message", "lab", "ca", "signing_key", "pairing", "certificate"])


@slow
@given(
    path=st.sampled_from([PAIR_START_PATH, PAIR_FINISH_PATH]),
    body=st.dictionaries(fields, json_values, max_size=6) | json_values,
)
def test_any_json_is_a_fault_of_one_sentence(front: FrontProcess, path: str, body: Any) -> None:
    status, answer = front.post(path, json.dumps(body).encode())
    assert status == 400
    assert str(msgspec.convert(answer, Fault).error).endswith(".")


def test_deeply_nested_json_is_a_fault(front: FrontProcess) -> None:
    body = b'{"contract":1,"message":' + b"[" * 30_000
    assert front.post(PAIR_START_PATH, body)[0] == 400


def test_a_slow_loris_is_hung_up_on_and_keeps_nobody_out(front: FrontProcess) -> None:
    """A byte now and then: the whole request has to be there in time, not only some of it."""
    with front.connect() as loris:
        loris.settimeout(GENEROUS_S)
        began = time.monotonic()
        try:
            for byte in b"POST /v1/pair/start HTTP/1.1\r\nHost: x\r\nX-Slow: " + b"x" * 1000:
                loris.sendall(bytes((byte,)))
                assert time.monotonic() - began < 2 * GENEROUS_S, "nobody hung up"
                if time.monotonic() - began < 1:
                    assert front.answers()
                time.sleep(0.2)
        except ConnectionError:
            return
        pytest.fail("nobody hung up")


def test_one_peer_cannot_fill_the_port(front: FrontProcess) -> None:
    """Per address there is a limit; another address still gets in."""
    flood = [front.connect() for _ in range(60)]
    try:
        with socket.create_connection(
            ("127.0.0.1", front.port), GENEROUS_S, source_address=("127.0.0.9", 0)
        ) as other:
            other.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            assert fault(other.recv(4096))[0] == 404
        hung_up_on = select.select(flood, [], [], 0)[0]
        assert len(hung_up_on) == 60 - 8
    finally:
        for peer in flood:
            peer.close()
    assert eventually(front.answers)


def test_many_peers_cannot_fill_the_port(front: FrontProcess) -> None:
    """The oldest who has proved nothing gives way."""
    flood = [
        socket.create_connection(("127.0.0.1", front.port), GENEROUS_S, source_address=(f"127.0.1.{n}", 0))
        for n in range(1, 100)
    ]
    try:
        assert front.answers()
    finally:
        for peer in flood:
            peer.close()


def test_memory_stays_flat_under_floods(front: FrontProcess) -> None:
    def flood() -> None:
        for n in range(400):
            with socket.create_connection(
                ("127.0.0.1", front.port), GENEROUS_S, source_address=(f"127.0.2.{n % 200 + 1}", 0)
            ) as peer:
                try:
                    peer.sendall(b"POST /v1/pair/start HTTP/1.1\r\nHost: x\r\nContent-Length: 60000\r\n\r\n")
                    peer.sendall(bytes(50_000))
                except ConnectionError:
                    continue

    flood()
    before = front.memory()
    for _ in range(3):
        flood()
    assert eventually(front.answers)
    assert front.memory() - before < FLAT


def test_memory_stays_flat_under_handshakes_that_never_end(tmp_path: Path) -> None:
    """A paired front: TLS hellos that stop, go nowhere, or are no hellos; the controller still gets in."""
    authority = Authority(tmp_path / "pki")
    front = FrontProcess(tmp_path / "pc")
    enforcer = EnforcerPeer(front.paths)
    enforcer.start()
    paired(front, enforcer, authority)
    front.start()
    own = authority.controller()

    def reachable() -> bool:
        try:
            Controller(front, authority, own).ask()
        except OSError:
            return False
        return True

    def flood() -> None:
        for n in range(300):
            with socket.create_connection(
                ("127.0.0.1", front.port), GENEROUS_S, source_address=(f"127.0.3.{n % 200 + 1}", 0)
            ) as peer:
                peer.sendall(b"\x16\x03\x01\x40\x00\x01\x00\x3f\xfc\x03\x03" + bytes(3000))

    try:
        eventually(reachable)
        flood()
        before = front.memory()
        for _ in range(3):
            flood()
        silent = [
            socket.create_connection(
                ("127.0.0.1", front.port), GENEROUS_S, source_address=(f"127.0.4.{n}", 0)
            )
            for n in range(1, 80)
        ]
        assert reachable()
        assert front.memory() - before < FLAT
        for peer in silent:
            peer.close()
        assert "Traceback" not in front.log()
        assert len(front.log().splitlines()) < 20, "the journal is not theirs to fill"
    finally:
        front.kill()
        enforcer.stop()
