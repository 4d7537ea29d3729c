"""In-memory implementations of whole ports, for tests in virtual time."""
