"""The fleet's budget in a store of one shard, for each implementation: nothing limits it but its own gate."""

from fenced.core.durable.records import BudgetDrawn, BudgetReturned, Entry
from fenced.core.heard.others import Elsewhere, Room
from fenced.model.names import HostName
from fenced.ports.journal import Batch
from tests.journal.rigs import Rig

ROOM = Room(per_seconds=600.0, drawn=0, unrecovered=0)


async def test_the_only_shard_of_a_store_has_the_whole_budget(rig: Rig) -> None:
    await rig.open()
    draw = Entry(at=100.0, host=None, record=BudgetDrawn(host=HostName("node-1"), cluster="c1"))
    for number in range(1, 4):
        assert await rig.journal.append(Batch(entries=[draw], room=ROOM, unrecovered=number)) == number
    assert await rig.journal.elsewhere() == Elsewhere()


async def test_a_draw_may_be_returned_in_the_same_batch_or_unknown(rig: Rig) -> None:
    await rig.open()
    draw = Entry(at=100.0, host=None, record=BudgetDrawn(host=HostName("node-1"), cluster="c1"))
    returns = [
        Entry(at=100.0, host=None, record=BudgetReturned(host=HostName("node-1"), drawn_at=at)) for at in (100.0, 7.0)
    ]
    assert await rig.journal.append(Batch(entries=[draw, *returns], room=ROOM)) == 3
    await rig.reopen()
    assert await rig.journal.elsewhere() == Elsewhere()
