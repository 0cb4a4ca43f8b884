"""Pairing and letting go: how a PC becomes a station of the lab, and how it stops being one.

Pairing proves both ways, by the six digits on the PC's screen, that nobody
stands between; only then is a certificate made. contract/pairing.py has the
four messages and what is under their HMACs.
"""

import hmac
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus

from spake2 import SPAKE2_A

from contract.exchange import Command, CommandResult
from contract.identity import station_name
from contract.pairing import Offered, PairFinish, PairOffer, PairStart, confirmation
from contract.wire import CONTRACT
from controller.agent_client import AgentClient, Reaper
from controller.books import Books
from controller.commands import new_command
from controller.discovery import Discovery
from controller.failures import Address, Failure, clip, in_words
from controller.pki import Leaf
from controller.problems import Problem
from controller.store.database import Tx
from controller.store.repositories import Station
from controller.trust import renumber_list
from controller.words import _

log = logging.getLogger(__name__)


TURN_S = 1.0
"""A PC that was let go this moment needs so long to turn its port from TLS to pairing."""

PATIENCE_S = 15.0
"""How long a station that is busy with another try is asked again: its helper ends within that."""


@dataclass(frozen=True)
class Enrolled:
    """A PC that is of the lab now."""

    station: Station
    leaf: Leaf


class Enrolment:
    """Pairs. What else follows from a new station happens in `joined`, in the same transaction."""

    def __init__(self, books: Books, discovery: Discovery, reaper: Reaper) -> None:
        self._books = books
        self._discovery = discovery
        self._reaper = reaper

    def pair(
        self,
        station: str,
        code: str,
        address: Address | None,
        joined: Callable[[Tx, Station], object],
    ) -> Enrolled:
        """Pair `station` by its code, wherever it may be. Raises Problem where no place leads to it.

        Several may say that they are it, and only one knows the code: each is
        tried, with a key exchange of its own.
        """
        places = [address] if address else self._places(station)
        if not places:
            raise Problem(
                "missing",
                _("{id} has not been found on the network.").format(id=station),
                _("Is it switched on? Without multicast: labctl pair {id} CODE --address HOST").format(
                    id=station
                ),
            )
        failures = []
        for place in places:
            found = self._try(station, code, place, joined)
            if isinstance(found, Enrolled):
                return found
            self._discovery.misled(station, place)
            failures.append(found)
        # The most telling one: somebody who knew the id but not the code, before somebody who was not there.
        order = ("wrong-code", "refused", "other", "away")
        raise min(failures, key=lambda one: order.index(one.tag)).problem

    def _places(self, station: str) -> list[Address]:
        known = self._discovery.candidates(station)
        return known or self._discovery.unnamed()

    def _try(
        self, station: str, code: str, place: Address, joined: Callable[[Tx, Station], object]
    ) -> "Enrolled | _NotThere":
        exchange = SPAKE2_A(code.encode(), idA=b"controller", idB=b"station")
        start = PairStart(
            contract=CONTRACT,
            message=exchange.start(),
            lab=self._books.lab,
            ca=self._books.pki.ca_der,
            signing_key=self._books.pki.signing_public_key,
        )
        with AgentClient(place, self._reaper) as agent:
            offer = _offered(agent, start)
            if isinstance(offer, Failure):
                return _not_there(station, place, offer, known=self._known(station))
            self._discovery.learned(place, offer.station)
            if offer.station != station:
                return _other(station, place, offer.station)
            key = _shared_key(exchange, offer)
            said = Offered(offer.pairing, offer.station, offer.message, offer.signing_request)
            if key is None or not hmac.compare_digest(
                confirmation(key, "station", start, said, b""), offer.confirmation
            ):
                return _wrong_code(station)
            leaf = self._books.pki.issue_station(station, offer.signing_request, self._books.clock.now())
            if isinstance(leaf, str):
                return _NotThere(
                    "refused", Problem("refused", _("{id}: {reason}.").format(id=station, reason=leaf))
                )
            row = Station(station, place.host, place.port, self._books.clock.now(), offer.pairing)
            # Kept before the PC hears of it: if its last answer is lost it may be paired already, and then
            # it is in the list, will answer or not, and can be paired again.
            self._keep(row, leaf, joined)
            finish = PairFinish(
                offer.pairing, leaf.der, confirmation(key, "controller", start, said, leaf.der)
            )
            done = agent.finish_pairing(finish)
        if isinstance(done, Failure):
            return self._unfinished(station, done)
        return Enrolled(row, leaf)

    def _known(self, station: str) -> bool:
        with self._books.database.read() as tx:
            return self._books.store.station(tx, station) is not None

    def _keep(self, row: Station, leaf: Leaf, joined: Callable[[Tx, Station], object]) -> None:
        with self._books.database.write() as tx:
            name = station_name(self._books.lab, row.id)
            if self._books.store.revoke(tx, name, self._books.clock.now()):
                renumber_list(self._books, tx)
            self._books.store.add_certificate(tx, leaf.issued)
            self._books.store.put_station(tx, row)
            joined(tx, row)

    def _unfinished(self, station: str, done: Failure) -> "_NotThere":
        if done.kind == "refused":
            with self._books.database.write() as tx:
                if self._books.store.revoke(
                    tx, station_name(self._books.lab, station), self._books.clock.now()
                ):
                    renumber_list(self._books, tx)
                self._books.store.drop_station(tx, station)
            reason = clip(in_words(done.message))
            message = _("{id} refused at the last step: {reason}.").format(id=station, reason=reason)
            return _NotThere("refused", Problem("refused", message, _code_hint()))
        reason = in_words(done.message)
        message = _("{id} did not confirm the last step: {reason}").format(id=station, reason=reason)
        hint = _(
            "If labctl status shows it online in a minute, it is paired; else pair it with its new code."
        )
        return _NotThere("refused", Problem("away", message, hint))

    def unpair(
        self,
        station: str,
        *,
        force: bool,
        tell: Callable[[str, Command], CommandResult | Failure],
    ) -> bool:
        """Let a station go; returns whether it was told. Its certificates are revoked either way.

        Raises Problem where it cannot be told and `force` is not set: then nothing is changed.
        """
        result = tell(station, new_command(self._books, station, "unpair"))
        told = isinstance(result, CommandResult) and result.done
        if not told and not force:
            hint = _("Try again when it is there, or forget it now: labctl unpair {id} --force").format(
                id=station
            )
            if isinstance(result, CommandResult):
                message = _("{id} could not forget the lab: {reason}").format(
                    id=station, reason=clip(in_words(result.message))
                )
                raise Problem("refused", message, hint)
            reason = in_words(result.message)
            raise Problem("away", _("{id} cannot be told: {reason}").format(id=station, reason=reason), hint)
        with self._books.database.write() as tx:
            self._books.store.revoke(tx, station_name(self._books.lab, station), self._books.clock.now())
            renumber_list(self._books, tx)
            self._books.store.drop_station(tx, station)
        return told


@dataclass(frozen=True)
class _NotThere:
    """Why a place was not it."""

    tag: str
    problem: Problem


def _shared_key(exchange: SPAKE2_A, offer: PairOffer) -> bytes | None:
    """The key of the exchange; None where the other half is no such thing."""
    try:
        key: bytes = exchange.finish(offer.message)
    except Exception:  # noqa: BLE001  # the library has no base for what it raises at a bad point
        return None
    return key


def _code_hint() -> str:
    return _("Look at the PC's screen for the code it shows now, and pair again.")


def _wrong_code(station: str) -> _NotThere:
    message = _("That is not the code of {id}.").format(id=station)
    return _NotThere("wrong-code", Problem("refused", message, _code_hint()))


def _other(station: str, place: Address, offered: str) -> _NotThere:
    shown = offered if len(offered) <= 32 else "?"
    message = _("The PC at {address} is {other}, not {id}.").format(address=place, other=shown, id=station)
    hint = _("See who is where: labctl discover")
    return _NotThere("other", Problem("state", message, hint))


def _offered(agent: AgentClient, start: PairStart) -> PairOffer | Failure:
    """The station's offer; asked again while it turns its port, or takes one try at a time."""
    end = time.monotonic() + PATIENCE_S
    turning = True
    while True:
        offer = agent.start_pairing(start)
        if isinstance(offer, PairOffer) or time.monotonic() > end:
            return offer
        if offer.status != HTTPStatus.TOO_MANY_REQUESTS and not (offer.closed and turning):
            return offer
        turning = turning and not offer.closed
        time.sleep(TURN_S)


def _not_there(station: str, place: Address, failure: Failure, *, known: bool) -> _NotThere:
    """`known`: the lab has a station of that name."""
    if failure.kind == "away" and not failure.closed:
        hint = _("Is it switched on, and on this network? See: labctl discover")
        return _NotThere("away", Problem("away", in_words(failure.message), hint))
    if failure.kind == "refused":
        reason = clip(in_words(failure.message))
        message = _("{id} will not be paired now: {reason}.").format(id=station, reason=reason)
        return _NotThere("refused", Problem("refused", message, _code_hint()))
    message = _("What answers at {address} is not waiting to be paired.").format(address=place)
    if known:
        hint = _("{id} is of this lab already, see labctl status. To pair it anew: labctl unpair {id}")
        return _NotThere("refused", Problem("refused", message, hint.format(id=station)))
    hint = _("A PC of another lab must be let go first; on the PC itself: lab-agent unpair")
    return _NotThere("refused", Problem("refused", message, hint))
