"""A PostgreSQL server for tests: one a worker, a database a test."""
