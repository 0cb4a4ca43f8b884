"""Pairing at the root half: who knows the code, and what was signed for a pairing that is over."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509

from agent.core.messages import (
    BeginPairing,
    Deliver,
    Delivered,
    EndPairing,
    PairingBegun,
    Perform,
    Performed,
    Refused,
)
from contract.desired import BrowserPolicy, Desktop, Kernel, Resources
from contract.pairing import TRY_EVERY_S, WRONG_TRIES, PairFinish
from tests.integration.enforcer_kit import Enforcer, apply, enforcer, eventually, lab_agent, pair
from tests.integration.lab_keys import ControllerHalf, LabKeys

KEYS = LabKeys()
CITIZEN = Resources(
    browser_policy=BrowserPolicy(policies={"URLBlocklist": ["*"]}, allow=(".inps.it",)),
    kernel=Kernel(sysctl={"net.ipv4.ip_forward": "0"}),
    desktop=Desktop(),
)
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


def test_pairing_by_the_code_on_the_screen(running: Enforcer) -> None:
    link = running.socket()
    shown = lab_agent(running, "code").stdout
    assert shown.startswith(running.code)
    issue = (running.root / "run/issue.d/lab-agent.issue").read_text()
    assert f"{running.code[:3]} {running.code[3:]}" in issue
    pair(running, link, KEYS)
    assert link.state is not None
    assert link.state.lab == "prova"
    identity = (running.root / "var/lib/lab-agent/front/identity.pem").read_bytes()
    names = x509.load_pem_x509_certificate(identity).extensions.get_extension_for_class(
        x509.SubjectAlternativeName
    )
    assert names.value.get_values_for_type(x509.DNSName) == ["pc-01.station.prova.lab.internal"]
    eventually(lambda: not (running.root / "run/lab-agent/code").exists(), "the code goes from the screen")
    assert lab_agent(running, "code").returncode == 1


def test_a_wrong_code_gives_nothing_and_five_make_a_new_one(running: Enforcer) -> None:
    link = running.socket()
    first = running.code
    wrong = f"{(int(first) + 1) % 10**6:06d}"
    for _ in range(WRONG_TRIES):
        controller = ControllerHalf(KEYS, wrong)
        begun = link.ask(BeginPairing(start=controller.start))
        assert isinstance(begun, PairingBegun), begun
        with pytest.raises(AssertionError):
            controller.finish(begun.offer)
        assert running.code == first
        time.sleep(TRY_EVERY_S)
    refused = link.ask(BeginPairing(start=ControllerHalf(KEYS, first).start))
    assert isinstance(refused, Refused)
    assert "new code" in str(refused.message)
    assert running.code != first
    time.sleep(TRY_EVERY_S)
    pair(running, link, KEYS)


def test_tries_are_rate_limited(running: Enforcer) -> None:
    link = running.socket()
    assert isinstance(link.ask(BeginPairing(start=ControllerHalf(KEYS, "000000").start)), PairingBegun)
    refused = link.ask(BeginPairing(start=ControllerHalf(KEYS, running.code).start))
    assert isinstance(refused, Refused)
    assert 0 < refused.retry_after_s <= TRY_EVERY_S


def test_somebody_between_who_swaps_the_ca_is_found_out(running: Enforcer) -> None:
    link = running.socket()
    controller = ControllerHalf(KEYS, running.code)
    swapped = controller.start.__class__(
        contract=1,
        message=controller.start.message,
        lab=KEYS.lab,
        ca=LabKeys().ca,
        signing_key=KEYS.signing_public,
    )
    begun = link.ask(BeginPairing(start=swapped))
    assert isinstance(begun, PairingBegun)
    with pytest.raises(AssertionError):  # the controller sees another transcript than the station
        controller.finish(begun.offer)
    assert not (running.root / "var/lib/lab-agent/enforcer/trust.json").exists()


@pytest.mark.parametrize("what", ["proof", "name", "key", "ca", "garbage"])
def test_a_finish_that_is_not_right_stores_nothing(running: Enforcer, what: str) -> None:
    link = running.socket()
    controller = ControllerHalf(KEYS, running.code)
    begun = link.ask(BeginPairing(start=controller.start))
    assert isinstance(begun, PairingBegun)
    request = begun.offer.signing_request
    other = ControllerHalf(KEYS, running.code)
    time.sleep(TRY_EVERY_S)
    match what:
        case "proof":
            right = controller.finish(begun.offer)
            finish = PairFinish(pairing=right.pairing, certificate=right.certificate, confirmation=b"0" * 32)
        case "name":
            finish = controller.finish(begun.offer, name="pc-02.station.prova.lab.internal")
        case "ca":
            stranger = LabKeys().issue(request, "pc-01.station.prova.lab.internal")
            finish = controller.finish(begun.offer, certificate=stranger)
        case "key":
            rebegun = link.ask(BeginPairing(start=other.start))
            assert isinstance(rebegun, PairingBegun)
            old = KEYS.issue(request, "pc-01.station.prova.lab.internal")
            finish = other.finish(rebegun.offer, certificate=old)
        case _:
            finish = controller.finish(begun.offer, certificate=b"not a certificate")
    refused = link.ask(EndPairing(finish=finish))
    assert isinstance(refused, Refused)
    assert refused.message
    assert "Traceback" not in str(refused.message)
    assert not (running.root / "var/lib/lab-agent/enforcer/trust.json").exists()
    assert not (running.root / "var/lib/lab-agent/front/identity.pem").exists()


def test_a_replayed_pairing_is_refused(running: Enforcer) -> None:
    link = running.socket()
    controller = ControllerHalf(KEYS, running.code)
    begun = link.ask(BeginPairing(start=controller.start))
    assert isinstance(begun, PairingBegun)
    finish = controller.finish(begun.offer)
    link.ask(EndPairing(finish=finish))
    for again in (BeginPairing(start=controller.start), EndPairing(finish=finish)):
        refused = link.ask(again)
        assert isinstance(refused, Refused)
        assert "paired" in str(refused.message)
    assert lab_agent(running, "unpair").returncode == 0
    time.sleep(TRY_EVERY_S)
    assert isinstance(link.ask(EndPairing(finish=finish)), Refused)
    replayed = link.ask(BeginPairing(start=controller.start))
    assert isinstance(replayed, PairingBegun), "a new code makes a new key: the old finish is of no use"
    stale = PairFinish(
        pairing=replayed.offer.pairing, certificate=finish.certificate, confirmation=finish.confirmation
    )
    assert isinstance(link.ask(EndPairing(finish=stale)), Refused)


@pytest.mark.parametrize("how", ["by the lab", "by root", "trust lost"])
def test_what_was_signed_for_an_earlier_pairing_counts_for_nothing(paired: Enforcer, how: str) -> None:
    """A front that was taken over keeps what the lab once signed: a looser document, the order to leave."""
    looser, unpair = KEYS.desired("pc-01", 40, Resources()), KEYS.command("pc-01", 7)
    link = paired.socket()
    before = KEYS.pairing
    match how:
        case "by the lab":
            assert isinstance(told := link.ask(Perform(signed=unpair)), Performed)
            assert told.result is not None
            link.until(lambda state: state.lab == "" and state.applied_revision == 0)
        case "by root":
            assert lab_agent(paired, "unpair").returncode == 0
        case _:
            paired.kill()
            (paired.root / "var/lib/lab-agent/enforcer/trust.json").unlink()
            paired.start()
            link = paired.socket()
    eventually((paired.root / "run/lab-agent/code").exists, "a code on the screen")
    time.sleep(TRY_EVERY_S)
    pair(paired, link, KEYS)
    assert before != KEYS.pairing
    trust = (paired.root / "var/lib/lab-agent/enforcer/trust.json").read_bytes()

    def refused(revision: int) -> None:
        told = link.ask(Deliver(signed=looser))
        assert isinstance(told, Delivered)
        assert (told.accepted, told.revision) == (False, revision)
        assert "another pairing" in str(told.message)
        done = link.ask(Perform(signed=unpair))
        assert isinstance(done, Performed)
        assert done.result is None
        assert "another pairing" in str(done.message)
        assert (paired.root / "var/lib/lab-agent/enforcer/trust.json").read_bytes() == trust

    if how != "trust lost":
        refused(0)  # the station holds no revision, so nothing else would stop them
    apply(link, KEYS, 1, CITIZEN)
    refused(1)
    assert (paired.root / DENY).exists()
    state = link.until(lambda state: any(found.type == "DesiredRefused" for found in state.conditions))
    assert (state.lab, state.desired_revision, state.applied_revision) == (KEYS.lab, 1, 1)
