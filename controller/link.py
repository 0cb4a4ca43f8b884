"""The exchange with one station: two threads and two connections, one rhythm for all weathers.

On one connection the station holds its answer until it has news; on the other
it answers at once, and there it gets what is new for it. A station that was
away is no special case: the same round, tried again after a while, at once
where discovery or a new desired state gives a reason to.
"""

import logging
import random
import threading
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any, Protocol

from contract.exchange import Answer, Ask, CommandResult, Signed
from contract.sentence import Sentence, sentence
from contract.wire import CONTRACT
from controller.agent_client import AgentClient
from controller.channel import Channel, Shared
from controller.clock import Clock
from controller.core.asking import (
    Heard,
    Outgoing,
    after,
    has_news,
    is_ahead,
    is_beyond,
    is_list_ahead,
    listen,
    refused,
    tell,
)
from controller.failures import Address, Failure
from controller.words import mark

log = logging.getLogger(__name__)

FIRST_PAUSE_S = 0.25
LONGEST_PAUSE_S = 8.0
"""Backoff between tries, doubled each time, each with a jitter of a half up or down: a PC that is
switched on in a network without multicast is found within 12 s."""

BURST = 20
REFILL_S = 0.5
"""A station that answers at once without end gets this many rounds, then one each half second."""

MAX_COMMANDS = 16
"""Of contract.exchange.Ask."""

RENEW_AGAIN_S = 600.0
"""A signing request that was refused is looked at again after this: the station repeats the same one."""

PUSH_ROUNDS = 4
"""Rounds a push may take until the station has it all: one to learn, one to tell, and what came meanwhile."""

STACK_BYTES = 512 * 1024
"""Enough for TLS and JSON; a thousand PCs' threads then take address space, not memory."""


class Household(Protocol):
    """What the exchange asks of those who decide."""

    def candidates(self, station: str) -> Iterable[Address]:
        """Where else the station says it is."""

    def moved(self, station: str, address: Address) -> None:
        """It proved to be at another address."""

    def misled(self, station: str, address: Address) -> None:
        """It did not prove to be at a place where it was said to be."""

    def renewal(self, station: str, request: bytes) -> bytes | str:
        """A certificate (DER) for its signing request, or why not, in a sentence."""

    def ahead(self, station: str, revision: int) -> None:
        """It holds a newer revision than we have for it."""

    def list_ahead(self, station: str, number: int) -> None:
        """It holds a revocation list with a higher number than ours."""


class Bucket:
    """How many rounds may follow one another without a pause."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._left = float(BURST)
        self._at = clock.monotonic()

    def pause(self) -> float:
        """Take one; returns the seconds to wait first."""
        now = self._clock.monotonic()
        self._left = min(BURST, self._left + (now - self._at) / REFILL_S) - 1
        self._at = now
        return max(0.0, -self._left * REFILL_S)


class Link:
    """One station's exchange. `beat`: when it last tried the station, by the monotonic clock."""

    def __init__(
        self, station: str, address: Address, out: Outgoing, shared: Shared, household: Household
    ) -> None:
        self.station = station
        self._shared = shared
        self._household = household
        self._lock = threading.Condition()
        self._address = address
        self._out = out
        self._known = Heard()
        self._telling: Signed | None = None
        self._commands: dict[str, Signed] = {}
        self._results: dict[str, CommandResult | Failure] = {}
        self._failures = 0
        self._renewed_for: bytes | None = None
        self._renew_again = 0.0
        self._stopped = threading.Event()
        self._retry = threading.Event()
        self._push = threading.Event()
        self._holding = Channel(station, shared)
        self._pushing = Channel(station, shared)
        self._beat = shared.clock.monotonic()
        self._broken = False
        self._threads = [
            threading.Thread(target=self._run, args=(work,), name=f"{name} {station}", daemon=True)
            for name, work in (("hold", self._hold_on), ("push", self._push_on))
        ]

    # From other threads

    @property
    def beat(self) -> float:
        """See the class; minus infinity once either thread has died, whatever the other still does."""
        return float("-inf") if self._broken else self._beat

    def start(self) -> None:
        """Begin."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """End, without waiting for it."""
        self._stopped.set()
        self._retry.set()
        self._push.set()
        self._holding.close()
        self._pushing.close()

    def join(self, timeout_s: float) -> None:
        """Wait until the threads are gone."""
        for thread in self._threads:
            thread.join(timeout_s)

    def change(self, **changes: Any) -> None:
        """Something new for the station (fields of Outgoing): said at once, in place of what it replaces."""
        with self._lock:
            self._out = replace(self._out, **changes)
            is_old = self._telling is not None and self._telling is not self._out.desired
        self._push.set()
        if is_old:
            self._pushing.cut()

    def wake(self) -> None:
        """Try now, whatever the backoff says."""
        self._retry.set()
        self._push.set()

    def command(self, command_id: str, signed: Signed, timeout_s: float) -> CommandResult | Failure:
        """Send a command; returns as soon as the station has answered it or cannot be reached."""
        with self._lock:
            self._commands[command_id] = signed
            failures = self._failures
        self.wake()
        with self._lock:
            self._lock.wait_for(
                lambda: command_id in self._results or self._failures > failures or self._stopped.is_set(),
                timeout_s,
            )
            self._commands.pop(command_id, None)
            if command_id in self._results:
                return self._results.pop(command_id)
        view = self._shared.live.one(self.station)
        return Failure("away", (view.note if view else None) or sentence("It did not answer in time."))

    # The two threads

    def _run(self, work: Callable[[], None]) -> None:
        try:
            work()
        except Exception:
            # A bug must not leave a station silently without its exchange: the watchdog sees the beat stop.
            log.exception("the exchange with %s failed", self.station)
            self._broken = True
            raise

    def _hold_on(self) -> None:
        """Ask, wait for news, ask again."""
        bucket = Bucket(self._shared.clock)
        pause = FIRST_PAUSE_S
        while not self._stopped.wait(bucket.pause()):
            self._beat = self._shared.clock.monotonic()
            self._retry.clear()
            if self._round(self._holding) is not None:
                pause = FIRST_PAUSE_S
                if has_news(self._ask(self._pushing)):
                    self._push.set()
                continue
            self._retry.wait(pause * random.uniform(0.5, 1.5))  # noqa: S311  # jitter, no secret
            pause = min(pause * 2, LONGEST_PAUSE_S)

    def _push_on(self) -> None:
        """When there is something to say, say it, and with that let go what is held."""
        bucket = Bucket(self._shared.clock)
        while True:
            self._push.wait()
            self._push.clear()
            if self._stopped.wait(bucket.pause()):
                return
            for _again in range(PUSH_ROUNDS):
                if self._round(self._pushing) is None:
                    self._pushing.stumbled = True
                    with self._lock:
                        self._failures += 1
                        self._lock.notify_all()
                    break
                if self._pushing.stumbled:
                    # This connection had died unseen: the held one may be waiting on the same dead wire.
                    self._pushing.stumbled = False
                    self._holding.cut()
                if self._stopped.is_set() or not has_news(self._ask(self._pushing)):
                    break

    def _ask(self, channel: Channel) -> Ask:
        """What to ask next there: one listens, the other tells, so nothing is sent twice."""
        with self._lock:
            now = self._shared.clock.now()
            if channel is self._holding:
                return listen(self._out, self._known, now, self._shared.hold_s)
            out = replace(self._out, commands=tuple(self._commands.values())[:MAX_COMMANDS])
            return tell(out, self._known, now)

    def _round(self, channel: Channel) -> Answer | None:
        """One exchange, at the last good address or wherever else the station may be; None: nowhere."""
        with self._lock:
            home = self._address
        notes = []
        others = [one for one in self._household.candidates(self.station) if one != home]
        for address in (home, *others):
            if self._stopped.is_set():
                return None
            if (
                channel is self._holding
            ):  # a station that stalls at each of its addresses is slow, not a bug here
                self._beat = self._shared.clock.monotonic()
            client = channel.to(address)
            ask, result = self._exchange(channel, client)
            if client.stumbled:
                channel.stumbled = True
                ask, result = self._exchange(channel, client)
            if isinstance(result, Answer):
                problem = self._take(ask, result, address)
                if problem is None:
                    return result
                result = Failure("garbage", problem)
            log.debug("%s: %s", self.station, result.message)
            notes.append(result.message)
            if address != home:
                self._household.misled(self.station, address)
        self._shared.live.failed(self.station, notes[0])
        return None

    def _exchange(self, channel: Channel, client: AgentClient) -> tuple[Ask, Answer | Failure]:
        """Ask what is to be asked at this moment."""
        ask = self._ask(channel)
        if channel is not self._pushing:
            return ask, client.exchange(ask)
        with self._lock:
            self._telling = ask.desired
        try:
            return ask, client.exchange(ask)
        finally:
            with self._lock:
                self._telling = None

    def _take(self, asked: Ask, answer: Answer, address: Address) -> Sentence | None:
        """Use an answer; returns what is wrong with one that is not worth it."""
        if answer.contract != CONTRACT:
            return sentence(
                "It speaks contract version {its}, this server {ours}: upgrade the older one.",
                its=answer.contract,
                ours=CONTRACT,
            )
        for name in (answer.station, answer.status.station):
            if name != self.station:
                return sentence(
                    "It proved to be {id} and then called itself {other}.", id=self.station, other=name
                )
        with self._lock:
            # What is known and what is shown, in one step, and of the newest answer: those of the two
            # connections may overtake one another, and nothing would show a state that is no news any more.
            self._known = after(self._known, self._out, asked, answer)
            out, known, moved = self._out, self._known, self._address != address
            self._address = address
            newest = known.answer or answer
            self._shared.live.heard(self.station, newest, address, _note(out, known), refused(out, known))
            # After that, so that whoever waits for a result sees the state it was given in.
            self._settle_commands(asked, answer)
        if moved:
            self._household.moved(self.station, address)
        if not is_beyond(out, answer):
            if is_ahead(out, answer):
                self._household.ahead(self.station, answer.status.desired_revision)
            if is_list_ahead(out, answer):
                self._household.list_ahead(self.station, answer.revocation_number)
        if answer.signing_request is not None:
            self._renew(answer.signing_request)
        return None

    def _settle_commands(self, asked: Ask, answer: Answer) -> None:
        """Hand results to those who wait for them, and drop the rest; under the lock."""
        for result in answer.results:
            if self._commands.pop(result.id, None) is not None:
                self._results[result.id] = result
        refused = [refusal for refusal in answer.refusals if refusal.what == "command"]
        if refused and not answer.results:  # a refusal names no command: it is about all that were sent
            for command_id, signed in list(self._commands.items()):
                if signed in asked.commands:
                    del self._commands[command_id]
                    self._results[command_id] = Failure("refused", refused[-1].message)
        self._lock.notify_all()

    def _renew(self, request: bytes) -> None:
        with self._lock:
            now = self._shared.clock.monotonic()
            if self._renewed_for == request and now < self._renew_again:
                return  # the certificate is on its way, or was refused a moment ago
            self._renewed_for = request
            self._renew_again = now + RENEW_AGAIN_S
        made = self._household.renewal(self.station, request)
        if isinstance(made, str):
            log.warning("no new certificate for %s: %s", self.station, made)
            return
        with self._lock:
            self._renew_again = float("inf")  # it is said until the station has it
        self.change(certificate=made)


_REFUSED = {
    "desired": mark("It refused its settings: {why}"),
    "command": mark("It refused a command: {why}"),
    "certificate": mark("It refused its new certificate: {why}"),
    "revocations": mark("It refused the list of revoked certificates: {why}"),
}


def _note(out: Outgoing, known: Heard) -> Sentence | None:
    """What a technician should know of a station that answers."""
    if known.refusals:
        refusal = known.refusals[-1]
        return sentence(_REFUSED[refusal.what], why=refusal.message)
    if known.answer is not None and is_beyond(out, known.answer):
        return sentence("It claims a revision this lab cannot have reached; pair it again.")
    return None
