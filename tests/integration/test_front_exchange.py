"""The exchange through the real front: what is carried, what is held, and what lets go."""

import json
import socket
import ssl
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agent.core.messages import (
    BeginPairing,
    Deliver,
    Delivered,
    EndPairing,
    Perform,
    Performed,
    Refused,
    Request,
)
from contract.exchange import EXCHANGE_PATH, CommandResult, Fault, Signed
from contract.pairing import (
    PAIR_FINISH_PATH,
    PAIR_START_PATH,
    PairFinish,
    PairOffer,
    PairStart,
)
from contract.sentence import sentence
from contract.status import Condition, StatusReport
from contract.wire import CONTRACT, MAX_MESSAGE_BYTES, decode, encode
from tests.integration.front_kit import (
    ATTEMPT,
    STATION,
    Authority,
    Controller,
    EnforcerPeer,
    FrontProcess,
    eventually,
    paired,
    read,
)

SIGNED = Signed(b"sealed", bytes(64))


class Lab:
    """A front with the enforcer's end of the socket, and a CA; paired by `pair`."""

    def __init__(self, folder: Path) -> None:
        self.authority = Authority(folder / "pki")
        self.own = self.authority.controller()
        self.front = FrontProcess(folder / "pc")
        self.enforcer = EnforcerPeer(self.front.paths)
        self.enforcer.start()

    def pair(self) -> None:
        paired(self.front, self.enforcer, self.authority)

    def connect(self) -> Controller:
        return Controller(self.front, self.authority, self.own)

    def reachable(self) -> bool:
        try:
            self.connect().ask()
        except OSError:
            return False
        return True


@pytest.fixture
def unpaired(tmp_path: Path) -> Iterator[Lab]:
    made = Lab(tmp_path)
    made.front.start()
    eventually(made.front.answers)
    yield made
    made.front.kill()
    made.enforcer.stop()


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    made = Lab(tmp_path)
    made.pair()
    made.front.start()
    eventually(made.reachable)
    yield made
    made.front.kill()
    made.enforcer.stop()


def condition(status: StatusReport, kind: str) -> Condition:
    return next(found for found in status.conditions if found.type == kind)


def test_an_ask_without_hold_is_answered_at_once_and_again_with_the_same_news(lab: Lab) -> None:
    controller = lab.connect()
    first = controller.ask()
    assert controller.ask().news == first.news
    assert lab.connect().ask().news == first.news


def test_a_held_ask_is_let_go_by_a_change_of_state(lab: Lab) -> None:
    held = lab.connect()
    held.send(hold_s=60, seen=held.ask().news)
    lab.enforcer.say(desired_revision=4)
    answer = held.recv()
    assert answer.status.desired_revision == 4


def test_a_held_ask_ends_by_itself_with_the_same_news(lab: Lab) -> None:
    held = lab.connect()
    seen = held.ask().news
    assert held.ask(hold_s=0.3, seen=seen).news == seen


def test_nothing_is_held_when_there_is_news_already(lab: Lab) -> None:
    controller = lab.connect()
    seen = controller.ask().news
    lab.enforcer.say(desired_revision=4)
    eventually(lambda: lab.connect().ask().news != seen)
    assert controller.ask(hold_s=60, seen=seen).status.desired_revision == 4


def test_an_ask_that_changes_something_lets_the_held_ones_go(lab: Lab) -> None:
    def take(request: Request) -> None:
        if isinstance(request, Deliver):
            lab.enforcer.say(desired_revision=1, applied_revision=1, profile="citizen")

    lab.enforcer.before_reply = take
    held, other = lab.connect(), lab.connect()
    held.send(hold_s=60, seen=held.ask().news)
    answer = other.ask(desired=SIGNED)
    assert answer.status.desired_revision == 1
    assert held.recv().news == answer.news
    assert lab.enforcer.asked == [Deliver(SIGNED)]


def test_a_load_figure_is_no_news(lab: Lab) -> None:
    controller = lab.connect()
    words = set()
    for _ in range(5):
        words.add(controller.ask(hold_s=0.3).news)
    assert len(words) == 1


def test_a_peer_that_hangs_up_is_held_no_longer(lab: Lab) -> None:
    for _ in range(20):  # more than one peer may have connections
        held = lab.connect()
        held.send(hold_s=60, seen=held.ask().news)
        held.close()
    assert eventually(lab.reachable)


def test_the_state_follows_the_revisions(lab: Lab) -> None:
    controller = lab.connect()
    assert controller.ask().status.state == "out-of-service"
    lab.enforcer.say(desired_revision=2, applied_revision=2, profile="citizen")
    eventually(lambda: controller.ask().status.state == "available")
    lab.enforcer.say(profile="maintenance")
    eventually(lambda: controller.ask().status.state == "maintenance")
    now = datetime.now(UTC)
    wrong = Condition("Converged", False, "Failed", sentence("It did not work."), now)
    lab.enforcer.say(profile="citizen", conditions=(wrong,))
    eventually(lambda: controller.ask().status.state == "out-of-service")
    assert condition(controller.ask().status, "Converged") == wrong


def test_a_refused_desired_state_is_a_refusal(lab: Lab) -> None:
    lab.enforcer.replies[Deliver] = Delivered(False, 7, sentence("The signature is not the lab's."))
    answer = lab.connect().ask(desired=SIGNED)
    assert [(r.what, str(r.message), r.revision) for r in answer.refusals] == [
        ("desired", "The signature is not the lab's.", 7)
    ]


def test_commands_are_performed_and_their_results_come_back(lab: Lab) -> None:
    answer = lab.connect().ask(commands=(SIGNED, SIGNED))
    assert answer.results == (CommandResult("0" * 32, True, sentence("done")),) * 2
    lab.enforcer.replies[Perform] = Performed(None, sentence("That is for another station."))
    refused = lab.connect().ask(commands=(SIGNED,))
    assert str(refused.refusals[0].message) == "That is for another station."


def test_the_enforcer_gone_and_back(lab: Lab) -> None:
    """The front goes on, says so, refuses what it cannot carry, and mends the link by itself."""
    lab.enforcer.say(desired_revision=1, applied_revision=1, profile="citizen")
    controller = lab.connect()
    eventually(lambda: controller.ask().status.state == "available")
    held = lab.connect()
    held.send(hold_s=60, seen=held.ask().news)
    lab.enforcer.stop()
    answer = held.recv()
    assert condition(answer.status, "EnforcerLost").status
    assert answer.status.state == "out-of-service"
    assert answer.status.applied_revision == 1
    refused = controller.ask(desired=SIGNED)
    assert "lab-enforcer" in str(refused.refusals[0].message)
    lab.enforcer.start()
    held.send(hold_s=60, seen=refused.news)
    answer = held.recv()
    assert not condition(answer.status, "EnforcerLost").status
    assert answer.status.state == "available"


def test_a_desired_state_waits_for_an_enforcer_that_only_restarts(lab: Lab) -> None:
    """A refusal would be remembered by the controller, and the PC would stay behind."""
    lab.enforcer.say(desired_revision=1, applied_revision=1, profile="citizen")
    controller = lab.connect()
    eventually(lambda: controller.ask().status.state == "available")
    lab.enforcer.stop()
    back = threading.Timer(1, lab.enforcer.start)
    back.start()
    answer = controller.ask(desired=SIGNED)
    back.join()
    assert answer.refusals == ()
    assert any(isinstance(asked, Deliver) for asked in lab.enforcer.asked)


def test_a_front_without_any_enforcer_still_speaks_for_the_pc(lab: Lab) -> None:
    lab.front.kill()
    lab.enforcer.stop()
    lab.front.start()
    eventually(lab.reachable)
    eventually(lambda: condition(lab.connect().ask().status, "EnforcerLost").status)
    assert lab.connect().ask().status.state == "out-of-service"


def test_the_clock_is_compared(lab: Lab) -> None:
    controller = lab.connect()
    controller.ask(at=datetime.now(UTC) + timedelta(hours=3))

    def behind() -> bool:
        found = condition(controller.ask(at=datetime.now(UTC) + timedelta(hours=3)).status, "ClockSkewed")
        return found.status and found.reason == "Behind"

    eventually(behind)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "That is no Ask"),
        (b"{", "That is no Ask"),
        (b'{"contract": 1}', "`at`"),
        (b'{"contract": 2, "brand": "new"}', "upgrade the station first"),
        (b'{"contract": 0}', "upgrade the server first"),
        (b'{"contract": 1, "at": "2026-01-01T00:00:00Z", "x": 1}', "unknown field `x`"),
        (b'{"contract": 1, "at": "2026-01-01T00:00:00Z", "hold_s": 1e9}', "hold_s"),
    ],
)
def test_a_wrong_ask_gets_one_sentence(lab: Lab, body: bytes, words: str) -> None:
    controller = lab.connect()
    controller.connection.request("POST", EXCHANGE_PATH, body)
    status, fault = read(controller.connection)
    assert status == 400
    said = str(msgspec.convert(fault, Fault).error)
    assert words in said
    assert said.endswith(".")
    controller.ask()  # the connection is still good


def test_an_ask_as_long_as_the_limit_is_carried(lab: Lab) -> None:
    payload = bytes(MAX_MESSAGE_BYTES * 3 // 4 - 1024)
    answer = lab.connect().ask(desired=Signed(payload, bytes(64)))
    assert not answer.refusals
    delivered = lab.enforcer.asked[0]
    assert isinstance(delivered, Deliver)
    assert delivered.signed.payload == payload


def test_pairing_is_carried_and_the_port_changes_over(unpaired: Lab) -> None:
    lab = unpaired
    start = PairStart(CONTRACT, b"hello", lab.authority.lab, lab.authority.der, bytes(32))
    code, _ = lab.front.post(PAIR_START_PATH, encode(start))
    assert code == 200
    assert lab.enforcer.asked == [BeginPairing(start)]

    def end(request: Request) -> None:
        if isinstance(request, EndPairing):
            own = lab.authority.station()
            lab.front.paths.identity_file.write_bytes(own.pem)
            lab.front.paths.ca_file.write_bytes(lab.authority.file.read_bytes())

            def later() -> None:
                lab.enforcer.say(lab=lab.authority.lab, ca=lab.authority.der)

            threading.Timer(0.3, later).start()

    lab.enforcer.before_reply = end
    idle = lab.front.connect()
    finish = PairFinish(ATTEMPT, b"certificate", bytes(32))
    code, body = lab.front.post(PAIR_FINISH_PATH, encode(finish))
    assert (code, body) == (200, {"station": STATION})
    # From the answer on the port speaks TLS, and what was open before is closed.
    assert lab.connect().ask().station == STATION
    idle.settimeout(20)
    assert idle.recv(10) == b""


def test_unpairing_closes_everything_and_shows_the_pairing_door(lab: Lab) -> None:
    def leave(request: Request) -> None:
        if isinstance(request, Perform):
            threading.Timer(0.2, lambda: lab.enforcer.say(lab="", ca=b"")).start()

    lab.enforcer.before_reply = leave
    held, idle, other = lab.connect(), lab.connect(), lab.connect()
    held.send(hold_s=60, seen=held.ask().news)
    idle.ask()
    assert other.ask(commands=(SIGNED,)).results
    eventually(lab.front.answers)
    with pytest.raises(ConnectionError):
        held.recv()
    for controller in (idle, other):
        with pytest.raises((ConnectionError, ssl.SSLError)):
            controller.ask()
    assert lab.front.post(EXCHANGE_PATH, b"{}")[0] == 404


@pytest.mark.parametrize(
    ("reply", "status"),
    [(Refused(sentence("Too many tries."), 2.0), 429), (Refused(sentence("No such attempt.")), 409)],
)
def test_a_refused_pairing_says_why(unpaired: Lab, reply: Refused, status: int) -> None:
    unpaired.enforcer.replies[EndPairing] = reply
    finish = PairFinish(ATTEMPT, b"certificate", bytes(32))
    assert unpaired.front.post(PAIR_FINISH_PATH, encode(finish)) == (
        status,
        {"error": {"text": reply.message.text}},
    )


def test_pairing_without_an_enforcer_says_what_to_do(unpaired: Lab) -> None:
    unpaired.enforcer.stop()
    finish = PairFinish(ATTEMPT, b"certificate", bytes(32))

    def refused() -> bool:
        status, body = unpaired.front.post(PAIR_FINISH_PATH, encode(finish))
        return status == 503 and "try again" in str(msgspec.convert(body, Fault).error)

    assert eventually(refused)


def test_what_the_enforcer_offers_arrives_unchanged(unpaired: Lab) -> None:
    start = PairStart(CONTRACT, b"hello", "riva", b"ca", bytes(32))
    _, body = unpaired.front.post(PAIR_START_PATH, encode(start))
    assert decode(PairOffer, encode(body)) == PairOffer(ATTEMPT, b"message", STATION, b"request", bytes(32))


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=12,
)
good = {"contract": 1, "at": "2026-03-01T09:00:00Z"}
names = [
    "contract",
    "at",
    "hold_s",
    "seen",
    "desired",
    "commands",
    "ack_through",
    "revocations",
    "certificate",
]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(fields=st.dictionaries(st.sampled_from(names), json_values, max_size=4))
def test_any_ask_is_answered_or_a_fault_of_one_sentence(lab: Lab, fields: dict[str, object]) -> None:
    """Even from the one peer that is let in; and the connection and the front go on."""
    controller = lab.connect()
    controller.connection.request("POST", EXCHANGE_PATH, json.dumps(good | fields | {"hold_s": 0}).encode())
    status, body = read(controller.connection)
    assert status == 200 or (status == 400 and str(msgspec.convert(body, Fault).error).endswith("."))
    assert controller.ask().station == STATION
    controller.close()
    assert "Traceback" not in lab.front.log()


def test_systemd_hears_that_it_is_ready_and_goes_on(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        systemd.settimeout(20)
        lab = Lab(tmp_path)
        try:
            lab.front.start(NOTIFY_SOCKET=str(tmp_path / "notify"), WATCHDOG_USEC="300000")
            assert systemd.recv(100) == b"READY=1"
            assert systemd.recv(100) == b"WATCHDOG=1"
            lab.enforcer.stop()
            assert systemd.recv(100) == b"WATCHDOG=1"
            assert lab.front.stop() == 0
            heard = [systemd.recv(100)]
            while heard[-1] != b"STOPPING=1":
                heard.append(systemd.recv(100))
        finally:
            lab.front.kill()
            lab.enforcer.stop()


def test_sigterm_is_a_clean_end(lab: Lab) -> None:
    assert lab.front.stop() == 0
    assert "Traceback" not in lab.front.log()
