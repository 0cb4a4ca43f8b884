"""The tables, the same for SQLite and PostgreSQL.

Every table carries the lab, because several labs may share one PostgreSQL.
Migrations make the tables; these definitions are what the repositories query.
"""

from datetime import UTC, datetime

from sqlalchemy import (
    JSON,
    BigInteger,
    Column,
    DateTime,
    Dialect,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
)


class Instant(TypeDecorator[datetime]):
    """An instant: UTC inside, aware outside. SQLite keeps no zone, so it is put back here."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """To the database; a naive datetime is a bug."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"{value} has no time zone")
        return value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """From the database."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


metadata = MetaData()

_LAB = String(32)
_STATION = String(32)
_NAME = String(64)

counters = Table(
    "counters",
    metadata,
    Column("lab", _LAB, primary_key=True),
    Column("name", _NAME, primary_key=True),
    Column("value", BigInteger, nullable=False),
)
"""`revision` (publications, assignments, reissues) and `crl`; they only grow."""

stations = Table(
    "stations",
    metadata,
    Column("lab", _LAB, primary_key=True),
    Column("id", _STATION, primary_key=True),
    Column("address", String(255), nullable=False),
    Column("port", Integer, nullable=False),
    Column("paired_at", Instant, nullable=False),
    Column("pairing", String(32), nullable=False),
)
"""`address` and `port`: where the station last proved by TLS that it is itself. `pairing`: the id that
the station gave to its present pairing."""

certificates = Table(
    "certificates",
    metadata,
    Column("lab", _LAB, primary_key=True),
    Column("serial", String(40), primary_key=True),
    Column("name", String(255), nullable=False),
    Column("role", String(16), nullable=False),
    Column("not_after", Instant, nullable=False),
    Column("revoked_at", Instant),
    Index("certificates_by_name", "lab", "name"),
)
"""Every certificate the lab's CA made; `serial` in hex."""

groups = Table(
    "groups",
    metadata,
    Column("lab", _LAB, primary_key=True),
    Column("name", String(32), primary_key=True),
)

group_members = Table(
    "group_members",
    metadata,
    Column("lab", _LAB, primary_key=True),
    Column("group", String(32), primary_key=True),
    Column("station", _STATION, primary_key=True),
    ForeignKeyConstraint(["lab", "group"], ["groups.lab", "groups.name"], ondelete="CASCADE"),
    ForeignKeyConstraint(["lab", "station"], ["stations.lab", "stations.id"], ondelete="CASCADE"),
)

assignments = Table(
    "assignments",
    metadata,
    Column("lab", _LAB, primary_key=True),
    Column("target", String(40), primary_key=True),
    Column("profile", _NAME, nullable=False),
    Column("at", Instant, nullable=False),
    Column("who", _NAME, nullable=False),
)
"""`target`: lab, group:NAME or pc:ID. A PC's may outlive its pairing: re-imaged, it comes back."""

sources = Table(
    "sources",
    metadata,
    Column("digest", String(64), primary_key=True),
    Column("text", Text, nullable=False),
)
"""Texts of published files, each kept once."""

publications = Table(
    "publications",
    metadata,
    Column("lab", _LAB, primary_key=True),
    Column("number", BigInteger, primary_key=True),
    Column("profile", _NAME, nullable=False),
    Column("at", Instant, nullable=False),
    Column("who", _NAME, nullable=False),
    Column("why", String(500), nullable=False),
    Column("rollback_of", BigInteger),
    Column("sources", JSON, nullable=False),
    Index("publications_by_profile", "lab", "profile", "number"),
)
"""`sources`: path to digest. The newest of a profile is its current one."""

desired = Table(
    "desired",
    metadata,
    Column("lab", _LAB, primary_key=True),
    Column("station", _STATION, primary_key=True),
    Column("revision", BigInteger, nullable=False),
    Column("profile", _NAME, nullable=False),
    Column("publication", BigInteger, nullable=False),
    Column("content", String(64), nullable=False),
    Column("payload", LargeBinary, nullable=False),
    Column("signature", LargeBinary, nullable=False),
    ForeignKeyConstraint(["lab", "station"], ["stations.lab", "stations.id"], ondelete="CASCADE"),
)
"""What each station shall be: the newest only. `content` is the digest of the pairing and of
what it says, without the revision and the time, so that the same again is seen to be the same."""

reports = Table(
    "reports",
    metadata,
    Column("lab", _LAB, primary_key=True),
    Column("station", _STATION, primary_key=True),
    Column("heard_at", Instant, nullable=False),
    Column("answer", LargeBinary, nullable=False),
    ForeignKeyConstraint(["lab", "station"], ["stations.lab", "stations.id"], ondelete="CASCADE"),
)
"""The last answer of each station, as it came."""

payments = Table(
    "payments",
    metadata,
    Column("lab", _LAB, primary_key=True),
    Column("order", String(32), primary_key=True),
    Column("station", _STATION, nullable=False),
    Column("at", Instant, nullable=False),
    Column("who", _NAME, nullable=False),
    Column("minutes", Integer, nullable=False),
    Column("why", String(500), nullable=False),
    Column("outcome", String(16), nullable=False),
    Column("closed_at", Instant),
    Column("closed_by", _NAME),
    Index("payments_by_time", "lab", "at"),
)
"""Orders to open the payment mode, by the id of their command. `closed_at` and `closed_by`: where somebody
closed it before its `minutes` were over. A PC's outlive its pairing."""
