"""The laws of converging, over arbitrary states and every place at which an action can fail."""

import itertools

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.converge import ROUNDS, converge
from agent.core.changes import Change, Effect, Kind, Owned, Plan, Reader, SetKernel, WriteFile
from agent.core.reconcile import whole_plan
from agent.ports import HostAction
from agent.resources import KINDS
from agent.resources.browser_policy import ALLOW, DENY
from contract.desired import (
    Boot,
    BrowserPolicy,
    Console,
    Desktop,
    Kernel,
    Printing,
    Resources,
    Storage,
    TimeSync,
)
from contract.sentence import sentence
from tests.fakes.host import FakeHost, FakeMemory

PARAMETERS = {"kernel.sysrq": "438", "net.ipv4.ip_forward": "1", "kernel.dmesg_restrict": "0"}

hosts = st.sampled_from([".inps.it", ".anpr.interno.it", "posteid.poste.it", ".id.lepida.it"])
policies = st.dictionaries(
    st.sampled_from(["URLBlocklist", "PrintingEnabled", "QuicAllowed", "SyncDisabled"]),
    st.one_of(st.booleans(), st.lists(st.sampled_from(["*", "chrome://*", "javascript:*"]), unique=True)),
)
sections = st.builds(
    Resources,
    browser_policy=st.none()
    | st.builds(BrowserPolicy, policies=policies, allow=st.lists(hosts, unique=True).map(tuple)),
    kernel=st.none()
    | st.builds(Kernel, sysctl=st.dictionaries(st.sampled_from(sorted(PARAMETERS)), st.sampled_from("01"))),
    desktop=st.none() | st.builds(Desktop, bar_height=st.integers(0, 60)),
    console=st.none() | st.just(Console()),
    storage=st.none()
    | st.builds(
        Storage,
        removable=st.sampled_from(["none", "read-only", "full"]),
        usb=st.sampled_from([(), ("printer",), ("audio", "printer")]),
    ),
    boot=st.none() | st.builds(Boot, menu_s=st.integers(0, 3)),
    printing=st.none() | st.just(Printing()),
    time=st.none() | st.builds(TimeSync, servers=st.sampled_from([("10.0.0.1",), ("10.0.0.1", "10.0.0.2")])),
)


def bare_host() -> FakeHost:
    return FakeHost(directories={"/etc/sysctl.d", "/etc/lab-agent", "/etc/systemd"}, kernel=PARAMETERS)


@given(sections, sections)
@settings(max_examples=150, deadline=None)
def test_a_second_plan_is_empty_and_the_way_there_does_not_matter(
    first: Resources, second: Resources
) -> None:
    there, straight = (bare_host(), FakeMemory()), (bare_host(), FakeMemory())
    assert converge(KINDS, first, *there).converged
    assert converge(KINDS, second, *there).converged
    assert whole_plan(KINDS, second, there[1].owned(), there[0]) == ()
    assert converge(KINDS, second, *straight).converged
    assert there[0].snapshot() == straight[0].snapshot()


@given(st.lists(sections, min_size=1, max_size=4))
@settings(max_examples=100, deadline=None)
def test_leaving_gives_the_pc_back_as_it_was(history: list[Resources]) -> None:
    host, memory = bare_host(), FakeMemory()
    before = host.snapshot()
    for wanted in history:
        assert converge(KINDS, wanted, host, memory).converged
    assert converge(KINDS, Resources(), host, memory).converged
    assert host.snapshot() == before
    assert not any(memory.owned().values())


OLD = Resources(
    browser_policy=BrowserPolicy(policies={"URLBlocklist": ["*"]}, allow=(".inps.it", ".id.lepida.it")),
    kernel=Kernel(sysctl={"kernel.sysrq": "0"}),
    desktop=Desktop(bar_height=36),
    time=TimeSync(servers=("10.0.0.1",)),
)
NEW = Resources(
    browser_policy=BrowserPolicy(
        policies={"URLBlocklist": ["chrome://*"], "QuicAllowed": False},
        allow=(".inps.it", ".anpr.interno.it"),
    ),
    kernel=Kernel(sysctl={"net.ipv4.ip_forward": "0"}),
    desktop=Desktop(bar_height=48),
    time=TimeSync(servers=("10.0.0.2",)),
)


def _allowed(host: FakeHost) -> set[str]:
    state = host.file(ALLOW)
    assert state is not None
    return set(msgspec.json.decode(state.content)["URLAllowlist"])


def _denied(host: FakeHost) -> set[str]:
    state = host.file(DENY)
    assert state is not None
    return set(msgspec.json.decode(state.content)["URLBlocklist"])


class Breaking(FakeHost):
    """Fails at its n-th action."""

    left = -1

    def do(self, action: HostAction) -> None:
        if self.left == 0:
            self.broken.add(_target(action))
        self.left -= 1
        super().do(action)


def _target(action: HostAction) -> str:
    return str(getattr(action, "path", "") or getattr(action, "key", "") or getattr(action, "argv", " ")[0])


def test_a_plan_that_fails_anywhere_leaves_the_tighter_state_and_says_why() -> None:
    failed = 0
    for broken_at in itertools.count():
        host = Breaking(directories={"/etc/sysctl.d", "/etc/lab-agent", "/etc/systemd"}, kernel=PARAMETERS)
        memory = FakeMemory()
        assert converge(KINDS, OLD, host, memory).converged
        host.left = broken_at
        outcome = converge(KINDS, NEW, host, memory)
        if outcome.converged:
            break
        failed += 1
        assert outcome.failed is not None
        assert "broken in this test" in str(outcome.reason)
        # Whatever was allowed before and is not in the new list, or is new in it, is not reachable
        # unless everything that tightens has been done.
        tightening = [change for change in outcome.done if change.effect is Effect.TIGHTEN]
        if outcome.failed.effect is not Effect.LOOSEN:
            assert _allowed(host) <= {".inps.it", ".id.lepida.it"}
            assert "*" in _denied(host)
        else:
            assert _allowed(host) <= {".inps.it", ".anpr.interno.it"}
            assert {change.subject for change in tightening} >= {DENY, ALLOW}
        host.broken.clear()
        host.left = -1
        assert converge(KINDS, NEW, host, memory).converged, "once the cause is gone the rest is done"
        assert _allowed(host) == {".inps.it", ".anpr.interno.it"}
    assert failed >= 10


def test_a_parameter_the_kernel_does_not_have_is_named() -> None:
    host = bare_host()
    outcome = converge(KINDS, Resources(kernel=Kernel(sysctl={"kernel.no_such": "1"})), host, FakeMemory())
    assert not outcome.converged
    assert "kernel.no_such" in str(outcome.reason)


class Fidget:
    """A kind that somebody else undoes as fast as it is done."""

    NAME = "fidget"

    def observe(self, wanted: Resources, owned: Owned, reader: Reader) -> msgspec.Struct:
        return Resources()

    def plan(self, wanted: Resources, observed: msgspec.Struct, owned: Owned) -> Plan:
        action = SetKernel(key="kernel.sysrq", value="0")
        return (
            Change(
                kind="fidget",
                subject="it",
                effect=Effect.NEUTRAL,
                why=sentence("it differs"),
                actions=(action,),
            ),
        )

    def watched(self, wanted: Resources) -> tuple[str, ...]:
        return ()


def test_a_fight_is_given_up_and_told() -> None:
    fidget: Kind = Fidget()
    outcome = converge((fidget,), Resources(), bare_host(), FakeMemory())
    assert not outcome.converged
    assert len(outcome.done) == ROUNDS
    assert "does not stay as set" in str(outcome.reason)


def test_documents_are_written_for_people() -> None:
    host = bare_host()
    assert converge(KINDS, OLD, host, FakeMemory()).converged
    state = host.file(ALLOW)
    assert state is not None
    assert state.content == b'{\n "URLAllowlist": [\n  ".inps.it",\n  ".id.lepida.it"\n ]\n}\n'


@pytest.mark.parametrize(
    "text", [b"[]", b"\xff", b'{"URLAllowlist": "x"}', b'{"URLAllowlist": ["*"], "A": 1}']
)
def test_whatever_stands_in_the_allow_list_it_becomes_ours(text: bytes) -> None:
    host, memory = bare_host(), FakeMemory()
    assert converge(KINDS, OLD, host, memory).converged
    host.do(WriteFile(path=ALLOW, content=text))
    assert converge(KINDS, OLD, host, memory).converged
    assert _allowed(host) == {".inps.it", ".id.lepida.it"}
