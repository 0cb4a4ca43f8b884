"""Payment mode, as an operator opens and closes it, and the record of who did, when, why and for how long.

The record is written before the PC is told: what was ordered and may have been
done is never missing from it. Where anybody went is in no record.
"""

import logging
from collections.abc import Callable

from contract.exchange import Command, CommandResult
from contract.payment import PaymentOrder
from controller import payment_models as pm
from controller.books import Books
from controller.commands import new_command
from controller.failures import Failure, in_words, printable
from controller.live import Live, View
from controller.problems import Problem
from controller.publishing import no_station
from controller.store.repositories import PaymentEntry, PaymentOutcome
from controller.views import complaint, payment_until
from controller.words import _

log = logging.getLogger(__name__)

SHOWN = 200
"""So many entries of the record are shown, the newest first."""


class Payments:
    """Tells stations, writes it down, and waits until they have done it."""

    def __init__(
        self, books: Books, live: Live, tell: Callable[[str, Command], CommandResult | Failure]
    ) -> None:
        self._books = books
        self._live = live
        self._tell = tell

    def open(self, station: str, minutes: int, why: str, who: str, wait_s: float) -> pm.PaymentOut:
        """Open it for who sits there now; waits until the PC was seen to have it in force."""
        view = self._live.one(station)
        status = view.seen.answer.status if view and view.seen.answer else None
        order = PaymentOrder(seconds=minutes * 60, session=status.session if status else None)
        command = new_command(self._books, station, "payment-open", order)
        entry = PaymentEntry(
            order=command.id, station=station, at=command.issued_at, who=who, minutes=minutes, why=why
        )
        with self._books.database.write() as tx:
            self._books.store.add_payment(tx, entry)
        log.info("%s: payment mode for %d min, asked by %s", station, minutes, who)
        result = self._tell(station, command)
        outcome: PaymentOutcome = "unknown"
        if isinstance(result, CommandResult):
            outcome = "opened" if result.done else "refused"
        with self._books.database.write() as tx:
            self._books.store.settle_payment(tx, command.id, outcome)
        _refuse(station, result)
        return self._when(station, lambda view: _order(view) == command.id, wait_s)

    def close(self, station: str, who: str, wait_s: float) -> pm.PaymentOut:
        """Close it; waits until the PC was seen to have it so. Nothing to do where it is closed."""
        command = new_command(self._books, station, "payment-close")
        log.info("%s: payment mode closed, asked by %s", station, who)
        _refuse(station, self._tell(station, command))
        with self._books.database.write() as tx:
            self._books.store.close_payments(tx, station, self._books.clock.now(), who)
        return self._when(station, lambda view: _order(view) is None, wait_s)

    def show(self, station: str | None = None) -> pm.Payments:
        """Where it is open now, and the record, of one PC or of all."""
        views = self._live.view()
        if station is not None and all(view.id != station for view in views):
            raise no_station(station)
        with self._books.database.read() as tx:
            entries = self._books.store.payments(tx, station, SHOWN)
        return pm.Payments(
            open=[_out(view) for view in views if _order(view) is not None and station in (None, view.id)],
            record=[
                pm.PaymentEntry(
                    station=one.station,
                    at=one.at,
                    who=printable(one.who),
                    minutes=one.minutes,
                    why=printable(one.why),
                    outcome=one.outcome,
                    closed_at=one.closed_at,
                    closed_by=None if one.closed_by is None else printable(one.closed_by),
                )
                for one in entries
            ],
        )

    def _when(self, station: str, true: Callable[[View], bool], wait_s: float) -> pm.PaymentOut:
        def done() -> bool:
            view = self._live.one(station)
            return view is None or true(view)

        self._live.wait(done, wait_s)
        view = self._live.one(station)
        if view is None:
            raise no_station(station)
        return _out(view)


def _refuse(station: str, result: CommandResult | Failure) -> None:
    """Raise the Problem for a PC that could not be told or would not."""
    hint = _("See how it is: labctl status")
    if isinstance(result, Failure):
        message = _("{id} cannot be told: {reason}").format(id=station, reason=in_words(result.message))
        raise Problem("away", message, hint)
    if not result.done:
        message = _("{id} will not: {reason}.").format(id=station, reason=in_words(result.message))
        raise Problem("state", message, hint)


def _out(view: View) -> pm.PaymentOut:
    return pm.PaymentOut(id=view.id, until=payment_until(view), reason=complaint(view) or "")


def _order(view: View) -> str | None:
    answer = view.seen.answer
    payment = answer.status.payment if answer else None
    return payment.order if payment else None
