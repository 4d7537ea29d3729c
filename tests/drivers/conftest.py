"""A keeper and all drivers for each test."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import uvloop

from fenced.drivers.agents.cache import MetadataCache
from fenced.drivers.catalogue import Asked, ask
from fenced.drivers.keeper.client import Keeper
from fenced.drivers.registry import DriverRegistry, drivers
from tests.shared import shared_folder

DEBIAN = Path("/usr/sbin")


def pytest_asyncio_loop_factories(item: pytest.Item) -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """The daemon's default loop; for the keeper's client, which uses bare descriptors, asyncio's loop as well."""
    factories: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {"uvloop": uvloop.new_event_loop}
    if item.path.stem == "test_keeper":
        factories["asyncio"] = asyncio.new_event_loop
    return factories


@pytest.fixture
def marker() -> str:
    """The store's id: tests run side by side, and each kills only its own processes."""
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


@dataclass(frozen=True, slots=True)
class Debian:
    """The metadata of every agent of this machine, and the cache with what each said."""

    asked: Asked
    said: MetadataCache


@pytest.fixture(scope="session")
def debians(tmp_path_factory: pytest.TempPathFactory) -> Debian:
    """Each agent is run once, also if several workers ask."""
    names = sorted(path.name for path in DEBIAN.glob("fence_*") if path.name != "fence_legacy")
    with shared_folder(tmp_path_factory, "debian") as kept_in:
        asked = ask(names, agent_path=[DEBIAN], kept_in=kept_in)
    return Debian(asked, MetadataCache(kept_in))


@pytest.fixture(scope="session")
def debian(debians: Debian) -> Asked:
    return debians.asked
