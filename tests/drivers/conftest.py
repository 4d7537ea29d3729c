"""A keeper of its own for each test, and the drivers on it."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import uvloop

from fenced.drivers.keeper_client import Keeper
from fenced.drivers.registry import DriverRegistry, drivers


@pytest.fixture(scope="module")
def event_loop_policy() -> asyncio.AbstractEventLoopPolicy:
    """The daemon's default loop."""
    return uvloop.EventLoopPolicy()


@pytest.fixture
def marker() -> str:
    """The store's id: tests run side by side, each kills only its own."""
    return f"test-{uuid.uuid4().hex}"


@pytest.fixture
async def keeper(marker: str) -> AsyncIterator[Keeper]:
    async with Keeper(marker=marker) as running:
        yield running


@pytest.fixture
async def registry(tmp_path: Path, marker: str) -> AsyncIterator[DriverRegistry]:
    """All drivers; agents of the test come before Debian's."""
    path = [tmp_path, Path("/usr/sbin")]
    async with drivers(agent_path=path, keeper=Keeper(marker=marker)) as running:
        yield running
