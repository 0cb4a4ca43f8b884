"""Carries out what a citizen's session needs: starts it, stops it, has it wiped, and journals it.

Journal first, then the effect. What takes time runs in a process of its own (an
errand), so that the enforcer goes on looking after the PC; one errand at a time.
"""

import os
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from agent.core.held import read_sitting
from agent.core.proof import WipeTask
from agent.core.session import (
    Answered,
    Began,
    Booted,
    Called,
    Chose,
    Effect,
    End,
    Event,
    Managed,
    Printed,
    Sitting,
    Start,
    Started,
    StartFailed,
    Stopped,
    Wiped,
    due,
    oldest,
    step,
)
from agent.core.units import SESSION_UNIT, SLICE
from agent.host import Host
from agent.journal import Journal, JournalError
from agent.ports import ActionFailed, Clock
from agent.resources.session import session_environment
from agent.settings import Paths
from agent.trust import write_private
from contract.desired import Language, Session
from contract.exchange import CommandResult
from contract.session import Proof, Wish
from contract.wire import ContractError, decode, encode

WIPE_UNIT = "lab-wipe.service"
_SYSTEMCTL = {
    Effect.START: ("start", SESSION_UNIT),
    Effect.STOP: ("start", WIPE_UNIT),  # which first looks at the session that lives, and then stops it
    Effect.WIPE: ("start", WIPE_UNIT),
}


class Errand:
    """An effect under way. `fileno()` becomes readable when its process has ended."""

    def __init__(self, effect: Effect, process: "subprocess.Popen[bytes]") -> None:
        self.effect = effect
        self._process = process
        self._handle = os.pidfd_open(process.pid)

    def fileno(self) -> int:
        """The process's own descriptor (pidfd_open(2))."""
        return self._handle

    def end(self) -> bool:
        """Wait for it, and let go of it; whether it did what it was to do."""
        self._process.communicate()
        os.close(self._handle)
        return self._process.returncode == 0


class Sessions:
    """The sessions of one PC. Where a state cannot be journalled: JournalError, and nothing is done."""

    def __init__(
        self,
        *,
        user: str,
        paths: Paths,
        host: Host,
        journal: Journal,
        clock: Clock,
        log: Callable[[str], None],
    ) -> None:
        self._user = user
        self._paths = paths
        self._host = host
        self._journal = journal
        self._clock = clock
        self._log = log
        self.errand: Errand | None = None
        self.failed = False
        """Whether the last session that was to begin did not."""
        self._offer: Session | None = None
        self._ready = False
        """Whether the last look at the PC found it as it shall be, and nothing was asked for since."""
        self._boot = _boot(paths.run / "boot")
        self.sitting = read_sitting(journal.sitting)
        booted = step(self.sitting, Booted(self._boot))
        try:
            self._to(booted, None)
        except JournalError as error:
            # A full disk must not keep the PC from being locked. What is not written is wiped again.
            log(str(error))
            self.sitting = booted

    @property
    def leaving(self) -> bool:
        """Whether somebody still sits there, or has left something."""
        return self.sitting.phase in ("reserved", "active", "ending", "wiping")

    def manage(self, offer: Session | None) -> None:
        """A look at the PC begins. How the lab wants sessions here (None: not).

        Under a prefix there is no screen to sit at.
        """
        self._offer, self._ready = offer, False
        self._happened(Managed(offer is not None and self._host.is_pc))

    def start(self, session: str, result: CommandResult | None = None) -> bool:
        """Begin a session; whether the PC was available for one. After the next look the browser starts."""
        self._ready = False
        now = min(self._clock.now(), datetime.now(UTC))  # files are dated by the system's clock
        began = Began(at=now, boot=self._boot, boot_s=self._clock.monotonic())
        return self._happened(Start(session, began), result)

    def end(self, result: CommandResult | None = None) -> bool:
        """End the session, or try a wipe again that failed; whether there was anything to end."""
        return self._happened(End(), result)

    def settled(self, well: bool) -> None:
        """The PC was looked at: whether it is as it shall be.

        A browser may overlook a policy that changes in its first seconds
        (docs/decisions/0047), so it starts when there is nothing left to change.
        """
        self._ready = well
        if not well and self.sitting.phase == "reserved" and self.errand is None:
            self.failed = True
            self._happened(StartFailed())
        self.look()

    def choose(self, language: Language) -> None:
        """The citizen wants to read this language; the browser's next start is in it."""
        if self._happened(Chose(language)) and self.sitting.phase == "active":
            try:
                self._write_token()
            except OSError as error:  # the bar speaks it all the same
                self._log(f"session: the language is not the browser's yet: {error}")

    def call(self, wish: Wish) -> None:
        """The citizen calls the operator."""
        self._happened(Called(wish))

    def answer(self, result: CommandResult) -> None:
        """The operator has seen it."""
        self._happened(Answered(self._clock.monotonic()), result)

    def printed(self, pages: int, session: str) -> None:
        """So many pages of a session go to the printer, or (fewer than none) have not gone there."""
        self._happened(Printed(session, pages))

    def look(self) -> None:
        """Do again what may not have happened: a session that is not there, an errand that was lost."""
        effect = due(self.sitting)
        if self.errand is not None or effect is None:
            return
        if effect is Effect.START:
            running = self._host.running(f"{SLICE}/{SESSION_UNIT}")
            if not self._ready or (running and self.sitting.phase == "active"):
                return
        self._begin(effect)

    def finish(self) -> None:
        """The errand's process has ended: what follows from that."""
        errand, self.errand = self.errand, None
        if errand is None:
            return
        well = errand.end()
        match errand.effect:
            case Effect.START:
                self.failed = not well
                if not well:
                    self._log("the session's unit does not start; see journalctl -u lab-session")
                self._happened(Started() if well else StartFailed())
            case Effect.STOP:
                self._happened(Stopped())
            case Effect.WIPE:
                self._happened(Wiped(self._proof() if well else None))
                if self.sitting.phase == "available":
                    (self._paths.run / "wipe.json").unlink(missing_ok=True)  # a shutdown has nothing to do
        self.look()

    def _happened(self, event: Event, result: CommandResult | None = None) -> bool:
        """Take an event; whether it changed anything."""
        return self._to(step(self.sitting, event), result)

    def _to(self, sitting: Sitting, result: CommandResult | None) -> bool:
        if sitting == self.sitting and result is None:
            return False
        changed = sitting != self.sitting
        self._journal.set_sitting(encode(sitting), result, self._clock.now())
        if sitting.phase != self.sitting.phase:
            self._log(f"session: {self.sitting.phase} -> {sitting.phase}")
        self.sitting = sitting
        self.look()
        return changed

    def _begin(self, effect: Effect) -> None:
        run = self._paths.run
        token, task, told = run / "session.env", run / "wipe.json", run / "wiped.json"
        try:
            match effect:
                case Effect.START:
                    self._write_token()
                    write_private(task, encode(self._task("wipe")))  # for a shutdown while it lasts
                case Effect.STOP:
                    token.unlink(missing_ok=True)  # the unit cannot be started without it
                    write_private(task, encode(self._task("look")))
                case Effect.WIPE:
                    token.unlink(missing_ok=True)
                    told.unlink(missing_ok=True)
                    write_private(task, encode(self._task("wipe")))
            process = self._host.start(("systemctl", *_SYSTEMCTL[effect]))
        except (OSError, ActionFailed) as error:
            self._log(f"session: {effect.value}: {error}")  # the next look tries again
            return
        self.errand = Errand(effect, process)

    def _write_token(self) -> None:
        sitting = self.sitting
        said = session_environment(sitting.session, self._offer, sitting.language)
        write_private(self._paths.run / "session.env", said.encode())

    def _task(self, stage: Literal["look", "wipe"]) -> WipeTask:
        sitting, now = self.sitting, datetime.now(UTC)
        since = oldest(sitting, now, self._boot, self._clock.monotonic())
        return WipeTask(session=sitting.session, user=self._user, since=since, stage=stage)

    def _proof(self) -> Proof | None:
        try:
            return decode(Proof, (self._paths.run / "wiped.json").read_bytes())
        except (OSError, ContractError) as error:
            self._log(f"the wipe left no proof that can be read: {error}")
            return None


def _boot(mark: Path) -> str:
    """Names this boot, by a file where nothing outlives one; where it is lost, it counts as another boot.

    The kernel's own boot id is not asked: a container shares its host's.
    """
    try:
        return mark.read_text(encoding="ascii")
    except FileNotFoundError:
        mark.parent.mkdir(0o755, parents=True, exist_ok=True)
        write_private(mark, os.urandom(16).hex().encode())
        return mark.read_text(encoding="ascii")
