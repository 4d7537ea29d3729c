"""Fixtures that every test may use."""

import pytest


@pytest.fixture
def missing_programs_under_ci() -> None:
    """Stands in for a skip under CI: what the suite needs must have been installed."""
    pytest.fail("a program that this test needs is not installed; under CI nothing is skipped (see tests/needs.py)")
