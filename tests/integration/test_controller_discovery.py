"""mDNS over real multicast on loopback: every announcement is heard, goodbyes make nobody forget."""

import secrets
import socket
import threading
from collections.abc import Callable, Iterator

import pytest
from zeroconf import ServiceInfo, Zeroconf

from contract.identity import SERVICE_TYPE
from controller.clock import Clock
from controller.discovery import Discovery, Hint
from controller.failures import Address

PATIENCE_S = 30.0
LOOPBACK = "127.0.0.1"


class Ear:
    """A Discovery and what it was told."""

    def __init__(self) -> None:
        self.heard: list[Hint] = []
        self._more = threading.Condition()
        self.discovery = Discovery([LOOPBACK], Clock(), self._found, lambda _: False)
        self.discovery.start()

    def _found(self, hint: Hint) -> None:
        with self._more:
            self.heard.append(hint)
            self._more.notify_all()

    def wait(self, true: Callable[[list[Hint]], bool]) -> None:
        with self._more:
            assert self._more.wait_for(lambda: true(self.heard), PATIENCE_S), self.heard


@pytest.fixture
def ear() -> Iterator[Ear]:
    made = Ear()
    yield made
    made.discovery.stop()


def info(station: str, port: int, pairing: str = "unpaired", **more: str) -> ServiceInfo:
    return ServiceInfo(
        SERVICE_TYPE,
        f"{station}-{port}.{SERVICE_TYPE}",
        port=port,
        properties={"id": station, "version": "0.1.0", "contract": "1", "pairing": pairing, **more},
        server=f"{station}.local.",
        addresses=[socket.inet_aton(LOOPBACK)],
    )


@pytest.fixture
def station() -> str:
    """An id that no other lab on this machine has."""
    return f"t-{secrets.token_hex(6)}"


def mine(station: str) -> Callable[[list[Hint]], int]:
    return lambda heard: sum(1 for hint in heard if hint.id == station)


def test_an_announcement_is_a_hint(ear: Ear, station: str) -> None:
    agent = Zeroconf(interfaces=[LOOPBACK])
    try:
        agent.register_service(info(station, 7500))
        ear.wait(lambda heard: mine(station)(heard) > 0)
    finally:
        agent.close()
    hint = next(hint for hint in ear.heard if hint.id == station)
    assert (hint.address, hint.paired, hint.version) == (Address(LOOPBACK, 7500), False, "0.1.0")
    assert Address(LOOPBACK, 7500) in ear.discovery.candidates(station), "a goodbye makes nobody forget"


def test_a_pc_that_comes_back_with_the_same_words_is_heard_again(ear: Ear, station: str) -> None:
    """Switched off hard it says no goodbye, and nothing in its announcement has changed."""
    agent = Zeroconf(interfaces=[LOOPBACK])
    try:
        agent.register_service(info(station, 7501, "paired"))
        ear.wait(lambda heard: mine(station)(heard) > 0)
        threading.Event().wait(2)  # the library drops the same packet again within a second
        before = mine(station)(ear.heard)
        agent.send(agent.generate_service_broadcast(info(station, 7501, "paired"), None))
        ear.wait(lambda heard: mine(station)(heard) > before)
    finally:
        agent.close()


@pytest.mark.parametrize("bad", ["", "PC 01", "x" * 60, "../../etc", "a.b"])
def test_an_id_that_is_none_is_not_taken(ear: Ear, station: str, bad: str) -> None:
    agent = Zeroconf(interfaces=[LOOPBACK])
    try:
        agent.register_service(info(station, 7502, id=bad))
        agent.register_service(info(f"{station}-b", 7503))
        ear.wait(lambda heard: mine(f"{station}-b")(heard) > 0)
    finally:
        agent.close()
    assert not [hint for hint in ear.heard if hint.id == bad]


def test_a_network_card_that_is_not_there_is_a_sentence() -> None:
    discovery = Discovery(["203.0.113.7"], Clock(), lambda _: None, lambda _: False)
    discovery.start()
    try:
        assert discovery.problem
        assert discovery.hints(0) == []
    finally:
        discovery.stop()


def test_a_named_host_is_remembered_and_looked_at(ear: Ear) -> None:
    with socket.create_server((LOOPBACK, 0)) as listener:
        there = Address(LOOPBACK, listener.getsockname()[1])
        assert ear.discovery.add_host(there).answers is True
    nowhere = Address("localhost", 1)
    assert ear.discovery.add_host(nowhere).answers is False
    assert there in ear.discovery.unnamed()
    ear.discovery.learned(there, "pc-07")
    assert ear.discovery.candidates("pc-07") == [there]
    assert ear.discovery.candidates("localhost") == [nowhere]
