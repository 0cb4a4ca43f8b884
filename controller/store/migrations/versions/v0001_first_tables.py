"""The first tables: stations, certificates, profiles and what each station shall be."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

_instant = sa.DateTime(timezone=True)


def _lab() -> sa.Column[str]:
    return sa.Column("lab", sa.String(32), primary_key=True)


def upgrade() -> None:
    """Make them. Written out, not taken from tables.py: this step stays what it was."""
    _lab_and_stations()
    _who_is_what()
    _what_they_shall_be()


def _lab_and_stations() -> None:
    op.create_table(
        "counters",
        _lab(),
        sa.Column("name", sa.String(64), primary_key=True),
        sa.Column("value", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "stations",
        _lab(),
        sa.Column("id", sa.String(32), primary_key=True),
        sa.Column("address", sa.String(255), nullable=False),
        sa.Column("port", sa.Integer, nullable=False),
        sa.Column("paired_at", _instant, nullable=False),
    )
    op.create_table(
        "certificates",
        _lab(),
        sa.Column("serial", sa.String(40), primary_key=True),
        sa.Column("name", sa.String(255), nullable=False),
        sa.Column("role", sa.String(16), nullable=False),
        sa.Column("not_after", _instant, nullable=False),
        sa.Column("revoked_at", _instant),
    )
    op.create_index("certificates_by_name", "certificates", ["lab", "name"])


def _who_is_what() -> None:
    op.create_table("groups", _lab(), sa.Column("name", sa.String(32), primary_key=True))
    op.create_table(
        "group_members",
        _lab(),
        sa.Column("group", sa.String(32), primary_key=True),
        sa.Column("station", sa.String(32), primary_key=True),
        sa.ForeignKeyConstraint(["lab", "group"], ["groups.lab", "groups.name"], ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["lab", "station"], ["stations.lab", "stations.id"], ondelete="CASCADE"),
    )
    op.create_table(
        "assignments",
        _lab(),
        sa.Column("target", sa.String(40), primary_key=True),
        sa.Column("profile", sa.String(64), nullable=False),
        sa.Column("at", _instant, nullable=False),
        sa.Column("who", sa.String(64), nullable=False),
    )


def _what_they_shall_be() -> None:
    op.create_table(
        "sources",
        sa.Column("digest", sa.String(64), primary_key=True),
        sa.Column("text", sa.Text, nullable=False),
    )
    op.create_table(
        "publications",
        _lab(),
        sa.Column("number", sa.BigInteger, primary_key=True),
        sa.Column("profile", sa.String(64), nullable=False),
        sa.Column("at", _instant, nullable=False),
        sa.Column("who", sa.String(64), nullable=False),
        sa.Column("why", sa.String(500), nullable=False),
        sa.Column("rollback_of", sa.BigInteger),
        sa.Column("sources", sa.JSON, nullable=False),
    )
    op.create_index("publications_by_profile", "publications", ["lab", "profile", "number"])
    op.create_table(
        "desired",
        _lab(),
        sa.Column("station", sa.String(32), primary_key=True),
        sa.Column("revision", sa.BigInteger, nullable=False),
        sa.Column("profile", sa.String(64), nullable=False),
        sa.Column("publication", sa.BigInteger, nullable=False),
        sa.Column("content", sa.String(64), nullable=False),
        sa.Column("payload", sa.LargeBinary, nullable=False),
        sa.Column("signature", sa.LargeBinary, nullable=False),
        sa.ForeignKeyConstraint(["lab", "station"], ["stations.lab", "stations.id"], ondelete="CASCADE"),
    )
    op.create_table(
        "reports",
        _lab(),
        sa.Column("station", sa.String(32), primary_key=True),
        sa.Column("heard_at", _instant, nullable=False),
        sa.Column("answer", sa.LargeBinary, nullable=False),
        sa.ForeignKeyConstraint(["lab", "station"], ["stations.lab", "stations.id"], ondelete="CASCADE"),
    )
