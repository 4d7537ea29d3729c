"""The store: a SQLite file through SQLAlchemy Core and aiosqlite, with numbered migrations, a lease and an outbox."""
