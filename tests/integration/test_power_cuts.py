"""kill -9 before and after every journal write and every action of a plan: all of them, not a sample.

Each scenario is first run whole to count its steps; then, for each step, on a
fresh copy, in a process of its own that kills itself there. After the restart
the PC is at the old revision or at the new one: files, parameters, journal.
"""

import os
import shutil
import signal
import sys
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import pytest

from agent.clock import SystemClock
from agent.core.changes import Forget, Remember
from agent.host import Host
from agent.journal import Journal
from agent.ports import HostAction
from agent.resources import KINDS
from agent.settings import Paths, Settings
from agent.station import Station
from agent.trust import Trust, TrustStore
from contract.desired import BrowserPolicy, Desktop, Kernel, Payment, Resources, TimeSync
from contract.exchange import CommandResult, Signed
from contract.pairing import PairDone, PairOffer
from contract.payment import PaymentOrder
from tests.integration.lab_keys import EPOCH, ControllerHalf, LabKeys

OLD = Resources(
    browser_policy=BrowserPolicy(policies={"URLBlocklist": ["*"]}, allow=(".inps.it", ".id.lepida.it")),
    kernel=Kernel(sysctl={"kernel.sysrq": "0", "net.ipv4.ip_forward": "0"}),
    desktop=Desktop(bar_height=36),
    time=TimeSync(servers=("10.0.0.1",)),
    payment=Payment(allow=(".issuer.example",), hosts=(".issuer.example",)),
)
NEW = Resources(
    browser_policy=BrowserPolicy(
        policies={"URLBlocklist": ["chrome://*"], "QuicAllowed": False},
        allow=(".inps.it", ".anpr.interno.it"),
    ),
    kernel=Kernel(sysctl={"net.ipv4.ip_forward": "1", "kernel.dmesg_restrict": "1"}),
    desktop=None,
    time=TimeSync(servers=("10.0.0.2",)),
)
BEFORE_US = {"kernel/sysrq": "438", "net/ipv4/ip_forward": "1", "kernel/dmesg_restrict": "0"}


class Steps:
    """Counts what may be interrupted, and interrupts it."""

    def __init__(self, kill_at: int | None) -> None:
        self.count = 0
        self._kill_at = kill_at

    def step(self) -> None:
        if self.count == self._kill_at:
            os.kill(os.getpid(), signal.SIGKILL)
        self.count += 1


class CutHost(Host):
    """The real host below a prefix, with a step on either side of each action."""

    def __init__(self, root: Path, steps: Steps) -> None:
        super().__init__(root)
        self._steps = steps

    def do(self, action: HostAction) -> None:
        self._steps.step()
        super().do(action)
        self._steps.step()


class CutJournal(Journal):
    """The real journal, with a step on either side of each write."""

    def __init__(self, path: Path, steps: Steps) -> None:
        super().__init__(path)
        self._steps = steps

    def _around(self, write: Callable[[], None]) -> None:
        self._steps.step()
        write()
        self._steps.step()

    def accept(self, revision: int, signed: Signed, now: datetime, *, anew: bool = False) -> None:
        self._around(lambda: super(CutJournal, self).accept(revision, signed, now, anew=anew))

    def set_applied(self, revision: int, now: datetime) -> None:
        self._around(lambda: super(CutJournal, self).set_applied(revision, now))

    def remember(self, entry: Remember) -> None:
        self._around(lambda: super(CutJournal, self).remember(entry))

    def forget(self, entry: Forget) -> None:
        self._around(lambda: super(CutJournal, self).forget(entry))

    def set_payment(self, opening: bytes, result: CommandResult | None, now: datetime) -> None:
        self._around(lambda: super(CutJournal, self).set_payment(opening, result, now))

    def begin_unpairing(self, result: CommandResult | None, now: datetime) -> None:
        self._around(lambda: super(CutJournal, self).begin_unpairing(result, now))

    def end_unpairing(self, now: datetime) -> None:
        self._around(lambda: super(CutJournal, self).end_unpairing(now))


class BootClock(SystemClock):
    """The system's clock on a PC that is `ahead` seconds older than this machine, as a file below it says."""

    def __init__(self, root: Path) -> None:
        super().__init__(EPOCH)
        self._ahead = root / "ahead"

    def monotonic(self) -> float:
        return super().monotonic() + (float(self._ahead.read_text()) if self._ahead.exists() else 0.0)


KEYS = LabKeys()
FIRST = KEYS.desired("pc-01", 1, OLD)
SECOND = KEYS.desired("pc-01", 2, NEW)
UNPAIR = KEYS.command("pc-01")
OPEN = KEYS.command("pc-01", 2, "payment-open", PaymentOrder(seconds=3600))
CLOSE = KEYS.command("pc-01", 3, "payment-close")


def _station(root: Path, steps: Steps) -> tuple[Station, Journal]:
    paths = Paths(root=root)
    journal = CutJournal(paths.enforcer_state / "journal.sqlite", steps)
    station = Station(
        settings=Settings(station="pc-01"),
        paths=paths,
        kinds=KINDS,
        host=CutHost(root, steps),
        journal=journal,
        clock=BootClock(root),
        show=lambda _code: None,
        log=lambda _line: None,
    )
    return station, journal


def _deliver_first(root: Path, steps: Steps) -> None:
    station, _ = _station(root, steps)
    assert station.deliver(FIRST).accepted
    assert station.look()


def _deliver_second(root: Path, steps: Steps) -> None:
    station, _ = _station(root, steps)
    assert station.deliver(SECOND).accepted
    assert station.look()


def _leave(root: Path, steps: Steps) -> None:
    station, _ = _station(root, steps)
    result = station.perform(UNPAIR).result
    assert result is not None
    assert result.done
    assert station.look()


def _repair(root: Path, steps: Steps) -> None:
    (root / "etc/chromium/policies/managed/60-lab-allow.json").write_text("{")
    (root / "etc/systemd/timesyncd.conf.d/90-lab.conf").unlink()
    station, _ = _station(root, steps)
    assert station.look()


def _open_payment(root: Path, steps: Steps) -> None:
    station, _ = _station(root, steps)
    result = station.perform(OPEN).result
    assert result is not None
    assert result.done
    assert station.look()


def _close_payment(root: Path, steps: Steps) -> None:
    station, _ = _station(root, steps)
    result = station.perform(CLOSE).result
    assert result is not None
    assert result.done
    assert station.look()


def _payment_ends(root: Path, steps: Steps) -> None:
    (root / "ahead").write_text("3600")
    station, _ = _station(root, steps)
    assert station.look()


def _reboot(root: Path, steps: Steps) -> None:
    (root / "run/lab-agent/boot").unlink(missing_ok=True)
    station, _ = _station(root, steps)
    assert station.look()


def _paired(root: Path) -> None:
    for key, value in BEFORE_US.items():
        parameter = root / "proc/sys" / key
        parameter.parent.mkdir(parents=True, exist_ok=True)
        parameter.write_text(value + "\n")
    for folder in ("etc/lab-agent/staging", "etc/sysctl.d", "var/lib/lab-agent/enforcer", "run/lab-agent"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    trust = Trust(
        lab=KEYS.lab,
        station="pc-01",
        ca=KEYS.ca,
        signing_key=KEYS.signing_public,
        pairing=KEYS.pairing,
    )
    TrustStore(root / "var/lib/lab-agent/enforcer").save(trust)


def _in_a_process(work: Callable[[], None]) -> int:
    """Run `work` in a child; its wait status."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            work()
            code = 0
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status)


def _tree(root: Path) -> dict[str, str]:
    """Everything the lab may change, and nothing of the agent's own state."""
    found: dict[str, str] = {}
    for path in sorted((root / "etc").rglob("*")):
        name = str(path.relative_to(root))
        if not name.startswith("etc/lab-agent/staging/"):
            found[name] = path.read_text() if path.is_file() else "directory"
    for path in sorted((root / "proc").rglob("*")):
        if path.is_file():
            found[str(path.relative_to(root))] = path.read_text().strip()
    return found


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("before", "work"),
    [
        pytest.param((), _deliver_first, id="from a bare PC to revision 1"),
        pytest.param((_deliver_first,), _deliver_second, id="from revision 1 to revision 2"),
        pytest.param((_deliver_first,), _leave, id="from revision 1 to unpaired"),
        pytest.param((_deliver_first,), _repair, id="a drift repaired"),
        pytest.param((_deliver_first,), _open_payment, id="payment mode opens"),
        pytest.param((_deliver_first, _open_payment), _close_payment, id="payment mode is closed"),
    ],
)
def test_a_power_cut_anywhere_ends_in_the_old_or_the_new(
    tmp_path: Path,
    before: tuple[Callable[[Path, Steps], None], ...],
    work: Callable[[Path, Steps], None],
) -> None:
    start = tmp_path / "start"
    _paired(start)
    for earlier in before:
        assert _in_a_process(lambda earlier=earlier: earlier(start, Steps(None))) == 0  # type: ignore[misc]
    whole = tmp_path / "whole"
    shutil.copytree(start, whole)
    steps = Steps(None)
    work(whole, steps)
    allowed = {"old": _tree(start), "new": _tree(whole)}
    ends: dict[str, int] = {"old": 0, "new": 0}
    assert steps.count >= 6
    for cut in range(steps.count):
        root = tmp_path / f"cut-{cut}"
        shutil.copytree(start, root)
        assert _in_a_process(lambda root=root, cut=cut: work(root, Steps(cut))) == -signal.SIGKILL  # type: ignore[misc]
        station, journal = _station(root, Steps(None))
        assert station.look(), f"cut at step {cut}: it does not converge after the restart"
        tree = _tree(root)
        assert tree in allowed.values(), f"cut at step {cut}: neither the old state nor the new one"
        ends["old" if tree == allowed["old"] else "new"] += 1
        state = station.state()
        assert state.applied_revision == state.desired_revision
        # The journal agrees with the host, and says the same after one more look.
        assert station.look()
        assert _tree(root) == tree
        if station.pairing is not None:
            station.pairing.close()
        journal.close()
        shutil.rmtree(root)
    assert ends["new"] > 0 or allowed["old"] == allowed["new"]


@pytest.mark.timeout(300)
@pytest.mark.parametrize("end", [_payment_ends, _reboot], ids=["its time is over", "the PC was started anew"])
def test_a_power_cut_anywhere_at_its_end_does_not_keep_the_payment_mode_open(
    tmp_path: Path, end: Callable[[Path, Steps], None]
) -> None:
    start = tmp_path / "start"
    _paired(start)
    assert _in_a_process(lambda: _deliver_first(start, Steps(None))) == 0
    closed = _tree(start)
    assert _in_a_process(lambda: _open_payment(start, Steps(None))) == 0
    assert "issuer.example" in _tree(start)["etc/chromium/policies/managed/60-lab-allow.json"]
    assert _tree(start) != closed
    steps = Steps(None)
    whole = tmp_path / "whole"
    shutil.copytree(start, whole)
    end(whole, steps)
    assert steps.count >= 4
    for cut in range(steps.count):
        root = tmp_path / f"cut-{cut}"
        shutil.copytree(start, root)
        assert _in_a_process(lambda root=root, cut=cut: end(root, Steps(cut))) == -signal.SIGKILL  # type: ignore[misc]
        station, journal = _station(root, Steps(None))
        assert station.look(), f"cut at step {cut}: it does not converge after the restart"
        assert _tree(root) == closed, f"cut at step {cut}: it is open after its end"
        assert station.state().payment is None
        assert journal.payment == b""
        journal.close()
        shutil.rmtree(root)


FRONT_STATE = "var/lib/lab-agent/front"
LOOSER = KEYS.desired("pc-01", 40, Resources())
"""Signed for the pairing before: what a front that was taken over may have kept."""


def _pair(root: Path, steps: Steps) -> None:
    """A whole pairing; each file that it makes, moves or removes is a step. `offered` keeps its id."""
    station, _ = _station(root, Steps(None))
    assert station.pairing is not None
    controller = ControllerHalf(KEYS, station.pairing.code.digits)
    offer = station.begin_pairing(controller.start)
    assert isinstance(offer, PairOffer)
    finish = controller.finish(offer)
    (root / "offered").write_text(finish.pairing)
    counting = True

    def heard(event: str, arguments: tuple[object, ...]) -> None:
        opened = event == "open" and isinstance(arguments[2], int) and arguments[2] & os.O_CREAT
        if counting and (opened or event in {"os.mkdir", "os.remove", "os.rename", "os.chmod"}):
            steps.step()

    sys.addaudithook(heard)  # the interpreter's own word for each of them; it cannot be taken away again
    assert isinstance(station.end_pairing(finish), PairDone)
    counting = False


def _count(root: Path) -> None:
    steps = Steps(None)
    _pair(root, steps)
    (root / "steps").write_text(str(steps.count))


@pytest.mark.timeout(300)
def test_a_power_cut_anywhere_in_a_pairing_leaves_it_whole_or_undone(tmp_path: Path) -> None:
    """Unpaired, or in the pairing that the controller was told of; never in the one before."""
    start = tmp_path / "start"
    _paired(start)
    assert _in_a_process(lambda: _deliver_first(start, Steps(None))) == 0
    assert _in_a_process(lambda: _leave(start, Steps(None))) == 0
    whole = tmp_path / "whole"
    shutil.copytree(start, whole)
    assert _in_a_process(lambda: _count(whole)) == 0
    count = int((whole / "steps").read_text())
    assert count >= 6, "three files, each made and renamed into place"
    outcomes: list[bool] = []
    for cut in range(count):
        root = tmp_path / f"cut-{cut}"
        shutil.copytree(start, root)
        assert _in_a_process(lambda root=root, cut=cut: _pair(root, Steps(cut))) == -signal.SIGKILL  # type: ignore[misc]
        outcomes.append(_is_paired_or_can_be(root, (root / "offered").read_text()))
        shutil.rmtree(root)
    assert _is_paired_or_can_be(whole, (whole / "offered").read_text())
    assert outcomes == [False] * count, "the trust that makes it count is renamed into place last"


def _is_paired_or_can_be(root: Path, offered: str) -> bool:
    """Whether a PC is paired after its restart; one that is not is paired anew, and that must go well."""
    station, journal = _station(root, Steps(None))
    paired = station.trust is not None
    assert not station.deliver(LOOSER).accepted
    assert station.perform(UNPAIR).result is None
    if not paired:
        assert station.state().lab == ""
        assert station.pairing is not None
        journal.close()
        assert _in_a_process(lambda: _pair(root, Steps(None))) == 0
        earlier, offered = offered, (root / "offered").read_text()
        assert earlier != offered, "an id is used once, also one that came to nothing"
        station, journal = _station(root, Steps(None))
    assert station.trust is not None
    assert station.trust.pairing == offered
    assert (root / FRONT_STATE / "identity.pem").exists()
    assert (root / FRONT_STATE / "ca.pem").exists()
    assert not station.deliver(LOOSER).accepted
    assert station.perform(UNPAIR).result is None
    assert station.state().desired_revision == 0
    journal.close()
    return paired
