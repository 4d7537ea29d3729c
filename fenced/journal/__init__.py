"""The store: SQLAlchemy Core over aiosqlite (PostgreSQL through asyncpg), numbered migrations, lease, outbox."""
