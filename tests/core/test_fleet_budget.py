"""The fleet's budget with other shards: what they drew counts, for as long as it counts, and a draw leaves room."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fenced.core import events as e
from fenced.core import following
from fenced.core.allowed import limits
from fenced.core.decide import Decision, decide
from fenced.core.durable import records as r
from fenced.core.fleet import Fleet
from fenced.core.heard.others import LOCKED_SECONDS, Elsewhere, Others, Room
from fenced.model.names import HostName
from fenced.model.power import State
from tests.core.desk import NODE, Desk
from tests.core.test_gates import SIX, held_by, is_open, rack, silent, verdict
from tests.world import rack as racks


class Drawing(Desk):
    """Keeps what each draw leaves to others."""

    rooms: tuple[Room, ...] = ()

    def do(self, event: e.Event) -> Decision:
        decision = super().do(event)
        if decision.room is not None:
            self.rooms = (*self.rooms, decision.room)
        return decision


def told(desk: Desk, *lasting_seconds: float, unrecovered: int = 0) -> None:
    elsewhere = Elsewhere(lasting_seconds=lasting_seconds, unrecovered=unrecovered)
    desk.do(e.BudgetSeen(at=desk.now, elsewhere=elsewhere))


def drawn(desk: Desk, name: str) -> None:
    desk.fleet.apply(
        r.Entry(at=desk.now, host=None, record=r.BudgetDrawn(host=HostName(name), cluster="c2"))
    )  # fmt: skip


def test_draws_of_other_shards_close_the_gate_until_they_expire() -> None:
    desk = Desk(rack(gates__budget_hosts=3, gates__budget_percent=0))
    told(desk, 100.0, 30.0)
    assert is_open(desk, "budget")
    told(desk, 100.0, 30.0, 5.0)
    assert not is_open(desk, "budget") and "3" in verdict(desk, "budget").why
    desk.go(6.0)
    assert is_open(desk, "budget")
    drawn(desk, "node-5")
    assert not is_open(desk, "budget"), "one of its own, two of others"
    desk.go(30.0)
    assert is_open(desk, "budget")


def test_what_the_store_tells_replaces_what_was_known() -> None:
    desk = Desk(rack(gates__budget_hosts=1, gates__budget_percent=0))
    told(desk, 500.0)
    assert not is_open(desk, "budget")
    told(desk)
    assert is_open(desk, "budget")


def test_hosts_of_other_shards_that_are_not_back_count() -> None:
    desk = Desk(rack(gates__budget_unrecovered=3))
    told(desk, unrecovered=2)
    assert is_open(desk, "budget")
    desk.fleet.put(replace(desk.state(HostName("node-1")), state=State.FENCED))
    assert not is_open(desk, "budget")
    told(desk, unrecovered=1)
    assert is_open(desk, "budget")


def test_the_percentage_is_of_the_whole_configuration() -> None:
    """Of the six hosts of this shard 10 % are none, of forty in all they are four; a cluster has its own hosts."""
    desk = Desk(rack(gates__budget_percent=10.0, gates__budget_hosts=1))
    told(desk, 100.0, 100.0, 100.0)
    assert not is_open(desk, "budget")
    desk.fleet.take(replace(desk.inventory, fleet_size=40))
    assert is_open(desk, "budget")
    told(desk, 100.0, 100.0, 100.0, 100.0)
    assert not is_open(desk, "budget")
    told(desk)
    drawn(desk, "node-5")
    assert is_open(desk, "budget")
    draw = r.BudgetDrawn(host=HostName("node-6"), cluster=desk.inventory.hosts[NODE].cluster)
    desk.fleet.apply(r.Entry(at=desk.now, host=None, record=draw))
    assert not is_open(desk, "budget")


def test_another_shard_that_draws_at_the_same_moment_closes_the_gate_for_a_moment() -> None:
    desk = Desk(rack(gates__budget_hosts=2, gates__budget_percent=0))
    told(desk, 100.0)
    desk.do(e.BudgetSeen(at=desk.now, elsewhere=None))
    assert not is_open(desk, "budget")
    desk.go(LOCKED_SECONDS)
    assert is_open(desk, "budget")
    drawn(desk, "node-5")
    assert not is_open(desk, "budget"), "what was known of others is still known"


def test_a_held_host_is_fenced_once_draws_of_others_expire() -> None:
    desk = Desk(rack(gates__budget_hosts=1, gates__budget_percent=0))
    told(desk, 60.0)
    silent(desk)
    assert held_by(desk) == {"budget"}
    silent(desk, 40.0)
    assert desk.state().operation is not None


def test_a_fence_says_what_it_leaves_to_others() -> None:
    desk = Drawing(rack(gates__budget_hosts=3, gates__budget_percent=0, gates__budget_unrecovered=5))
    told(desk, 500.0, 500.0)
    silent(desk)
    assert desk.rooms == (Room(per_seconds=600.0, drawn=2, unrecovered=4),)


@given(st.integers(0, 6), st.integers(0, 6), st.integers(0, 4), st.integers(0, 6), st.integers(0, 6))
def test_the_gate_is_open_exactly_while_others_stay_within_the_room(
    most: int, limit: int, own: int, others: int, away: int
) -> None:
    settings = {"gates.budget_hosts": most, "gates.budget_percent": 0, "gates.budget_unrecovered": limit}
    inventory = racks.inventory(racks.Rack(hosts=SIX, settings=settings))
    fleet = Fleet(replace(inventory), epoch=1, started=0.0)
    for number in range(own):
        record = r.BudgetDrawn(host=HostName(f"node-{number + 1}"), cluster="elsewhere")
        fleet.apply(r.Entry(at=1.0, host=None, record=record))
        fleet.put(replace(fleet.hosts[record.host], state=State.FENCED))
    room = limits.budget_room(fleet, NODE, 2.0)
    fleet.own = replace(fleet.own, others=Others(until=(9.0,) * others, unrecovered=away))
    is_within = others <= room.drawn and away <= room.unrecovered
    assert limits.budget(fleet, None, 2.0, but=NODE).is_open == is_within


@pytest.mark.parametrize("elsewhere", [Elsewhere(lasting_seconds=(9.0,), unrecovered=2), None])
def test_a_refused_batch_keeps_what_is_known_of_others(elsewhere: Elsewhere | None) -> None:
    desk = Desk()
    desk.fleet.begin()
    decide(desk.fleet, e.BudgetSeen(at=desk.now, elsewhere=elsewhere), desk.now)
    known = desk.fleet.own.others
    desk.fleet.roll_back()
    assert desk.fleet.own.others == known != Others()


def test_a_standby_knows_what_others_have_drawn() -> None:
    fleet = Fleet(racks.inventory(racks.Rack()), epoch=0, started=0.0)
    assert following.hear(fleet, e.BudgetSeen(at=1.0, elsewhere=Elsewhere(unrecovered=2)), 1.0)
    assert fleet.own.others.unrecovered == 2
