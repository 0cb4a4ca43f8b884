"""What the store is asked, in the lab's words. Every function takes the transaction it runs in.

One instance stands for one lab; several labs may share a PostgreSQL.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

from sqlalchemy import Connection, Row, Table, delete, func, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite

from controller.store import tables as t


@dataclass(frozen=True)
class Station:
    """A paired PC, which of its pairings this is, and where it was last proven to be."""

    id: str
    address: str
    port: int
    paired_at: datetime
    pairing: str


@dataclass(frozen=True)
class Issued:
    """A certificate that the lab's CA made; `serial` in hex."""

    serial: str
    name: str
    role: str
    not_after: datetime
    revoked_at: datetime | None = None


@dataclass(frozen=True)
class Publication:
    """The files as they were when somebody published a profile. `sources`: path to digest."""

    number: int
    profile: str
    at: datetime
    who: str
    why: str
    rollback_of: int | None
    sources: Mapping[str, str]


@dataclass(frozen=True)
class Desired:
    """What a station shall be, sealed. `content` is the digest of what it says."""

    station: str
    revision: int
    profile: str
    publication: int
    content: str
    payload: bytes
    signature: bytes


@dataclass(frozen=True)
class Told:
    """What was last said to a station, without saying it: `content` is the digest of it."""

    revision: int
    profile: str
    content: str


@dataclass(frozen=True)
class Report:
    """The last answer of a station, as it came."""

    station: str
    heard_at: datetime
    answer: bytes


PaymentOutcome = Literal["asked", "opened", "refused", "unknown"]
"""What came of an order: `asked` before the PC has answered, `unknown` where it did not."""


@dataclass(frozen=True)
class PaymentEntry:
    """An order to open the payment mode, and who closed it before its minutes were over, if somebody did."""

    order: str
    station: str
    at: datetime
    who: str
    minutes: int
    why: str
    outcome: PaymentOutcome = "asked"
    closed_at: datetime | None = None
    closed_by: str | None = None


class LabStore:
    """The rows of one lab."""

    def __init__(self, lab: str) -> None:
        self._lab = lab

    # Counters

    def counter(self, tx: Connection, name: str) -> int:
        """A counter's value; 0 before it was first raised."""
        query = select(t.counters.c.value).where(t.counters.c.lab == self._lab, t.counters.c.name == name)
        return int(tx.scalar(query) or 0)

    def raise_counter(self, tx: Connection, name: str, above: int = 0, by: int = 1) -> int:
        """The next value: `by` more than it was or than `above`, whichever is more."""
        values = {"lab": self._lab, "name": name, "value": above + by}
        grown = func.greatest if tx.dialect.name == "postgresql" else func.max
        statement = _upsert(tx, t.counters, values, {"value": grown(t.counters.c.value, above) + by})
        return int(tx.execute(statement.returning(t.counters.c.value)).scalar_one())

    # Stations

    def stations(self, tx: Connection) -> list[Station]:
        """Every paired PC, by id."""
        query = select(t.stations).where(t.stations.c.lab == self._lab).order_by(t.stations.c.id)
        return [_station(row) for row in tx.execute(query)]

    def station(self, tx: Connection, station: str) -> Station | None:
        """One paired PC."""
        query = select(t.stations).where(t.stations.c.lab == self._lab, t.stations.c.id == station)
        row = tx.execute(query).one_or_none()
        return _station(row) if row else None

    def put_station(self, tx: Connection, station: Station) -> None:
        """Remember a PC that was paired, or paired again."""
        rest = {
            "address": station.address,
            "port": station.port,
            "paired_at": station.paired_at,
            "pairing": station.pairing,
        }
        tx.execute(_upsert(tx, t.stations, {"lab": self._lab, "id": station.id, **rest}, rest))

    def move_station(self, tx: Connection, station: str, address: str, port: int) -> None:
        """It proved to be at another address."""
        where = (t.stations.c.lab == self._lab, t.stations.c.id == station)
        tx.execute(update(t.stations).where(*where).values(address=address, port=port))

    def drop_station(self, tx: Connection, station: str) -> None:
        """Forget a PC, with what it should be and what it said."""
        tx.execute(delete(t.stations).where(t.stations.c.lab == self._lab, t.stations.c.id == station))

    # Certificates

    def add_certificate(self, tx: Connection, issued: Issued) -> None:
        """Record a certificate before it is handed out."""
        tx.execute(
            insert(t.certificates).values(
                lab=self._lab,
                serial=issued.serial,
                name=issued.name,
                role=issued.role,
                not_after=issued.not_after,
                revoked_at=issued.revoked_at,
            )
        )

    def certificates(self, tx: Connection, name: str | None = None) -> list[Issued]:
        """Certificates by the time they end, of one name or of all."""
        c = t.certificates.c
        query = select(t.certificates).where(c.lab == self._lab).order_by(c.not_after, c.serial)
        if name is not None:
            query = query.where(c.name == name)
        return [
            Issued(row.serial, row.name, row.role, row.not_after, row.revoked_at) for row in tx.execute(query)
        ]

    def revoke(self, tx: Connection, name: str, at: datetime, keep: str | None = None) -> int:
        """Revoke every certificate of a name that still counts, but `keep` (a serial); returns how many."""
        c = t.certificates.c
        where = [c.lab == self._lab, c.name == name, c.revoked_at.is_(None), c.not_after > at]
        if keep is not None:
            where.append(c.serial != keep)
        return tx.execute(update(t.certificates).where(*where).values(revoked_at=at)).rowcount

    def drop_expired_certificates(self, tx: Connection, before: datetime) -> int:
        """Forget certificates that ended before an instant: no list needs to name them any more."""
        c = t.certificates.c
        return tx.execute(delete(t.certificates).where(c.lab == self._lab, c.not_after < before)).rowcount

    # Groups and assignments

    def groups(self, tx: Connection) -> dict[str, list[str]]:
        """Every group and its stations, both sorted."""
        names = select(t.groups.c.name).where(t.groups.c.lab == self._lab).order_by(t.groups.c.name)
        found: dict[str, list[str]] = {name: [] for name in tx.scalars(names)}
        m = t.group_members.c
        for row in tx.execute(select(m.group, m.station).where(m.lab == self._lab).order_by(m.station)):
            found[row.group].append(row.station)
        return found

    def set_group(self, tx: Connection, name: str, stations: Iterable[str]) -> None:
        """Replace who is in a group; none removes it."""
        tx.execute(delete(t.groups).where(t.groups.c.lab == self._lab, t.groups.c.name == name))
        rows = [{"lab": self._lab, "group": name, "station": station} for station in sorted(set(stations))]
        if rows:
            tx.execute(insert(t.groups).values(lab=self._lab, name=name))
            tx.execute(insert(t.group_members), rows)

    def assignments(self, tx: Connection) -> dict[str, str]:
        """Target (lab, group:NAME, pc:ID) to profile."""
        a = t.assignments.c
        query = select(a.target, a.profile).where(a.lab == self._lab).order_by(a.target)
        return {row.target: row.profile for row in tx.execute(query)}

    def assign(self, tx: Connection, target: str, profile: str | None, at: datetime, who: str) -> None:
        """Give a target a profile, or take it back (None)."""
        a = t.assignments
        if profile is None:
            tx.execute(delete(a).where(a.c.lab == self._lab, a.c.target == target))
            return
        rest = {"profile": profile, "at": at, "who": who}
        tx.execute(_upsert(tx, a, {"lab": self._lab, "target": target, **rest}, rest))

    # Publications

    def add_publication(self, tx: Connection, publication: Publication, texts: Mapping[str, str]) -> None:
        """Store a publication; `texts` has the text of every digest it names."""
        s = t.sources.c
        there = set(tx.scalars(select(s.digest).where(s.digest.in_(list(texts)))))
        new = [{"digest": name, "text": text} for name, text in texts.items() if name not in there]
        if new:  # another lab may store the same text at the same moment
            tx.execute(_insert(tx, t.sources).on_conflict_do_nothing(), new)
        tx.execute(
            insert(t.publications).values(
                lab=self._lab,
                number=publication.number,
                profile=publication.profile,
                at=publication.at,
                who=publication.who,
                why=publication.why,
                rollback_of=publication.rollback_of,
                sources=dict(publication.sources),
            )
        )

    def publications(self, tx: Connection, profile: str) -> list[Publication]:
        """A profile's history, newest first."""
        p = t.publications.c
        query = (
            select(t.publications).where(p.lab == self._lab, p.profile == profile).order_by(p.number.desc())
        )
        return [_publication(row) for row in tx.execute(query)]

    def current_publications(self, tx: Connection) -> dict[str, Publication]:
        """The newest publication of each profile."""
        p = t.publications.c
        newest = select(func.max(p.number)).where(p.lab == self._lab).group_by(p.profile)
        query = select(t.publications).where(p.lab == self._lab, p.number.in_(newest))
        return {row.profile: _publication(row) for row in tx.execute(query)}

    def texts(self, tx: Connection, digests: Iterable[str]) -> dict[str, str]:
        """Digest to text."""
        s = t.sources.c
        return {
            row.digest: row.text for row in tx.execute(select(t.sources).where(s.digest.in_(set(digests))))
        }

    # What stations shall be, and what they said

    def desired(self, tx: Connection) -> dict[str, Desired]:
        """What each station shall be."""
        return {
            row.station: _desired(row)
            for row in tx.execute(select(t.desired).where(t.desired.c.lab == self._lab))
        }

    def told(self, tx: Connection) -> dict[str, Told]:
        """The same without the documents, of which a lab has megabytes."""
        d = t.desired.c
        query = select(d.station, d.revision, d.profile, d.content).where(d.lab == self._lab)
        return {row.station: Told(row.revision, row.profile, row.content) for row in tx.execute(query)}

    def put_desired(self, tx: Connection, rows: Sequence[Desired]) -> None:
        """Replace what some stations shall be."""
        if not rows:
            return
        d = t.desired
        tx.execute(delete(d).where(d.c.lab == self._lab, d.c.station.in_([row.station for row in rows])))
        tx.execute(insert(d), [{"lab": self._lab, **vars(row)} for row in rows])

    # The payment mode

    def add_payment(self, tx: Connection, entry: PaymentEntry) -> None:
        """Record an order before the PC gets it."""
        tx.execute(insert(t.payments).values(lab=self._lab, **vars(entry)))

    def settle_payment(self, tx: Connection, order: str, outcome: PaymentOutcome) -> None:
        """Record what came of it."""
        p = t.payments.c
        where = (p.lab == self._lab, p.order == order)
        tx.execute(update(t.payments).where(*where).values(outcome=outcome))

    def close_payments(self, tx: Connection, station: str, at: datetime, who: str) -> None:
        """Somebody closed what may still have been open there."""
        p = t.payments.c
        where = (p.lab == self._lab, p.station == station, p.closed_at.is_(None), p.at <= at)
        rows = tx.execute(select(p.order, p.at, p.minutes).where(*where, p.outcome != "refused")).all()
        last = [row.order for row in rows if row.at + timedelta(minutes=row.minutes) > at]
        if last:
            closed = update(t.payments).where(p.lab == self._lab, p.order.in_(last))
            tx.execute(closed.values(closed_at=at, closed_by=who))

    def payments(self, tx: Connection, station: str | None, most: int) -> list[PaymentEntry]:
        """Orders, the newest first, of one PC or of all."""
        p = t.payments.c
        query = select(t.payments).where(p.lab == self._lab).order_by(p.at.desc(), p.order).limit(most)
        if station is not None:
            query = query.where(p.station == station)
        return [_payment(row) for row in tx.execute(query)]

    def reports(self, tx: Connection) -> list[Report]:
        """The last answer of every station."""
        r = t.reports.c
        query = select(r.station, r.heard_at, r.answer).where(r.lab == self._lab)
        return [Report(row.station, row.heard_at, row.answer) for row in tx.execute(query)]

    def put_reports(self, tx: Connection, reports: Sequence[Report]) -> None:
        """Replace the last answers; those of stations that are gone are dropped."""
        there = {station.id for station in self.stations(tx)}
        for report in reports:
            if report.station in there:
                rest = {"heard_at": report.heard_at, "answer": report.answer}
                tx.execute(
                    _upsert(tx, t.reports, {"lab": self._lab, "station": report.station, **rest}, rest)
                )


def digest(text: str) -> str:
    """The name of a published file's text."""
    return hashlib.sha256(text.encode()).hexdigest()


_Insert = sqlite.Insert | postgresql.Insert


def _insert(tx: Connection, table: Table) -> _Insert:
    """Both dialects spell ON CONFLICT the same; SQLAlchemy has it in each of them only."""
    return postgresql.insert(table) if tx.dialect.name == "postgresql" else sqlite.insert(table)


def _upsert(tx: Connection, table: Table, values: Mapping[str, Any], rest: Mapping[str, Any]) -> _Insert:
    key = [column.name for column in table.primary_key.columns]
    return _insert(tx, table).values(**values).on_conflict_do_update(index_elements=key, set_=dict(rest))


def _station(row: Row[Any]) -> Station:
    return Station(row.id, row.address, row.port, row.paired_at, row.pairing)


def _publication(row: Row[Any]) -> Publication:
    return Publication(row.number, row.profile, row.at, row.who, row.why, row.rollback_of, row.sources)


def _payment(row: Row[Any]) -> PaymentEntry:
    return PaymentEntry(
        row.order,
        row.station,
        row.at,
        row.who,
        row.minutes,
        row.why,
        row.outcome,
        row.closed_at,
        row.closed_by,
    )


def _desired(row: Row[Any]) -> Desired:
    return Desired(
        row.station, row.revision, row.profile, row.publication, row.content, row.payload, row.signature
    )
