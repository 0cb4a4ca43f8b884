"""The root half as a process of its own: seals, drift, and a front that misbehaves."""

import json
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agent.core.messages import (
    Call,
    Deliver,
    Delivered,
    Leave,
    Left,
    Perform,
    Performed,
    Watch,
)
from contract.desired import BrowserPolicy, Desktop, Kernel, Resources
from contract.exchange import Signed
from contract.wire import encode
from tests.integration.enforcer_kit import Enforcer, Socket, apply, enforcer, eventually, lab_agent, pair
from tests.integration.lab_keys import LabKeys

KEYS = LabKeys()
CITIZEN = Resources(
    browser_policy=BrowserPolicy(policies={"URLBlocklist": ["*"]}, allow=(".inps.it",)),
    kernel=Kernel(sysctl={"net.ipv4.ip_forward": "0"}),
    desktop=Desktop(),
)
ALLOW = "etc/chromium/policies/managed/60-lab-allow.json"
DENY = "etc/chromium/policies/managed/50-lab-policy.json"


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Enforcer]:
    with enforcer(tmp_path) as it:
        yield it


@pytest.fixture
def paired(running: Enforcer) -> Enforcer:
    link = running.socket()
    pair(running, link, KEYS)
    apply(link, KEYS, 1, CITIZEN)
    link.close()
    return running


# -- what the lab wants


def test_a_policy_file_edited_by_hand_is_back(paired: Enforcer) -> None:
    link = paired.socket()
    file = paired.root / ALLOW
    good = file.read_bytes()
    for damage in (b'{"URLAllowlist": ["*"]}', good[:-3], b""):
        file.write_bytes(damage)
        eventually(lambda: file.read_bytes() == good, "the policy file")
    file.unlink()
    eventually(lambda: file.exists() and file.read_bytes() == good, "a removed file")
    file.parent.rename(file.parent.with_name("elsewhere"))
    eventually(lambda: file.exists() and file.read_bytes() == good, "a removed directory")
    stranger = file.with_name("99-open.json")
    stranger.write_text('{"URLBlocklist": []}')
    eventually(lambda: not stranger.exists(), "a stranger in the policy directory")
    state = link.until(lambda state: "99-open.json" in str(state.conditions[0].message))
    assert state.conditions[0].status


def test_nothing_is_polled_for_files(paired: Enforcer) -> None:
    """At rest the enforcer sleeps in its selector: a second look at CPU time finds none used."""
    assert paired.process is not None

    def used() -> int:
        fields = Path(f"/proc/{paired.process.pid}/stat").read_text().rsplit(")", 1)[1].split()  # type: ignore[union-attr]
        return int(fields[11]) + int(fields[12])

    time.sleep(0.5)
    before = used()
    time.sleep(3)
    assert used() - before <= 1, "clock ticks (10 ms) in three seconds"


@pytest.mark.parametrize(
    ("signed", "why"),
    [
        (lambda: Signed(payload=b"{}", signature=b"0" * 64), "signature"),
        (lambda: LabKeys("other").desired("pc-01", 2, CITIZEN), "signature"),
        (lambda: KEYS.desired("pc-02", 2, CITIZEN), "pc-02"),
        (lambda: KEYS.desired("pc-01", 2, CITIZEN, lab="altra"), "altra"),
        (lambda: KEYS.desired("pc-01", 2, CITIZEN, contract=99), "contract 99"),
        (lambda: KEYS.desired("pc-01", 2, CITIZEN, pairing="1" * 32), "another pairing"),
        (lambda: KEYS.desired("pc-01", 1, Resources()), "not newer"),
        (lambda: KEYS.sign(CITIZEN), "not a desired state"),
    ],
)
def test_what_is_not_the_labs_is_refused_with_a_condition(
    paired: Enforcer, signed: Callable[[], Signed], why: str
) -> None:
    link = paired.socket()
    told = link.ask(Deliver(signed=signed()))
    assert isinstance(told, Delivered)
    assert not told.accepted
    assert why in str(told.message)
    state = link.until(lambda state: any(found.type == "DesiredRefused" for found in state.conditions))
    assert (state.desired_revision, state.applied_revision) == (1, 1)
    assert (paired.root / ALLOW).exists()


def test_the_same_revision_again_is_accepted_and_changes_nothing(paired: Enforcer) -> None:
    link = paired.socket()
    signed = KEYS.desired("pc-01", 2, CITIZEN)
    for _ in range(3):
        told = link.ask(Deliver(signed=signed))
        assert isinstance(told, Delivered)
        assert told.accepted


def test_revisions_are_kept_over_a_kill_and_a_restart(paired: Enforcer) -> None:
    paired.kill()
    (paired.root / DENY).unlink()
    paired.start()
    link = paired.socket()
    assert link.state is not None
    assert (link.state.desired_revision, link.state.applied_revision) == (1, 1)
    assert (paired.root / DENY).exists(), "what changed while the agent was down is repaired at its start"


def test_a_plan_that_cannot_be_done_says_so_and_is_done_later(paired: Enforcer) -> None:
    link = paired.socket()
    obstacle = paired.root / "etc/sysctl.d"
    (obstacle / "90-lab.conf").unlink()
    eventually((obstacle / "90-lab.conf").exists, "repair")
    blocked = paired.root / "etc/X11/xorg.conf.d/90-lab.conf"
    blocked.unlink()
    eventually(blocked.exists, "repair")
    blocked.unlink()
    blocked.mkdir()
    link.ask(Deliver(signed=KEYS.desired("pc-01", 2, Resources(desktop=Desktop(bar_height=50)))))
    state = link.until(lambda state: state.desired_revision == 2 and not state.conditions[0].status)
    assert "90-lab.conf" in str(state.conditions[0].message)
    assert state.applied_revision == 1
    assert (paired.root / ALLOW).exists(), "what loosens is left for the end"
    blocked.rmdir()
    link.until(lambda state: state.applied_revision == 2)
    assert not (paired.root / ALLOW).exists()


def test_unpaired_by_the_lab_the_pc_is_as_it_was(running: Enforcer) -> None:

    def tree() -> list[Path]:
        return sorted(path for path in (running.root / "etc").rglob("*") if "staging" not in path.parts)

    before = tree()
    link = running.socket()
    pair(running, link, KEYS)
    apply(link, KEYS, 1, CITIZEN)
    told = link.ask(Perform(signed=KEYS.command("pc-01")))
    assert isinstance(told, Performed)
    assert told.result is not None
    assert told.result.done
    link.until(lambda state: state.lab == "" and state.applied_revision == 0)
    eventually(lambda: tree() == before, "the whole tree")
    assert not (running.root / "var/lib/lab-agent/front/identity.pem").exists()
    other = LabKeys("altra")
    pair(running, link, other)
    apply(link, other, 1, CITIZEN)


def test_a_pc_that_changes_its_name_opens_nothing(paired: Enforcer) -> None:
    """A host name may come from the network (DHCP), or be lost: neither is the lab's word nor root's."""
    files = {path: (paired.root / path).read_bytes() for path in (ALLOW, DENY)}
    settings_file = paired.root / "etc/lab-agent/agent.toml"

    def named(station: str) -> Socket:
        paired.kill()
        settings_file.write_text(f'station = "{station}"\n')
        paired.start()
        return paired.socket()

    link = named("pc-77")
    state = link.until(lambda state: state.station == "pc-77")
    assert (state.lab, state.desired_revision, state.applied_revision) == ("", 0, 0)
    assert {path: (paired.root / path).read_bytes() for path in files} == files
    (paired.root / ALLOW).unlink()
    eventually((paired.root / ALLOW).exists, "what was wanted stays in force")

    link = named("pc-01")
    link.until(lambda state: state.lab == KEYS.lab and state.applied_revision == 1)
    apply(link, KEYS, 9, CITIZEN)

    link = named("pc-77")
    other = LabKeys("altra")
    pair(paired, link, other)
    assert {path: (paired.root / path).read_bytes() for path in files} == files
    for _restarted in range(2):
        told = link.ask(Deliver(signed=other.desired("pc-77", 2, Resources(desktop=Desktop()))))
        assert isinstance(told, Delivered)
        assert told.accepted, told.message
        link.until(lambda state: state.applied_revision == 2 and state.desired_revision == 2)
        assert not (paired.root / ALLOW).exists(), "the new lab's word counts"
        link = named("pc-77")


def test_a_pc_whose_trust_is_lost_stays_as_it_is_until_root_lets_it_go(paired: Enforcer) -> None:
    paired.kill()
    (paired.root / "var/lib/lab-agent/enforcer/trust.json").unlink()
    paired.start()
    link = paired.socket()
    assert link.until(lambda state: state.lab == "").applied_revision == 0
    assert (paired.root / DENY).exists()
    assert lab_agent(paired, "unpair").returncode == 0
    eventually(lambda: not (paired.root / DENY).exists(), "as it was before the lab")


# -- the front is not trusted


def test_a_front_that_asks_a_thousand_things_at_once_does_not_delay_a_repair(paired: Enforcer) -> None:
    link = paired.socket()
    forged = encode(Call(number=9, request=Deliver(signed=Signed(payload=b"x", signature=b"0" * 64))))
    link.send_raw((len(forged).to_bytes(4, "big") + forged) * 1400)
    answered = 0

    def answer() -> None:
        nonlocal answered
        answered += link.receive().number == 9

    while answered < 250:  # the first read brings fewer of them, the second all that the socket holds
        answer()
    (paired.root / ALLOW).unlink()
    while not (paired.root / ALLOW).exists():
        answer()
    assert answered < 1000, "not at the end of what was read at once"


def test_what_the_front_puts_in_its_folder_does_not_keep_the_pc_from_leaving(paired: Enforcer) -> None:
    identity = paired.root / "var/lib/lab-agent/front/identity.pem"
    identity.unlink()
    (identity / "full").mkdir(parents=True)
    link = paired.socket()
    assert isinstance(link.ask(Leave()), Left)
    paired.kill()
    paired.start()
    assert paired.socket().until(lambda state: state.lab == "").applied_revision == 0


def test_a_front_that_sends_garbage_is_dropped_and_others_are_served(paired: Enforcer) -> None:
    for junk in (b"\xff\xff\xff\xff", b"\0\0\0\x05hello", b"\0\0\0\x02{}", b"\0\0\0\x01"):
        link = Socket(paired.root / "run/lab-agent/enforcer.sock")
        link.send_raw(junk)
        if junk != b"\0\0\0\x01":
            with pytest.raises((EOFError, ConnectionError)):
                link.receive()
        link.close()
    assert isinstance(paired.socket().ask(Deliver(signed=KEYS.desired("pc-01", 1, CITIZEN))), Delivered)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=300))
def test_any_payload_under_a_forged_seal_is_refused(paired: Enforcer, payload: bytes) -> None:
    link = Socket(paired.root / "run/lab-agent/enforcer.sock")
    for request in (Deliver(signed=Signed(payload=payload, signature=b"1" * 64)),):
        link.send(encode(Call(number=1, request=request)))
        reply = link.receive().reply
        assert isinstance(reply, Delivered)
        assert not reply.accepted
    link.close()


def test_a_front_that_does_not_read_does_not_stop_the_enforcer(paired: Enforcer) -> None:
    deaf = Socket(paired.root / "run/lab-agent/enforcer.sock")
    for number in range(1, 2000):
        try:
            deaf.send(encode(Call(number=number, request=Watch())))
        except (BrokenPipeError, ConnectionResetError, TimeoutError):
            break
    file = paired.root / ALLOW
    good = file.read_bytes()
    file.write_bytes(b"")
    eventually(lambda: file.read_bytes() == good, "drift is repaired all the same")
    deaf.close()


# -- lab-agent plan


def test_plan_prints_what_would_change_and_changes_nothing(paired: Enforcer, tmp_path: Path) -> None:
    assert "Nothing to change" in lab_agent(paired, "plan").stdout
    paired.kill()
    file = paired.root / ALLOW
    file.write_text("{}")
    told = lab_agent(paired, "plan")
    assert told.returncode == 0
    assert "browser_policy" in told.stdout
    assert "the content differs" in told.stdout
    assert file.read_text() == "{}"
    plan = json.loads(lab_agent(paired, "plan", "--json").stdout)
    assert plan[0]["subject"] == "/etc/chromium/policies/managed/60-lab-allow.json"
    document = tmp_path / "desired.json"
    document.write_bytes(KEYS.desired("pc-01", 9, Resources()).payload)
    assert "loosen" in lab_agent(paired, "plan", "--desired", str(document)).stdout
    document.write_text("{")
    refused = lab_agent(paired, "plan", "--desired", str(document))
    assert (refused.returncode, "is not a desired state" in refused.stderr) == (1, True)
    paired.start()


def test_a_journal_of_another_version_locks_on_and_says_so(paired: Enforcer) -> None:
    """An upgrade, or a step back: the agent starts, what can be read is kept, the rest is left alone."""
    paired.kill()
    _rewrite(paired, lambda resources: resources["desktop"].update(theme="dark"))
    rc, allow = paired.root / "etc/lab-agent/openbox/rc.xml", paired.root / ALLOW
    kept = rc.read_bytes()
    allow.write_text("{}")
    paired.start()
    link = paired.socket()
    state = link.until(lambda state: any(one.reason == "NotReadable" for one in state.conditions))
    (converged,) = (one for one in state.conditions if one.type == "Converged")
    assert not converged.status
    assert "desktop" in str(converged.message)
    assert "kernel" not in str(converged.message)
    eventually(lambda: b".inps.it" in allow.read_bytes(), "a kind that can be read")
    assert rc.read_bytes() == kept
    assert "desktop" not in lab_agent(paired, "plan").stdout
    apply(link, KEYS, 2, CITIZEN)
    state = link.until(lambda state: all(one.status for one in state.conditions if one.type == "Converged"))
    assert state.applied_revision == 2


def _rewrite(running: Enforcer, change: Callable[[dict[str, Any]], object]) -> None:
    """Give the document in the journal another shape, as another version would have written it."""
    file = running.root / "var/lib/lab-agent/enforcer/journal.sqlite"
    with closing(sqlite3.connect(file)) as db:
        ((payload,),) = db.execute("SELECT payload FROM desired").fetchall()
        document = json.loads(payload)
        change(document["resources"])
        db.execute("UPDATE desired SET payload = ?", (json.dumps(document).encode(),))
        db.commit()
