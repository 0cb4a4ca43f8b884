"""From the lab's files to a sealed desired state for each station, and back through the history.

One counter of the lab numbers publications and revisions alike. A station gets
a new revision only if what it is told differs; whatever gives a reason to look
(a publication, an assignment, a group, a new station) records its cause and
runs the same reconciling, in one transaction.
"""

import hashlib
import os
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import msgspec

from contract import wire
from contract.desired import DesiredState, Resources, TimeSync
from controller.books import Books
from controller.core.assignment import Assigned, assigned
from controller.problems import Problem
from controller.store.database import Tx
from controller.store.repositories import Desired, Publication, digest
from controller.words import _
from kiosk_profiles.compile import Resolved, Row, compile, explain
from kiosk_profiles.diff import Change, diff
from kiosk_profiles.findings import Finding, ProfileError, only_errors
from kiosk_profiles.library import LAB_FOLDERS, Library, load_library

REVISION = "revision"

KEPT_LIBRARIES = 16
"""Parsed publications kept in memory: more than a lab has current at a time."""


@dataclass(frozen=True)
class Outcome:
    """What a cause came to. `changed`: the new desired states, by station."""

    publication: int
    revision: int
    changed: Mapping[str, Desired]
    unchanged: tuple[str, ...]


@dataclass(frozen=True)
class _Due:
    """A station that has to be told something, and what; `content` is the digest of it."""

    station: str
    pairing: str
    resolved: Resolved
    publication: Publication
    content: str


@dataclass(frozen=True)
class _Files:
    """The lab's files as read at one moment. `stamp` tells whether they are still the same."""

    stamp: tuple[tuple[str, int, int, int], ...]
    library: Library
    texts: Mapping[str, str]
    digests: Mapping[str, str]


class Publishing:
    """What stations shall be. Causes come one at a time: `_one` is held from the first read to the commit."""

    def __init__(self, books: Books, directory: Path, time_servers: tuple[str, ...]) -> None:
        self._books = books
        self.directory = directory
        self._time_servers = time_servers
        self._one = threading.Lock()
        self._files: _Files | None = None
        self._libraries: dict[frozenset[tuple[str, str]], Library] = {}

    # What the files say

    def library(self) -> Library:
        """The lab's files as they are now, over those that ship. Read again only where one changed."""
        return self._read().library

    def edited(self, current: Publication) -> bool:
        """Whether the files say something else than a publication."""
        return dict(current.sources) != dict(self._read().digests)

    def explain(self, station: str) -> tuple[str, int, tuple[Row, ...]]:
        """Profile, revision and where each setting of a station came from, by what is published."""
        with self._books.database.read() as tx:
            given = self._assigned(tx).get(station)
            row = self._books.store.told(tx).get(station)
            publication = self._books.store.current_publications(tx).get(given.profile) if given else None
            if given is None or publication is None or row is None:
                raise Problem(
                    "state",
                    _("{id} has no profile yet.").format(id=station),
                    _("Give it one with: labctl profile assign PROFILE pc:{id}").format(id=station),
                )
            resolved = self._resolve(self._library_of(tx, publication), given, station)
        return given.profile, row.revision, explain(resolved)

    def worked_out(self, profile: str) -> dict[str, Any]:
        """What a profile comes to by the files as they are, with the lab's layer, as plain values."""
        library = self.library()
        known_profile(library, profile)
        resolved = self._resolve(library, Assigned(profile, "lab", ()), None)
        values: dict[str, Any] = msgspec.to_builtins(_content(resolved, self._time_servers)[1])
        return values

    def diff(self, profile: str) -> dict[str, tuple[Change, ...]]:
        """What a publication of the files as they are would change, for each station with the profile."""
        library = self.library()
        known_profile(library, profile)
        with self._books.database.read() as tx:
            desired = self._books.store.desired(tx)
            first = not self._books.store.assignments(tx)
            given = self._assigned(tx, {"lab": profile} if first else None)
            pairings = self._pairings(tx)
        found = {}
        for station, one in given.items():
            if one.profile == profile:
                row = desired.get(station)
                before = wire.decode(DesiredState, row.payload) if row else None
                resolved = self._resolve(library, one, station)
                found[station] = diff(before, self._compile(resolved, station, pairings[station], 1))
        return found

    # Causes

    def publish(self, profile: str, who: str, why: str) -> Outcome:
        """Make the files as they are what stations with `profile` shall be. Nothing new, nothing stored.

        The first publication of a lab where nothing is assigned is assigned to the lab.
        """
        files = self._read()
        known_profile(files.library, profile)
        now = self._books.clock.now()
        with self._one, self._books.database.write() as tx:
            current = self._books.store.current_publications(tx).get(profile)
            if not self._books.store.assignments(tx):
                self._books.store.assign(tx, "lab", profile, now, who)
            number = None
            if current is None or dict(current.sources) != dict(files.digests):
                refuse_errors(files.library.findings(profile))
                number = self._books.store.raise_counter(tx, REVISION)
                new = Publication(number, profile, now, who, why, None, files.digests)
                self._books.store.add_publication(
                    tx, new, {files.digests[path]: t for path, t in files.texts.items()}
                )
                self._keep(new, files.library)
            return self._reconcile(tx, number, lambda _station, given: given.profile == profile)

    def rollback(self, profile: str, to: int | None, who: str, why: str) -> Outcome:
        """Publish the sources of an earlier publication again, as a new one."""
        with self._one, self._books.database.write() as tx:
            history = self._books.store.publications(tx, profile)
            if not history:
                known_profile(self.library(), profile)
            chosen = _chosen(history, profile, to)
            number = self._books.store.raise_counter(tx, REVISION)
            new = Publication(
                number, profile, self._books.clock.now(), who, why, chosen.number, chosen.sources
            )
            self._books.store.add_publication(tx, new, {})
            return self._reconcile(tx, number, lambda _station, given: given.profile == profile)

    def assign(self, target: str, profile: str | None, who: str) -> Outcome:
        """Give the lab, a group or a PC a profile that is published, or take it back."""
        kind, _colon, name = target.partition(":")
        with self._one, self._books.database.write() as tx:
            groups = self._books.store.groups(tx)
            if profile is not None:
                self._refuse_unknown_target(tx, kind, name, groups)
                if profile not in self._books.store.current_publications(tx):
                    known_profile(self.library(), profile)
                    raise Problem(
                        "state",
                        _("The profile {name} has not been published yet.").format(name=profile),
                        _("Publish it first: labctl profile publish {name}").format(name=profile),
                    )
            self._books.store.assign(tx, target, profile, self._books.clock.now(), who)
            members = {"lab": None, "group": groups.get(name, []), "pc": [name]}[kind]
            return self._reconcile(tx, None, lambda station, _given: members is None or station in members)

    def set_group(self, name: str, stations: Iterable[str]) -> Outcome:
        """Say who is in a group; none removes it."""
        wanted = set(stations)
        with self._one, self._books.database.write() as tx:
            unknown = sorted(wanted - {one.id for one in self._books.store.stations(tx)})
            if unknown:
                raise no_station(unknown[0])
            self._books.store.set_group(tx, name, wanted)
            return self._reconcile(tx, None, lambda station, _given: station in wanted)

    def reconcile(self, above: Mapping[str, int] | None = None) -> Outcome:
        """Give every station what follows from the store. `above`: stations that hold a newer revision
        than this store has given (it was restored from a backup); they get one that is newer still."""
        with self._one, self._books.database.write() as tx:
            return self._reconcile(tx, None, lambda _station, _given: True, above=above or {})

    def joined(self, tx: Tx) -> Outcome:
        """The same within the transaction that stores a new station."""
        return self._reconcile(tx, None, lambda _station, _given: True)

    def _refuse_unknown_target(self, tx: Tx, kind: str, name: str, groups: Iterable[str]) -> None:
        if kind == "group" and name not in groups:
            raise Problem(
                "missing",
                _("There is no group called {name}.").format(name=name),
                _("Make it with: labctl group set {name} PC...").format(name=name),
            )
        if kind == "pc" and self._books.store.station(tx, name) is None:
            raise no_station(name)

    # Reconciling

    def _reconcile(
        self,
        tx: Tx,
        number: int | None,
        concerns: Callable[[str, Assigned], bool],
        above: Mapping[str, int] | None = None,
    ) -> Outcome:
        """New desired states where what follows from the store differs from what was last said, or was said
        in an earlier pairing.

        `number` is the cause's own, if it drew one from the counter.
        """
        told, publications = self._books.store.told(tx), self._books.store.current_publications(tx)
        pairings = self._pairings(tx)
        due: list[_Due] = []
        unchanged = []
        for station, given in self._assigned(tx).items():
            publication = publications.get(given.profile)
            if publication is None:
                continue
            resolved = self._resolve(self._library_of(tx, publication), given, station)
            content = digest(f"{pairings[station]} {_content(resolved, self._time_servers)[0]}")
            row = told.get(station)
            jump = row is not None and (above or {}).get(station, 0) > row.revision
            if row is None or row.content != content or jump:
                due.append(_Due(station, pairings[station], resolved, publication, content))
            elif concerns(station, given):
                unchanged.append(station)
        if due and number is None:
            number = self._books.store.raise_counter(
                tx, REVISION, above=max((above or {}).values(), default=0)
            )
        rows = [self._seal(one, number or 0) for one in due]
        self._books.store.put_desired(tx, rows)
        newest = max((one.number for one in publications.values()), default=0)
        revision = self._books.store.counter(tx, REVISION)
        return Outcome(number or newest, revision, {row.station: row for row in rows}, tuple(unchanged))

    def _seal(self, due: _Due, revision: int) -> Desired:
        signed = self._books.pki.seal(self._compile(due.resolved, due.station, due.pairing, revision))
        profile, publication = due.resolved.profile, due.publication.number
        return Desired(
            due.station, revision, profile, publication, due.content, signed.payload, signed.signature
        )

    def _compile(self, resolved: Resolved, station: str, pairing: str, revision: int) -> DesiredState:
        state = compile(
            resolved,
            lab=self._books.lab,
            station=station,
            pairing=pairing,
            revision=revision,
            issued_at=self._books.clock.now(),
        )
        return msgspec.structs.replace(state, resources=_content(resolved, self._time_servers)[1])

    def _pairings(self, tx: Tx) -> dict[str, str]:
        return {one.id: one.pairing for one in self._books.store.stations(tx)}

    def _assigned(self, tx: Tx, assignments: Mapping[str, str] | None = None) -> dict[str, Assigned]:
        groups = self._books.store.groups(tx)
        given = self._books.store.assignments(tx) if assignments is None else assignments
        found = {one.id: assigned(one.id, groups, given) for one in self._books.store.stations(tx)}
        return {station: one for station, one in found.items() if one is not None}

    def _resolve(self, library: Library, given: Assigned, station: str | None) -> Resolved:
        try:
            return library.resolve(given.profile, given.groups, station)
        except ProfileError as error:
            raise profile_problem(error.findings) from None

    def _library_of(self, tx: Tx, publication: Publication) -> Library:
        library = self._libraries.get(frozenset(publication.sources.items()))
        if library is None:
            texts = self._books.store.texts(tx, publication.sources.values())
            library = Library.from_sources({path: texts[name] for path, name in publication.sources.items()})
            self._keep(publication, library)
        return library

    def _keep(self, publication: Publication, library: Library) -> None:
        """By content, not by number: a transaction that fails gives its number back."""
        while len(self._libraries) >= KEPT_LIBRARIES:
            del self._libraries[next(iter(self._libraries))]
        self._libraries[frozenset(publication.sources.items())] = library

    def _read(self) -> _Files:
        stamp = _stamp(self.directory)
        files = self._files
        if files is not None and files.stamp == stamp:
            return files
        try:
            library = load_library([self.directory])
        except OSError as error:
            message = _("{file} cannot be read: {reason}.").format(file=error.filename, reason=error.strerror)
            raise Problem(
                "failed", message, _("Give the group lab-controller the right to read it.")
            ) from None
        texts = library.sources
        self._files = _Files(stamp, library, texts, {path: digest(text) for path, text in texts.items()})
        return self._files


def no_station(station: str) -> Problem:
    """Nobody here is called that."""
    return Problem(
        "missing",
        _("There is no PC called {id} in this lab.").format(id=station),
        _("See the PCs with: labctl status"),
    )


def known_profile(library: Library, name: str) -> None:
    """Refuse a profile that no file defines."""
    if name not in library.profiles:
        known = ", ".join(library.profiles)
        raise Problem(
            "missing",
            _("There is no profile called {name}.").format(name=name),
            _("The profiles are: {names}").format(names=known),
        )


def refuse_errors(findings: Iterable[Finding]) -> None:
    """Refuse files with errors in them; warnings pass."""
    errors = only_errors(findings)
    if errors:
        raise profile_problem(errors)


def profile_problem(findings: Iterable[Finding]) -> Problem:
    """Findings as a refusal: the first in full, and how many more."""
    errors = only_errors(findings)
    first, more = errors[0], len(errors) - 1
    place = f"{first.file}:{first.line}" if first.line else first.file
    sentence = f"{place}: {first.message}"
    if more:
        sentence += " " + _("(and {count} more)").format(count=more)
    return Problem("input", sentence, first.hint or _("See everything with: labctl profile check"))


def _chosen(history: list[Publication], profile: str, to: int | None) -> Publication:
    if not history:
        raise Problem("state", _("The profile {name} has never been published.").format(name=profile))
    if to is None:
        earlier = [one for one in history if dict(one.sources) != dict(history[0].sources)]
        if not earlier:
            raise Problem("state", _("There is no earlier publication of {name}.").format(name=profile))
        return earlier[0]
    for one in history:
        if one.number == to:
            return one
    raise Problem(
        "missing",
        _("{name} has no publication {number}.").format(name=profile, number=to),
        _("The last ones are: {numbers}").format(numbers=", ".join(str(one.number) for one in history[:10])),
    )


def _stamp(directory: Path) -> tuple[tuple[str, int, int, int], ...]:
    """Which files there are and when each was last written, without reading them."""
    found = []
    for folder in LAB_FOLDERS:
        for base, _folders, names in os.walk(directory / folder):
            for name in names:
                path = os.path.join(base, name)  # noqa: PTH118  # pathlib would cost more than the stat
                state = os.stat(path)  # noqa: PTH116
                found.append((path, state.st_mtime_ns, state.st_size, state.st_ino))
    return tuple(sorted(found))


@lru_cache(maxsize=256)
def _content(resolved: Resolved, time_servers: tuple[str, ...]) -> tuple[str, Resources]:
    """What a station is told and the digest of it. The lab's time servers serve where no layer names any."""
    resources = resolved.resources
    if resources.time is None and time_servers and resolved.managed("time"):
        resources = msgspec.structs.replace(resources, time=TimeSync(servers=time_servers))
    said = wire.encode([resolved.profile, resources])
    return hashlib.sha256(said).hexdigest(), resources
