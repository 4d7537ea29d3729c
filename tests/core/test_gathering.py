"""The gates of suspects are evaluated together where the hosts are many, and no later than that needs."""

import pytest

from fenced.core import commands as c
from fenced.core.durable import records as r
from fenced.core.suspected import confirming
from fenced.model.names import HostName
from tests.core.desk import Desk
from tests.world.rack import Rack

FIRST, SECOND = HostName("node-1"), HostName("node-2")
RACK = Rack(hosts=tuple(f"node-{number}" for number in range(1, 9)), settings={"daemon.is_armed_by_file": False})
GAP_SECONDS = 0.4


def held_at(desk: Desk, name: HostName) -> float:
    return next(it.at for it in desk.entries if it.host == name and isinstance(it.record, r.HostHeld))


def two_suspects(apart: float) -> Desk:
    """Let two hosts fall silent, the second one so much later."""
    desk = Desk(RACK)
    desk.go(apart, silent=[FIRST], pace=apart)
    desk.go(40.0, silent=[FIRST, SECOND])
    return desk


def test_in_a_small_fleet_each_suspect_is_judged_when_it_is_its_turn() -> None:
    desk = two_suspects(0.1)
    assert held_at(desk, SECOND) - held_at(desk, FIRST) == pytest.approx(0.1, abs=0.001)


def test_in_a_large_fleet_a_suspect_waits_for_the_next_look_at_all_hosts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(confirming, "GATHER_SECONDS_A_HOST", GAP_SECONDS / len(RACK.hosts))
    desk = two_suspects(0.1)
    assert held_at(desk, SECOND) - held_at(desk, FIRST) == pytest.approx(GAP_SECONDS)


def test_nobody_waits_longer_than_half_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(confirming, "GATHER_SECONDS_A_HOST", 60.0)
    desk = two_suspects(0.1)
    assert held_at(desk, SECOND) - held_at(desk, FIRST) == pytest.approx(confirming.GATHER_SECONDS_MAX)
    assert confirming.GATHER_SECONDS_MAX <= 0.5


def test_a_suspect_alone_waits_for_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    alone, among_many = Desk(RACK), Desk(RACK)
    alone.go(40.0, silent=[FIRST])
    monkeypatch.setattr(confirming, "GATHER_SECONDS_A_HOST", GAP_SECONDS / len(RACK.hosts))
    among_many.go(40.0, silent=[FIRST])
    assert held_at(among_many, FIRST) == held_at(alone, FIRST)
    assert not among_many.waiting(c.RunRace)
