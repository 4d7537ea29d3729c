"""Certificates are made once, and most tests share one proxy process."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.proxy.bed import PX1, Bed, ProxyProcess, caller_of, make_certificates


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("certificates")
    make_certificates(directory)
    return directory


@pytest.fixture(scope="session")
def shared_px1(certificates: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ProxyProcess]:
    """A proxy for all tests that leave it running; each test uses its own devices."""
    yield from started(ProxyProcess(name="px1", certificates=certificates, state_dir=tmp_path_factory.mktemp("px1")))


@pytest.fixture
def own_px1(certificates: Path, tmp_path: Path) -> Iterator[ProxyProcess]:
    """A proxy that the test may kill."""
    yield from started(ProxyProcess(name="px1", certificates=certificates, state_dir=tmp_path / "px1"))


@pytest.fixture
async def bed(certificates: Path, shared_px1: ProxyProcess) -> AsyncIterator[Bed]:
    async with bed_of(certificates, shared_px1) as bed:
        yield bed


@pytest.fixture
async def own_bed(certificates: Path, own_px1: ProxyProcess) -> AsyncIterator[Bed]:
    async with bed_of(certificates, own_px1) as bed:
        yield bed


def started(proxy: ProxyProcess) -> Iterator[ProxyProcess]:
    try:
        proxy.start()
        yield proxy
    finally:
        proxy.kill()


@asynccontextmanager
async def bed_of(certificates: Path, px1: ProxyProcess) -> AsyncIterator[Bed]:
    async with caller_of(certificates, {PX1: px1.url}) as caller:
        yield Bed(px1=px1, certificates=certificates, caller=caller)
