"""What the exchange asks of the lab's books: addresses, renewals, revisions, trust."""

import logging
import threading
from collections.abc import Iterable
from datetime import datetime, timedelta

from contract import wire
from contract.exchange import Answer, Signed
from contract.identity import station_name
from contract.wire import ContractError
from controller.books import Books
from controller.core.asking import Outgoing
from controller.discovery import Discovery
from controller.failures import Address
from controller.live import Live
from controller.pki import LEAF_LIFE
from controller.problems import Problem
from controller.publishing import Outcome, Publishing
from controller.store.database import StoreError
from controller.store.repositories import Report, Station
from controller.sync import Sync
from controller.trust import Papers, Trust
from controller.words import _

log = logging.getLogger(__name__)

KEEP_EXPIRED = timedelta(days=400)
"""Certificates are remembered so long after their end, for whoever asks who was let in."""

RENEW_APART = timedelta(hours=1)
"""A station that asks for certificates more often than this is told no."""

OVERTAKE_APART_S = 60.0
"""Each time the list is numbered anew, every station is sent it: none can make that happen more often."""


class Household:
    """Keeps store, exchange and trust in step. Called from many threads."""

    def __init__(
        self, books: Books, publishing: Publishing, discovery: Discovery, live: Live, *, hold_s: float
    ) -> None:
        self._books = books
        self._publishing = publishing
        self._discovery = discovery
        self._live = live
        self._trust = Trust(books)
        self._papers = self._trust.refresh()
        self._overtaken_at = -OVERTAKE_APART_S
        self._saved: dict[str, datetime] = {}
        # From reading what stations shall have until the exchange has it: what is newer must come later.
        self._handing = threading.Lock()
        self.sync = Sync(books.lab, hold_s, self._papers.tls, books.clock, live)

    # Asked by the exchange

    def candidates(self, station: str) -> Iterable[Address]:
        """Where else the station says it is."""
        return self._discovery.candidates(station)

    def moved(self, station: str, address: Address) -> None:
        """It proved to be at another address."""
        try:
            with self._books.database.write() as tx:
                self._books.store.move_station(tx, station, address.host, address.port)
        except StoreError as error:  # it is talked with there all the same
            log.warning("the new address of %s is not kept: %s", station, error)

    def misled(self, station: str, address: Address) -> None:
        """It was said to be there, and did not prove it."""
        self._discovery.misled(station, address)

    def renewal(self, station: str, request: bytes) -> bytes | str:
        """A certificate for a station that has just proved to be itself."""
        try:
            return self._renewed(station, request)
        except StoreError as error:
            return str(error)

    def _renewed(self, station: str, request: bytes) -> bytes | str:
        now = self._books.clock.now()
        with self._books.database.write() as tx:
            if self._books.store.station(tx, station) is None:
                return _("it was let go meanwhile")
            name = station_name(self._books.lab, station)
            mine = [one for one in self._books.store.certificates(tx, name) if one.revoked_at is None]
            if mine and now < mine[-1].not_after - LEAF_LIFE + RENEW_APART:
                return _("it has asked less than an hour ago")
            leaf = self._books.pki.issue_station(station, request, now)
            if isinstance(leaf, str):
                return leaf
            self._books.store.add_certificate(tx, leaf.issued)
        return leaf.der

    def ahead(self, station: str, revision: int) -> None:
        """It holds a newer revision than this store has given: the server was restored."""
        log.warning("%s holds revision %d, newer than ours: it gets a newer one", station, revision)
        try:
            self.send(self._publishing.reconcile(above={station: revision}))
        except (StoreError, Problem) as error:  # asked again with its next answer
            log.warning("%s gets no newer revision now: %s", station, error)

    def list_ahead(self, station: str, number: int) -> None:
        """It holds a revocation list with a higher number than ours: the server was restored."""
        with self._handing:
            now = self._books.clock.monotonic()
            if number <= self._papers.number or now - self._overtaken_at < OVERTAKE_APART_S:
                return
            self._overtaken_at = now
            log.warning("%s holds revocation list %d, newer than ours: all get a newer one", station, number)
            try:
                self._hand_out(self._trust.overtake(number))
            except StoreError as error:  # asked again with its next answer after a while
                log.warning("the revocation list gets no newer number now: %s", error)

    # Asked by the use cases

    def send(self, outcome: Outcome) -> None:
        """Hand new desired states to the exchange."""
        with self._handing:
            self.sync.want(
                {
                    station: (row.revision, Signed(payload=row.payload, signature=row.signature))
                    for station, row in outcome.changed.items()
                }
            )

    def start_all(self) -> None:
        """Begin the exchange with every paired station."""
        with self._books.database.read() as tx:
            stations = self._books.store.stations(tx)
            reports = {report.station: report for report in self._books.store.reports(tx)}
        for station in stations:
            self._show(station, reports.get(station.id))
            self.start(station.id)

    def start(self, station: str) -> None:
        """Begin the exchange with one."""
        with self._handing:
            with self._books.database.read() as tx:
                row = self._books.store.station(tx, station)
                desired = self._books.store.desired(tx).get(station)
            if row is None:
                return
            if self._live.one(station) is None:
                self._show(row, None)
            signed = Signed(payload=desired.payload, signature=desired.signature) if desired else None
            revision, papers = desired.revision if desired else 0, self._papers
            out = Outgoing(revision, signed, papers.number, papers.revocations)
            self.sync.start(station, Address(row.address, row.port), out, self)

    def stop(self, station: str) -> None:
        """The station was let go."""
        self.sync.stop(station)
        self._live.forget(station)

    def refresh_trust(self) -> None:
        """Renew our certificate if it is due, make the revocation list of what the store says, tell all."""
        with self._handing:
            self._hand_out(self._trust.refresh())

    def rekey(self) -> Papers:
        """A new key and certificate of ours now, and the old one revoked. Raises StoreError and OSError."""
        with self._handing:
            self._hand_out(self._trust.rekey())
            return self._papers

    def _hand_out(self, papers: Papers) -> None:
        self._papers = papers
        self.sync.trust(papers.tls, papers.number, papers.revocations)

    def nightly(self) -> None:
        """Forget what need not be kept, renew what is due."""
        try:
            with self._books.database.write() as tx:
                self._books.store.drop_expired_certificates(tx, self._books.clock.now() - KEEP_EXPIRED)
        except StoreError as error:  # tomorrow is another night
            log.warning("nothing is forgotten tonight: %s", error)
        self.refresh_trust()

    def save_reports(self) -> None:
        """Write down the last answers that are not written down yet, in one transaction."""
        new = [
            Report(view.id, view.seen.heard_at, wire.encode(view.seen.answer))
            for view in self._live.view()
            if view.seen.answer is not None
            and view.seen.heard_at is not None
            and self._saved.get(view.id) != view.seen.heard_at
        ]
        if new:
            try:
                with self._books.database.write() as tx:
                    self._books.store.put_reports(tx, new)
            except StoreError as error:  # what is true now matters more than what was
                log.warning("the last answers are not kept: %s", error)
                return
            self._saved = {**self._saved, **{report.station: report.heard_at for report in new}}

    def _show(self, station: Station, report: Report | None) -> None:
        """Put a station on the screen, with what it last said if that can still be read."""
        answer = None
        if report is not None:
            try:
                answer = wire.decode(Answer, report.answer)
            except ContractError:
                log.info("the last answer of %s is of another release", station.id)
        heard_at = report.heard_at if report and answer else None
        self._live.add(station.id, Address(station.address, station.port), answer, heard_at)
