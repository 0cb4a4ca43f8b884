"""From files to desired states: who gets a new revision, and who does not."""

import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from contract import wire
from contract.desired import DesiredState
from controller.books import Books
from controller.clock import Clock
from controller.pki import Pki, make_lab_keys
from controller.problems import Problem
from controller.publishing import Outcome, Publishing
from controller.store.database import Database, open_database
from controller.store.repositories import LabStore, Station

NOW = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)


@dataclass
class Office:
    """Publishing over a store and a folder of files, without any network."""

    database: Database
    folder: Path
    publishing: Publishing = field(init=False)

    def __post_init__(self) -> None:
        make_lab_keys(self.folder / "pki", "fontana", NOW)
        self.pki = Pki(self.folder / "pki", "fontana")
        self.store = LabStore("fontana")
        books = Books("fontana", self.database, self.store, self.pki, Clock())
        self.publishing = Publishing(books, self.folder, ("192.168.10.1",))

    def stations(self, *names: str, pairing: str = "a" * 32) -> None:
        with self.database.write() as tx:
            for name in names:
                self.store.put_station(tx, Station(name, "10.0.0.1", 7443, NOW, pairing))
            self.publishing.joined(tx)

    def layer(self, text: str, path: str = "layers/lab.yaml") -> None:
        file = self.folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    def publish(self, profile: str = "citizen") -> Outcome:
        return self.publishing.publish(profile, "anna", "why")

    def state(self, station: str) -> DesiredState:
        with self.database.read() as tx:
            row = self.store.desired(tx)[station]
        key = Ed25519PublicKey.from_public_bytes(self.pki.signing_public_key)
        key.verify(row.signature, row.payload)
        state = wire.decode(DesiredState, row.payload)
        assert (state.station, state.revision, state.lab) == (station, row.revision, "fontana")
        return state

    def allows(self, station: str, entry: str) -> bool:
        policy = self.state(station).resources.browser_policy
        return policy is not None and entry in policy.allow


@pytest.fixture
def office(database: Database, tmp_path: Path) -> Office:
    made = Office(database, tmp_path / "lab")
    made.stations("pc-01", "pc-02")
    return made


def refused(what: Callable[[], object]) -> Problem:
    with pytest.raises(Problem) as caught:
        what()
    assert "\n" not in caught.value.error
    return caught.value


def test_the_first_publication_is_assigned_to_the_lab(office: Office) -> None:
    outcome = office.publish()
    assert sorted(outcome.changed) == ["pc-01", "pc-02"]
    assert outcome.publication == outcome.revision == 1
    assert office.state("pc-01").profile == "citizen"
    with office.database.read() as tx:
        assert office.store.assignments(tx) == {"lab": "citizen"}


def test_the_same_again_stores_nothing(office: Office) -> None:
    office.publish()
    again = office.publish()
    assert (again.changed, again.unchanged) == ({}, ("pc-01", "pc-02"))
    assert (again.publication, again.revision) == (1, 1)


def test_a_comment_is_a_new_publication_and_no_new_revision_for_anybody(office: Office) -> None:
    office.layer("allow: []\n")
    office.publish()
    office.layer("allow: []  # nothing yet\n")
    again = office.publish()
    assert again.changed == {}
    assert again.publication == 2
    assert office.state("pc-01").revision == 1


def test_only_the_pc_that_a_layer_is_about_gets_a_new_revision(office: Office) -> None:
    office.publish()
    office.layer("allow: [https://solo.example]\n", "layers/pc/pc-02.yaml")
    outcome = office.publish()
    assert list(outcome.changed) == ["pc-02"]
    assert outcome.unchanged == ("pc-01",)
    assert office.allows("pc-02", "https://solo.example")
    assert (office.state("pc-01").revision, office.state("pc-02").revision) == (1, 2)


def test_files_of_another_profile_do_not_reach_who_does_not_have_it(office: Office) -> None:
    """What is published of citizen stays as it was published while training goes on."""
    office.publish()
    office.layer("allow: [https://corso.example]\n")
    outcome = office.publish("training")
    assert outcome.changed == {}
    assert not office.allows("pc-01", "https://corso.example")
    given = office.publishing.assign("pc:pc-02", "training", "anna")
    assert list(given.changed) == ["pc-02"]
    assert office.allows("pc-02", "https://corso.example")


def test_rollback_brings_the_texts_of_then_back_and_keeps_history(office: Office) -> None:
    office.publish()
    office.layer("allow: [https://uno.example]\n")
    office.publish()
    outcome = office.publishing.rollback("citizen", None, "anna", "")
    assert sorted(outcome.changed) == ["pc-01", "pc-02"]
    assert not office.allows("pc-01", "https://uno.example")
    forward = office.publishing.rollback("citizen", 2, "anna", "")
    assert forward.publication == 4
    assert office.allows("pc-01", "https://uno.example")
    with office.database.read() as tx:
        history = office.store.publications(tx, "citizen")
    assert [(one.number, one.rollback_of) for one in history] == [(4, 2), (3, 1), (2, None), (1, None)]


def test_groups_bring_their_layer_and_their_profile(office: Office) -> None:
    office.layer("allow: [https://aula.example]\n", "layers/group/aula.yaml")
    office.publish()
    assert list(office.publishing.set_group("aula", ["pc-02"]).changed) == ["pc-02"]
    assert office.allows("pc-02", "https://aula.example")
    assert list(office.publishing.set_group("aula", []).changed) == ["pc-02"]
    assert not office.allows("pc-02", "https://aula.example")


def test_a_pc_that_joins_gets_what_its_lab_has(office: Office) -> None:
    office.publish()
    office.stations("pc-03")
    assert office.state("pc-03").revision == 2
    assert office.state("pc-01").revision == 1


def test_a_pc_that_is_paired_again_is_told_the_same_for_its_new_pairing_and_nobody_else_is(
    office: Office,
) -> None:
    office.publish()
    office.publishing.set_group("aula", ["pc-02"])
    before = office.state("pc-02")
    office.stations("pc-02", pairing="b" * 32)
    after = office.state("pc-02")
    assert (before.pairing, after.pairing) == ("a" * 32, "b" * 32)
    assert (after.revision, after.resources) == (before.revision + 1, before.resources)
    assert (office.state("pc-01").revision, office.state("pc-01").pairing) == (1, "a" * 32)
    with office.database.read() as tx:
        assert office.store.groups(tx) == {"aula": ["pc-02"]}
    assert office.publish().changed == {}


def test_the_labs_time_servers_serve_where_no_layer_names_any(office: Office) -> None:
    office.publish("maintenance")
    time = office.state("pc-01").resources.time
    if time is not None:
        assert time.servers
    office.layer("time: {servers: [ntp.example]}\n", "layers/pc/pc-01.yaml")
    office.publish("maintenance")
    named = office.state("pc-01").resources.time
    assert named is not None
    assert named.servers == ("ntp.example",)


def test_a_restored_store_jumps_over_what_its_pcs_have(office: Office) -> None:
    office.publish()
    outcome = office.publishing.reconcile(above={"pc-02": 40})
    assert {name: row.revision for name, row in outcome.changed.items()} == {"pc-02": 41}
    assert office.publishing.reconcile(above={"pc-02": 40}).changed == {}
    office.layer("allow: [https://x.example]\n")
    assert office.publish().revision == 42


def test_a_broken_file_publishes_nothing_and_says_where(office: Office) -> None:
    office.publish()
    office.layer("allow: [https://x.example\n")
    problem = refused(office.publish)
    assert problem.kind == "input"
    assert "lab.yaml:" in problem.error
    assert office.publishing.reconcile().revision == 1


def test_what_cannot_be_is_refused_with_what_to_do(office: Office) -> None:
    assert "citizen" in refused(lambda: office.publish("citzen")).hint
    assert refused(lambda: office.publishing.rollback("citizen", None, "a", "")).kind == "state"
    office.publish()
    assert refused(lambda: office.publishing.rollback("citizen", None, "a", "")).kind == "state"
    assert "1" in refused(lambda: office.publishing.rollback("citizen", 77, "a", "")).hint
    assert "publish training" in refused(lambda: office.publishing.assign("lab", "training", "a")).hint
    assert refused(lambda: office.publishing.assign("pc:pc-09", "citizen", "a")).kind == "missing"
    assert refused(lambda: office.publishing.assign("group:x", "citizen", "a")).kind == "missing"
    assert refused(lambda: office.publishing.set_group("x", ["pc-09"])).kind == "missing"


def test_diff_says_what_a_publication_would_do_and_does_nothing(office: Office) -> None:
    before = office.publishing.diff("citizen")
    assert set(before) == {"pc-01", "pc-02"}
    assert before["pc-01"][0].path == "profile"
    office.publish()
    office.layer("allow: [https://x.example]\n", "layers/pc/pc-01.yaml")
    changes = office.publishing.diff("citizen")
    assert [(one.path, one.before, one.after) for one in changes["pc-01"]] == [
        ("browser.allow", None, "https://x.example"),
        ("network.hosts", None, "x.example"),
    ]
    assert changes["pc-02"] == ()
    assert office.state("pc-01").revision == 1


def test_explain_names_the_line_that_said_it(office: Office) -> None:
    assert refused(lambda: office.publishing.explain("pc-01")).kind == "state"
    office.layer("# ours\nallow:\n  - https://x.example\n")
    office.publish()
    profile, revision, rows = office.publishing.explain("pc-01")
    assert (profile, revision) == ("citizen", 1)
    row = next(row for row in rows if row.value == "https://x.example")
    assert (row.layer, row.line) == ("lab", 3)
    assert row.file.endswith("layers/lab.yaml")


NAMES = ("pc-01", "pc-02", "pc-03")


class RevisionsMachine(RuleBasedStateMachine):
    """Any history: a station's revision changes exactly when what it is told does, and only grows."""

    def __init__(self) -> None:
        super().__init__()
        self._folder = tempfile.TemporaryDirectory()
        folder = Path(self._folder.name)
        self.office = Office(open_database(f"sqlite:///{folder / 'lab.sqlite'}"), folder)
        self.office.stations(*NAMES)
        self.office.publish()
        self.office.publish("training")
        self.before = self._now()

    def _now(self) -> dict[str, DesiredState]:
        return {name: self.office.state(name) for name in NAMES}

    def teardown(self) -> None:
        self.office.database.close()
        self._folder.cleanup()

    @rule(number=st.integers(0, 2), path=st.sampled_from(["lab", "pc/pc-01", "group/a"]))
    def edit(self, number: int, path: str) -> None:
        self.office.layer(f"allow: [https://n{number}.example]\n", f"layers/{path}.yaml")

    @rule(profile=st.sampled_from(["citizen", "training"]))
    def publish(self, profile: str) -> None:
        self.office.publish(profile)

    @rule(
        to=st.sampled_from(["lab", "pc:pc-01", "pc:pc-02"]),
        profile=st.sampled_from(["citizen", "training"]),
    )
    def assign(self, to: str, profile: str) -> None:
        self.office.publishing.assign(to, profile, "anna")

    @rule(members=st.sets(st.sampled_from(NAMES)))
    def group(self, members: set[str]) -> None:
        self.office.publishing.set_group("a", members)

    @rule(profile=st.sampled_from(["citizen", "training"]))
    def rollback(self, profile: str) -> None:
        try:
            self.office.publishing.rollback(profile, None, "anna", "")
        except Problem as problem:
            assert problem.kind == "state"  # there is no earlier one

    @invariant()
    def a_revision_is_what_is_said(self) -> None:
        now = self._now()
        for name, state in now.items():
            old = self.before[name]
            same = (old.profile, old.resources) == (state.profile, state.resources)
            assert (old.revision == state.revision) == same
            assert state.revision >= old.revision
        self.before = now


TestRevisions = RevisionsMachine.TestCase
TestRevisions.settings = settings(max_examples=15, stateful_step_count=15, deadline=None)
