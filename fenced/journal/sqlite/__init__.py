"""The store as an SQLite file, for one daemon."""
