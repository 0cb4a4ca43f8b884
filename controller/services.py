"""The use cases behind the door: what a technician can ask of the controller."""

import logging
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from msgspec import to_builtins

from contract.exchange import Command, CommandResult
from contract.identity import station_name
from controller import door_models as m
from controller.agent_client import Address, Failure, parse_address
from controller.books import Books
from controller.core.fleet import Presence
from controller.discovery import Discovery, Hint
from controller.doctor import Doctor
from controller.enrolment import Enrolment
from controller.household import Household
from controller.live import Live, View
from controller.problems import Problem
from controller.publishing import REVISION, Outcome, Publishing, known_profile, no_station
from controller.settings import Settings
from controller.store.repositories import Station
from controller.words import _

log = logging.getLogger(__name__)

FAILED_REASONS = frozenset({"ActionFailed", "JournalFailed"})
"""Reasons of a Converged condition that is false for good, until a person looks."""

COMMAND_S = 15.0
"""How long a station may take to do a command before it counts as not there."""


@dataclass(frozen=True)
class Caller:
    """Who asks, as the kernel says."""

    uid: int
    user: str
    technician: bool


@dataclass(frozen=True)
class Parts:
    """What the use cases are made of."""

    settings: Settings
    books: Books
    live: Live
    discovery: Discovery
    publishing: Publishing
    enrolment: Enrolment
    household: Household
    doctor: Doctor


class Services:
    """One method for each route of the door; all raise problems.Problem for what they refuse."""

    def __init__(self, parts: Parts) -> None:
        self._p = parts

    # The lab now

    def status(self) -> m.Status:
        """Every station now."""
        with self._p.books.database.read() as tx:
            revision = self._p.books.store.counter(tx, REVISION)
            desired = self._p.books.store.desired(tx)
        stations = []
        for view in self._p.live.view():
            row = desired.get(view.id)
            stations.append(_status(view, row.profile if row else "", row.revision if row else 0))
        lab = self._p.settings.lab
        return m.Status(
            lab=lab.id, name=lab.name, at=self._p.books.clock.now(), revision=revision, stations=stations
        )

    def watching(self, woken: Callable[[], object]) -> AbstractContextManager[None]:
        """Have `woken` called at every change of a station while the context lasts."""
        return self._p.live.watching(woken)

    def inventory(self) -> m.Inventory:
        """The stations as things one owns."""
        with self._p.books.database.read() as tx:
            rows = self._p.books.store.stations(tx)
            certificates = self._p.books.store.certificates(tx)
        until = {one.name: one.not_after for one in certificates if one.revoked_at is None}
        lab = self._p.settings.lab.id
        return m.Inventory(
            stations=[
                _inventory(row, self._p.live.one(row.id), until.get(station_name(lab, row.id)))
                for row in rows
            ]
        )

    def doctor(self) -> m.Doctor:
        """The server's own health."""
        return m.Doctor(checks=self._p.doctor.checks())

    # Stations coming and going

    def discover(self, hosts: Sequence[str], timeout_s: float) -> m.Discovered:
        """Where agents are, by mDNS and among `hosts`."""
        places = [_address(host) for host in hosts]
        for place in places:
            self._p.discovery.add_host(place)
        hints = self._p.discovery.hints(timeout_s)
        known = {view.id: view for view in self._p.live.view()}
        several = {hint.id for hint in hints if sum(1 for one in hints if one.id == hint.id) > 1}
        return m.Discovered(
            found=[_found(hint, known.get(hint.id), hint.id in several and hint.id != "") for hint in hints]
        )

    def pair(self, station: str, code: str, address: str | None) -> m.Paired:
        """Make a PC a station of this lab."""
        digits = code.replace(" ", "").replace("-", "")
        place = _address(address) if address else None
        outcomes: list[Outcome] = []
        paired = self._p.enrolment.pair(
            station, digits, place, lambda tx, _row: outcomes.append(self._p.publishing.joined(tx))
        )
        self._p.household.stop(station)
        self._p.household.refresh_trust()
        self._p.household.start(station)
        where = Address(paired.station.address, paired.station.port)
        return m.Paired(id=station, address=str(where), fingerprint=paired.leaf.fingerprint)

    def unpair(self, station: str, *, force: bool) -> m.Unpaired:
        """Let a station go."""
        if self._p.live.one(station) is None:
            raise no_station(station)
        told = self._p.enrolment.unpair(station, force=force, tell=self._tell)
        self._p.household.stop(station)
        self._p.household.refresh_trust()
        return m.Unpaired(id=station, told=told)

    def _tell(self, station: str, command: Command) -> CommandResult | Failure:
        signed = self._p.books.pki.seal(command)
        return self._p.household.sync.command(station, command.id, signed, COMMAND_S)

    # Profiles

    def profiles(self) -> m.Profiles:
        """Every profile, shipped or the lab's own."""
        library = self._p.publishing.library()
        with self._p.books.database.read() as tx:
            current = self._p.books.store.current_publications(tx)
            assignments = self._p.books.store.assignments(tx)
        found = []
        for name in library.profiles:
            entry = library.entry(name)
            publication = current.get(name)
            found.append(
                m.ProfileItem(
                    name=name,
                    title=entry.title,
                    source=entry.file,
                    published=publication.number if publication else None,
                    edited=publication is not None and self._p.publishing.edited(publication),
                    assigned=[target for target, profile in assignments.items() if profile == name],
                )
            )
        return m.Profiles(profiles=found)

    def profile(self, name: str) -> m.ProfileText:
        """One profile as written and as it works out, without any group's or PC's layer."""
        library = self._p.publishing.library()
        known_profile(library, name)
        return m.ProfileText(
            name=name, yaml=library.entry(name).text, resolved=self._p.publishing.worked_out(name)
        )

    def check(self) -> m.Check:
        """Everything wrong or doubtful in the lab's files."""
        findings = self._p.publishing.library().check()
        return m.Check(
            ok=all(one.severity != "error" for one in findings),
            findings=[
                m.Finding(
                    file=one.file,
                    line=one.line or None,
                    severity=one.severity,
                    message=one.message,
                    hint=one.hint,
                )
                for one in findings
            ],
        )

    def publications(self, name: str) -> m.Publications:
        """The history of a profile, newest first."""
        with self._p.books.database.read() as tx:
            history = self._p.books.store.publications(tx, name)
        if not history:
            known_profile(self._p.publishing.library(), name)
        return m.Publications(
            publications=[
                m.Publication(
                    number=one.number,
                    profile=one.profile,
                    at=one.at,
                    who=one.who,
                    why=one.why,
                    current=one is history[0],
                    rollback_of=one.rollback_of,
                )
                for one in history
            ]
        )

    def diff(self, name: str) -> m.Diff:
        """What a publication would change, PC by PC."""
        return m.Diff(
            stations=[
                m.StationDiff(
                    id=station,
                    changes=[m.Change(path=one.path, before=one.before, after=one.after) for one in changes],
                )
                for station, changes in self._p.publishing.diff(name).items()
            ]
        )

    def explain(self, station: str) -> m.Explained:
        """Where each setting of a station came from."""
        if self._p.live.one(station) is None:
            raise no_station(station)
        profile, revision, rows = self._p.publishing.explain(station)
        settings = [
            m.Setting(path=row.path, value=row.value, layer=row.layer, file=row.file, line=row.line or None)
            for row in rows
        ]
        return m.Explained(id=station, profile=profile, revision=revision, settings=settings)

    def publish(self, name: str, who: str, why: str, wait_s: float) -> m.Rolled:
        """Make the files as they are what the PCs with this profile shall be."""
        return self._roll(self._p.publishing.publish(name, who, why), wait_s)

    def rollback(self, name: str, to: int | None, who: str, why: str, wait_s: float) -> m.Rolled:
        """Publish an earlier publication again."""
        return self._roll(self._p.publishing.rollback(name, to, who, why), wait_s)

    def assign(self, target: str, profile: str | None, who: str, wait_s: float) -> m.Rolled:
        """Say which profile the lab, a group or a PC has."""
        return self._roll(self._p.publishing.assign(target, profile, who), wait_s)

    def groups(self) -> m.Groups:
        """Every group."""
        with self._p.books.database.read() as tx:
            groups = self._p.books.store.groups(tx)
            assignments = self._p.books.store.assignments(tx)
        return m.Groups(
            groups=[
                m.Group(name=name, stations=stations, profile=assignments.get(f"group:{name}", ""))
                for name, stations in groups.items()
            ]
        )

    def set_group(self, name: str, stations: Sequence[str]) -> m.GroupSet:
        """Say who is in a group."""
        outcome = self._p.publishing.set_group(name, stations)
        self._p.household.send(outcome)
        return m.GroupSet(name=name, stations=sorted(set(stations)), changed=sorted(outcome.changed))

    def update_spid(self, providers: Sequence[m.SpidProvider], *, force: bool) -> m.SpidOut:
        """Write the lab's SPID bundle from the federation's providers."""
        raise Problem("state", _("Not yet."))

    def _roll(self, outcome: Outcome, wait_s: float) -> m.Rolled:
        """Hand it to the PCs, wait until those that are there have answered, and say how each stands."""
        before = self._p.live.view()
        self._p.household.send(outcome)
        revisions = {station: row.revision for station, row in outcome.changed.items()}

        old = {view.id: _complaint(view) for view in before}

        def stands() -> dict[str, _Standing]:
            return {
                station: _standing(self._p.live.one(station), revision, old.get(station))
                for station, revision in revisions.items()
            }

        if wait_s > 0:
            self._p.live.wait(lambda: all(one.over for one in stands().values()), wait_s)
        standing = sorted(stands().items())
        return m.Rolled(
            publication=outcome.publication,
            revision=outcome.revision,
            changed=sorted(revisions),
            unchanged=sorted(outcome.unchanged),
            applied=[station for station, one in standing if one.word == "applied"],
            waiting=[
                m.Waiting(id=station, presence=one.presence, reason=one.reason)
                for station, one in standing
                if one.word == "waiting"
            ],
            failed=[
                m.Failed(id=station, reason=one.reason) for station, one in standing if one.word == "failed"
            ],
        )


@dataclass(frozen=True)
class _Standing:
    """How a PC stands towards a revision: applied, waiting or failed. `over`: waiting longer is no use."""

    word: str
    presence: m.Presence
    reason: str
    over: bool


def _complaint(view: View) -> str | None:
    """Why the PC could not apply what it holds, in its own words; None where it could."""
    answer = view.seen.answer
    for condition in answer.status.conditions if answer else ():
        if condition.type == "Converged" and not condition.status and condition.reason in FAILED_REASONS:
            return condition.message
    return None


def _standing(view: View | None, revision: int, old: str | None) -> _Standing:
    """`old` is the PC's complaint from before: the same again may still be about the revision before."""
    if view is None:
        return _Standing("failed", "offline", _("It was let go meanwhile."), over=True)
    shown = presence_word(view.presence)
    answer = view.seen.answer
    if answer is not None and answer.status.applied_revision >= revision:
        return _Standing("applied", shown, "", over=True)
    if view.presence is Presence.OFFLINE:
        reason = view.note or _("It is offline; it gets the revision when it returns.")
        return _Standing("waiting", shown, reason, over=True)
    if answer is None:
        return _Standing("waiting", shown, view.note, over=False)
    for refusal in answer.refusals:
        if refusal.what == "desired" and refusal.revision in (None, revision):
            return _Standing("failed", shown, refusal.message, over=True)
    if answer.status.desired_revision >= revision:
        complaint = _complaint(view)
        if complaint is not None:
            return _Standing("failed", shown, complaint, over=complaint != old)
        return _Standing("waiting", shown, _("It is applying it."), over=False)
    return _Standing("waiting", shown, view.note or _("It has not taken it yet."), over=False)


def presence_word(presence: Presence) -> m.Presence:
    """As the door spells it."""
    words: dict[Presence, m.Presence] = {
        Presence.ONLINE: "online",
        Presence.STALE: "stale",
        Presence.OFFLINE: "offline",
    }
    return words[presence]


def _status(view: View, profile: str, desired: int) -> m.StationStatus:
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
            m.Condition(type=c.type, status=c.status, reason=c.reason, message=c.message, since=c.since)
            for c in (report.conditions if report else ())
        ],
        note=view.note,
    )


def _inventory(row: Station, view: View | None, until: datetime | None) -> m.InventoryItem:
    report = view.seen.answer.status if view and view.seen.answer else None
    facts = report.facts if report else None
    return m.InventoryItem(
        id=row.id,
        hardware=m.HardwareInfo(**to_builtins(facts.hardware)) if facts else None,
        mac=[nic.mac for nic in facts.nics] if facts else [],
        address=str(Address(row.address, row.port)),
        disks=[m.DiskUse(mount=d.mount, total=d.total, free=d.free) for d in facts.disks] if facts else [],
        version=report.version if report else "",
        paired_at=row.paired_at,
        last_seen=view.seen.heard_at if view else None,
        certificate_until=until,
    )


def _found(hint: Hint, view: View | None, several: bool) -> m.Found:
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


def _address(text: str) -> Address:
    address = parse_address(text)
    if address is None:
        raise Problem(
            "input",
            _('"{text}" is no address.').format(text=text),
            _("Write a name or an address, with :port where it is not 7443."),
        )
    return address
