"""Whole implementations of ports, in memory, for tests in virtual time."""
