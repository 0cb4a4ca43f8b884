"""The bar's end of the citizen's door, over real sockets."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.citizen.link import Link
from agent.citizen.messages import MAX_LINE, ask_line
from agent.core.citizen import CitizenState, state_line


@pytest.fixture
def door(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "door"))
        listener.listen()
        listener.settimeout(10)
        yield listener


@pytest.fixture
def link(tmp_path: Path, door: socket.socket) -> Iterator[Link]:
    made = Link(str(tmp_path / "door"))
    yield made
    made.close()


def line(minutes: int) -> bytes:
    return state_line(CitizenState("active", 1.0, "it", minutes * 60.0))


def test_nobody_there(tmp_path: Path) -> None:
    link = Link(str(tmp_path / "nowhere"))
    assert not link.connect()
    assert not link.up
    assert not link.send(b"x\n")
    assert link.read() is None


def test_the_newest_of_several_states_and_of_halves(link: Link, door: socket.socket) -> None:
    assert link.connect()
    with door.accept()[0] as peer:
        assert link.read() is None
        peer.sendall(line(3) + line(2) + line(1)[:20])
        first = link.read()
        assert first is not None
        assert first.ends_in_s == 120
        peer.sendall(line(1)[20:])
        second = link.read()
        assert second is not None
        assert second.ends_in_s == 60
        peer.sendall(b"what is this?\n")
        assert link.read() is None
        assert link.up


def test_what_is_sent_arrives(link: Link, door: socket.socket) -> None:
    link.connect()
    with door.accept()[0] as peer:
        assert link.send(ask_line("help"))
        assert peer.recv(100) == b'{"ask": "help"}\n'


def test_after_the_peer_has_gone_it_is_down_and_can_come_back(link: Link, door: socket.socket) -> None:
    link.connect()
    door.accept()[0].close()
    assert link.read() is None
    assert not link.up
    assert link.fileno() == -1
    assert link.connect()
    with door.accept()[0] as peer:
        peer.sendall(line(1))
        assert link.read() is not None


def test_a_line_without_an_end_is_not_kept(link: Link, door: socket.socket) -> None:
    link.connect()
    with door.accept()[0] as peer:
        peer.sendall(b" " * (MAX_LINE + 1))
        assert link.read() is None
        assert not link.up
