"""The rigs as fixtures."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.journal.rigs import MemoryRig, PostgresRig, Rig, SqlRig
from tests.needs import needs
from tests.postgres import Server, postgres

__all__ = ["postgres"]


@pytest.fixture
async def sql(tmp_path: Path) -> AsyncIterator[SqlRig]:
    """Files; the journal is not opened yet."""
    rig = SqlRig(tmp_path)
    yield rig
    await rig.close()


@pytest.fixture
async def database(tmp_path: Path, postgres: Server) -> AsyncIterator[PostgresRig]:
    """An empty database; the journal is not opened yet."""
    rig = PostgresRig(postgres, await postgres.empty_database(), tmp_path)
    yield rig
    await rig.close()


@pytest.fixture
async def glancing(tmp_path: Path, postgres: Server) -> AsyncIterator[PostgresRig]:
    """An empty database, at which the journals look as those of several shards do; not opened yet."""
    rig = PostgresRig(postgres, await postgres.empty_database(), tmp_path, has_glances=True)
    yield rig
    await rig.close()


@pytest.fixture(
    params=[
        "memory",
        "sqlite",
        pytest.param("postgresql", marks=[needs("postgres"), pytest.mark.integration]),
        pytest.param("postgresql with glances", marks=[needs("postgres"), pytest.mark.integration]),
    ]
)
def rig(request: pytest.FixtureRequest) -> Rig:
    """Each implementation in turn; the journal is not opened yet."""
    match request.param:
        case "memory":
            return MemoryRig()
        case "sqlite":
            rig: Rig = request.getfixturevalue("sql")
        case "postgresql":
            rig = request.getfixturevalue("database")
        case _:
            rig = request.getfixturevalue("glancing")
    return rig
