"""What the door shows of a station, from what is known of it. Pure.

A station's own words pass `printable` here: they end on technicians' terminals.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

from msgspec import to_builtins

from controller import door_models as m
from controller.core.fleet import Presence
from controller.discovery import Hint
from controller.failures import Address, in_words, printable
from controller.live import View
from controller.store.repositories import Station
from controller.words import _

FAILED_REASONS = frozenset({"ActionFailed", "JournalFailed"})
"""Reasons of a Converged condition that is false for good, until a person looks."""


@dataclass(frozen=True)
class Standing:
    """How a PC stands towards a revision: applied, waiting or failed. `over`: waiting longer is no use."""

    word: str
    presence: m.Presence
    reason: str
    over: bool


def complaint(view: View) -> str | None:
    """Why the PC could not apply what it holds, in its own words; None where it could."""
    answer = view.seen.answer
    for condition in answer.status.conditions if answer else ():
        if condition.type == "Converged" and not condition.status and condition.reason in FAILED_REASONS:
            return in_words(condition.message)
    return None


def standing(view: View | None, revision: int, old: str | None) -> Standing:
    """`old` is the PC's complaint from before: the same again is still about the revision before."""
    if view is None:
        return Standing("failed", "offline", _("It was let go meanwhile."), over=True)
    shown = presence_word(view.presence)
    note = in_words(view.note) if view.note else ""
    answer = view.seen.answer
    if answer is not None and answer.status.applied_revision >= revision:
        return Standing("applied", shown, "", over=True)
    if view.presence is Presence.OFFLINE:
        reason = note or _("It is offline; it gets the revision when it returns.")
        return Standing("waiting", shown, reason, over=True)
    if answer is None:
        return Standing("waiting", shown, note, over=False)
    refused = view.seen.refused
    if refused is not None and refused.revision >= revision:
        return Standing("failed", shown, in_words(refused.why), over=True)
    if answer.status.desired_revision >= revision:
        broken = complaint(view)
        if broken is not None:
            return Standing("failed", shown, broken, over=broken != old)
        return Standing("waiting", shown, _("It is applying it."), over=False)
    return Standing("waiting", shown, note or _("It has not taken it yet."), over=False)


def payment_until(view: View) -> datetime | None:
    """Until when the payment mode is open there, by the lab's clock; None where it was not seen to be."""
    answer = view.seen.answer
    if answer is None or answer.status.payment is None:
        return None
    return answer.status.payment.until - timedelta(seconds=answer.status.facts.clock_skew_s or 0)


def presence_word(presence: Presence) -> m.Presence:
    """As the door spells it."""
    words: dict[Presence, m.Presence] = {
        Presence.ONLINE: "online",
        Presence.STALE: "stale",
        Presence.OFFLINE: "offline",
    }
    return words[presence]


def show_status(view: View, profile: str, desired: int) -> m.StationStatus:
    answer = view.seen.answer
    report = answer.status if answer else None
    facts = report.facts if report else None
    memory = None
    if facts and facts.memory_total > 0:
        memory = round(1 - facts.memory_available / facts.memory_total, 4)
    return m.StationStatus(
        id=view.id,
        presence=presence_word(view.presence),
        state=report.state if report else "unknown",
        profile=profile,
        desired=desired,
        applied=report.applied_revision if report else 0,
        load=facts.load[0] if facts else None,
        memory=memory,
        last_seen=view.seen.heard_at,
        age_s=None if view.age_s is None else round(view.age_s, 3),
        address=str(view.seen.address),
        conditions=[
            m.Condition(
                type=c.type,
                status=c.status,
                reason=printable(c.reason),
                message=in_words(c.message),
                since=c.since,
            )
            for c in (report.conditions if report else ())
        ],
        note=in_words(view.note) if view.note else "",
        payment_until=payment_until(view),
    )


def show_inventory(row: Station, view: View | None, until: datetime | None) -> m.InventoryItem:
    report = view.seen.answer.status if view and view.seen.answer else None
    facts = report.facts if report else None
    return m.InventoryItem(
        id=row.id,
        hardware=m.HardwareInfo(**_words(to_builtins(facts.hardware))) if facts else None,
        mac=[printable(nic.mac) for nic in facts.nics] if facts else [],
        address=str(Address(row.address, row.port)),
        disks=[m.DiskUse(mount=printable(d.mount), total=d.total, free=d.free) for d in facts.disks]
        if facts
        else [],
        version=printable(report.version) if report else "",
        paired_at=row.paired_at,
        last_seen=view.seen.heard_at if view else None,
        certificate_until=until,
    )


def _words(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: printable(said) if isinstance(said, str) else said for name, said in fields.items()}


def show_found(hint: Hint, view: View | None, *, several: bool) -> m.Found:
    verified = view is not None and view.seen.address == hint.address and view.presence is Presence.ONLINE
    note = ""
    if hint.answers is False:
        note = _("Nothing answers there.")
    elif several and not verified:
        note = _("More than one says to be {id}.").format(id=hint.id)
    elif view is not None and not verified and hint.paired is False:
        note = _(
            "It was a PC of this lab and waits to be paired: re-imaged? Pair it again with its new code."
        )
    elif view is None and hint.paired:
        note = _("It belongs to a lab already; on the PC itself: lab-agent unpair")
    pairing: dict[bool | None, Literal["open", "paired", "unknown"]] = {
        False: "open",
        True: "paired",
        None: "unknown",
    }
    return m.Found(
        id=hint.id,
        address=hint.address.host,
        port=hint.address.port,
        version=hint.version,
        pairing=pairing[hint.paired],
        known=view is not None,
        verified=verified,
        note=note,
    )
