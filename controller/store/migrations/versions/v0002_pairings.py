"""The id of each station's pairing, which all that is signed for the station names."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Stations from before get an id that none of them has: they stay in their groups, and say of whatever
    is signed for them now that they have to be paired again. What was signed before can be read no more."""
    op.add_column("stations", sa.Column("pairing", sa.String(32), nullable=False, server_default="0" * 32))
    op.execute("DELETE FROM desired")
