"""The use cases behind the door: what a technician can ask of the controller."""

import logging
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import date

from contract.exchange import Command, CommandResult
from contract.identity import station_name
from controller import door_models as m
from controller import payment_models as pm
from controller import profile_models as prof
from controller.books import Books
from controller.discovery import Discovery
from controller.doctor import Doctor
from controller.enrolment import Enrolment
from controller.failures import Address, Failure, parse_address
from controller.federation import plan_update, write_bundle
from controller.household import Household
from controller.live import Live
from controller.payments import Payments
from controller.problems import Problem
from controller.publishing import REVISION, Outcome, Publishing, known_profile, no_station
from controller.sessions import Sessions
from controller.settings import Settings
from controller.views import Standing, complaint, show_found, show_inventory, show_status, standing
from controller.words import _

log = logging.getLogger(__name__)

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
        self._sessions = Sessions(parts.books, parts.live, self._tell)
        self._payments = Payments(parts.books, parts.live, self._tell)

    # The lab now

    def status(self) -> m.Status:
        """Every station now."""
        with self._p.books.database.read() as tx:
            revision = self._p.books.store.counter(tx, REVISION)
            told = self._p.books.store.told(tx)
        stations = []
        for view in self._p.live.view():
            row = told.get(view.id)
            stations.append(show_status(view, row.profile if row else "", row.revision if row else 0))
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
                show_inventory(row, self._p.live.one(row.id), until.get(station_name(lab, row.id)))
                for row in rows
            ]
        )

    def doctor(self) -> m.Doctor:
        """The server's own health."""
        return m.Doctor(checks=self._p.doctor.checks())

    def rekey(self, who: str) -> m.Doctor:
        """Give the server a new key at once, and revoke the old one's certificate."""
        try:
            papers = self._p.household.rekey()
        except OSError as error:
            raise Problem(
                "failed",
                _("The new key cannot be written: {reason}.").format(reason=error.strerror),
                _("Is the server's disk full? See: labctl doctor"),
            ) from None
        log.warning("%s gave the server a new key; revocation list %d has the old one", who, papers.number)
        return self.doctor()

    # Stations coming and going

    def discover(self, hosts: Sequence[str], timeout_s: float) -> m.Discovered:
        """Where agents are, by mDNS and among `hosts`."""
        places = [_address(host) for host in hosts]
        if places:
            with ThreadPoolExecutor(min(len(places), 16)) as probes:
                list(probes.map(self._p.discovery.add_host, places))
        hints = self._p.discovery.hints(timeout_s)
        known = {view.id: view for view in self._p.live.view()}
        several = {hint.id for hint in hints if sum(1 for one in hints if one.id == hint.id) > 1}
        return m.Discovered(
            found=[
                show_found(hint, known.get(hint.id), several=hint.id in several and hint.id != "")
                for hint in hints
            ]
        )

    def pair(self, station: str, code: str, address: str | None) -> m.Paired:
        """Make a PC a station of this lab."""
        digits = code.replace(" ", "").replace("-", "")
        place = _address(address) if address else None
        outcomes: list[Outcome] = []
        try:
            paired = self._p.enrolment.pair(
                station, digits, place, lambda tx, _row: outcomes.append(self._p.publishing.joined(tx))
            )
        finally:
            if outcomes:
                # Also where the PC's last word was lost or a refusal: what the store says now is what counts.
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

    def session(self, station: str) -> m.SessionOut:
        """Where a station is between two citizens, and the proof of its last wipe."""
        return self._sessions.show(station)

    def start_session(self, station: str, who: str, wait_s: float) -> m.SessionOut:
        """Begin a citizen's session."""
        return self._sessions.start(station, who, wait_s)

    def end_session(self, station: str, who: str, wait_s: float) -> m.SessionOut:
        """End it."""
        return self._sessions.end(station, who, wait_s)

    def answer_call(self, station: str, who: str) -> m.CallAnswered:
        """Tell a citizen who calls that the operator comes."""
        return self._sessions.answer(station, who)

    def payments(self, station: str | None) -> pm.Payments:
        """Where the payment mode is open, and the record of it, of one PC or of all."""
        return self._payments.show(station)

    def open_payment(self, station: str, minutes: int, why: str, who: str, wait_s: float) -> pm.PaymentOut:
        """Open the payment mode for who sits there."""
        return self._payments.open(station, minutes, why, who, wait_s)

    def close_payment(self, station: str, who: str, wait_s: float) -> pm.PaymentOut:
        """Close it before its time."""
        return self._payments.close(station, who, wait_s)

    def _tell(self, station: str, command: Command) -> CommandResult | Failure:
        signed = self._p.books.pki.seal(command)
        return self._p.household.sync.command(station, command.id, signed, COMMAND_S)

    # Profiles

    def profiles(self) -> prof.Profiles:
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
                prof.ProfileItem(
                    name=name,
                    title=entry.title,
                    source=entry.file,
                    published=publication.number if publication else None,
                    edited=publication is not None and self._p.publishing.edited(publication),
                    assigned=[target for target, profile in assignments.items() if profile == name],
                )
            )
        return prof.Profiles(profiles=found)

    def profile(self, name: str) -> prof.ProfileText:
        """One profile as written and as it works out, without any group's or PC's layer."""
        library = self._p.publishing.library()
        known_profile(library, name)
        return prof.ProfileText(
            name=name, yaml=library.entry(name).text, resolved=self._p.publishing.worked_out(name)
        )

    def check(self) -> prof.Check:
        """Everything wrong or doubtful in the lab's files."""
        findings = self._p.publishing.library().check()
        return prof.Check(
            ok=all(one.severity != "error" for one in findings),
            findings=[
                prof.Finding(
                    file=one.file,
                    line=one.line or None,
                    severity=one.severity,
                    message=one.message,
                    hint=one.hint,
                )
                for one in findings
            ],
        )

    def publications(self, name: str) -> prof.Publications:
        """The history of a profile, newest first."""
        with self._p.books.database.read() as tx:
            history = self._p.books.store.publications(tx, name)
        if not history:
            known_profile(self._p.publishing.library(), name)
        return prof.Publications(
            publications=[
                prof.Publication(
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

    def diff(self, name: str) -> prof.Diff:
        """What a publication would change, PC by PC."""
        return prof.Diff(
            stations=[
                prof.StationDiff(
                    id=station,
                    changes=[
                        prof.Change(path=one.path, before=one.before, after=one.after) for one in changes
                    ],
                )
                for station, changes in self._p.publishing.diff(name).items()
            ]
        )

    def explain(self, station: str) -> prof.Explained:
        """Where each setting of a station came from."""
        if self._p.live.one(station) is None:
            raise no_station(station)
        profile, revision, rows = self._p.publishing.explain(station)
        settings = [
            prof.Setting(
                path=row.path, value=row.value, layer=row.layer, file=row.file, line=row.line or None
            )
            for row in rows
        ]
        return prof.Explained(id=station, profile=profile, revision=revision, settings=settings)

    def publish(self, name: str, who: str, why: str, wait_s: float) -> prof.Rolled:
        """Make the files as they are what the PCs with this profile shall be."""
        return self._roll(self._p.publishing.publish(name, who, why), wait_s)

    def rollback(self, name: str, to: int | None, who: str, why: str, wait_s: float) -> prof.Rolled:
        """Publish an earlier publication again."""
        return self._roll(self._p.publishing.rollback(name, to, who, why), wait_s)

    def assign(self, target: str, profile: str | None, who: str, wait_s: float) -> prof.Rolled:
        """Say which profile the lab, a group or a PC has."""
        return self._roll(self._p.publishing.assign(target, profile, who), wait_s)

    def groups(self) -> prof.Groups:
        """Every group."""
        with self._p.books.database.read() as tx:
            groups = self._p.books.store.groups(tx)
            assignments = self._p.books.store.assignments(tx)
        return prof.Groups(
            groups=[
                prof.Group(name=name, stations=stations, profile=assignments.get(f"group:{name}", ""))
                for name, stations in groups.items()
            ]
        )

    def set_group(self, name: str, stations: Sequence[str]) -> prof.GroupSet:
        """Say who is in a group."""
        outcome = self._p.publishing.set_group(name, stations)
        self._p.household.send(outcome)
        return prof.GroupSet(name=name, stations=sorted(set(stations)), changed=sorted(outcome.changed))

    def update_spid(
        self, providers: Sequence[m.SpidProvider], published: date | None, *, force: bool
    ) -> m.SpidOut:
        """Write the lab's SPID bundle anew; PCs get it with the next publication."""
        library, now = self._p.publishing.library(), self._p.books.clock.now()
        update = plan_update(library, providers, published, now, force=force)
        written = ""
        if update.text is not None:
            written = str(write_bundle(self._p.publishing.directory, update.text))
        return m.SpidOut(
            added=list(update.change.hosts_added), removed=list(update.change.hosts_removed), written=written
        )

    def _roll(self, outcome: Outcome, wait_s: float) -> prof.Rolled:
        """Hand it to the PCs, wait until those that are there have answered, and say how each stands."""
        before = self._p.live.view()
        self._p.household.send(outcome)
        revisions = {station: row.revision for station, row in outcome.changed.items()}

        old = {view.id: complaint(view) for view in before}

        def stands(station: str) -> Standing:
            return standing(self._p.live.one(station), revisions[station], old.get(station))

        def all_over() -> bool:
            # Asked at every change of any station: what is over stays so, and the first that is not ends it.
            while waited_for and stands(waited_for[-1]).over:
                waited_for.pop()
            return not waited_for

        waited_for = list(revisions)
        if wait_s > 0:
            self._p.live.wait(all_over, wait_s)
        now = sorted((station, stands(station)) for station in revisions)
        return prof.Rolled(
            publication=outcome.publication,
            revision=outcome.revision,
            changed=sorted(revisions),
            unchanged=sorted(outcome.unchanged),
            applied=[station for station, one in now if one.word == "applied"],
            waiting=[
                prof.Waiting(id=station, presence=one.presence, reason=one.reason)
                for station, one in now
                if one.word == "waiting"
            ],
            failed=[
                prof.Failed(id=station, reason=one.reason) for station, one in now if one.word == "failed"
            ],
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
