"""Debts survive edits of the inventory: an outlet is identified by its plug, not by its device's name (S9)."""

from dataclasses import replace

import pytest

from fenced.core.durable import records as r
from fenced.core.durable.evolve import evolve
from fenced.core.durable.state import Orphan
from fenced.core.operation.edited import debts
from fenced.model.names import DeviceName, PlugId
from tests.core.desk import NODE, Desk
from tests.core.test_edited_inventory import moved
from tests.world.rack import Rack


def test_two_debts_of_one_name_are_two_outlets() -> None:
    """The device was switched off on one outlet and, after an edit, on another one; the inventory may change back."""
    desk = Desk(Rack(devices=("pdu-a:1",)))
    host = desk.inventory.hosts[NODE]
    first, second = PlugId("snmp|10.0.0.9:161|1"), PlugId("snmp|10.0.0.9:161|2")
    on_first, on_second = moved("pdu-a", first)(host), moved("pdu-a", second)(host)
    assert on_first is not None and on_second is not None
    name = DeviceName("pdu-a")
    state = replace(
        desk.state(), owed=(name,), owed_plugs=((name, second),), orphans=(Orphan(device=name, plug_id=first),)
    )
    for there, gone in ((on_second, first), (on_first, second), (on_second, first)):
        owed, orphans = debts(state, there)
        assert (owed, orphans) == ((name,), (Orphan(device=name, plug_id=gone),))
        state = evolve(state, r.Entry(at=1.0, host=NODE, record=r.DebtsSorted(owed=owed, orphans=orphans)))
        assert state.owed_plugs == ((name, first if gone == second else second),)


@pytest.mark.parametrize(
    ("was", "now", "is_same"),
    [
        ("redfish|127.0.0.1:443|", "fence_redfish|127.0.0.1:443|?systems-uri=/redfish/v1/Systems/1", True),
        ("redfish|127.0.0.1:443|?system=1", "fence_redfish|127.0.0.1:8443|?systems-uri=/redfish/v1/Systems/1", True),
        ("redfish|127.0.0.1:443|?system=2", "fence_redfish|127.0.0.1:443|?systems-uri=/redfish/v1/Systems/1", False),
        ("redfish|127.0.0.1:443|", "redfish|127.0.0.2:443|", False),
        ("snmp_outlet|127.0.0.1:161|7", "fence_apc_snmp|127.0.0.1:161|7", True),
        ("snmp_outlet|127.0.0.1:161|7", "fence_apc_snmp|127.0.0.1:161|8", False),
    ],
)
def test_a_debt_follows_the_outlet_to_another_driver_and_to_no_other_outlet(was: str, now: str, is_same: bool) -> None:
    desk = Desk(Rack(devices=("bmc:1",)))
    name = DeviceName("bmc")
    after = moved("bmc", now)(desk.inventory.hosts[NODE])
    assert after is not None
    owed, orphans = debts(replace(desk.state(), owed=(name,), owed_plugs=((name, PlugId(was)),)), after)
    assert (owed == (name,)) is is_same
    assert (orphans == ()) is is_same
