"""The rigs as fixtures."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.journal.rigs import MemoryRig, Rig, SqlRig


@pytest.fixture
async def sql(tmp_path: Path) -> AsyncIterator[SqlRig]:
    """Files; the journal is not opened yet."""
    rig = SqlRig(tmp_path)
    yield rig
    await rig.close()


@pytest.fixture(params=["memory", "sqlite"])
def rig(request: pytest.FixtureRequest, sql: SqlRig) -> Rig:
    """Each implementation in turn; the journal is not opened yet."""
    return MemoryRig() if request.param == "memory" else sql
