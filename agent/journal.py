"""The enforcer's journal: what the lab wants, what is in force, what was there before us.

SQLite in WAL mode with full synchronisation: when a method returns, its entry
survives a power cut. The journal also knows the latest time it was written, and
no clock of the agent goes back behind that.
"""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path

from agent.core.changes import Forget, Owned, Remember
from contract.exchange import CommandResult, Signed
from contract.sentence import Sentence, Told, sentence, system_words
from contract.wire import ContractError, decode, encode

_SCHEMA = """
CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS desired (
    revision INTEGER PRIMARY KEY, payload BLOB NOT NULL, signature BLOB NOT NULL, accepted_at TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS owned (
    kind TEXT NOT NULL, key TEXT NOT NULL, value BLOB NOT NULL, PRIMARY KEY (kind, key)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS commands (
    id TEXT PRIMARY KEY, result BLOB NOT NULL, done_at TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS received (id TEXT PRIMARY KEY, issued_at TEXT NOT NULL) WITHOUT ROWID;
"""

COMMANDS_KEPT = 1000
"""Commands that are kept to answer a repeat; the lab repeats for days at most. None that is as old as one
that was forgotten is taken any more: nobody could say whether it was done."""


class JournalError(Told):
    """The journal cannot be read or written; the sentence says why. Nothing was changed."""


class Journal:
    """One station's journal in the file `path`; made if it is not there. `kept`: commands it remembers.

    Raises JournalError from every method when the disk is full or broken.
    """

    def __init__(self, path: Path, kept: int = COMMANDS_KEPT) -> None:
        self._kept = kept
        path.parent.mkdir(0o700, parents=True, exist_ok=True)
        self.set_aside: Path | None = None
        """Where a journal that could not be read was moved to; None as a rule."""
        try:
            self._open(path)
        except sqlite3.DatabaseError as error:
            if isinstance(error, sqlite3.OperationalError):
                raise JournalError(
                    sentence("the journal cannot be opened: {why}", why=system_words(error))
                ) from None
            self.set_aside = path.with_name(f"{path.name}.broken-{os.urandom(4).hex()}")
            for suffix in ("-wal", "-shm"):
                path.with_name(path.name + suffix).unlink(missing_ok=True)
            path.rename(self.set_aside)
            self._open(path)

    def _open(self, path: Path) -> None:
        self._db = sqlite3.connect(path, isolation_level=None, timeout=5)
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "cache_size=-256", "wal_autocheckpoint=200"):
            self._db.execute(f"PRAGMA {pragma}")
        self._db.executescript(_SCHEMA)
        self._owned: dict[str, Owned] = {}
        for kind, key, value in self._db.execute("SELECT kind, key, value FROM owned"):
            self._owned.setdefault(kind, {})[key] = value
        self._facts: dict[str, str] = dict(self._db.execute("SELECT name, value FROM facts"))
        if "epoch" not in self._facts:
            with self._writing(datetime.fromtimestamp(0, UTC)):
                self._set("epoch", os.urandom(8).hex())

    @classmethod
    def peek(cls, path: Path) -> tuple[Signed | None, dict[str, Owned]]:
        """The newest desired state and what is owned, for whoever only looks; nothing is written or made."""
        try:
            with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, timeout=5)) as db:
                owned: dict[str, Owned] = {}
                for kind, key, value in db.execute("SELECT kind, key, value FROM owned"):
                    owned.setdefault(kind, {})[key] = value
                row = db.execute(
                    "SELECT payload, signature FROM desired ORDER BY revision DESC LIMIT 1"
                ).fetchone()
        except sqlite3.Error as error:
            raise JournalError(_unreadable(error)) from None
        return (None if row is None else Signed(payload=row[0], signature=row[1])), owned

    @property
    def epoch(self) -> str:
        """Names this journal: a re-imaged PC has another."""
        return self._facts["epoch"]

    @property
    def last_entry(self) -> datetime:
        """When the journal was last written, by the agent's own clock."""
        return datetime.fromisoformat(self._facts.get("touched", "1970-01-01T00:00:00+00:00"))

    @property
    def applied(self) -> int:
        """The revision that was observed to be in force; 0 is none."""
        return int(self._facts.get("applied", "0"))

    @property
    def unpairing(self) -> bool:
        """Whether an unpairing has been decided and its effects may not all have happened."""
        return "unpairing" in self._facts

    def target(self) -> tuple[int, Signed] | None:
        """The newest accepted revision and its document; None before the first."""
        try:
            row = self._db.execute(
                "SELECT revision, payload, signature FROM desired ORDER BY revision DESC LIMIT 1"
            ).fetchone()
        except sqlite3.Error as error:
            raise JournalError(_unreadable(error)) from None
        return None if row is None else (row[0], Signed(payload=row[1], signature=row[2]))

    def accept(self, revision: int, signed: Signed, now: datetime, *, anew: bool = False) -> None:
        """A newer revision is wanted from now on; the one in force is kept beside it.

        `anew`: it is the first of a pairing, whose revisions are not comparable with those before.
        """
        with self._writing(now):
            if anew:
                self._set("applied", "0")
            self._db.execute("DELETE FROM desired WHERE revision <> ?", (self.applied,))
            self._db.execute(
                "INSERT OR REPLACE INTO desired VALUES (?, ?, ?, ?)",
                (revision, signed.payload, signed.signature, now.isoformat()),
            )

    def set_applied(self, revision: int, now: datetime) -> None:
        """`revision` was observed to be in force."""
        if revision == self.applied:
            return
        with self._writing(now):
            self._set("applied", str(revision))

    def owned(self) -> dict[str, Owned]:
        """See Memory."""
        return {kind: dict(entries) for kind, entries in self._owned.items()}

    def remember(self, entry: Remember) -> None:
        """See Memory."""
        if entry.key in self._owned.get(entry.kind, {}):
            return
        with self._writing(None):
            self._db.execute("INSERT INTO owned VALUES (?, ?, ?)", (entry.kind, entry.key, entry.value))
        self._owned.setdefault(entry.kind, {})[entry.key] = entry.value

    def forget(self, entry: Forget) -> None:
        """See Memory."""
        if entry.key not in self._owned.get(entry.kind, {}):
            return
        with self._writing(None):
            self._db.execute("DELETE FROM owned WHERE kind = ? AND key = ?", (entry.kind, entry.key))
        del self._owned[entry.kind][entry.key]

    def result_of(self, command: str) -> CommandResult | None:
        """What came of a command that was done before."""
        try:
            row = self._db.execute("SELECT result FROM commands WHERE id = ?", (command,)).fetchone()
            return None if row is None else decode(CommandResult, row[0])
        except sqlite3.Error as error:
            raise JournalError(_unreadable(error)) from None
        except ContractError as error:
            raise JournalError(
                sentence("the journal holds a result that cannot be read: {detail}", detail=str(error))
            ) from None

    def receive(self, command: str, issued_at: datetime, now: datetime) -> bool:
        """A command has come that is not done yet; whether it may be, or could be one that was forgotten.

        Whoever holds what the lab once signed can bring it again at any time.
        """
        text = issued_at.astimezone(UTC).isoformat(timespec="microseconds")
        try:
            known = self._db.execute("SELECT 1 FROM received WHERE id = ?", (command,)).fetchone()
        except sqlite3.Error as error:
            raise JournalError(_unreadable(error)) from None
        if known is not None:
            return True
        if text <= self._facts.get("forgotten", ""):
            return False
        with self._writing(now):
            self._db.execute("INSERT INTO received VALUES (?, ?)", (command, text))
            gone = self._db.execute(
                "SELECT id, issued_at FROM received ORDER BY issued_at DESC, id LIMIT -1 OFFSET ?",
                (self._kept,),
            ).fetchall()
            for known_id, _issued in gone:
                self._db.execute("DELETE FROM received WHERE id = ?", (known_id,))
                self._db.execute("DELETE FROM commands WHERE id = ?", (known_id,))
            if gone:
                self._set("forgotten", max(gone[0][1], self._facts.get("forgotten", "")))
        return True

    def refuse(self, result: CommandResult, now: datetime) -> None:
        """A command was not done, and will not be when it comes again."""
        with self._writing(now):
            self._record(result, now)

    def begin_unpairing(self, result: CommandResult | None, now: datetime) -> None:
        """In one step: the lab wants nothing any more, and the unpairing has to be finished."""
        with self._writing(now):
            self._db.execute("DELETE FROM desired")
            self._set("applied", "0")
            self._set("unpairing", now.isoformat())
            self._db.execute("DELETE FROM facts WHERE name = 'forgotten'")
            self._facts.pop("forgotten", None)  # those to come name another pairing
            if result is not None:
                self._record(result, now)

    @property
    def sitting(self) -> bytes:
        """Where the PC is between two citizens (agent.core.session.Sitting); empty before the first time."""
        return self._facts.get("sitting", "").encode()

    def set_sitting(self, sitting: bytes, result: CommandResult | None, now: datetime) -> None:
        """In one step: where it is now, and what came of the command that said so, if one did."""
        with self._writing(now):
            self._set("sitting", sitting.decode())
            if result is not None:
                self._record(result, now)

    @property
    def payment(self) -> bytes:
        """The order that holds the payment mode open (agent.core.payment.Opening); empty where none does."""
        return self._facts.get("payment", "").encode()

    def set_payment(self, opening: bytes, result: CommandResult | None, now: datetime) -> None:
        """In one step: the order that holds from now on, and what came of the command that said so."""
        with self._writing(now):
            self._set("payment", opening.decode())
            if result is not None:
                self._record(result, now)

    def end_unpairing(self, now: datetime) -> None:
        """Every effect of the unpairing has happened."""
        with self._writing(now):
            self._db.execute("DELETE FROM facts WHERE name = 'unpairing'")
        self._facts.pop("unpairing", None)

    def touch(self, now: datetime) -> None:
        """Note the time, so that a dead clock starts from here and not from 1970."""
        with self._writing(now):
            pass

    def set_back(self, now: datetime) -> None:
        """The last entry was dated in the future, and `now` is known to be right."""
        with self._writing(None):
            self._set("touched", now.isoformat())

    def close(self) -> None:
        """Close the file; a journal that is not closed is as good after a crash."""
        self._db.close()

    def _record(self, result: CommandResult, now: datetime) -> None:
        self._db.execute(
            "INSERT OR REPLACE INTO commands VALUES (?, ?, ?)", (result.id, encode(result), now.isoformat())
        )

    def _set(self, name: str, value: str) -> None:
        self._db.execute("INSERT OR REPLACE INTO facts VALUES (?, ?)", (name, value))
        self._facts[name] = value

    @contextmanager
    def _writing(self, now: datetime | None) -> Iterator[None]:
        before = dict(self._facts)
        try:
            self._db.execute("BEGIN IMMEDIATE")
            if now is not None and now > self.last_entry:
                self._set("touched", now.isoformat())
            yield
            self._db.execute("COMMIT")
        except sqlite3.Error as error:
            self._facts = before
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise JournalError(
                sentence("the journal cannot be written: {why}", why=system_words(error))
            ) from None


def _unreadable(error: sqlite3.Error) -> Sentence:
    return sentence("the journal cannot be read: {why}", why=system_words(error))
