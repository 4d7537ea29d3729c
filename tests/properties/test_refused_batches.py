"""A batch that the store refuses leaves nothing behind, and decided again it comes to the same, whatever events it has.

The moments of heartbeats and evidence are the exception: they stay (design.md#detection).
"""

import types
from collections.abc import Mapping
from dataclasses import fields, replace
from enum import Enum
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fenced.core import events as e
from fenced.core.decide import decide
from fenced.core.fleet import Fleet
from fenced.model.inventory import Inventory
from fenced.model.names import BootId, DeviceName, HostName, OperationId, ProxyName
from fenced.model.power import Action
from tests.core.desk import NODE, Desk
from tests.core.refusing import is_same, whole
from tests.world import rack as racks
from tests.world.rack import Rack

HOSTS = tuple(racks.inventory(Rack()).hosts)
BATCH_MAX = 5
EVENTS = tuple(kind for kind in get_args(e.Event) if kind is not e.Keyed)  # it holds another event


class Around:
    """Events that speak of a desk: of its hosts, devices, proxies and operations, and of moments around now."""

    def __init__(self, desk: Desk) -> None:
        running = desk.fleet.hosts[NODE].operation
        fewer = {name: host for name, host in desk.inventory.hosts.items() if name != HOSTS[-1]}
        self._plain: dict[object, st.SearchStrategy[Any]] = {
            HostName: st.sampled_from((NODE, NODE, *HOSTS)),
            DeviceName: st.sampled_from([device.name for device in desk.inventory.hosts[NODE].devices]),
            ProxyName: st.sampled_from([ProxyName("engine"), *desk.inventory.proxies]),
            OperationId: st.sampled_from([OperationId("1-1"), *([running.id] if running is not None else [])]),
            BootId: st.sampled_from([BootId("b1"), BootId("b2")]),
            Inventory: st.sampled_from([desk.inventory, replace(desk.inventory, hosts=fewer)]),
            float: st.floats(desk.now - 60.0, desk.now + 60.0),
            int: st.integers(1, 4),
            bool: st.booleans(),
            str: st.sampled_from(["", "a", "person"]),
            bytes: st.just(b"c"),
            type(None): st.none(),
        }

    def any(self, hint: Any) -> st.SearchStrategy[Any]:
        """Any value of a type."""
        origin, arguments = get_origin(hint), get_args(hint)
        if hint in self._plain:
            return self._plain[hint]
        if origin in {types.UnionType, Union}:
            return st.one_of(*map(self.any, arguments))
        if origin is Literal:
            return st.sampled_from(arguments)
        if origin is tuple and arguments[-1] is not Ellipsis:
            return st.tuples(*map(self.any, arguments))
        if origin is tuple:
            return st.lists(self.any(arguments[0]), max_size=3).map(tuple)
        if origin is frozenset:
            return st.frozensets(self.any(arguments[0]), max_size=3)
        if origin is Mapping:
            return st.dictionaries(*map(self.any, arguments), max_size=2)
        if issubclass(hint, Enum):
            return st.sampled_from(hint)
        hints = get_type_hints(hint)
        return st.builds(hint, **{field.name: self.any(hints[field.name]) for field in fields(hint)})


def refused_first(fleet: Fleet, batch: list[e.Event], now: float) -> None:
    """Decide a batch, undo it, decide it again, until it is durable.

    The first time an event does not know yet which beats the same batch still holds: with several events the second and
    the third time are compared, both of which know.
    """
    before, decided = whole(fleet), []
    for _ in range(1 if len(batch) == 1 else 2):
        fleet.begin()
        decided.append([decide(fleet, event, now) for event in batch])
        fleet.roll_back()
        assert whole(fleet) == before, f"it left something: {batch}"
    fleet.begin()
    again = [decide(fleet, event, now) for event in batch]
    assert all(map(is_same, again, decided[-1])), f"decided again it is something else: {batch}"
    fleet.settle()


@given(st.data())
@settings(max_examples=100, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
def test_any_batch_is_undone_whole_and_decided_again_the_same(data: st.DataObject) -> None:
    desk = Desk()
    if data.draw(st.booleans()):
        desk.ask(Action.RESTART)
    for _ in range(data.draw(st.integers(1, 6))):
        kinds = data.draw(st.lists(st.sampled_from(EVENTS), min_size=1, max_size=BATCH_MAX))
        around = Around(desk)
        refused_first(desk.fleet, [data.draw(around.any(kind)) for kind in kinds], desk.now)
        desk.now += data.draw(st.sampled_from([0.0, 1.0, 30.0]))
