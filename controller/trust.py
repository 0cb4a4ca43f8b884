"""The lab's trust as it stands: the controller's own certificate, the revocation list, and TLS of both.

What ought to be follows from the store and the time, so every step may be
repeated, and one that broke off is ended by the next.
"""

import logging
import secrets
import ssl
import threading
from dataclasses import dataclass
from datetime import datetime, timedelta

from contract.identity import controller_name
from controller.books import Books
from controller.core.asking import LIST_STRIDE
from controller.pki import LEAF_LIFE, RENEW_AFTER, PkiError
from controller.store.database import StoreError, Tx
from controller.store.repositories import Issued
from controller.words import _

log = logging.getLogger(__name__)

CRL = "crl"
"""The counter that numbers revocation lists."""

OLD_STAYS = timedelta(days=7)
"""A certificate of ours that was replaced in time is revoked after this: until then a server that is
put back as it was a few days ago still gets in everywhere."""


@dataclass(frozen=True)
class Papers:
    """`number` and `revocations` (DER): the list that every station shall have; `tls`: how we connect."""

    own: Issued
    number: int
    revocations: bytes
    tls: ssl.SSLContext


class Trust:
    """Keeps certificate and list. May be used from any thread; one step is taken at a time."""

    def __init__(self, books: Books) -> None:
        self._books = books
        self._one = threading.Lock()
        self._papers: Papers | None = None

    def refresh(self) -> Papers:
        """Renew our certificate if it is due, revoke what it replaced, make the list of what the store says.

        Where that cannot be written down (a full disk) what is there goes on.
        Raises StoreError and OSError where nothing is there.
        """
        with self._one:
            try:
                self._put_right()
            except (StoreError, OSError) as error:
                if self._books.pki.own_certificate() is None:
                    raise
                log.warning("the server's certificate is not looked after now: %s", error)
            return self._take_stock()

    def rekey(self) -> Papers:
        """Make a new key and certificate now and revoke every other. Raises StoreError and OSError."""
        with self._one:
            self._put_right(anew=True)
            return self._take_stock()

    def overtake(self, number: int) -> Papers:
        """Number the list higher than the one a station holds. Raises StoreError."""
        with self._one:
            with self._books.database.write() as tx:
                if self._books.store.counter(tx, CRL) < number:
                    renumber_list(self._books, tx, above=number)
            return self._take_stock()

    def _put_right(self, *, anew: bool = False) -> None:
        now, store = self._books.clock.now(), self._books.store
        with self._books.database.write() as tx:
            own = self._own(tx, now, anew=anew)
            # Also one of a file that was written before a crash here undid its row.
            if own.serial not in {one.serial for one in self._ours(tx)}:
                store.add_certificate(tx, own)
            changed = store.counter(tx, CRL) == 0
            if anew or now >= own.not_after - LEAF_LIFE + OLD_STAYS:
                changed |= store.revoke(tx, own.name, now, keep=own.serial) > 0
            if changed:
                renumber_list(self._books, tx)

    def _own(self, tx: Tx, now: datetime, *, anew: bool) -> Issued:
        own = self._books.pki.own_certificate()
        if own is not None and not anew and now < own.not_after - LEAF_LIFE + RENEW_AFTER:
            revoked = {one.serial for one in self._ours(tx) if one.revoked_at is not None}
            if own.serial not in revoked:
                return own
        return self._books.pki.make_own_certificate(now)

    def _ours(self, tx: Tx) -> list[Issued]:
        return self._books.store.certificates(tx, controller_name(self._books.lab))

    def _take_stock(self) -> Papers:
        """The same papers as before where nothing changed, so that no connection is made anew for nothing."""
        now, pki = self._books.clock.now(), self._books.pki
        own = pki.own_certificate()
        if own is None:
            raise PkiError(_("the server's certificate is missing; start lab-controller again"))
        with self._books.database.read() as tx:
            number = self._books.store.counter(tx, CRL)
            certificates = self._books.store.certificates(tx)
        old = self._papers
        if old is None or (old.number, old.own.serial) != (number, own.serial):
            revoked = [one for one in certificates if one.revoked_at and one.not_after > now]
            listed = pki.revocations(revoked, number, now)
            self._papers = old = Papers(own, number, listed, pki.tls(listed))
        return old


def renumber_list(books: Books, tx: Tx, above: int = 0) -> None:
    """The list that follows from the store is another one now: a number that is higher, and its own.

    By how much it grows is drawn by lot. A restored server and the one that it was before give their next
    lists different names; counting by one, both might give them the number that the PCs hold already.
    """
    books.store.raise_counter(tx, CRL, above=above, by=1 + secrets.randbelow(LIST_STRIDE))
