"""The store says the same on SQLite and on PostgreSQL."""

import threading
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from sqlalchemy import create_engine, text

from controller.store import migrations
from controller.store.database import Database, StoreError, open_database
from controller.store.repositories import (
    Desired,
    Issued,
    LabStore,
    PaymentEntry,
    Publication,
    Report,
    Station,
    digest,
)
from controller.store.tables import metadata

AT = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)
STORE = LabStore("fontana")


def station(name: str = "pc-01", address: str = "10.0.0.1") -> Station:
    return Station(name, address, 7443, AT, "a" * 32)


def desired(name: str = "pc-01", revision: int = 1, content: str = "c1") -> Desired:
    return Desired(name, revision, "citizen", 1, content, b"payload", bytes(64))


def test_migrations_make_what_the_repositories_ask(database: Database) -> None:
    with database.read() as tx:
        context = MigrationContext.configure(tx, opts={"compare_type": True})
        assert compare_metadata(context, metadata) == []


def test_a_station_comes_moves_and_goes_with_all_that_is_its(database: Database) -> None:
    with database.write() as tx:
        STORE.put_station(tx, station())
        STORE.put_station(tx, station("pc-02"))
        STORE.put_desired(tx, [desired(), desired("pc-02")])
        STORE.put_reports(tx, [Report("pc-01", AT, b"{}"), Report("pc-99", AT, b"{}")])
        STORE.set_group(tx, "aula", ["pc-01", "pc-02"])
        STORE.move_station(tx, "pc-01", "10.0.0.9", 7444)
    with database.read() as tx:
        assert STORE.station(tx, "pc-01") == Station("pc-01", "10.0.0.9", 7444, AT, "a" * 32)
        assert [one.station for one in STORE.reports(tx)] == ["pc-01"]
    with database.write() as tx:
        STORE.drop_station(tx, "pc-01")
    with database.read() as tx:
        assert [one.id for one in STORE.stations(tx)] == ["pc-02"]
        assert set(STORE.desired(tx)) == {"pc-02"}
        assert STORE.reports(tx) == []
        assert STORE.groups(tx) == {"aula": ["pc-02"]}


def paid(order: str, station: str = "pc-01", after_min: int = 0, minutes: int = 20) -> PaymentEntry:
    at = AT + timedelta(minutes=after_min)
    return PaymentEntry(order=order * 32, station=station, at=at, who="anna", minutes=minutes, why="multa")


def test_the_payment_record_outlives_its_pc_and_says_who_closed_what_was_open(database: Database) -> None:
    with database.write() as tx:
        STORE.put_station(tx, station())
        for entry in (paid("1"), paid("2", after_min=60), paid("3", after_min=61), paid("4", "pc-02", 62)):
            STORE.add_payment(tx, entry)
        STORE.settle_payment(tx, "2" * 32, "opened")
        STORE.settle_payment(tx, "3" * 32, "refused")
        STORE.settle_payment(tx, "4" * 32, "opened")
        STORE.close_payments(tx, "pc-01", AT + timedelta(minutes=70), "bruno")
        STORE.drop_station(tx, "pc-01")
    with database.read() as tx:
        found = {one.order[0]: one for one in STORE.payments(tx, None, 10)}
        assert list(found) == ["4", "3", "2", "1"]
        assert [one.order[0] for one in STORE.payments(tx, "pc-02", 10)] == ["4"]
        assert [one.order[0] for one in STORE.payments(tx, None, 2)] == ["4", "3"]
        assert STORE.payments(tx, "pc-03", 10) == LabStore("riva").payments(tx, None, 10) == []
    assert [found[order].outcome for order in "1234"] == ["asked", "opened", "refused", "opened"]
    assert [found[order].closed_by for order in "1234"] == [None, "bruno", None, None]
    assert found["2"].closed_at == AT + timedelta(minutes=70)


def test_instants_keep_their_moment_whatever_zone_they_came_in(database: Database) -> None:
    rome = timezone(timedelta(hours=2))
    with database.write() as tx:
        STORE.put_station(tx, Station("pc-01", "10.0.0.1", 7443, AT.astimezone(rome), "a" * 32))
    with database.read() as tx:
        found = STORE.station(tx, "pc-01")
    assert found is not None
    assert found.paired_at == AT
    assert found.paired_at.utcoffset() == timedelta(0)


def test_a_naive_instant_is_a_bug(database: Database) -> None:
    with pytest.raises(Exception, match="time zone"), database.write() as tx:
        STORE.put_station(tx, Station("pc-01", "10.0.0.1", 7443, AT.replace(tzinfo=None), "a" * 32))


def test_the_counter_only_grows_and_can_jump(database: Database) -> None:
    with database.write() as tx:
        assert STORE.counter(tx, "revision") == 0
        assert STORE.raise_counter(tx, "revision") == 1
        assert STORE.raise_counter(tx, "revision") == 2
        assert STORE.raise_counter(tx, "revision", above=40) == 41
        assert STORE.raise_counter(tx, "revision", above=3) == 42
        assert STORE.counter(tx, "crl") == 0


def test_what_fails_half_way_did_not_happen(database: Database) -> None:
    with pytest.raises(RuntimeError), database.write() as tx:
        STORE.raise_counter(tx, "revision")
        STORE.put_station(tx, station())
        raise RuntimeError
    with database.read() as tx:
        assert STORE.counter(tx, "revision") == 0
        assert STORE.stations(tx) == []


def test_writers_wait_for_one_another(database: Database) -> None:
    def count() -> None:
        for _ in range(10):
            with database.write() as tx:
                STORE.raise_counter(tx, "revision")

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with database.read() as tx:
        assert STORE.counter(tx, "revision") == 40


def test_revoking_leaves_the_new_certificate_and_other_names_alone(database: Database) -> None:
    until = AT + timedelta(days=365)
    with database.write() as tx:
        for serial, name in (("a1", "pc-01"), ("a2", "pc-01"), ("b1", "pc-02")):
            STORE.add_certificate(tx, Issued(serial, name, "station", until))
        STORE.add_certificate(tx, Issued("a0", "pc-01", "station", AT - timedelta(days=1)))
        assert STORE.revoke(tx, "pc-01", AT, keep="a2") == 1
        assert STORE.revoke(tx, "pc-01", AT, keep="a2") == 0
    with database.read() as tx:
        assert {one.serial for one in STORE.certificates(tx) if one.revoked_at} == {"a1"}
    with database.write() as tx:
        assert STORE.drop_expired_certificates(tx, AT) == 1


def test_publications_keep_texts_once_and_the_newest_is_current(database: Database) -> None:
    sources = {"profiles/citizen.yaml": "title: x\n", "layers/lab.yaml": "allow: []\n"}
    digests = {path: digest(one) for path, one in sources.items()}
    texts = {digest(one): one for one in sources.values()}
    with database.write() as tx:
        for number, profile in ((1, "citizen"), (2, "training"), (3, "citizen")):
            STORE.add_publication(tx, Publication(number, profile, AT, "anna", "", None, digests), texts)
    with database.read() as tx:
        assert [one.number for one in STORE.publications(tx, "citizen")] == [3, 1]
        assert {name: one.number for name, one in STORE.current_publications(tx).items()} == {
            "citizen": 3,
            "training": 2,
        }
        assert STORE.texts(tx, digests.values()) == texts
        assert tx.scalar(text("SELECT count(*) FROM sources")) == 2


def test_assignments_are_given_changed_and_taken_back(database: Database) -> None:
    with database.write() as tx:
        STORE.assign(tx, "lab", "citizen", AT, "anna")
        STORE.assign(tx, "lab", "training", AT, "anna")
        STORE.assign(tx, "pc:pc-01", "operator", AT, "anna")
        STORE.assign(tx, "pc:pc-01", None, AT, "anna")
    with database.read() as tx:
        assert STORE.assignments(tx) == {"lab": "training"}


def test_labs_that_share_a_store_do_not_see_one_another(database: Database) -> None:
    other = LabStore("collina")
    with database.write() as tx:
        STORE.put_station(tx, station())
        STORE.raise_counter(tx, "revision")
        STORE.assign(tx, "lab", "citizen", AT, "anna")
        other.put_station(tx, station(address="10.9.9.9"))
    with database.write() as tx:
        assert other.counter(tx, "revision") == 0
        assert other.assignments(tx) == {}
        other.drop_station(tx, "pc-01")
    with database.read() as tx:
        assert STORE.station(tx, "pc-01") == station()


def test_opening_again_keeps_everything(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'lab.sqlite'}"
    first = open_database(url)
    with first.write() as tx:
        STORE.put_station(tx, station())
    first.close()
    again = open_database(url)
    with again.read() as tx:
        assert STORE.station(tx, "pc-01") == station()
    again.close()


def test_who_was_paired_before_pairings_had_ids_stays_and_is_told_anew(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'lab.sqlite'}"
    config = Config()
    config.set_main_option("script_location", str(Path(migrations.__file__).parent))
    engine = create_engine(url)
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
        connection.execute(
            text("INSERT INTO stations VALUES ('fontana', 'pc-01', '10.0.0.1', 7443, '2026-11-23 09:00:00')")
        )
        connection.execute(
            text("INSERT INTO desired VALUES ('fontana', 'pc-01', 1, 'citizen', 1, 'c', x'7b7d', x'00')")
        )
    engine.dispose()
    now = open_database(url)
    with now.read() as tx:
        assert STORE.station(tx, "pc-01") == Station("pc-01", "10.0.0.1", 7443, AT, "0" * 32)
        assert STORE.desired(tx) == {}
    now.close()


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("nonsense", "not understood"),
        ("oracle9://x/y", "not understood"),
        ("sqlite:////nowhere/at/all/lab.sqlite", "does not open"),
        ("postgresql+psycopg://lab@/x?host=/nowhere/at/all", "does not open"),
    ],
)
def test_a_store_that_cannot_be_opened_is_a_sentence(url: str, says: str) -> None:
    with pytest.raises(StoreError, match=says) as caught:
        open_database(url)
    assert "\n" not in str(caught.value)


def test_a_store_of_a_newer_release_is_left_alone(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'lab.sqlite'}"
    first = open_database(url)
    with first.write() as tx:
        tx.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    first.close()
    with pytest.raises(StoreError, match="newer release"):
        open_database(url)
