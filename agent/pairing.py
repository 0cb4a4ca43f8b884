"""Pairing, the enforcer's side: the code, how often it may be tried, and what is kept.

The front only carries the messages. It never knows the code nor the key that
the exchange gives, so whoever takes the front over cannot pair the PC with
another lab.
"""

import os
import selectors
import sys
import time
from collections.abc import Callable
from pathlib import Path
from subprocess import Popen, TimeoutExpired
from typing import NamedTuple

from agent.core.messages import Refused, SpakeResult, SpakeTask
from agent.host import HELPER, Host
from agent.ports import ActionFailed, Clock
from contract.pairing import (
    CODE_DIGITS,
    CODE_LIFE_S,
    TRY_EVERY_S,
    WRONG_TRIES,
    PairFinish,
    PairOffer,
    PairStart,
)
from contract.sentence import Sentence, sentence, system_words
from contract.wire import CONTRACT, ContractError, decode, encode

HELPER_TIMEOUT_S = 15
"""Time for the helper to start and to answer, on the slowest PC; 0.3 s as a rule."""

_LONGEST_LINE = 64 << 10


class Code(NamedTuple):
    """What the screen shows, and until when by the monotonic clock: a wrong wall clock that is put right,
    or somebody who turns it, neither ends a code nor makes it last."""

    digits: str
    ends: float


class Paired(NamedTuple):
    """What a finished pairing brings: the id we gave it, the lab's PairStart, and our identity in PEM."""

    pairing: str
    start: PairStart
    identity: bytes


class Pairing:
    """The pairing of one unpaired station. `show` is called with each new code, and with None at the end."""

    def __init__(self, station: str, host: Host, clock: Clock, show: Callable[[Code | None], None]) -> None:
        self._station = station
        self._host = host
        self._clock = clock
        self._show = show
        self._helper: Popen[bytes] | None = None
        self._start: PairStart | None = None
        self._pairing = ""
        self._last_try = float("-inf")
        self._tries = 0
        self.code = self._new_code()

    def refresh(self) -> float:
        """Make a new code if the old one has ended; seconds until this has to be called again."""
        if self._clock.monotonic() >= self.code.ends:
            self.code = self._new_code()
        return max(0.0, self.code.ends - self._clock.monotonic())

    def begin(self, start: PairStart) -> PairOffer | Refused:
        """The first round. Each one counts as a try: who asks can check one guess with the answer."""
        if start.contract != CONTRACT:
            told = sentence("this agent speaks contract {ours}, not {its}", ours=CONTRACT, its=start.contract)
            return Refused(message=told)
        self.refresh()
        wait = self._last_try + TRY_EVERY_S - self._clock.monotonic()
        if wait > 0:
            told = sentence("one try at a time: wait a moment and try again")
            return Refused(message=told, retry_after_s=wait)
        self._last_try = self._clock.monotonic()
        self._end_helper()
        if self._tries >= WRONG_TRIES:
            self.code = self._new_code()
            # Not "try again later": with the old code that would only use up the new one.
            told = sentence(
                "{count} tries failed, so the PC shows a new code now: use that one", count=WRONG_TRIES
            )
            return Refused(message=told)
        self._tries += 1
        try:
            self._helper = self._host.start((sys.executable, "-m", "agent.helpers.spake"), user=HELPER)
            # Made here, by root's half, and not from a clock: no document signed before this can name it.
            pairing = os.urandom(16).hex()
            task = SpakeTask(code=self.code.digits, station=self._station, pairing=pairing, start=start)
            result = self._told(task)
        except ActionFailed as error:
            self._end_helper()
            return Refused(message=_impossible(error))
        if result.offer is None:
            self._end_helper()
            return Refused(message=result.error or sentence("pairing gave no answer"))
        self._start, self._pairing = start, pairing
        return result.offer

    def end(self, finish: PairFinish) -> Paired | Refused:
        """The second round; the code is used up when it succeeds."""
        if self._helper is None or self._start is None or finish.pairing != self._pairing:
            return Refused(message=sentence("no such pairing is under way; start again"))
        start, pairing = self._start, self._pairing
        try:
            result = self._told(finish)
        except ActionFailed as error:
            return Refused(message=_impossible(error))
        finally:
            self._end_helper()
        if not result.identity:
            return Refused(message=result.error or sentence("pairing gave no answer"))
        return Paired(pairing=pairing, start=start, identity=result.identity)

    def close(self) -> None:
        """The station is paired, or the enforcer ends: no code any more."""
        self._end_helper()
        self._show(None)

    def _new_code(self) -> Code:
        self._tries = 0
        # As even as secrets.randbelow to 32 places, which would bring OpenSSL into the process for good.
        digits = f"{int.from_bytes(os.urandom(16)) % 10**CODE_DIGITS:0{CODE_DIGITS}d}"
        code = Code(digits, self._clock.monotonic() + CODE_LIFE_S)
        self._show(code)
        return code

    def _told(self, message: SpakeTask | PairFinish) -> SpakeResult:
        """What the helper answers. Raises ActionFailed when it does not."""
        helper = self._helper
        if helper is None:
            raise ActionFailed(sentence("the helper has ended"))
        try:
            return decode(SpakeResult, converse(helper, encode(message) + b"\n", HELPER_TIMEOUT_S))
        except (OSError, ContractError) as error:
            raise ActionFailed(sentence("the helper failed: {why}", why=system_words(error))) from None

    def _end_helper(self) -> None:
        helper, self._helper, self._start, self._pairing = self._helper, None, None, ""
        if helper is None:
            return
        for stream in (helper.stdin, helper.stdout):
            if stream is not None:
                try:
                    stream.close()
                except BrokenPipeError:
                    continue
        try:
            helper.wait(1)
        except TimeoutExpired:
            helper.kill()
            helper.wait()


def _impossible(error: ActionFailed) -> Sentence:
    return sentence("pairing cannot be done on this PC: {why}", why=error.sentence)


def converse(helper: Popen[bytes], line: bytes, timeout_s: int) -> bytes:
    """Say `line` to a helper of Host.start; returns the line it answers. Raises OSError and ActionFailed.

    One bound for the whole of it, because the enforcer waits: a helper that
    reads nothing, or says half a line, or says it byte by byte, holds it no
    longer than one that is silent.
    """
    if helper.stdin is None or helper.stdout is None:
        raise ActionFailed(sentence("the helper has ended"))
    to, back = helper.stdin.fileno(), helper.stdout.fileno()
    os.set_blocking(to, False)
    os.set_blocking(back, False)
    answer, end = b"", time.monotonic() + timeout_s
    with selectors.DefaultSelector() as ready:
        ready.register(to, selectors.EVENT_WRITE)
        ready.register(back, selectors.EVENT_READ)
        while not answer.endswith(b"\n"):
            left = end - time.monotonic()
            events = ready.select(left) if left > 0 else []
            if not events:
                raise ActionFailed(sentence("the helper did not answer within {count} s", count=timeout_s))
            for key, _mask in events:
                if key.fd == to:
                    line = line[os.write(to, line) :]
                    if not line:
                        ready.unregister(to)
                    continue
                said = os.read(back, _LONGEST_LINE)
                answer += said
                if not said or len(answer) > _LONGEST_LINE:
                    raise ActionFailed(sentence("pairing gave no answer"))
    return answer


def show_code(code_file: Path, run: Path, code: Code | None) -> None:
    """Put the code where a technician at the PC finds it: `lab-agent code`, and above the login prompt.

    Only root reads the file; what stands above the prompt is for whoever is in the room.
    """
    issue = run / "issue.d/lab-agent.issue"
    if code is None:
        code_file.unlink(missing_ok=True)
        issue.unlink(missing_ok=True)
    else:
        code_file.parent.mkdir(0o755, parents=True, exist_ok=True)
        fresh = code_file.with_name(".code.new")
        fresh.touch(0o600)
        fresh.write_text(f"{code.digits} {code.ends}\n", encoding="ascii")
        fresh.replace(code_file)
        issue.parent.mkdir(0o755, parents=True, exist_ok=True)
        spaced = f"{code.digits[:3]} {code.digits[3:]}"
        issue.write_text(f"Codice per l'abbinamento / pairing code: {spaced}\n\n", encoding="ascii")
    # getty prints its prompt anew when this file changes (agetty(8), --reload).
    (run / "agetty.reload").touch()
