"""Payment mode: whatever comes in between, it is open from an order to its end only, for who sat there."""

from dataclasses import dataclass

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from agent.converge import converge
from agent.core.changes import Forget
from agent.core.payment import Moment, Opening, is_open, moment, opened
from agent.core.session import Sitting
from agent.journal import JournalError
from agent.resources import KINDS, browser_policy, network
from contract.desired import BrowserPolicy, Kernel, Network, Payment, Resources
from contract.payment import LEAST_S, MOST_S, PaymentOrder
from contract.sentence import sentence
from contract.session import SessionPhase
from contract.wire import ContractError, decode, encode
from tests.fakes.host import FakeHost, FakeMemory

ORDER = "a" * 32
SESSION, OTHER = "1" * 32, "2" * 32
HERE = Moment(boot="b", boot_s=1000.0, occupied=True, session=SESSION)


@dataclass
class Allowed:
    """What a person would say who watched from outside, with one true stopwatch."""

    boot: int
    session: int
    until: float


class Pc(RuleBasedStateMachine):
    """A PC with citizens coming and going, an agent that is killed, a wall clock that is anybody's guess.

    `true_s` is real time. The agent sees seconds since boot, and its journal; the test's own record of who
    was granted what, `allowed`, never reads either.
    """

    def __init__(self) -> None:
        super().__init__()
        self.true_s = 0.0
        self.booted_at = 0.0
        self.boot = 0
        self.session = 0
        self.phase: SessionPhase = "active"
        self.journal = b""
        self.allowed: Allowed | None = None
        self.widest = 0.0

    @property
    def now(self) -> Moment:
        sitting = Sitting(phase=self.phase, session=f"{self.session:032x}", boot=f"{self.boot}")
        return moment(sitting, self.true_s - self.booted_at)

    @property
    def held(self) -> Opening | None:
        """What an agent that has just been killed and started again knows."""
        return decode(Opening, self.journal) if self.journal else None

    @rule(seconds=st.integers(LEAST_S, MOST_S))
    @precondition(lambda self: self.phase == "active")
    def ordered(self, seconds: int) -> None:
        order = PaymentOrder(seconds=seconds, session=f"{self.session:032x}")
        opening = opened(self.held, ORDER, order, self.now)
        self.journal = encode(opening)
        until = self.true_s + seconds
        old = self.allowed
        if (
            old is not None
            and (old.boot, old.session) == (self.boot, self.session)
            and old.until > self.true_s
        ):
            until = max(until, old.until)
        self.allowed = Allowed(self.boot, self.session, until)

    @rule()
    def closed(self) -> None:
        self.journal, self.allowed = b"", None

    @rule(seconds=st.floats(0, 2 * MOST_S))
    def time_passes(self, seconds: float) -> None:
        self.true_s += seconds

    @rule(phase=st.sampled_from(("available", "reserved", "ending", "wiping", "out-of-service")))
    def nobody_sits_there(self, phase: SessionPhase) -> None:
        self.phase = phase
        if self.allowed is not None:
            self.allowed.until = min(self.allowed.until, self.true_s)

    @rule()
    def the_next_citizen(self) -> None:
        self.session += 1
        self.phase = "active"

    @rule(seconds=st.floats(0, MOST_S))
    def power_cut(self, seconds: float) -> None:
        self.true_s += seconds
        self.booted_at = self.true_s
        self.boot += 1

    @invariant()
    def open_exactly_as_allowed(self) -> None:
        held = self.held
        may = (
            self.allowed is not None
            and self.phase == "active"
            and (self.allowed.boot, self.allowed.session) == (self.boot, self.session)
            and self.true_s < self.allowed.until
        )
        if is_open(held, self.now):
            assert may
        elif may and self.allowed is not None:
            # Sums of floats end a hair earlier or later; a minute that is granted is not lost.
            assert self.allowed.until - self.true_s < 1e-3


TestPc = Pc.TestCase


@given(st.floats(allow_nan=False), st.floats(allow_nan=False))
def test_no_clock_however_wrong_keeps_it_open_longer_than_the_longest(until_s: float, boot_s: float) -> None:
    """Seconds since boot do not jump; were they to, it would be closed rather than open for a day."""
    opening = Opening(order=ORDER, boot="b", until_s=until_s, session=SESSION)
    now = msgspec.structs.replace(HERE, boot_s=boot_s)
    assert is_open(opening, now) <= (0 < until_s - boot_s <= MOST_S)


@pytest.mark.parametrize(
    "elsewhere",
    [
        msgspec.structs.replace(HERE, boot="c"),
        msgspec.structs.replace(HERE, session=OTHER),
        msgspec.structs.replace(HERE, session=None),
        msgspec.structs.replace(HERE, occupied=False),
        msgspec.structs.replace(HERE, boot_s=1060.0),
    ],
)
def test_it_is_for_one_boot_one_session_and_its_minutes(elsewhere: Moment) -> None:
    opening = opened(None, ORDER, PaymentOrder(seconds=60, session=SESSION), HERE)
    assert is_open(opening, HERE)
    assert not is_open(opening, elsewhere)


def test_a_second_order_only_prolongs() -> None:
    long = opened(None, ORDER, PaymentOrder(seconds=600, session=SESSION), HERE)
    later = msgspec.structs.replace(HERE, boot_s=1300.0)
    assert opened(long, "b" * 32, PaymentOrder(seconds=60, session=SESSION), later).until_s == 1600.0
    assert opened(long, "b" * 32, PaymentOrder(seconds=600, session=SESSION), later).until_s == 1900.0


def test_what_is_over_is_not_prolonged() -> None:
    """The next citizen's minute is a minute, whatever the one before had left."""
    long = opened(None, ORDER, PaymentOrder(seconds=3600, session=SESSION), HERE)
    next_one = msgspec.structs.replace(HERE, session=OTHER)
    assert opened(long, ORDER, PaymentOrder(seconds=60, session=OTHER), next_one).until_s == 1060.0


_hosts = st.lists(st.sampled_from([".a.it", "b.it", "c.it", ".d.it", "e.it"]), unique=True).map(tuple)


@given(_hosts, _hosts, _hosts, _hosts)
def test_it_only_ever_adds_hosts(
    allow: tuple[str, ...], hosts: tuple[str, ...], more: tuple[str, ...], parts: tuple[str, ...]
) -> None:
    base = Resources(
        browser_policy=BrowserPolicy(policies={"URLBlocklist": ["*"]}, allow=allow),
        network=Network(hosts=hosts),
        kernel=Kernel(sysctl={"kernel.sysrq": "0"}),
        payment=Payment(allow=more, hosts=parts),
    )
    wide = base.paying()
    assert wide.browser_policy is not None
    assert wide.network is not None
    assert set(wide.browser_policy.allow) == {*allow, *more}
    assert set(wide.network.hosts) == {*hosts, *parts}
    back = msgspec.structs.replace(
        wide,
        browser_policy=msgspec.structs.replace(wide.browser_policy, allow=allow),
        network=msgspec.structs.replace(wide.network, hosts=hosts),
    )
    assert back == base


def test_what_is_not_managed_is_not_managed_by_it_either() -> None:
    bare = Resources(payment=Payment(allow=(".a.it",), hosts=(".a.it",)))
    assert bare.paying() == bare
    assert Resources().paying() == Resources()


@pytest.mark.parametrize("seconds", [0, 59, 3601, -60])
def test_an_order_out_of_bounds_is_no_message(seconds: int) -> None:
    document = f'{{"seconds":{seconds},"session":"{SESSION}"}}'.encode()
    with pytest.raises(ContractError):
        decode(PaymentOrder, document)
    assert decode(PaymentOrder, b'{"seconds":60}') == PaymentOrder(seconds=60)


CLOSED = Resources(
    network=Network(hosts=(".inps.it",)),
    browser_policy=BrowserPolicy(policies={"URLBlocklist": ["*"]}, allow=(".inps.it",)),
    kernel=Kernel(sysctl={"kernel.sysrq": "0"}),
    payment=Payment(allow=(".issuer.example",), hosts=(".issuer.example",)),
)


def paying_pc() -> tuple[FakeHost, FakeMemory]:
    """A PC on which the payment mode is in force."""
    host, memory = FakeHost(kernel={"kernel.sysrq": "438"}), FakeMemory()
    host.directories.add("/etc/lab-agent")
    assert converge(KINDS, CLOSED.paying(), host, memory).converged
    assert "issuer" in host.files[network.HOSTS].content.decode()
    assert network.UNIT in host.units
    return host, memory


def test_what_else_fails_does_not_keep_it_open() -> None:
    host, memory = paying_pc()
    host.parameters["kernel.sysrq"] = "438"
    host.broken.add("kernel.sysrq")
    outcome = converge(KINDS, CLOSED, host, memory)
    assert not outcome.converged
    assert "issuer" not in host.files[network.HOSTS].content.decode()
    assert "issuer" not in host.files[browser_policy.ALLOW].content.decode()
    assert network.UNIT in host.units
    assert ("systemctl", "stop", network.UNIT) in host.ran, "connections that were open are cut"


class FullDisk(FakeMemory):
    """A journal that takes nothing."""

    def forget(self, entry: Forget) -> None:
        raise JournalError(sentence("the journal cannot be written"))


@pytest.mark.parametrize("full", [False, True], ids=["the list", "the journal"])
def test_a_list_that_cannot_be_written_lets_nothing_through(full: bool) -> None:
    """The kernel's table knows no way but the proxy, so without the proxy there is none."""
    host, memory = paying_pc()
    if full:
        with pytest.raises(JournalError):
            converge(KINDS, CLOSED, host, FullDisk(memory.owned()))
    else:
        host.broken.add(network.HOSTS)
        assert not converge(KINDS, CLOSED, host, memory).converged
    assert network.UNIT not in host.units
    assert network.TABLE in host.tables
    host.broken.clear()
    assert converge(KINDS, CLOSED, host, memory).converged
    assert network.UNIT in host.units
    assert "issuer" not in host.files[network.HOSTS].content.decode()


def test_opening_it_cuts_nobodys_connection() -> None:
    host, memory = paying_pc()
    assert converge(KINDS, CLOSED, host, memory).converged
    host.ran.clear()
    assert converge(KINDS, CLOSED.paying(), host, memory).converged
    assert host.ran == []
