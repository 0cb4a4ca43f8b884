"""What the front answers: the exchange while paired, the two pairing paths while not.

The front judges nothing that matters: what is sealed goes to the enforcer as it
came, and pairing messages are carried to and fro.
"""

import asyncio
import os
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TypeVar

import msgspec

from agent.connection import Call, Reply
from agent.core.messages import (
    BeginPairing,
    Deliver,
    Delivered,
    EndPairing,
    PairingBegun,
    PairingEnded,
    Perform,
    Performed,
    Refused,
)
from agent.core.messages import Reply as EnforcerReply
from agent.core.status import LINK_BEGINS_S
from agent.local_client import AWAY, EnforcerLink
from agent.renewal import Renewal
from agent.tls import Papers, Unusable
from contract.exchange import Answer, Ask, CommandResult, Fault, Refusal
from contract.pairing import PairFinish, PairStart
from contract.sentence import Sentence, Told, sentence
from contract.status import StatusReport
from contract.wire import CONTRACT, ContractError, decode

STATE_FOLLOWS_S = 5.0
"""How long the enforcer may take from a reply to the state that follows from it."""

AGAIN_S = 0.1
"""Between two tries to reach it."""

T = TypeVar("T")

_NO_REASON = sentence("it gave no reason")


class News:
    """A word that changes whenever something notable does, and a way to wait for that."""

    def __init__(self) -> None:
        self._run = os.urandom(4).hex()  # after a restart no old `seen` matches
        self._count = 0
        self._waiting: set[asyncio.Future[None]] = set()

    @property
    def word(self) -> str:
        """The present word."""
        return f"{self._run}-{self._count}"

    def bump(self) -> None:
        """Something notable changed: a new word, and everyone who waits goes on."""
        self._count += 1
        for waiting in self._waiting:
            if not waiting.done():
                waiting.set_result(None)

    async def after(self, seen: str, seconds: float) -> None:
        """Wait until the word is not `seen`, or for `seconds`."""
        if seconds <= 0 or self.word != seen:
            return
        waiting: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.add(waiting)
        try:
            async with asyncio.timeout(seconds):
                await waiting
        except TimeoutError:
            return
        finally:
            self._waiting.discard(waiting)


class Exchange:
    """Answers Asks.

    `status` gives the present report; `compared` takes the clock's skew in
    seconds; `recheck` is called when every peer has to be checked anew.
    """

    def __init__(
        self,
        *,
        link: EnforcerLink,
        papers: Papers,
        renewal: Renewal,
        news: News,
        status: Callable[[], StatusReport],
        compared: Callable[[float], None],
        recheck: Callable[[], None],
    ) -> None:
        self._link = link
        self._papers = papers
        self._renewal = renewal
        self._news = news
        self._status = status
        self._compared = compared
        self._recheck = recheck
        self._taking = asyncio.Lock()

    async def answer(self, call: Call) -> Reply:
        """One Ask, its effects, and the Answer; held while there is no news."""
        try:
            ask = _read(Ask, call.body)
        except NotUnderstood as error:
            return Reply(400, Fault(error.sentence))
        self._compared((datetime.now(UTC) - ask.at).total_seconds())
        refusals: list[Refusal] = []
        results: list[CommandResult] = []
        if ask.desired or ask.commands or ask.revocations is not None or ask.certificate is not None:
            async with self._taking:
                await self._take(ask, refusals, results)
        else:
            self._status()  # so that the word is the present one
            call.waiting = True
            await self._news.after(ask.seen, ask.hold_s)
            call.waiting = False
        status = self._status()
        enforcer = self._link.state
        identity = self._papers.identity
        return Reply(
            200,
            Answer(
                contract=CONTRACT,
                station=status.station,
                epoch=enforcer.epoch if enforcer else "",
                news=self._news.word,
                status=status,
                results=tuple(results),
                refusals=tuple(refusals),
                revocation_number=self._papers.revocation_number,
                certificate_expires=identity.expires if identity else None,
                signing_request=self._renewal.signing_request,
            ),
        )

    async def _take(self, ask: Ask, refusals: list[Refusal], results: list[CommandResult]) -> None:
        """Do what the Ask brings; what cannot be done becomes a Refusal."""
        identity = self._papers.identity
        if ask.revocations is not None:
            held = self._papers.revocation_number
            why = await self._renewal.take_revocations(ask.revocations, held)
            if why is not None:
                refusals.append(Refusal("revocations", why))
            self._reload()
            if self._papers.revocation_number != held:
                self._recheck()
        if ask.certificate is not None and identity is not None:
            why = await self._renewal.take_certificate(ask.certificate, identity.lab, identity.station)
            if why is not None:
                refusals.append(Refusal("certificate", why))
            self._reload()
        if ask.desired is not None:
            reply = await self._call(Deliver(ask.desired))
            if not isinstance(reply, Delivered):
                refusals.append(Refusal("desired", _sentence(reply)))
            elif not reply.accepted:
                why = reply.message or _NO_REASON
                refusals.append(Refusal("desired", why, reply.revision or None))
            else:
                revision = reply.revision
                await until(self._news, lambda: self._desired() >= revision)
        for command in ask.commands:
            answer = await self._call(Perform(command))
            if isinstance(answer, Performed) and answer.result is not None:
                results.append(answer.result)
            else:
                message = answer.message if isinstance(answer, Performed) else _sentence(answer)
                refusals.append(Refusal("command", message or _NO_REASON))

    async def _call(self, request: Deliver | Perform) -> EnforcerReply:
        """Hand it over; an enforcer that is restarting has judged nothing and is tried again.

        One that stays away is shown as EnforcerLost by then, and the controller
        offers again what was refused when that condition ends.
        """
        while (reply := await self._link.call(request)) == AWAY:
            if self._link.for_s >= LINK_BEGINS_S:
                break
            await asyncio.sleep(AGAIN_S)
        return reply

    def _desired(self) -> int:
        return self._link.state.desired_revision if self._link.state else 0

    def _reload(self) -> None:
        try:
            self._papers.context()
        except Unusable:
            return  # the port says so at the next connection


class PairingDoor:
    """Carries the two rounds of a pairing to the enforcer, one at a time."""

    def __init__(self, link: EnforcerLink, news: News) -> None:
        self._link = link
        self._news = news
        self._busy = asyncio.Lock()

    async def start(self, call: Call) -> Reply:
        """PairStart -> PairOffer."""
        try:
            start = _read(PairStart, call.body)
        except NotUnderstood as error:
            return Reply(400, Fault(error.sentence))
        reply = await self._one_at_a_time(BeginPairing(start))
        return Reply(200, reply.offer) if isinstance(reply, PairingBegun) else _refused(reply)

    async def finish(self, call: Call) -> Reply:
        """PairFinish -> PairDone, when the port is about to speak TLS."""
        try:
            finish = decode(PairFinish, call.body)
        except ContractError as error:
            return Reply(400, Fault(_not_a(PairFinish, error)))
        reply = await self._one_at_a_time(EndPairing(finish))
        if not isinstance(reply, PairingEnded):
            return _refused(reply)
        await until(self._news, lambda: bool(self._link.state and self._link.state.lab))
        return Reply(200, reply.done)

    async def _one_at_a_time(self, request: BeginPairing | EndPairing) -> EnforcerReply:
        if self._busy.locked():
            busy = sentence("Another pairing is under way at this station; wait a moment and try again.")
            return Refused(busy, 2.0)
        async with self._busy:
            return await self._link.call(request)


async def until(news: News, true: Callable[[], bool]) -> None:
    """Wait, not for long, until the enforcer's state says what its reply promised."""
    loop = asyncio.get_running_loop()
    end = loop.time() + STATE_FOLLOWS_S
    while not true() and loop.time() < end:
        await news.after(news.word, end - loop.time())


class NotUnderstood(Told):
    """What came is not the message that was due."""


class _Version(msgspec.Struct):
    """The one field that every contract version has; the others are left unread."""

    contract: int


def _read(kind: type[T], body: bytes) -> T:
    """The message in `body`, of this contract version. Raises NotUnderstood."""
    try:
        version = decode(_Version, body).contract
    except ContractError as error:
        raise NotUnderstood(_not_a(kind, error)) from None
    if version != CONTRACT:
        if version > CONTRACT:
            text = sentence(
                "The server speaks contract {its} and this station {ours}; upgrade the station first.",
                its=version,
                ours=CONTRACT,
            )
        else:
            text = sentence(
                "The server speaks contract {its} and this station {ours}; upgrade the server first.",
                its=version,
                ours=CONTRACT,
            )
        raise NotUnderstood(text)
    try:
        return decode(kind, body)
    except ContractError as error:
        raise NotUnderstood(_not_a(kind, error)) from None


def _not_a(kind: type[object], error: ContractError) -> Sentence:
    return sentence(
        "That is no {kind} of contract {ours}: {detail}.",
        kind=kind.__name__,
        ours=CONTRACT,
        detail=str(error),
    )


def _sentence(reply: EnforcerReply) -> Sentence:
    return reply.message if isinstance(reply, Refused) else AWAY.message


def _refused(reply: EnforcerReply) -> Reply:
    if reply == AWAY or not isinstance(reply, Refused):
        return Reply(503, Fault(AWAY.message), AWAY.retry_after_s)
    return Reply(429 if reply.retry_after_s else 409, Fault(reply.message), reply.retry_after_s)
