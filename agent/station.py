"""The station as the lab sees it: what it was told, what is in force, whom it obeys.

Everything here happens on the enforcer's one thread, in an order that survives a
power cut at any line: first the journal, then the effect, then what says that
the effect was seen.
"""

from collections.abc import Callable, Iterable

from agent.conditions import Conditions
from agent.converge import converge
from agent.core.browser import PACKAGE, other_version
from agent.core.changes import Kind
from agent.core.citizen import CitizenAsk
from agent.core.held import HeldState, read_held
from agent.core.messages import Delivered, EnforcerState, Performed, Refused
from agent.core.session import WHY_NOT, Sitting
from agent.desk import Desk
from agent.host import Host
from agent.journal import Journal, JournalError
from agent.pages import Pages
from agent.pairing import Code, Paired, Pairing
from agent.payments import Payments
from agent.ports import Clock
from agent.room import Room
from agent.seal import SealBroken, check_seal, not_for_us
from agent.session_runner import Sessions
from agent.settings import Paths, Settings
from agent.sticks import Sticks
from agent.telling import Looked
from agent.trust import Trust, TrustStore, give_papers
from contract.desired import DesiredState, Resources
from contract.exchange import Command, CommandResult, Signed
from contract.pairing import PairDone, PairFinish, PairOffer, PairStart
from contract.sentence import Sentence, sentence, system_words
from contract.wire import ContractError, decode

NOTHING = Resources()
"""What a station shall be that no lab has told anything: as it was."""

_UNPAIRED = sentence("this station is not paired")
_PAIRED = sentence("this station is paired; unpair it first (lab-agent unpair, as root)")
_TOO_OLD = sentence("it is older than orders that this PC no longer remembers; give it again")
_BEGINS = sentence("the session begins")


class Station:
    """One PC. `show` is called with each new pairing code, and with None when there is none any more."""

    def __init__(
        self,
        *,
        settings: Settings,
        paths: Paths,
        kinds: Iterable[Kind],
        host: Host,
        journal: Journal,
        clock: Clock,
        show: Callable[[Code | None], None],
        log: Callable[[str], None],
    ) -> None:
        self._settings = settings
        self._paths = paths
        self._kinds = tuple(kinds)
        self._host = host
        self._journal = journal
        self._clock = clock
        self._show = show
        self._log = log
        self._trusts = TrustStore(paths.enforcer_state)
        self._conditions = Conditions(clock, changed=self._changed, log=log)
        self.trust: Trust | None = None
        self.pairing: Pairing | None = None
        self._held = HeldState(None)
        self._told = Sitting()
        self.version = 0
        """Grows with every change of `state`."""
        self.sessions = Sessions(
            user=settings.kiosk_user, paths=paths, host=host, journal=journal, clock=clock, log=log
        )
        self._sticks = Sticks(host, log)
        self.payments = Payments(journal=journal, clock=clock, sitting=lambda: self.sessions.sitting, log=log)
        self.pages = Pages(self.sessions, clock, limit=lambda: self._page_limit, log=log)
        self._room = Room(host)
        self.desk = Desk(
            self.sessions,
            clock,
            offer=lambda: self.wanted.session,
            well=lambda: self._well,
            paying_until_s=lambda: self.payments.seen_until_s,
            sticks=self._sticks,
            pages=self.pages,
            room=self._room,
        )
        if journal.unpairing:
            self._finish_leaving()
        self._load()
        if journal.set_aside is not None:
            kept = sentence("a damaged journal is kept as {path}", path=str(journal.set_aside))
            self._conditions.say("JournalFailed", True, "SetAside", kept)

    @property
    def desired(self) -> DesiredState | None:
        """What some lab wants, as far as it can be read."""
        return self._held.desired

    @property
    def wanted(self) -> Resources:
        """What the host shall be, as long as the payment mode is closed."""
        return NOTHING if self.desired is None else self.desired.resources

    def watched(self) -> set[str]:
        """Every path whose change is worth a look."""
        return {path for kind in self._kinds for path in kind.watched(self.wanted)}

    def state(self) -> EnforcerState:
        """What the front may know; of a desired state only what the lab it is paired with wants."""
        held = self.desired if self._is_ours(self.desired) else None
        return EnforcerState(
            station=self._settings.station,
            epoch=self._journal.epoch,
            lab="" if self.trust is None else self.trust.lab,
            ca=b"" if self.trust is None else self.trust.ca,
            profile="" if held is None else held.profile,
            desired_revision=0 if held is None else held.revision,
            applied_revision=0 if held is None else self._journal.applied,
            conditions=self._conditions.all,
            at=self._clock.now(),
            phase=self.sessions.sitting.phase,
            wipe=self.sessions.sitting.proof,
            session=self.sessions.sitting.session if self.sessions.sitting.phase == "active" else None,
            payment=self.payments.state,
        )

    def look(self) -> bool:
        """Look at the host and make it what it shall be; whether it is.

        A drift that was repaired is told, with what it was.
        """
        self._sticks.look()
        revision = 0 if self.desired is None else self.desired.revision
        fresh = revision != self._journal.applied
        try:
            if not self._settle_session():
                return True  # first the session ends and is wiped, then the PC is let go
            # While a wipe lasts the screen is its own: it restarts it.
            wiping = self.sessions.sitting.phase == "wiping"
            kinds = (
                kind
                for kind in self._kinds
                if self._held.is_ours_to_keep(kind.NAME) and not (wiping and kind.NAME == "session")
            )
            opening = self.payments.now if self.wanted.payment is not None else None
            wanted = self.wanted if opening is None else self.wanted.paying()
            outcome = converge(kinds, wanted, self._host, self._journal)
            whole = outcome.converged and not self._held.unread
            self.sessions.settled(whole)
            self._tell_session()
            self._room.look(active=self.sessions.sitting.phase == "active")
            self._conditions.room(full=self._room.full)
            self._tell_browser()
            if whole:
                fresh = self.payments.found(opening) or fresh
                self._journal.set_applied(revision, self._clock.now())
                if fresh:  # told also where no condition has anything else to say than before
                    self.version += 1
                if self._conditions.has("JournalFailed", "CannotWrite"):
                    self._journal.touch(self._clock.now())  # seen to work again, not only not needed
                self._conditions.end("JournalFailed", "Written", sentence("the journal can be written"))
        except JournalError as error:
            self._conditions.cannot_write(error)
            still = sentence("nothing is changed while the journal cannot be written")
            self._conditions.say("Converged", False, "JournalFailed", still)
            return False
        self._conditions.looked(Looked(outcome, revision, self._held.unread, fresh))
        return outcome.converged

    def deliver(self, signed: Signed) -> Delivered:
        """A desired state from the lab: checked, journalled; the next look makes it true."""
        trust = self.trust
        if trust is None:
            return Delivered(accepted=False, revision=0, message=_UNPAIRED)
        held = self.desired if self._is_ours(self.desired) else None
        try:
            target = None if held is None else self._journal.target()
            if target is not None and target[1] == signed:
                return Delivered(accepted=True, revision=target[0])
            desired = decode(DesiredState, check_seal(self._host, signed, trust.signing_key))
            problem = not_for_us(desired, trust)
            if problem is not None:
                return self._refuse(problem)
            if held is not None and desired.revision <= held.revision:
                return self._refuse(
                    sentence(
                        "revision {number} is not newer than {held}, which is held",
                        number=desired.revision,
                        held=held.revision,
                    )
                )
            self._journal.accept(desired.revision, signed, self._clock.now(), anew=held is None)
        except SealBroken as error:
            return self._refuse(error.sentence)
        except ContractError as error:
            return self._refuse(
                sentence("what the lab signed is not a desired state: {detail}", detail=str(error))
            )
        except JournalError as error:
            self._conditions.cannot_write(error)
            return Delivered(
                accepted=False, revision=0 if held is None else held.revision, message=error.sentence
            )
        self._held = HeldState(desired)
        self._log(f"revision {desired.revision} (profile {desired.profile}) is wanted")
        self._conditions.forget("DesiredRefused")
        self.version += 1
        return Delivered(accepted=True, revision=desired.revision)

    def perform(self, signed: Signed) -> Performed:
        """A command of the lab: done once, however often it comes."""
        trust = self.trust
        if trust is None:
            return Performed(result=None, message=_UNPAIRED)
        try:
            command = decode(Command, check_seal(self._host, signed, trust.signing_key))
            problem = not_for_us(command, trust)
            if problem is not None:
                return Performed(result=None, message=problem)
            known = self._journal.result_of(command.id)
            if known is not None:
                return Performed(result=known)
            if not self._journal.receive(command.id, command.issued_at, self._clock.now()):
                return Performed(result=CommandResult(command.id, False, _TOO_OLD))
            match command.kind:
                case "unpair":
                    result = CommandResult(id=command.id, done=True, message=sentence("unpaired"))
                    self.leave(result)
                case "session-start":
                    result = self._start_session(command.id)
                case "session-end":
                    result = self._end_session(command.id)
                case "call-answer":
                    result = self.desk.answer(command.id)
                    self._tell_session()
                case "payment-open" | "payment-close":
                    result = self.payments.perform(command, self.wanted)
                    self.version += 1  # the look that follows makes it so
            if not result.done:
                self._journal.refuse(result, self._clock.now())
        except (SealBroken, JournalError) as error:
            return Performed(result=None, message=error.sentence)
        except ContractError as error:
            told = sentence("what the lab signed is not a command: {detail}", detail=str(error))
            return Performed(result=None, message=told)
        return Performed(result=result)

    def end_errand(self) -> None:
        """What a session was waiting for has ended. The next look says how it stands."""
        try:
            self.sessions.finish()
        except JournalError as error:
            self._conditions.cannot_write(error)
        self._tell_session()

    def _settle_session(self) -> bool:
        """Bring sessions in step with what is wanted; whether the PC may be changed meanwhile."""
        offer = self.wanted.session
        if self._held.unread and offer is None:
            # Nobody knows whether it is offered: what is there goes on, and no session begins (see look).
            return True
        self.sessions.manage(offer)
        self.sessions.look()
        self._tell_session()
        return offer is not None or not self.sessions.leaving

    def _start_session(self, command: str) -> CommandResult:
        result = CommandResult(command, True, _BEGINS)
        if self._well and self.sessions.start(command, result):
            self._tell_session()
            return result
        phase = self.sessions.sitting.phase
        why = WHY_NOT[phase] if phase != "available" else sentence("this PC is not as it shall be")
        return CommandResult(command, False, why)

    def _end_session(self, command: str) -> CommandResult:
        if self.sessions.sitting.phase == "none":
            return CommandResult(command, False, WHY_NOT["none"])
        result = CommandResult(command, True, sentence("the session ends"))
        self.sessions.end(result)
        self._tell_session()
        return result

    @property
    def _page_limit(self) -> int | None:
        """Pages in a session; 0 where what the lab said of it cannot be read."""
        if "printing" in self._held.unread:
            return 0
        return None if self.wanted.printing is None else self.wanted.printing.pages

    @property
    def _well(self) -> bool:
        """Whether the PC is as the lab wants it, so far as was seen."""
        return self._conditions.has("Converged", "Applied")

    def citizen_asks(self, ask: CitizenAsk) -> None:
        """See Desk.ask; where it cannot be journalled nothing is done."""
        try:
            self.desk.ask(ask)
        except JournalError as error:
            self._conditions.cannot_write(error)
        self._tell_session()

    def _tell_browser(self) -> None:
        wanted = self.wanted.browser_policy
        other = None
        if wanted is not None and wanted.chromium:
            other = other_version(self._host.version(PACKAGE), wanted.chromium)
        self._conditions.browser(other)

    def _tell_session(self) -> None:
        sitting = self.sessions.sitting
        if sitting != self._told:
            self._told = sitting
            self._changed()
        busy = self.sessions.errand is not None
        self._conditions.session(sitting, failed=self.sessions.failed, busy=busy)

    def _changed(self) -> None:
        self.version += 1

    def begin_pairing(self, start: PairStart) -> PairOffer | Refused:
        """See Pairing.begin."""
        if self.pairing is None:
            return Refused(message=_PAIRED)
        return self.pairing.begin(start)

    def end_pairing(self, finish: PairFinish) -> PairDone | Refused:
        """See Pairing.end; when it succeeds the lab is trusted from now on."""
        if self.pairing is None:
            return Refused(message=_PAIRED)
        paired = self.pairing.end(finish)
        if isinstance(paired, Refused):
            return paired
        try:
            self._keep(paired)
        except OSError as error:
            told = sentence("the pairing could not be stored: {why}", why=system_words(error))
            return Refused(message=told)
        self._log(f"paired with lab {paired.start.lab}")
        self._load()
        return PairDone(station=self._settings.station)

    def leave(self, result: CommandResult | None = None) -> None:
        """Forget the lab, and let the next look put the PC back as it was. Raises JournalError."""
        self._journal.begin_unpairing(result, self._clock.now())
        self._finish_leaving()
        self._log("unpaired")
        self._load()

    def _finish_leaving(self) -> None:
        self._trusts.remove()
        for file in (self._paths.identity_file, self._paths.ca_file, self._paths.revocations_file):
            try:
                file.unlink(missing_ok=True)
            except OSError as error:  # the folder is the front's, who may have put anything there
                self._log(f"{file} is left: {error.strerror}")
        self._journal.end_unpairing(self._clock.now())

    def _load(self) -> None:
        self.version += 1
        self.trust = self._trusts.load(self._settings.station)
        # Also without trust: a PC that was given another name, or lost its trust, was let go by nobody. Only
        # an unpairing takes the desired state out of the journal, and with it what it locks.
        target = self._journal.target()
        self._held = HeldState(None) if target is None else read_held(target[1].payload)
        if self.desired is not None and not self._is_ours(self.desired):
            self._log(
                f"what {self.desired.station} of lab {self.desired.lab} was told stays in force"
                " until a lab says something else or root runs lab-agent unpair"
            )
        if self.trust is not None and self.pairing is not None:
            self.pairing.close()
            self.pairing = None
        elif self.trust is None and self.pairing is None:
            self.pairing = Pairing(self._settings.station, self._host, self._clock, self._show)

    def _keep(self, paired: Paired) -> None:
        """Store a pairing. Trust is written last: without it none of the rest counts."""
        start = paired.start
        give_papers(self._paths, self._settings.front_user, start.ca, paired.identity)
        trust = Trust(
            lab=start.lab,
            station=self._settings.station,
            ca=start.ca,
            signing_key=start.signing_key,
            pairing=paired.pairing,
        )
        self._trusts.save(trust)

    def _is_ours(self, desired: DesiredState | None) -> bool:
        """Whether a desired state is of the pairing that is in force."""
        trust = self.trust
        return (
            desired is not None
            and trust is not None
            and (desired.lab, desired.station, desired.pairing) == (trust.lab, trust.station, trust.pairing)
        )

    def _refuse(self, message: Sentence) -> Delivered:
        self._conditions.refused(message)
        held = 0 if self.desired is None else self.desired.revision
        return Delivered(accepted=False, revision=held, message=message)
