"""The record of the payment mode: who opened it on which PC, when, why and for how long."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """It outlives the PCs it names."""
    op.create_table(
        "payments",
        sa.Column("lab", sa.String(32), primary_key=True),
        sa.Column("order", sa.String(32), primary_key=True),
        sa.Column("station", sa.String(32), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("who", sa.String(64), nullable=False),
        sa.Column("minutes", sa.Integer, nullable=False),
        sa.Column("why", sa.String(500), nullable=False),
        sa.Column("outcome", sa.String(16), nullable=False),
        sa.Column("closed_at", sa.DateTime(timezone=True)),
        sa.Column("closed_by", sa.String(64)),
    )
    op.create_index("payments_by_time", "payments", ["lab", "at"])
