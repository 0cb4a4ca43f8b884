"""A store to test against: SQLite in a folder, and a PostgreSQL server of our own."""

import os
import shutil
import subprocess
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from controller.store.database import Database, open_database

settings.register_profile("patient", deadline=None)  # a busy machine is no wrong answer
settings.load_profile("patient")

NO_POSTGRESQL = "PostgreSQL IS NOT TESTED HERE. To test the store on both: apt install postgresql"


def _programs() -> Path | None:
    found = shutil.which("initdb")
    if found:
        return Path(found).parent
    versions = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    return versions[-1].parent if versions else None


@pytest.fixture(scope="session")
def postgresql() -> Iterator[str]:
    """The URL of a PostgreSQL server that lives for this run, on a Unix socket only."""
    programs = _programs()
    if programs is None:
        warnings.warn(NO_POSTGRESQL, stacklevel=1)
        pytest.skip(NO_POSTGRESQL)
    # Not pytest's folder: that is open to its owner only, and the server runs as another user.
    with tempfile.TemporaryDirectory(prefix="pg-") as folder:
        yield from _serving(programs, Path(folder))


def _serving(programs: Path, place: Path) -> Iterator[str]:
    as_user: list[str] = []
    if os.geteuid() == 0:  # the server refuses to run as root
        as_user = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups", "--"]
        shutil.chown(place, "postgres", "postgres")
    data, log = place / "data", place / "log"

    def run(program: str, *options: str) -> None:
        argv = [*as_user, str(programs / program), "-D", str(data), *options]
        subprocess.run(argv, check=True, stdout=subprocess.DEVNULL, cwd=place)

    run("initdb", "-A", "trust", "-U", "lab", "-E", "UTF8", "--no-sync")
    serving = f"-c listen_addresses= -c unix_socket_directories={place} -c fsync=off"
    run("pg_ctl", "-l", str(log), "-o", serving, "-w", "start")
    try:
        yield f"postgresql+psycopg://lab@/postgres?host={place}"
    finally:
        run("pg_ctl", "-m", "immediate", "stop")


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    """An empty store, on each of the two."""
    url = f"sqlite:///{tmp_path / 'lab.sqlite'}"
    if request.param == "postgresql":
        url = _fresh(request.getfixturevalue("postgresql"), f"t{abs(hash(request.node.nodeid)):x}")
    opened = open_database(url)
    yield opened
    opened.close()


def _fresh(server: str, name: str) -> str:
    from sqlalchemy import create_engine, text

    engine = create_engine(server, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(f'CREATE DATABASE "{name}"'))
    engine.dispose()
    return server.replace("/postgres?", f"/{name}?")
