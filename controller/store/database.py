"""Opening the store: SQLite in the data directory, or PostgreSQL by URL; migrated at start."""

import logging
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

from alembic import command
from alembic.config import Config
from alembic.util import CommandError
from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, OperationalError, SQLAlchemyError

from controller.words import _

log = logging.getLogger(__name__)

Tx = Connection
"""A transaction, as those who only pass it on call it: SQLAlchemy stays in the store."""

_MIGRATIONS = Path(__file__).parent / "migrations"
_BUSY_S = 5.0


class StoreError(Exception):
    """The store cannot be opened, or not be used now (a full disk, a lost server); a sentence says why."""


class Database:
    """Where transactions come from. `read()` never waits for a writer; `write()` is alone.

    Both raise StoreError where the store itself fails; nothing of the block is kept then.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A connection whose queries see one state of the store."""
        with _said(), self._engine.connect() as connection:
            yield connection

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """A transaction: all of it is kept, or none where the block raises."""
        with _said(), self._engine.connect() as connection:
            writer = connection.execution_options(begin="BEGIN IMMEDIATE")  # read by SQLite only
            with writer.begin():
                yield writer

    def close(self) -> None:
        """Close every connection."""
        self._engine.dispose()


@contextmanager
def _said() -> Iterator[None]:
    """What the database fails with as a sentence; a wrong statement stays what it is, a bug."""
    try:
        yield
    except OperationalError as error:
        raise StoreError(_("the database fails: {reason}").format(reason=error.orig)) from error


def open_database(url: str) -> Database:
    """The store at a SQLAlchemy URL, with its tables brought to this release.

    Raises StoreError for a URL nobody understands, a server that does not
    answer, and tables of a newer release.
    """
    try:
        engine = _opened(url)
    except (ArgumentError, NoSuchModuleError, ModuleNotFoundError) as error:
        raise StoreError(_("the database URL is not understood: {reason}").format(reason=error)) from None
    except SQLAlchemyError as error:
        reason = str(getattr(error, "orig", None) or error).splitlines()[0]
        raise StoreError(_("the database does not open: {reason}").format(reason=reason)) from None
    return Database(engine)


def _opened(url: str) -> Engine:
    parsed = make_url(url)
    engine = _engine(parsed)
    try:
        _migrate(engine)
    except OperationalError as error:
        engine.dispose()
        if getattr(error.orig, "sqlite_errorcode", 0) != sqlite3.SQLITE_IOERR_SHMSIZE:
            raise
        log.warning("the disk is full: the database opens for this process alone, its index in memory")
        engine = _engine(_index_in_memory(parsed))
        _migrate(engine)
    return engine


def _index_in_memory(url: URL) -> URL:
    """SQLite's VFS that needs no room on the disk to open a database (docs/decisions/0027)."""
    file = f"file:{quote(url.database or '')}"
    return url.set(database=file).update_query_dict({"vfs": "unix-excl", "uri": "true"})


def _engine(parsed: URL) -> Engine:
    if parsed.get_backend_name() == "sqlite":
        engine = create_engine(parsed, connect_args={"timeout": _BUSY_S})
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
        return engine
    return create_engine(parsed, pool_pre_ping=True, connect_args={"connect_timeout": 10})


def _prepare_sqlite(connection: sqlite3.Connection, _: object) -> None:
    connection.isolation_level = None  # BEGIN is ours to say, below
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("PRAGMA foreign_keys=ON")


def _begin_sqlite(connection: Connection) -> None:
    connection.exec_driver_sql(connection.get_execution_options().get("begin", "BEGIN"))


def _migrate(engine: Engine) -> None:
    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    with engine.connect() as connection:
        writer = connection.execution_options(begin="BEGIN IMMEDIATE")
        with writer.begin():
            config.attributes["connection"] = writer
            try:
                command.upgrade(config, "head")
            except CommandError as error:
                text = _("the database was made by a newer release ({reason}); install that release again")
                raise StoreError(text.format(reason=error)) from None
