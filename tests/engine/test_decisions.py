"""Decisions over several shards: the shard of the host answers."""

import pytest

from fenced.model.names import HostName
from fenced.ports.control import NotFound
from tests.fakes.shards import Shards

N1, N2 = HostName("node-1"), HostName("node-2")


async def test_the_shard_of_the_host_answers() -> None:
    it = Shards()
    it.fakes["dc2"].all_decisions.clear()
    found = await it.control.decisions(N1, before=None, limit=1, after=None)
    assert [item.record.id for item in found.items] == ["d-1-3"]
    assert (await it.control.decisions(N2, before=None, limit=1, after=None)).items == ()
    with pytest.raises(NotFound):
        await it.control.decisions(HostName("node-9"), before=None, limit=1, after=None)


async def test_a_shard_that_another_controller_holds_answers_from_the_store() -> None:
    it = Shards()
    it.follow("main", None)
    assert len((await it.control.decisions(N1, before=None, limit=10, after=None)).items) == 3
