"""Desks with observers: proxies in racks of their own, which see what a test says."""

from collections.abc import Mapping
from dataclasses import replace

from fenced.core import commands as c
from fenced.core import events as e
from fenced.core.allowed import gates
from fenced.core.durable.state import GateVerdict
from fenced.core.heard.looks import Saw
from fenced.model.names import HostName, ProxyName
from tests.core.desk import NODE, Desk
from tests.fakes.looks import Sees
from tests.world.rack import Rack

SIX = tuple(f"node-{number}" for number in range(1, 7))
PX1, PX2 = ProxyName("px1"), ProxyName("px2")
IN_RACKS: Mapping[str, str] = {name: f"r{(number + 1) // 2}" for number, name in enumerate(SIX, start=1)}
"""node-1 and node-2 in r1, node-3 and node-4 in r2, node-5 and node-6 in r3."""


def rack(**changes: object) -> Rack:
    domains = {"px1": "r2", "px2": "r3"}
    plain = Rack(hosts=SIX, racks=IN_RACKS, proxies=("px1", "px2"), observers=("px1", "px2"), domains=domains)
    return replace(plain, **changes)  # type: ignore[arg-type]


def observed(plan: Rack, sees: Sees | None = None) -> Desk:
    """Return a desk whose proxies may look."""
    desk = Desk(plan)
    desk.do(e.ProxiesSeen(faults={}, observers=frozenset(map(ProxyName, plan.observers))))
    if sees is not None:
        desk.sees[NODE] = sees
    return desk


def paused(plan: Rack) -> Desk:
    """The same with a pause: the host is looked at again and again, and nothing is done."""
    desk = observed(plan)
    desk.do(e.PauseAsked(match=f"host={NODE}", by="p", reason="r", until=None))
    return desk


def seen(**by_name: Saw | None) -> Sees:
    """Return what observers see, by name; all others see it silent. None: no answer."""
    return lambda observer, target: by_name.get(observer.name, Saw.SILENT)


def verdict(desk: Desk, name: HostName = NODE, gate: str = "observers") -> GateVerdict:
    return next(found for found in gates.all_gates(desk.fleet, name, desk.now) if found.gate == gate)


def silent(desk: Desk, seconds: float = 40.0) -> Desk:
    desk.go(seconds, silent=[NODE])
    return desk


def held(desk: Desk) -> set[str]:
    return {found.gate for found in desk.state().held_by}


def asked(desk: Desk, name: HostName = NODE) -> c.AskLife:
    """Return what is asked of a suspect, without an answer to it."""
    desk.are_looks_lost = True
    commands: list[c.AskLife] = []
    for _ in range(60):
        desk.now += 0.5
        found = [it for it in desk.do(e.TimerFired(host=name)).commands if isinstance(it, c.AskLife)]
        commands += found
        if commands:
            return commands[0]
        for other in desk.inventory.hosts:
            if other != name:
                desk.beat(other)
    raise AssertionError("nobody is asked")
