"""The enforcer: the root half of the agent. It has no network and decides alone.

One thread and one selector: the front's socket, the citizen's door, inotify on
the managed files, and four timers (a slow look at what cannot be watched, a retry after a failure,
the pairing code's end, the journal's note of the time).
"""

import os
import pwd
import selectors
import signal
import socket
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from agent.citizen_door import CitizenDoor
from agent.clock import SystemClock, kernel_synchronised
from agent.core.changes import Kind
from agent.core.citizen import CitizenAsk
from agent.core.messages import (
    BeginPairing,
    Call,
    Deliver,
    EndPairing,
    Leave,
    Left,
    PairingBegun,
    PairingEnded,
    Perform,
    Refused,
    Reply,
    Return,
    Watch,
)
from agent.host import Host
from agent.journal import Journal, JournalError
from agent.netlink import PacketFilter
from agent.notify import notify, watchdog_every_s
from agent.pairing import Code, show_code
from agent.peer import Peer
from agent.print_door import PrintDoor
from agent.resources import KINDS
from agent.session_runner import Errand
from agent.settings import Paths, Settings
from agent.station import Station
from agent.unix_door import open_door, welcome
from agent.watch import Watch as FileWatch
from contract.pairing import PairDone, PairOffer
from contract.sentence import sentence
from contract.wire import MAX_MESSAGE_BYTES, ContractError

SLOW_LOOK_S = 30.0
"""Between two looks at what has no event (kernel parameters): a few file reads."""

QUIET_S = 0.1
"""Shortest time between two looks for changed files, so that a fight over a file costs little."""

RETRY_S = (1.0, 60.0)
"""First and longest wait before a plan that failed is tried again; it doubles between."""

NOTE_TIME_S = 3600.0
"""Between two notes of the time: a dead clock loses an hour at most."""

AHEAD = timedelta(minutes=1)
"""So far ahead of a synchronised clock the journal may be: NTP steps a clock back by less as a rule."""

_MAX_PEERS = 8


class Enforcer:
    """The loop around one Station."""

    def __init__(
        self,
        settings: Settings,
        paths: Paths,
        kinds: tuple[Kind, ...] = KINDS,
        synchronised: Callable[[], bool] = kernel_synchronised,
    ) -> None:
        self._paths = paths
        self._settings = settings
        journal = Journal(paths.enforcer_state / "journal.sqlite")
        self._clock = SystemClock(journal.last_entry, synchronised)
        self._journal = journal
        self._filter = PacketFilter() if paths.root == Path("/") else None
        host = Host(paths.root, log, self._filter)
        if not set_right(self._clock, journal) and datetime.now(UTC) < journal.last_entry:
            log(host.set_clock(journal.last_entry))
        self._station = Station(
            settings=settings,
            paths=paths,
            kinds=kinds,
            host=host,
            journal=journal,
            clock=self._clock,
            show=self._show,
            log=log,
        )
        self._files = FileWatch(paths.root)
        self._selector = selectors.DefaultSelector()
        self._citizens = CitizenDoor(
            paths.citizen_socket,
            real=paths.root == Path("/"),
            selector=self._selector,
            state=self._station.desk.state,
            act=self._citizen_asks,
            monotonic=self._clock.monotonic,
            log=log,
        )
        self._prints = PrintDoor(
            paths.print_socket,
            real=paths.root == Path("/"),
            selector=self._selector,
            pages=self._station.pages,
            log=log,
        )
        self._peers: dict[int, Peer] = {}
        self._sent_version = 0
        self._retry = 0.0
        self._quiet_until = 0.0
        self._due: dict[str, float] = {}
        self._feed: float | None = None
        self._errand: Errand | None = None
        self._stopping = False

    def run(self) -> None:
        """Serve until SIGTERM or SIGINT."""
        wake, waker = socket.socketpair()
        for end in (wake, waker):
            end.setblocking(False)
        signal.set_wakeup_fd(waker.fileno())
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop)
        self._citizens.open()
        self._prints.open()
        listener = self._listen()
        self._selector.register(wake, selectors.EVENT_READ, lambda: wake.recv(64))
        self._selector.register(listener, selectors.EVENT_READ, lambda: self._welcome(listener))
        self._selector.register(self._files, selectors.EVENT_READ, self._files_changed)
        if self._filter is not None:
            self._selector.register(self._filter, selectors.EVENT_READ, self._filter_changed)
        self._due["note"] = self._clock.monotonic() + NOTE_TIME_S
        self._look()
        notify("READY=1", f"STATUS=station {self._settings.station}")
        self._feed = watchdog_every_s()
        if self._feed is not None:
            self._due["watchdog"] = 0.0
        while not self._stopping:
            for key, mask in self._selector.select(self._until_due()):
                if isinstance(key.data, Peer):
                    self._talk(key.data, mask)
                else:
                    key.data()
            self._publish()
        self._close()

    def _stop(self, _number: int, _frame: object) -> None:
        self._stopping = True

    def _until_due(self) -> float:
        """Do what is due; seconds until the next thing is."""
        now = self._clock.monotonic()
        due = {name for name, at in self._due.items() if at <= now}
        if "look" in due:
            self._look()
        if "note" in due:
            self._due["note"] = now + NOTE_TIME_S
            try:
                self._journal.touch(self._clock.now())
            except JournalError as error:
                log(str(error))
        if "watchdog" in due and self._feed is not None:
            self._due["watchdog"] = now + self._feed
            notify("WATCHDOG=1")
        if self._station.pairing is None:
            self._due.pop("code", None)
        elif "code" in due or "code" not in self._due:
            self._due["code"] = now + self._station.pairing.refresh() + 0.01
        self._follow_errand()
        self._publish()
        return max(0.0, min(self._due.values()) - self._clock.monotonic())

    def _look(self) -> None:
        if set_right(self._clock, self._journal):
            self._station.version += 1  # the front takes the time from the state
        ends_s = self._station.payments.ends_s  # asked before: it may come while the look lasts
        converged = self._station.look()
        self._files.follow(self._station.watched())
        now = self._clock.monotonic()
        if converged:
            self._retry = 0.0
            self._due["look"] = now + SLOW_LOOK_S
        else:
            self._retry = min(RETRY_S[1], self._retry * 2) if self._retry else RETRY_S[0]
            self._due["look"] = now + self._retry
        if ends_s is not None:
            self._due["look"] = min(self._due["look"], ends_s)
        self._quiet_until = now + QUIET_S

    def _follow_errand(self) -> None:
        """Be woken when what a session waits for has ended."""
        errand = self._station.sessions.errand
        if errand is not None and errand is not self._errand:
            self._errand = errand
            self._selector.register(errand, selectors.EVENT_READ, self._errand_ended)

    def _errand_ended(self) -> None:
        if self._errand is not None:
            self._selector.unregister(self._errand)
            self._errand = None
        self._station.end_errand()
        self._look()

    def _files_changed(self) -> None:
        if self._files.take():
            self._look_soon()

    def _filter_changed(self) -> None:
        if self._filter is not None and self._filter.take():
            self._look_soon()

    def _look_soon(self) -> None:
        soon = max(self._clock.monotonic(), self._quiet_until)
        self._due["look"] = min(self._due["look"], soon)

    def _listen(self) -> socket.socket:
        group = None
        if os.geteuid() == 0 and self._paths.root == Path("/"):
            group = pwd.getpwnam(self._settings.front_user).pw_gid
        return open_door(self._paths.socket, group=group, backlog=_MAX_PEERS)

    def _welcome(self, listener: socket.socket) -> None:
        come = welcome(listener)
        if come is None:
            return
        link, uid = come
        # One place is root's: a front that takes all of its own cannot keep `lab-agent unpair` out.
        if len(self._peers) >= _MAX_PEERS + (uid == 0):
            link.close()
            return
        peer = self._peers[link.fileno()] = Peer(link, uid)
        self._selector.register(link, selectors.EVENT_READ, peer)

    def _talk(self, peer: Peer, mask: int) -> None:
        """Read and write what can be; a peer that hangs up or breaks the framing is dropped."""
        calls: list[Call] = []
        try:
            if mask & selectors.EVENT_READ:
                calls = peer.read()
        except (OSError, ContractError) as error:
            log(f"the front's connection is dropped: {error}")
            self._drop(peer)
            return
        for call in calls:
            version = self._station.version
            reply = self._reply(peer, call)
            self._publish()  # before the reply, which is about this state
            self._send(peer, Return(number=call.number, reply=reply))
            if self._station.version != version:
                self._look()
            # A read may bring a thousand calls, each with a helper: the PC is looked after in between.
            self._files_changed()
            self._until_due()
        self._flush(peer)

    def _reply(self, peer: Peer, call: Call) -> Reply:
        station = self._station
        match call.request:
            case Deliver(signed):
                return station.deliver(signed)
            case Perform(signed):
                return station.perform(signed)
            case BeginPairing(start):
                offer = station.begin_pairing(start)
                return PairingBegun(offer=offer) if isinstance(offer, PairOffer) else offer
            case EndPairing(finish):
                done = station.end_pairing(finish)
                return PairingEnded(done=done) if isinstance(done, PairDone) else done
            case Leave():
                if peer.uid not in (0, os.geteuid()):
                    return Refused(message=sentence("only root may unpair a station by hand"))
                station.leave()
                return Left()
            case Watch():
                peer.watching = True
                return station.state()

    def _citizen_asks(self, ask: CitizenAsk) -> None:
        version = self._station.version
        self._station.citizen_asks(ask)
        if self._station.version != version:
            self._look_soon()

    def _publish(self) -> None:
        """Send the state to whoever watches, and the citizen's to the bar, if it is another one."""
        self._citizens.tell()
        if self._station.version == self._sent_version:
            return
        self._sent_version = self._station.version
        news = Return(number=0, reply=self._station.state())
        for peer in list(self._peers.values()):
            if peer.watching:
                self._send(peer, news)

    def _send(self, peer: Peer, message: Return) -> None:
        peer.write(message)
        self._flush(peer)

    def _flush(self, peer: Peer) -> None:
        """Send what the peer takes; a peer that takes nothing for too long is dropped."""
        if peer.link.fileno() not in self._peers:
            return
        try:
            rest = peer.flush()
        except OSError as error:
            log(f"the front's connection is dropped: {error}")
            self._drop(peer)
            return
        if rest > 4 * MAX_MESSAGE_BYTES:
            log("the front's connection is dropped: it does not read its answers")
            self._drop(peer)
            return
        events = selectors.EVENT_READ | (selectors.EVENT_WRITE if rest else 0)
        self._selector.modify(peer.link, events, peer)

    def _drop(self, peer: Peer) -> None:
        if self._peers.pop(peer.link.fileno(), None) is not None:
            self._selector.unregister(peer.link)
            peer.link.close()

    def _show(self, code: Code | None) -> None:
        show_code(self._paths.code_file, self._paths.root / "run", code)
        if code is not None:
            log("this PC waits to be paired: lab-agent code shows the code")

    def _close(self) -> None:
        for peer in list(self._peers.values()):
            self._drop(peer)
        if self._station.pairing is not None:
            self._station.pairing.close()
        self._paths.socket.unlink(missing_ok=True)
        self._citizens.close()
        self._prints.close()
        self._journal.close()


def set_right(clock: SystemClock, journal: Journal) -> bool:
    """Date the journal back where it is ahead of a clock that is known to be right; whether it was."""
    last = journal.last_entry
    if datetime.now(UTC) >= last - AHEAD:
        return False
    now = clock.right()
    if now is None:
        return False
    try:
        journal.set_back(now)
    except JournalError as error:
        log(str(error))
        return False
    clock.lower(now)
    log(f"the journal's last entry is of {last:%Y-%m-%d %H:%M} UTC: the clock was ahead, and is right now")
    return True


def main(settings: Settings, paths: Paths) -> int:
    """Run the enforcer; the exit code."""
    try:
        Enforcer(settings, paths).run()
    except (JournalError, ContractError) as error:
        log(str(error))
        return 1
    return 0


def log(line: str) -> None:
    """A line for the system's journal."""
    sys.stderr.write(line + "\n")
    sys.stderr.flush()
