"""Conditions and the station's state: where they begin and end, and that nothing flaps."""

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.core.messages import EnforcerState, OpenUntil
from agent.core.status import GIB, Seen, notable, report, state
from contract.payment import PaymentOpen
from contract.sentence import sentence
from contract.status import (
    Condition,
    ConditionType,
    Disk,
    Facts,
    Footprint,
    Hardware,
    StatusReport,
    Temperature,
)

NOW = datetime(2026, 3, 1, 9, tzinfo=UTC)

FACTS = Facts(
    at=NOW,
    load=(0.1, 0.1, 0.1),
    cpu=0.05,
    memory_total=8 * GIB,
    memory_available=4 * GIB,
    disks=(Disk("/", 100 * GIB, 50 * GIB),),
    nics=(),
    temperatures=(Temperature("coretemp", 45.0),),
    uptime_s=100.0,
    users=(),
    kiosk=(),
    clock_skew_s=0.1,
    footprint=Footprint(30 << 20, 1.0),
    hardware=Hardware("", "", "", "", 4, 8 * GIB, "", "", ""),
)
ENFORCER = EnforcerState(
    station="pc-03",
    epoch="e",
    lab="riva",
    ca=b"ca",
    profile="citizen",
    desired_revision=3,
    applied_revision=3,
    conditions=(),
    at=NOW,
)
SEEN = Seen("pc-03", FACTS, ENFORCER, True, 1000.0, NOW + timedelta(days=300))


def seen(**changes: Any) -> Seen:
    """SEEN with other facts, or other fields of its own."""
    facts = {name: value for name, value in changes.items() if name in Facts.__struct_fields__}
    own = {name: value for name, value in changes.items() if name not in facts}
    return msgspec.structs.replace(SEEN, facts=msgspec.structs.replace(FACTS, **facts), **own)


def condition(what: StatusReport, kind: ConditionType) -> Condition:
    return next(found for found in what.conditions if found.type == kind)


def test_a_well_pc_has_nothing_wrong() -> None:
    made = report(SEEN, None, NOW)
    assert made.state == "available"
    assert [found.type for found in made.conditions if found.status] == []
    assert (made.desired_revision, made.applied_revision, made.profile) == (3, 3, "citizen")


ROWS: list[tuple[ConditionType, dict[str, Any], dict[str, Any], dict[str, Any]]] = [
    # condition, what begins it, what lies between the limits, what ends it
    (
        "DiskPressure",
        {"disks": (Disk("/", 100 * GIB, GIB),)},
        {"disks": (Disk("/", 100 * GIB, 5 * GIB // 2),)},
        {"disks": (Disk("/", 100 * GIB, 4 * GIB),)},
    ),
    (
        "DiskPressure",
        {"disks": (Disk("/", 100 * GIB, 50 * GIB), Disk("/boot/efi", 100 << 20, 4 << 20))},
        {"disks": (Disk("/boot/efi", 100 << 20, 6 << 20),)},
        {"disks": (Disk("/boot/efi", 100 << 20, 9 << 20),)},
    ),
    (
        "MemoryPressure",
        {"memory_available": int(0.05 * 8 * GIB)},
        {"memory_available": int(0.10 * 8 * GIB)},
        {"memory_available": int(0.13 * 8 * GIB)},
    ),
    (
        "Overheated",
        {"temperatures": (Temperature("a", 40.0), Temperature("b", 92.0))},
        {"temperatures": (Temperature("b", 85.0),)},
        {"temperatures": (Temperature("b", 79.0),)},
    ),
    ("ClockSkewed", {"clock_skew_s": -31.0}, {"clock_skew_s": -25.0}, {"clock_skew_s": 19.0}),
    (
        "EnforcerLost",
        {"link_up": False, "link_for_s": 5.0},
        {"link_up": True, "link_for_s": 1.0},
        {"link_up": True, "link_for_s": 6.0},
    ),
]


@pytest.mark.parametrize(("kind", "begins", "between", "ends"), ROWS)
def test_hysteresis(
    kind: ConditionType, begins: dict[str, Any], between: dict[str, Any], ends: dict[str, Any]
) -> None:
    well = report(seen(**between), report(SEEN, None, NOW), NOW)
    assert not condition(well, kind).status, "between the limits a well PC stays well"
    ill = report(seen(**begins), well, NOW + timedelta(minutes=1))
    assert condition(ill, kind).status
    assert condition(ill, kind).since == NOW + timedelta(minutes=1)
    still = report(seen(**between), ill, NOW + timedelta(minutes=2))
    assert condition(still, kind).status, "between the limits an ill PC stays ill"
    assert condition(still, kind).since == NOW + timedelta(minutes=1)
    again = report(seen(**ends), still, NOW + timedelta(minutes=3))
    assert not condition(again, kind).status
    assert condition(again, kind).since == NOW + timedelta(minutes=3)


def test_an_enforcer_that_restarts_is_no_news() -> None:
    well = report(SEEN, None, NOW)
    away = report(seen(link_up=False, link_for_s=2.0), well, NOW)
    back = report(seen(link_up=True, link_for_s=0.1), away, NOW)
    assert notable(away, "riva") == notable(well, "riva") == notable(back, "riva")


@given(skews=st.lists(st.floats(-60, 60), min_size=2, max_size=60))
def test_a_clock_near_the_limit_does_not_flap(skews: list[float]) -> None:
    """It changes sides only when it crosses the whole band, whatever it does inside."""
    last, turns = report(SEEN, None, NOW), 0
    for skew in skews:
        made = report(seen(clock_skew_s=skew), last, NOW)
        was, now = condition(last, "ClockSkewed").status, condition(made, "ClockSkewed").status
        if was != now:
            turns += 1
            assert abs(skew) >= 30 if now else abs(skew) < 20
        last = made
    crossings = sum(abs(skew) >= 30 for skew in skews) + sum(abs(skew) < 20 for skew in skews)
    assert turns <= crossings


@pytest.mark.parametrize(
    ("skew", "words"),
    [
        (-86400.0 * 20000, "20000 days behind"),
        (7300.0, "2 h ahead of"),
        (200.0, "3 min ahead of"),
        (-45.0, "45 s behind"),
    ],
)
def test_a_skew_is_said_as_a_person_says_it(skew: float, words: str) -> None:
    assert words in str(condition(report(seen(clock_skew_s=skew), None, NOW), "ClockSkewed").message)


def test_sensors_that_are_not_connected_do_not_burn() -> None:
    dead = (Temperature("acpitz", -273.0), Temperature("nct6775", 255.0))
    assert not condition(report(seen(temperatures=dead), None, NOW), "Overheated").status


@pytest.mark.parametrize(
    ("days", "status", "reason"),
    [(300, False, "Valid"), (29, True, "NotRenewed"), (-1, True, "Expired")],
)
def test_the_certificate(days: int, status: bool, reason: str) -> None:
    found = condition(
        report(seen(certificate_expires=NOW + timedelta(days=days)), None, NOW), "CertificateExpiring"
    )
    assert (found.status, found.reason) == (status, reason)


def test_an_unpaired_pc_has_no_certificate_to_lose() -> None:
    found = condition(report(seen(certificate_expires=None), None, NOW), "CertificateExpiring")
    assert not found.status


def wrong(kind: ConditionType, status: bool) -> Condition:
    return Condition(kind, status, "Because", sentence("Because."), NOW)


@pytest.mark.parametrize(
    ("enforcer", "conditions", "due"),
    [
        ({}, (), "available"),
        ({"lab": ""}, (), "unpaired"),
        ({"lab": "", "profile": "maintenance"}, (), "unpaired"),
        ({"profile": "maintenance"}, (), "maintenance"),
        ({"profile": "maintenance", "applied_revision": 2}, (), "maintenance"),
        ({"applied_revision": 2}, (), "out-of-service"),
        ({"applied_revision": 4}, (), "out-of-service"),
        ({"desired_revision": 0, "applied_revision": 0}, (), "out-of-service"),
        ({}, (wrong("Converged", False),), "out-of-service"),
        ({}, (wrong("Converged", True),), "available"),
        ({}, (wrong("JournalFailed", True),), "out-of-service"),
        ({}, (wrong("JournalFailed", False),), "available"),
        ({}, (wrong("EnforcerLost", True),), "out-of-service"),
        ({}, (wrong("DesiredRefused", True),), "available"),
        ({}, (wrong("DiskPressure", True),), "available"),
    ],
)
def test_the_state(enforcer: dict[str, Any], conditions: tuple[Condition, ...], due: str) -> None:
    assert state(msgspec.structs.replace(ENFORCER, **enforcer), conditions) == due


def test_a_pc_whose_enforcer_was_never_heard_is_not_offered() -> None:
    assert report(seen(enforcer=None), None, NOW).state == "out-of-service"


def test_the_enforcers_conditions_come_unchanged() -> None:
    theirs = wrong("Converged", False)
    made = report(seen(enforcer=msgspec.structs.replace(ENFORCER, conditions=(theirs,))), None, NOW)
    assert condition(made, "Converged") == theirs
    kinds = [found.type for found in made.conditions]
    assert len(kinds) == len(set(kinds))


def test_the_same_failure_of_the_next_revision_is_news() -> None:
    """Whoever waits for a publication is told at once, not at the end of a hold."""

    def failing(revision: int) -> StatusReport:
        why = sentence("revision {number} is not in force: {why}", number=revision, why=sentence("no room"))
        told = Condition("Converged", False, "ActionFailed", why, NOW)
        enforcer = msgspec.structs.replace(ENFORCER, conditions=(told,), desired_revision=6)
        return report(seen(enforcer=enforcer), None, NOW)

    assert notable(failing(6), "riva") == notable(failing(6), "riva")
    assert notable(failing(6), "riva") != notable(failing(5), "riva")


@given(
    free=st.integers(0, 100 * GIB),
    celsius=st.floats(0, 120),
    available=st.integers(0, 8 * GIB),
    skew=st.none() | st.floats(-1e9, 1e9),
    up=st.booleans(),
    seconds=st.floats(0, 1e6),
)
def test_a_report_is_the_same_again_and_every_message_a_sentence(
    free: int, celsius: float, available: int, skew: float | None, up: bool, seconds: float
) -> None:
    what = seen(
        disks=(Disk("/", 100 * GIB, free),),
        temperatures=(Temperature("cpu", celsius),),
        memory_available=available,
        clock_skew_s=skew,
        link_up=up,
        link_for_s=seconds,
    )
    first = report(what, None, NOW)
    later = report(what, first, NOW + timedelta(hours=1))
    assert notable(later, "riva") == notable(first, "riva")
    assert later.conditions == first.conditions, "since stays with an unchanged status"
    for found in first.conditions:
        assert str(found.message).endswith(".")
        assert found.reason.isalnum()


def test_the_payment_modes_end_is_told_by_the_clock_as_it_is_now() -> None:
    """The PC counts seconds since boot; a clock that is set tells another hour, and never another length."""
    order = "a" * 32
    enforcer = msgspec.structs.replace(ENFORCER, payment=OpenUntil(order=order, until_s=700.0))
    first = report(seen(enforcer=enforcer), None, NOW)
    assert first.payment == PaymentOpen(order=order, until=NOW + timedelta(seconds=600))
    set_back = NOW - timedelta(days=400)
    later = report(seen(enforcer=enforcer, at=set_back, uptime_s=160.0), first, set_back)
    assert later.payment == PaymentOpen(order=order, until=set_back + timedelta(seconds=540))
    assert notable(first, "riva") == notable(later, "riva"), "the same end is no news"
    prolonged = msgspec.structs.replace(ENFORCER, payment=OpenUntil(order="b" * 32, until_s=900.0))
    assert notable(report(seen(enforcer=prolonged), later, NOW), "riva") != notable(later, "riva")
    assert notable(report(SEEN, later, NOW), "riva") != notable(later, "riva")
