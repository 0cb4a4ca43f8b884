"""Alembic's entry: runs the steps on the connection the store hands over."""

from alembic import context
from sqlalchemy import Connection

from controller.store.tables import metadata

connection: Connection = context.config.attributes["connection"]
context.configure(connection=connection, target_metadata=metadata, render_as_batch=True)
context.run_migrations()
