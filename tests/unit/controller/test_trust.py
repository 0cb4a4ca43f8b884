"""The controller's own certificate and the revocation list: what follows from the store and the time."""

import resource
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509

from contract.identity import controller_name
from controller.books import Books
from controller.clock import Clock
from controller.pki import LEAF_LIFE, RENEW_AFTER, Pki, make_lab_keys
from controller.store.database import Database
from controller.store.repositories import Issued, LabStore
from controller.trust import CRL, OLD_STAYS, Papers, Trust, renumber_list

NOW = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)
DAY = timedelta(days=1)


class Calendar(Clock):
    """A clock that says what the test says."""

    today = NOW

    def now(self) -> datetime:
        return self.today


@dataclass
class Safe:
    """A lab's keys and books, and the trust made of them."""

    folder: Path
    database: Database
    clock: Calendar = field(default_factory=Calendar)

    def __post_init__(self) -> None:
        make_lab_keys(self.folder, "fontana", NOW)
        self.pki = Pki(self.folder, "fontana")
        self.books = Books("fontana", self.database, LabStore("fontana"), self.pki, self.clock)
        self.trust = Trust(self.books)

    def restarted(self) -> Trust:
        return Trust(self.books)

    def at(self, when: datetime) -> None:
        self.clock.today = when

    @property
    def rows(self) -> dict[str, Issued]:
        with self.database.read() as tx:
            name = controller_name("fontana")
            return {one.serial: one for one in self.books.store.certificates(tx, name)}

    def counter(self) -> int:
        with self.database.read() as tx:
            return self.books.store.counter(tx, CRL)


@pytest.fixture
def safe(tmp_path: Path, database: Database) -> Safe:
    return Safe(tmp_path / "pki", database)


def lists(papers: Papers, serial: str) -> bool:
    crl = x509.load_der_x509_crl(papers.revocations)
    number = crl.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number
    assert number == papers.number
    return crl.get_revoked_certificate_by_serial_number(int(serial, 16)) is not None


def test_the_first_start_makes_a_certificate_and_writes_it_down(safe: Safe) -> None:
    papers = safe.trust.refresh()
    assert papers.number >= 1
    assert list(safe.rows) == [papers.own.serial]
    assert safe.trust.refresh() is papers, "nothing changed, so no connection is made anew"
    again = safe.restarted().refresh()
    assert (again.own, again.number) == (papers.own, papers.number)


def test_it_is_renewed_at_two_thirds_and_the_old_one_is_revoked_a_week_later(safe: Safe) -> None:
    first = safe.trust.refresh()
    safe.at(NOW + RENEW_AFTER - DAY)
    assert safe.trust.refresh().own == first.own
    safe.at(NOW + RENEW_AFTER)
    second = safe.trust.refresh()
    assert second.own.serial != first.own.serial
    assert not lists(second, first.own.serial)
    assert set(safe.rows) == {first.own.serial, second.own.serial}
    safe.at(NOW + RENEW_AFTER + OLD_STAYS - DAY)
    assert safe.trust.refresh() is second
    safe.at(NOW + RENEW_AFTER + OLD_STAYS)
    third = safe.restarted().refresh()
    assert third.own == second.own
    assert third.number > second.number
    assert lists(third, first.own.serial)
    assert not lists(third, second.own.serial)


def test_rekeying_revokes_the_old_one_at_once(safe: Safe) -> None:
    first = safe.trust.refresh()
    second = safe.trust.rekey()
    assert second.own.serial != first.own.serial
    assert second.number > first.number
    assert lists(second, first.own.serial)
    assert not lists(second, second.own.serial)
    assert second.tls is not first.tls
    assert safe.restarted().refresh().own == second.own


def test_two_lists_of_one_lab_do_not_have_one_number_after_a_restore(safe: Safe) -> None:
    """From the same store, as often: once as it went on, and once as it was put back and went another way."""
    safe.trust.refresh()
    before = safe.counter()
    ways: list[int] = []
    for _ in range(2):
        with suppress(GoneBack), safe.database.write() as tx:
            for _ in range(3):
                renumber_list(safe.books, tx)
            ways.append(safe.books.store.counter(tx, CRL))
            raise GoneBack
        assert safe.counter() == before, "put back"
    assert min(ways) >= before + 3
    assert ways[0] != ways[1], "by chance once in 65,536 times"


class GoneBack(Exception):
    """The store as it was."""


def test_a_certificate_that_was_revoked_is_not_used_again(safe: Safe, tmp_path: Path) -> None:
    """Somebody puts yesterday's file back."""
    file = tmp_path / "pki/controller.pem"
    first = safe.trust.refresh()
    kept = file.read_bytes()
    safe.trust.rekey()
    file.write_bytes(kept)
    third = safe.restarted().refresh()
    assert third.own.serial not in {first.own.serial}
    assert not lists(third, third.own.serial)


def test_a_certificate_that_the_books_do_not_know_is_written_into_them(safe: Safe) -> None:
    """After a crash between the file and the commit, or with a restored store: it must be revocable."""
    made = safe.pki.make_own_certificate(NOW)
    first = safe.trust.refresh()
    assert first.own == made
    assert made.serial in safe.rows
    assert lists(safe.trust.rekey(), made.serial)


def test_the_number_overtakes_what_a_station_holds_and_never_falls(safe: Safe) -> None:
    held = safe.trust.refresh().number + 40
    passed = safe.trust.overtake(held).number
    assert passed > held
    assert safe.trust.overtake(12).number == passed
    assert safe.restarted().refresh().number == passed


ROOM = 700
"""Bytes: a revocation list in memory has about 400, a key with its certificate a thousand."""


@contextmanager
def no_room() -> Iterator[None]:
    """As on a full disk: the kernel refuses to write (Python ignores the signal that comes with it)."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (ROOM, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_what_cannot_be_written_leaves_what_is_there_in_force(safe: Safe) -> None:
    first = safe.trust.refresh()
    safe.at(NOW + RENEW_AFTER)
    with no_room():
        assert safe.trust.refresh() is first
        assert safe.restarted().refresh().own == first.own
        with pytest.raises(OSError, match="File too large"):
            safe.trust.rekey()
    assert set(safe.rows) == {first.own.serial}
    assert not list(safe.folder.glob(".*")), "nothing half written is left"
    assert safe.counter() == first.number
    assert safe.trust.refresh().own.not_after == NOW + RENEW_AFTER + LEAF_LIFE


def test_with_no_certificate_at_all_a_full_disk_is_an_error(safe: Safe) -> None:
    with no_room(), pytest.raises(OSError, match="File too large"):
        safe.trust.refresh()
