"""Between two citizens: whatever happens, in whatever order, nobody gets a PC that was not proved clean."""

from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from agent.core import proof
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
from contract.session import PLACES, SPOTS, Canary, Looked, Place, Proof, Spot

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
BEGAN = Began(at=NOON, boot="a", boot_s=100.0)


def proof_of(
    session: str, *, left: int = 0, places: tuple[Place, ...] = PLACES, spots: tuple[Spot, ...] = ()
) -> Proof:
    """A proof with so many things left in each place, and a canary left in each spot."""
    looked = tuple(Looked(place=place, found=left, left=left) for place in places)
    canaries = tuple(Canary(spot=spot, seen=True, left=spot in spots) for spot in SPOTS)
    return Proof(session=session, at=NOON, seconds=1.0, looked=looked, canaries=canaries)


class Pc(RuleBasedStateMachine):
    """A PC whose power fails anywhere: between the journal and the effect, and while the effect lasts.

    `dirty` is the truth about its disks, which the state machine never sees;
    `running` is an effect under way, `journal` what survives a power cut.
    """

    def __init__(self) -> None:
        super().__init__()
        self.journal = Sitting()
        self.running: Effect | None = None
        self.dirty = True
        """A PC that the lab takes over may have been anybody's."""
        self.sessions = 0
        self.boots = 0

    def happens(self, event: Event) -> None:
        before = self.journal
        self.journal = step(before, event)
        if self.running is None and self.journal != before:
            self.running = due(self.journal)
            self.dirty = self.dirty or self.running is Effect.START

    @rule(wanted=st.booleans())
    def managed(self, wanted: bool) -> None:
        self.happens(Managed(wanted))

    @rule()
    def asked_to_start(self) -> None:
        self.sessions += 1
        self.happens(Start(f"{self.sessions}", BEGAN))

    @rule()
    def asked_to_end(self) -> None:
        self.happens(End())

    @rule(event=st.sampled_from((Chose("ro"), Called("help"), Called("more-time"), Answered(1.0))))
    def asked_at_the_bar(self, event: Event) -> None:
        before = self.journal.phase
        self.happens(event)
        assert self.journal.phase == before

    @rule()
    def agent_dies(self) -> None:
        self.running = None
        self.happens(Booted(f"{self.boots}"))
        self.running = self.running or due(self.journal)
        self.dirty = self.dirty or self.running is Effect.START

    @rule()
    def power_is_cut(self) -> None:
        self.running = None
        self.boots += 1
        self.happens(Booted(f"{self.boots}"))

    @precondition(lambda self: self.running is not None)
    @rule(
        well=st.booleans(),
        left=st.integers(0, 2),
        places=st.permutations(PLACES).flatmap(lambda all_: st.integers(0, 7).map(lambda n: tuple(all_[:n]))),
        spots=st.lists(st.sampled_from(SPOTS), max_size=1).map(tuple),
    )
    def effect_ends(self, well: bool, left: int, places: tuple[Place, ...], spots: tuple[Spot, ...]) -> None:
        effect, self.running = self.running, None
        assert effect is not None
        event: Event
        match effect:
            case Effect.START:
                event = Started() if well else StartFailed()
            case Effect.STOP:
                event = Stopped()
            case Effect.WIPE:
                told = proof_of(self.journal.session, left=left, places=places, spots=spots)
                whole = set(places) == set(PLACES)
                self.dirty = self.dirty and not (well and left == 0 and whole and not spots)
                event = Wiped(told if well else None)
        self.happens(event)
        self.running = self.running or (due(self.journal) if self.journal.phase != "active" else None)

    @rule(session=st.sampled_from(["", "1", "2"]), left=st.integers(0, 1))
    def a_proof_nobody_asked_for(self, session: str, left: int) -> None:
        if self.journal.phase != "wiping":
            self.happens(Wiped(proof_of(session, left=left)))

    @invariant()
    def never_available_unwiped(self) -> None:
        assert not (self.journal.phase == "available" and self.dirty)

    @invariant()
    def available_means_a_clean_proof_of_the_last_session(self) -> None:
        now = self.journal
        if now.phase == "available":
            assert now.proof is not None
            assert now.proof.clean
            assert now.proof.session == now.session

    @invariant()
    def what_is_journalled_can_be_read(self) -> None:
        assert msgspec.json.decode(msgspec.json.encode(self.journal), type=Sitting) == self.journal


TestPc = Pc.TestCase
TestPc.settings = settings(max_examples=200, stateful_step_count=40, deadline=None)


def at(phase: str) -> Sitting:
    return msgspec.convert({"phase": phase, "session": "1", "boot": "a"}, Sitting)


@pytest.mark.parametrize("phase", ["available", "reserved", "active", "ending", "wiping", "out-of-service"])
def test_another_boot_wipes_first(phase: str) -> None:
    assert step(at(phase), Booted("b")).phase == "wiping"


def test_an_agent_that_only_restarts_leaves_the_citizen_in_peace() -> None:
    assert step(at("active"), Booted("a")) == at("active")
    assert step(at("available"), Booted("a")) == at("available")


def test_a_pc_that_was_never_asked_stays_as_it_is() -> None:
    assert step(Sitting(), Booted("b")).phase == "none"


@pytest.mark.parametrize(
    "found",
    [
        None,
        proof_of("1", left=1),
        proof_of("another session's"),
        *(proof_of("1", places=tuple(p for p in PLACES if p != left_out)) for left_out in PLACES),
        *(proof_of("1", spots=(spot,)) for spot in SPOTS),
    ],
)
def test_anything_but_a_whole_clean_proof_of_this_session_is_out_of_service(found: Proof | None) -> None:
    after = step(at("wiping"), Wiped(found))
    assert after.phase == "out-of-service"
    assert str(proof.unclean(after.proof))
    assert step(after, End()).phase == "wiping"


def test_what_a_citizen_chose_and_asked_for_ends_with_the_wipe() -> None:
    sitting = at("active")
    for event in (Chose("ro"), Called("help"), Called("help"), Called("more-time")):
        sitting = step(sitting, event)
    assert (sitting.language, sitting.calls, sitting.answered_s) == ("ro", ("help", "more-time"), None)
    answered = step(sitting, Answered(7.0))
    assert (answered.calls, answered.answered_s) == ((), 7.0)
    assert step(answered, Called("help")).answered_s is None
    assert step(at("active"), Answered(7.0)) == at("active"), "nobody called"
    for left in (sitting, answered):
        wiped = step(msgspec.structs.replace(left, phase="wiping"), Wiped(proof_of("1")))
        assert (wiped.phase, wiped.language, wiped.calls, wiped.answered_s) == ("available", None, (), None)


def test_a_whole_clean_proof_makes_it_available() -> None:
    assert step(at("wiping"), Wiped(proof_of("1"))).phase == "available"


@given(st.floats(-1e6, 1e6), st.floats(0, 1e5))
def test_whatever_the_clock_does_no_file_of_the_session_is_older(set_by_s: float, lasted_s: float) -> None:
    """A file may be dated by the clock before it was set or after."""
    now = NOON + timedelta(seconds=lasted_s + set_by_s)
    since = oldest(msgspec.structs.replace(at("wiping"), began=BEGAN), now, "a", BEGAN.boot_s + lasted_s)
    assert since <= NOON.timestamp()
    assert since <= (now - timedelta(seconds=lasted_s)).timestamp() + 0.001


def test_nothing_is_known_of_a_session_without_a_beginning() -> None:
    assert oldest(at("wiping"), NOON, "a", 1.0) == 0.0


STATUS = "Name:\tsleep\nState:\tS (sleeping)\nUid:\t1500\t1500\t0\t1500\n"


def test_processes_count_by_each_of_their_ids() -> None:
    found = proof.process(STATUS)
    assert found.uids == {0, 1500}
    assert not found.dead
    assert proof.process(STATUS.replace("S (", "Z (")).dead
    with pytest.raises(KeyError):
        proof.process("")


def test_the_kernels_tables_are_read() -> None:
    table = (
        "       key      shmid perms  size  cpid  lpid nattch   uid   gid  cuid  cgid\n"
        "   7102818          3   600    43   180   180      0  1500  1500  1500  1500\n"
        "         1          4   600    43   180   180      0     0     0  1500     0\n"
        "         2          5   600    43   180   180      0     0     0     0     0\n"
    )
    assert proof.ipc(table, 1500) == [3, 4]
    mountinfo = (
        "22 1 0:20 / / rw - ext4 /dev/sda1 rw\n"
        "23 22 0:21 / /proc rw - proc proc rw\n"
        "24 22 0:22 / /run/user/7 rw - tmpfs tmpfs rw\n"
        "25 22 0:23 / /media/a\\040b rw - vfat /dev/sdb1 rw\n"
        "26 22 0:24 / /home/kiosk/mnt rw - fuse.sshfs x rw,user_id=1500,group_id=1500\n"
        "27 22 0:25 / /home/t/mnt rw - fuse.sshfs x rw,user_id=1000,group_id=1000\n"
    )
    walk, theirs = proof.mounts(mountinfo, 1500)
    assert walk == ["/", "/home/kiosk/mnt", "/media/a b", "/run/user/7"]
    assert theirs == ["/home/kiosk/mnt"]


def test_what_is_left_is_told_without_a_citizens_words() -> None:
    line = proof.looked("files", 3, ["/var/tmp", "/var/tmp"])
    assert (line.found, line.left, line.where) == (3, 2, ("/var/tmp",))
    told = proof.unclean(Proof(session="1", at=NOON, seconds=1, looked=(line,)))
    assert "2 of files (/var/tmp)" in str(told)


def test_a_canary_is_told_as_it_was_before_and_after() -> None:
    told = proof.canaries(proof.Seen(session="1", spots=("home", "socket")), ["socket", "queue"])
    assert {canary.spot for canary in told} == set(SPOTS)
    assert {canary.spot for canary in told if canary.seen} == {"home", "socket"}
    assert {canary.spot for canary in told if canary.left} == {"socket", "queue"}
    left = msgspec.structs.replace(proof_of("1"), canaries=told)
    assert not left.clean
    assert "queue, socket" in str(proof.unclean(left))


def test_a_file_that_all_may_write_is_told_with_the_cure() -> None:
    line = proof.looked("changed-files", 1, ["/var/lib (/usr/sbin/scribe)"])
    told = str(proof.unclean(Proof(session="1", at=NOON, seconds=1, looked=(line,))))
    assert "/var/lib (/usr/sbin/scribe)" in told
    assert "chmod o-w" in told


def test_a_sessions_own_file_systems_are_told_from_the_hosts() -> None:
    host = (
        "22 1 8:1 / / rw - ext4 /dev/sda1 rw\n"
        "23 22 0:21 / /proc rw - proc proc rw\n"
        "24 22 0:22 / /run rw - tmpfs tmpfs rw\n"
    )
    session = (
        "40 1 8:1 / / ro - ext4 /dev/sda1 rw\n"
        "41 40 0:90 / /proc rw - proc proc rw\n"
        "42 40 0:91 / /home/kiosk rw - tmpfs tmpfs rw\n"
        "43 40 0:92 / /var/tmp rw - tmpfs tmpfs rw\n"
        "44 40 0:22 /systemd/inaccessible/dir /run/dbus ro - tmpfs tmpfs rw\n"
    )
    assert proof.own_mounts(session, host) == ["/home/kiosk", "/var/tmp"]


def test_a_key_is_found_in_the_kernels_table() -> None:
    table = "       key      shmid perms\n   7102818          3   600\n"
    assert proof.has_key(table, proof.CANARY_KEY)
    assert not proof.has_key(table, 7)
    assert not proof.has_key("       key      shmid perms\n", proof.CANARY_KEY)
