"""The store: a SQLite file through SQLAlchemy Core and aiosqlite, with numbered migrations, lease and outbox."""
