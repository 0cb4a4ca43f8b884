"""What a station reports, from what was read: pure, and with hysteresis so that nothing flaps.

Each condition has a limit at which it begins and a laxer one at which it ends;
between the two it stays what it was. `since` is kept from the report before
for as long as the status stays the same.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta
from functools import reduce

import msgspec

from agent.core.messages import EnforcerState
from contract.payment import PaymentOpen
from contract.sentence import Sentence, sentence
from contract.status import Condition, ConditionType, Facts, StationState, StatusReport
from contract.version import VERSION

MAINTENANCE = "maintenance"
"""The profile under which a station is a technician's and offered to nobody."""

GIB = 1 << 30
DISK_BEGINS = (0.05, 2 * GIB)
"""A disk is full when less than this is free: the smaller of a fraction and bytes, so that
neither a 2 TB disk nor the 100 MB of an EFI partition is judged by the other's measure."""
DISK_ENDS = (0.08, 3 * GIB)
_MOST_DISKS = 4
"""So many full disks are named."""
MEMORY_BEGINS, MEMORY_ENDS = 0.07, 0.12
"""Fraction of the memory that is still available."""
HOT_BEGINS, HOT_ENDS = 90.0, 80.0
"""Degrees Celsius: desktop processors throttle from about 95 to 100."""
SENSIBLE_CELSIUS = (-40.0, 150.0)
"""Readings outside are sensors that are not connected."""
SKEW_BEGINS_S, SKEW_ENDS_S = 30.0, 20.0
LINK_BEGINS_S, LINK_ENDS_S = 5.0, 5.0
"""An enforcer that restarts is back in about a second; that is nobody's news."""
CERTIFICATE_BEGINS = timedelta(days=30)
"""Renewal starts with a third of a year to go: so late means that it has failed for months."""

_OUT_OF_SERVICE: frozenset[ConditionType] = frozenset(("JournalFailed", "EnforcerLost"))
"""What a station must not be offered with, beside not being converged."""


class Seen(msgspec.Struct, frozen=True):
    """All that a report is made of, beside the time.

    `link_up` and `link_for_s`: whether the enforcer is connected, and for how
    many seconds it has (not) been. `certificate_expires` is None while unpaired
    or unknown.
    """

    station: str
    facts: Facts
    enforcer: EnforcerState | None
    link_up: bool
    link_for_s: float
    certificate_expires: datetime | None


def report(seen: Seen, previous: StatusReport | None, now: datetime) -> StatusReport:
    """The station's status at `now`; `previous` is the report before, for `since` and hysteresis."""
    before = previous.conditions if previous else ()
    enforcer = seen.enforcer
    judged = (
        _disk(seen.facts, _was(before, "DiskPressure")),
        _silence(seen.facts),
        _memory(seen.facts, _was(before, "MemoryPressure")),
        _heat(seen.facts, _was(before, "Overheated")),
        _clock(seen.facts, _was(before, "ClockSkewed")),
        _certificate(seen.certificate_expires, now),
        _link(seen, _was(before, "EnforcerLost")),
    )
    own = tuple(_since(verdict, before, now) for verdict in judged)
    own_types = {condition.type for condition in own}
    theirs = tuple(c for c in (enforcer.conditions if enforcer else ()) if c.type not in own_types)
    conditions = theirs + own
    return StatusReport(
        station=seen.station,
        version=VERSION,
        state=state(enforcer, conditions),
        profile=enforcer.profile if enforcer else "",
        desired_revision=enforcer.desired_revision if enforcer else 0,
        applied_revision=enforcer.applied_revision if enforcer else 0,
        conditions=conditions,
        facts=seen.facts,
        wipe=enforcer.wipe if enforcer else None,
        session=enforcer.session if enforcer else None,
        payment=_payment(enforcer, seen.facts),
    )


def state(enforcer: EnforcerState | None, conditions: Iterable[Condition]) -> StationState:
    """What the station may be offered as; out of service whenever it cannot prove to be right."""
    if enforcer is None:
        return "out-of-service"
    if not enforcer.lab:
        return "unpaired"
    match enforcer.phase:
        case "none" | "available":
            pass
        case phase:
            return phase
    if enforcer.profile == MAINTENANCE:
        return "maintenance"
    wrong = any(
        (condition.type in _OUT_OF_SERVICE and condition.status)
        or (condition.type == "Converged" and not condition.status)
        for condition in conditions
    )
    if wrong or enforcer.desired_revision == 0 or enforcer.applied_revision != enforcer.desired_revision:
        return "out-of-service"
    return "available"


def notable(what: StatusReport, lab: str) -> tuple[object, ...]:
    """What a technician would want to see at once: the exchange's `news` changes when this does."""
    return (
        lab,
        what.state,
        what.profile,
        what.desired_revision,
        what.applied_revision,
        tuple((condition.type, condition.status, condition.reason) for condition in what.conditions),
        what.session,
        None
        if what.payment is None
        else what.payment.order,  # its end is one and the same, read off two clocks
        # In words as well: which revision failed, what was put back. The others' words hold figures.
        tuple(condition.message for condition in what.conditions if condition.type == "Converged"),
    )


def _payment(enforcer: EnforcerState | None, facts: Facts) -> PaymentOpen | None:
    """Until when, by the clock as it is now: the PC itself counts the seconds since it was started."""
    if enforcer is None or enforcer.payment is None:
        return None
    left = timedelta(seconds=enforcer.payment.until_s - facts.uptime_s)
    return PaymentOpen(order=enforcer.payment.order, until=facts.at + left)


class _Verdict(msgspec.Struct, frozen=True):
    type: ConditionType
    status: bool
    reason: str
    message: Sentence


def _was(before: Iterable[Condition], kind: ConditionType) -> bool:
    return any(condition.type == kind and condition.status for condition in before)


def _since(verdict: _Verdict, before: Iterable[Condition], now: datetime) -> Condition:
    since = now
    for condition in before:
        if condition.type == verdict.type and condition.status == verdict.status:
            since = condition.since
    return Condition(verdict.type, verdict.status, verdict.reason, verdict.message, since)


def _disk(facts: Facts, was: bool) -> _Verdict:
    fraction, most = DISK_ENDS if was else DISK_BEGINS
    full = [disk for disk in facts.disks if disk.free < min(disk.total * fraction, most)]
    if not full:
        return _Verdict("DiskPressure", False, "Enough", sentence("Every disk has room."))
    first, *others = (
        sentence("{size} on {mount}", size=_bytes(disk.free), mount=disk.mount) for disk in full[:_MOST_DISKS]
    )
    left = reduce(lambda some, one: sentence("{some}, {one}", some=some, one=one), others, first)
    told = sentence("The disk is nearly full: {left} are left; make room.", left=left)
    return _Verdict("DiskPressure", True, "DiskFull", told)


def _silence(facts: Facts) -> _Verdict:
    if not facts.silent:
        return _Verdict("DiskSilent", False, "Answers", sentence("Every disk answers."))
    told = sentence(
        "The disk of {mounts} does not answer: it may be dying; save what is on it and replace it.",
        mounts=", ".join(facts.silent),
    )
    return _Verdict("DiskSilent", True, "NoAnswer", told)


def _memory(facts: Facts, was: bool) -> _Verdict:
    free = facts.memory_available / facts.memory_total if facts.memory_total else 1.0
    if free >= (MEMORY_ENDS if was else MEMORY_BEGINS):
        return _Verdict("MemoryPressure", False, "Enough", sentence("There is memory to spare."))
    told = sentence("Only {percent} of the memory is available.", percent=f"{free:.0%}")
    return _Verdict("MemoryPressure", True, "MemoryLow", told)


def _heat(facts: Facts, was: bool) -> _Verdict:
    limit = HOT_ENDS if was else HOT_BEGINS
    low, high = SENSIBLE_CELSIUS
    hot = [
        sensor for sensor in facts.temperatures if limit <= sensor.celsius <= high and sensor.celsius > low
    ]
    if not hot:
        return _Verdict("Overheated", False, "Cool", sentence("Temperatures are as they should be."))
    worst = max(hot, key=lambda sensor: sensor.celsius)
    told = sentence(
        "{sensor} is at {celsius} °C; look for dust and a dead fan.",
        sensor=worst.sensor,
        celsius=round(worst.celsius),
    )
    return _Verdict("Overheated", True, "Hot", told)


def _clock(facts: Facts, was: bool) -> _Verdict:
    skew = facts.clock_skew_s
    if skew is None:
        told = sentence("The clock was not yet compared with the server's.")
        return _Verdict("ClockSkewed", False, "Unknown", told)
    if abs(skew) < (SKEW_ENDS_S if was else SKEW_BEGINS_S):
        return _Verdict("ClockSkewed", False, "Right", sentence("The clock agrees with the server's."))
    by = _span(abs(skew))
    if skew > 0:
        told = sentence(
            "The clock is {time} ahead of the server's;"
            " check time synchronisation and the mainboard's battery.",
            time=by,
        )
        return _Verdict("ClockSkewed", True, "Ahead", told)
    told = sentence(
        "The clock is {time} behind the server's; check time synchronisation and the mainboard's battery.",
        time=by,
    )
    return _Verdict("ClockSkewed", True, "Behind", told)


def _certificate(expires: datetime | None, now: datetime) -> _Verdict:
    if expires is None:
        told = sentence("There is no certificate that could expire.")
        return _Verdict("CertificateExpiring", False, "None", told)
    left, day = expires - now, f"{expires:%Y-%m-%d}"
    if left <= timedelta(0):
        told = sentence("The certificate has expired; pair the PC again.")
        return _Verdict("CertificateExpiring", True, "Expired", told)
    if left < CERTIFICATE_BEGINS:
        told = sentence("The certificate ends on {day} and was not renewed; see the server's log.", day=day)
        return _Verdict("CertificateExpiring", True, "NotRenewed", told)
    told = sentence("The certificate is good until {day}.", day=day)
    return _Verdict("CertificateExpiring", False, "Valid", told)


def _link(seen: Seen, was: bool) -> _Verdict:
    if was:
        lost = not (seen.link_up and seen.link_for_s >= LINK_ENDS_S)
    else:
        lost = not seen.link_up and seen.link_for_s >= LINK_BEGINS_S
    if lost:
        told = sentence("The part with rights does not answer; see journalctl -u lab-enforcer on the PC.")
        return _Verdict("EnforcerLost", True, "NoAnswer", told)
    told = sentence("Both parts of the agent are running.")
    return _Verdict("EnforcerLost", False, "Connected", told)


def _span(seconds: float) -> Sentence:
    """A duration as a person says it: 40 s, 12 min, 5 h, 3 days."""
    if seconds >= 2 * 86400:
        return sentence("{count} days", count=round(min(seconds / 86400, 1e9)))
    if seconds >= 2 * 3600:
        return sentence("{count} h", count=round(seconds / 3600))
    if seconds >= 2 * 60:
        return sentence("{count} min", count=round(seconds / 60))
    return sentence("{count} s", count=round(seconds))


def _bytes(count: int) -> str:
    """A size as disks are sold and labctl shows it: powers of ten."""
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.0f} MB"
