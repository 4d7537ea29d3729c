"""Processes that own a keeper."""

from collections.abc import Iterator

import pytest

from tests.drivers.keeper.owners import Owner


@pytest.fixture
def owners() -> Iterator[list[Owner]]:
    """Processes that end with the test."""
    started: list[Owner] = []
    yield started
    for owner in started:
        owner.close()
