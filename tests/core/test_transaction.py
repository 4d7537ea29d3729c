"""A rejected batch leaves nothing but the moments of heartbeats and evidence (design.md#store-and-lease)."""

from dataclasses import replace

from fenced.core import events as e
from fenced.core.decide import decide
from fenced.model.names import BootId, DeviceName, HostName, ProxyName
from fenced.model.power import Action, Power, State
from tests.core.checked import desk as checked
from tests.core.desk import NODE, Desk

PDU = DeviceName("pdu-a")


def beat(at: Desk, boot: str) -> e.Health:
    return e.Health(host=NODE, received=at.now, is_retained=False, boot=BootId(boot), sequence=1)


def test_a_beat_stays_heard_though_its_record_was_refused() -> None:
    """A forgotten beat would be silence, and a living host would be fenced because of the store's trouble (S11)."""
    at = Desk()
    at.now += 10.0
    at.fleet.begin()
    assert decide(at.fleet, beat(at, "b2"), at.now).entries
    at.fleet.roll_back()
    assert at.fleet.silence_seconds(NODE, at.now) == 0.0
    assert at.state().boot == BootId("b1") and at.fleet.sights[NODE].boot == BootId("b1")


def test_evidence_of_life_stays() -> None:
    at = Desk()
    at.fleet.begin()
    said = e.Evidence(host=NODE, source="storage", received=at.now, is_retained=False, evidence_kind="storage",
                      is_alive=True, ttl_seconds=60.0)  # fmt: skip
    decide(at.fleet, said, at.now)
    at.fleet.roll_back()
    assert ("storage", "storage") in (at.fleet.sights[NODE].evidence or {})


def test_a_round_of_the_watch_counts_once_however_often_it_is_refused() -> None:
    at = Desk()
    at.ask(Action.OFF)
    at.serve(seconds=60.0)
    assert at.state().state is State.FENCED
    at.set_power(Power.ON, "pdu-a")
    event = e.WatchEnded(host=NODE, started=at.now, powers=((PDU, Power.ON),))
    for _ in range(3):
        at.fleet.begin()
        assert decide(at.fleet, event, at.now).entries
        at.fleet.roll_back()
        assert at.state().state is State.FENCED and at.fleet.sights[NODE].watch_lit == {}


def test_a_path_that_failed_counts_once_however_often_it_is_refused() -> None:
    at = checked("pdu-a:1")
    event = e.PathChecked(host=NODE, device=PDU, proxy=ProxyName("engine"), started=at.now, ended=at.now,
                          power=Power.UNKNOWN, error="no answer", failure="unreachable")  # fmt: skip
    for _ in range(3):
        at.fleet.begin()
        decide(at.fleet, event, at.now)
        at.fleet.roll_back()
        assert NODE not in at.fleet.checks
    at.do(event)
    assert at.fleet.checks[NODE].paths[(PDU, ProxyName("engine"))].failures == 1


def test_a_refused_inventory_is_the_old_one_with_all_its_hosts() -> None:
    at = Desk()
    before, hosts = at.fleet.inventory, dict(at.fleet.hosts)
    fewer = {name: host for name, host in before.hosts.items() if name != NODE}
    at.fleet.begin()
    decide(at.fleet, e.InventoryRead(inventory=replace(before, hosts=fewer)), at.now)
    assert NODE not in at.fleet.hosts
    at.fleet.roll_back()
    assert at.fleet.inventory is before and at.fleet.hosts == hosts and not at.fleet.gone
    assert all(name in at.fleet.sights for name in hosts) and HostName("node-2") in hosts


def test_tokens_of_a_refused_batch_are_given_again() -> None:
    at = Desk()
    at.fleet.begin()
    token = at.fleet.next_token()
    at.fleet.roll_back()
    assert at.fleet.next_token() == token
