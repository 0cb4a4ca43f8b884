"""The exchange with one station in all weathers: what it is sent, what is believed, what it can cost."""

import contextlib
import itertools
import sys
import threading
from collections.abc import Callable, Iterator

import pytest

from contract.exchange import Answer, Ask, CommandResult, Refusal
from contract.sentence import sentence
from controller.clock import Clock
from controller.core.asking import MAX_JUMP, Outgoing, Refused
from controller.core.fleet import Presence, Timings
from controller.discovery import CANDIDATES
from controller.failures import Address, Failure
from controller.link import BURST, RENEW_AGAIN_S
from controller.live import Live, View
from controller.sync import Sync
from tests.integration.exchange_kit import HOLD_S, PATIENCE_S, Decided, Desk, Listening, Memory, until_true
from tests.integration.station_kit import LAB, Keys, RawPeer, Station, server_tls
from tests.unit.controller.facts import answer, report


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    return Keys(tmp_path_factory.mktemp("lab"))


@pytest.fixture
def desk(keys: Keys) -> Iterator[Desk]:
    made = Desk(keys)
    yield made
    made.sync.close()


@pytest.fixture
def memory() -> Memory:
    return Memory()


@pytest.fixture
def station(keys: Keys, memory: Memory) -> Iterator[Station]:
    with Station(memory, server_tls(keys.station()[1])) as made:
        yield made


def sealed(desk: Desk, revision: int) -> Outgoing:
    return Outgoing(revision, desk.keys.pki.sign(str(revision).encode()), 2, b"2")


def applies(revision: int) -> Callable[[View], bool]:
    def see(view: View) -> bool:
        return view.seen.answer is not None and view.seen.answer.status.applied_revision == revision

    return see


def test_what_is_replaced_while_nobody_answers_is_not_waited_for(
    desk: Desk, keys: Keys, memory: Memory
) -> None:
    """A cable that is cut and healed brings the last of many publications, not the first that got stuck."""
    stuck, healed = threading.Event(), threading.Event()

    def respond(ask: Ask) -> Answer:
        if ask.desired is not None and ask.desired.payload == b"2":
            stuck.set()
            healed.wait(PATIENCE_S)
        return memory(ask)

    with Station(respond, server_tls(keys.station()[1])) as station:
        desk.start(station.address, sealed(desk, 1))
        desk.seen(applies(1))
        try:
            desk.sync.want({"pc-01": (2, keys.pki.sign(b"2"))})
            assert stuck.wait(PATIENCE_S)
            desk.sync.want({"pc-01": (3, keys.pki.sign(b"3"))})
            desk.seen(applies(3))
        finally:
            healed.set()


def test_what_is_wanted_is_said_and_seen_applied(desk: Desk, station: Station) -> None:
    desk.start(station.address, sealed(desk, 7))
    view = desk.seen(lambda view: bool(view.seen.answer and view.seen.answer.status.applied_revision == 7))
    assert (view.presence, view.note) == (Presence.ONLINE, None)
    sent = [ask for ask in station.asked if ask.desired]
    assert len(sent) == 1, "once is enough"
    desk.sync.want({"pc-01": (8, desk.keys.pki.sign(b"8"))})
    desk.seen(lambda view: bool(view.seen.answer and view.seen.answer.status.applied_revision == 8))


@pytest.fixture
def impatient_threads() -> Iterator[None]:
    """The interpreter goes from thread to thread as often as it can."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


@pytest.mark.usefixtures("impatient_threads")
def test_a_station_begun_from_many_threads_is_talked_with_once(desk: Desk, station: Station) -> None:
    desk.live.add("pc-01", station.address, None, None)
    together = threading.Barrier(8)

    def begin() -> None:
        for _ in range(20):
            together.wait(PATIENCE_S)
            desk.sync.start("pc-01", station.address, Outgoing(), desk.decided)

    threads = [threading.Thread(target=begin) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE_S)

    def talking() -> list[str]:
        return sorted(one.name for one in threading.enumerate() if one.name in ("hold pc-01", "push pc-01"))

    until_true(lambda: talking() == ["hold pc-01", "push pc-01"])
    desk.seen(lambda view: view.presence is Presence.ONLINE)


def test_a_change_on_the_pc_is_seen_while_it_is_held(desk: Desk, station: Station, memory: Memory) -> None:
    desk.start(station.address)
    desk.seen(lambda view: view.presence is Presence.ONLINE)
    memory.become(state="maintenance")
    desk.seen(lambda view: bool(view.seen.answer and view.seen.answer.status.state == "maintenance"))


def test_an_old_revocation_list_is_replaced(desk: Desk, station: Station, memory: Memory) -> None:
    desk.start(station.address, sealed(desk, 1))
    until_true(lambda: memory.revocations == 2)
    desk.sync.trust(desk.keys.tls(), 3, b"3")
    until_true(lambda: memory.revocations == 3)


def test_a_command_comes_back_with_its_result_and_is_not_sent_again(desk: Desk, station: Station) -> None:
    desk.start(station.address)
    desk.seen(lambda view: view.presence is Presence.ONLINE)
    signed = desk.keys.pki.sign(b"0" * 32)
    assert desk.sync.command("pc-01", "0" * 32, signed, PATIENCE_S) == CommandResult(
        "0" * 32, True, sentence("done")
    )
    desk.sync.want({"pc-01": (8, desk.keys.pki.sign(b"8"))})
    desk.seen(lambda view: bool(view.seen.answer and view.seen.answer.status.applied_revision == 8))
    assert not station.asked[-1].commands


def test_a_command_to_nobody_fails_soon(desk: Desk) -> None:
    desk.start(Address("127.0.0.1", 1))
    failure = desk.sync.command("pc-01", "0" * 32, desk.keys.pki.sign(b"x"), PATIENCE_S)
    assert isinstance(failure, Failure)
    assert "Nothing listens" in str(failure.message)


NO_ROOM = sentence("no room on the disk")


def test_a_refused_desired_state_is_noted_and_not_sent_for_ever(desk: Desk, keys: Keys) -> None:
    def refuse(ask: Ask) -> Answer:
        # What it names is the revision it holds.
        refusals = (Refusal("desired", NO_ROOM, 5),) if ask.desired else ()
        return answer(refusals=refusals)

    with Station(refuse, server_tls(keys.station()[1])) as station:
        desk.start(station.address, sealed(desk, 7))
        desk.seen(lambda view: "no room on the disk" in str(view.note))
        before = len(station.asked)
        until_true(lambda: len(station.asked) > before + 2)
        assert sum(1 for ask in station.asked if ask.desired) == 1
        assert desk.seen(lambda view: True).seen.refused == Refused(7, NO_ROOM), (
            "however many answers came since"
        )


def test_a_station_that_answers_at_once_for_ever_is_slowed_down(desk: Desk, keys: Keys) -> None:
    """Each answer claims news, so none is held: it may cost a burst, then two rounds a second, no more."""
    numbers = itertools.count()
    with Station(lambda _: answer(news=str(next(numbers))), server_tls(keys.station()[1])) as station:
        desk.start(station.address)
        until_true(lambda: len(station.asked) >= BURST)
        threading.Event().wait(3)
        assert len(station.asked) <= 2 * BURST + 30


@pytest.mark.parametrize(
    ("made", "says"),
    [
        (lambda: answer("pc-02"), "called itself pc-02"),
        (lambda: answer(status=report("pc-02")), "called itself pc-02"),
        (lambda: answer(contract=9), "contract version 9"),
        (lambda: b"nonsense", "not of the contract"),
        (lambda: answer(status=report(desired_revision=10**15)), "cannot have reached"),
        (lambda: answer(revocation_number=10**15), "cannot have reached"),
    ],
)
def test_bad_company_costs_its_own_thread_and_is_noted(
    desk: Desk, keys: Keys, made: Callable[[], Answer | bytes], says: str
) -> None:
    with Station(lambda _: made(), server_tls(keys.station()[1])) as station:
        desk.start(station.address, sealed(desk, 3))
        desk.seen(lambda view: says in str(view.note))
    assert desk.decided.aheads == desk.decided.lists_ahead == []


class Later(Clock):
    """A clock that may be put forward."""

    ahead_s = 0.0

    def monotonic(self) -> float:
        return super().monotonic() + self.ahead_s


class Broken(Decided):
    """A bug that only the telling thread meets."""

    def ahead(self, _: str, revision: int) -> None:
        super().ahead(_, revision)
        if threading.current_thread().name.startswith("push"):
            raise RuntimeError("a bug")


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_thread_that_died_is_not_covered_up_by_the_other(
    desk: Desk, station: Station, memory: Memory
) -> None:
    """The watchdog must see it: nothing new would ever reach the station."""
    desk.decided = Broken()
    memory.become(desired_revision=9)
    desk.start(station.address, sealed(desk, 3))
    desk.sync.wake("pc-01")
    until_true(lambda: desk.sync.oldest_beat_s() == float("inf"))
    asked = len(station.asked)
    until_true(lambda: len(station.asked) > asked + 2)
    assert desk.sync.oldest_beat_s() == float("inf")


def test_a_station_that_stalls_at_many_addresses_is_no_reason_for_the_watchdog(
    desk: Desk, keys: Keys
) -> None:
    """Its certificate lets it hold each of eight connections for as long as an answer may take."""
    clock = Later()
    sync = Sync(LAB, HOLD_S, keys.tls(), clock, desk.live)
    ages: list[float] = []

    def stall(_: Ask) -> bytes:
        ages.append(sync.oldest_beat_s())
        clock.ahead_s += 20
        return b"nonsense"

    with contextlib.ExitStack() as many:
        tls = server_tls(keys.station()[1])
        places = [many.enter_context(Station(stall, tls)).address for _place in range(8)]
        desk.decided.elsewhere = places[1:]
        desk.live.add("pc-01", places[0], None, None)
        sync.start("pc-01", places[0], Outgoing(), desk.decided)
        try:
            until_true(lambda: len(ages) >= 8)
        finally:
            sync.close()
    assert max(ages) < 20


def test_a_station_ahead_of_a_restored_server(desk: Desk, station: Station, memory: Memory) -> None:
    memory.become(desired_revision=MAX_JUMP)
    desk.start(station.address, sealed(desk, 3))
    until_true(lambda: MAX_JUMP in desk.decided.aheads)


def test_a_station_whose_revocation_list_is_ahead_of_a_restored_server(
    desk: Desk, station: Station, memory: Memory
) -> None:
    memory.revocations = 9
    desk.start(station.address, sealed(desk, 3))
    until_true(lambda: 9 in desk.decided.lists_ahead)
    assert desk.decided.aheads == []


def test_a_renewal_is_asked_for_once_and_delivered(desk: Desk, station: Station, memory: Memory) -> None:
    desk.decided.certificate = b"new certificate"
    memory.extra = {"signing_request": b"request"}
    desk.start(station.address)
    until_true(lambda: any(ask.certificate == b"new certificate" for ask in station.asked))
    assert desk.decided.requests == [b"request"]


def test_a_renewal_that_was_refused_is_looked_at_again(keys: Keys, station: Station, memory: Memory) -> None:
    """The station repeats the same request for months: one full disk must not be the last word on it."""
    clock = Later()
    live = Live(clock, Timings.of_hold(HOLD_S))
    sync = Sync(LAB, HOLD_S, keys.tls(), clock, live)
    decided = Decided(certificate="the disk is full")
    memory.extra = {"signing_request": b"request"}
    try:
        live.add("pc-01", station.address, None, None)
        sync.start("pc-01", station.address, Outgoing(), decided)
        until_true(lambda: len(station.asked) > 3 and decided.requests == [b"request"])
        decided.certificate = b"new certificate"
        clock.ahead_s = RENEW_AGAIN_S + 1
        until_true(lambda: any(ask.certificate == b"new certificate" for ask in station.asked))
        assert decided.requests == [b"request"] * 2
    finally:
        sync.close()


def test_a_pc_at_another_address_is_believed_when_it_proves_it(
    desk: Desk, station: Station, keys: Keys
) -> None:
    """A liar announces itself first: it gets a failed handshake, and the address only when that succeeds."""
    liar_tls = server_tls(keys.station("pc-02")[1])
    with Station(lambda _: answer(), liar_tls) as liar, RawPeer(lambda connection: None) as mute:
        desk.decided.elsewhere = [liar.address, mute.address, station.address]
        desk.start(Address("127.0.0.1", 1))
        view = desk.seen(lambda view: view.presence is Presence.ONLINE)
        assert view.seen.address == station.address
        assert desk.decided.moves == [station.address]
        assert desk.decided.misleadings == [liar.address, mute.address]
        assert liar.asked == []


def test_a_liar_at_many_addresses_does_not_hide_a_pc_that_comes_back_at_another(
    desk: Desk, station: Station
) -> None:
    """He was there first, and says everything again each time the PC says its one word."""
    desk.decided = decided = Listening()
    lies = [Address("127.0.0.1", port) for port in range(2, 2 + CANDIDATES)]
    for lie in lies:
        decided.say(lie)
    desk.start(Address("127.0.0.1", 1))

    def online() -> bool:
        for said in (*lies, station.address, *lies):
            decided.say(said)
        desk.sync.wake("pc-01")
        view = desk.live.one("pc-01")
        return view is not None and view.presence is Presence.ONLINE

    until_true(online)
    assert decided.moves == [station.address]


def test_a_liar_does_not_displace_a_station_that_is_there(desk: Desk, station: Station, keys: Keys) -> None:
    with Station(lambda _: answer(), server_tls(keys.station("pc-02")[1])) as liar:
        desk.start(station.address)
        desk.seen(lambda view: view.presence is Presence.ONLINE)
        desk.decided.elsewhere = [liar.address]
        desk.sync.wake("pc-01")
        asked = len(station.asked)
        until_true(lambda: len(station.asked) > asked + 2)
        assert desk.decided.moves == []
        assert desk.live.one("pc-01").seen.address == station.address  # type: ignore[union-attr]  # it was added


def test_a_station_that_returns_is_heard_as_soon_as_it_is_woken(
    desk: Desk, keys: Keys, memory: Memory
) -> None:
    desk.start(Address("127.0.0.1", 1))
    desk.seen(lambda view: view.note is not None)
    with Station(memory, server_tls(keys.station()[1])) as station:
        desk.decided.elsewhere = [station.address]
        desk.sync.wake("pc-01")
        desk.seen(lambda view: view.presence is Presence.ONLINE)


def test_closing_ends_every_thread(keys: Keys, station: Station) -> None:
    before = threading.active_count()
    desk = Desk(keys)
    desk.start(station.address)
    desk.seen(lambda view: view.presence is Presence.ONLINE)
    assert desk.sync.oldest_beat_s() < PATIENCE_S
    desk.sync.close(PATIENCE_S)
    until_true(lambda: threading.active_count() <= before + 4)  # the station's own handlers
    assert not [one for one in threading.enumerate() if one.name.endswith("pc-01")]
