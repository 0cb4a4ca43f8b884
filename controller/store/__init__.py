"""What the controller keeps: one SQL for SQLite and PostgreSQL."""
