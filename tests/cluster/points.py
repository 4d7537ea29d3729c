"""Brings a fence to each point at which a fault is to meet it, one host a point: gates hold it there."""

import json
from enum import Enum

from tests.cluster.bed import Bed
from tests.cluster.chassis import Gate
from tests.net import until


class Point(Enum):
    """What is under way. ANNOUNCING: the fence is journalled, and the broker has not acknowledged its announcement."""

    RACE = "race"
    OFF = "off"
    VERIFY = "verify"
    ANNOUNCING = "announcing"
    ON = "on"


GATES = {
    Point.RACE: Gate.RACE, Point.OFF: Gate.OFF, Point.VERIFY: Gate.VERIFY, Point.ANNOUNCING: Gate.VERIFY,
    Point.ON: Gate.ON,
}  # fmt: skip


def host_at(point: Point) -> str:
    return f"at-{point.value}"


async def bring(it: Bed, *points: Point) -> None:
    """Let a host die for each point, and return once each fence is there. The broker is frozen if one is announcing."""
    for point in points:
        it.chassis.close(GATES[point], *it.plugs[host_at(point)])
    it.die(*(host_at(point) for point in points))
    for point in points:
        await it.chassis.waits(GATES[point], *it.plugs[host_at(point)])
    if Point.ANNOUNCING in points:
        it.freeze_broker(is_frozen=True)
        host = host_at(Point.ANNOUNCING)
        it.chassis.release(*it.plugs[host])
        await until(lambda: _is_announcing(it, host), what=f"{host} waits for the broker")
    for point in points:
        is_held = point is Point.ANNOUNCING or it.chassis.is_waiting(GATES[point], *it.plugs[host_at(point)])
        assert is_held, f"{host_at(point)} left its point before the fault: the machine is too slow for the time limits"


async def _is_announcing(it: Bed, host: str) -> bool:
    rows = await it.databases.now.rows("SELECT host, payload FROM outbox WHERE is_event AND NOT is_delivered")
    return any(row["host"] == host and json.loads(row["payload"])["type"].endswith("host.fenced") for row in rows)
