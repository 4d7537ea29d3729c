"""The schedule of the check: spread over the interval, one at a time per unit, a pause after each."""

import itertools
from collections import Counter, defaultdict
from time import process_time

import pytest

from fenced.engine.turns import Path, PathKey, Turns
from fenced.model.names import DeviceName, HostName, ProxyName, UnitId

Told = list[tuple[float, Path]]


def turns(
    hosts: int, *, devices: int = 2, proxies: int = 3, interval: float = 600.0, pause: float = 5.0,
    units: int | None = None
) -> Turns:  # fmt: skip
    """Return the turns of that many hosts. `units`: the number of units that all devices share; None: one for each
    device."""
    made = Turns()
    made.interval_seconds, made.pause_seconds, made.failing_max = interval, pause, 8
    made.take(paths(hosts, devices=devices, proxies=proxies, units=units), 0.0)
    return made


def paths(hosts: int, *, devices: int = 2, proxies: int = 3, units: int | None = None) -> list[tuple[PathKey, UnitId]]:
    return [
        (
            (HostName(f"h{host}"), DeviceName(f"d{device}"), ProxyName(f"p{proxy}")),
            UnitId(f"u{(host * devices + device) % (units or hosts * devices)}"),
        )
        for host in range(hosts)
        for device in range(devices)
        for proxy in range(proxies)
    ]


def play(order: Turns, until: float, *, begin: float = 0.0, takes: float = 0.0, step: float = 0.5) -> Told:
    """Read every path that is due; each read takes `takes` seconds."""
    told: Told = []
    running: list[tuple[float, Path]] = []
    now = begin
    while now < until:
        for ended in [entry for entry in running if entry[0] <= now]:
            running.remove(ended)
            order.ended(ended[1], ended[0])
        while (path := order.next(now)) is not None:
            told.append((now, path))
            running.append((now + takes, path))
            if not takes:
                running.clear()
                order.ended(path, now)
        now += step
    return told


def test_each_path_once_in_an_interval_and_spread_over_it() -> None:
    told = play(turns(50, interval=600.0, pause=1.0), 600.0)
    assert len({path.key for _, path in told}) == 300
    assert max(Counter(path.key for _, path in told).values()) <= 2
    tenths = Counter(int(at // 60) for at, _ in told)
    assert max(tenths.values()) < 2 * min(tenths.values()), "no herd at the start"


def test_rounds_drift_against_each_other() -> None:
    told = play(turns(1, devices=1, proxies=1, interval=100.0), 2000.0, step=0.1)
    gaps = {round(after[0] - before[0], 1) for before, after in itertools.pairwise(told)}
    assert len(gaps) > 3 and all(95.0 <= gap <= 105.2 for gap in gaps)


@pytest.mark.parametrize("takes", [0.0, 3.0])
def test_a_unit_is_never_read_twice_within_the_pause(takes: float) -> None:
    told = play(turns(40, units=4, interval=300.0), 900.0, takes=takes)
    by_unit: dict[UnitId, list[float]] = defaultdict(list)
    for at, path in told:
        by_unit[path.unit].append(at)
    for moments in by_unit.values():
        assert min(b - a for a, b in itertools.pairwise(moments)) >= 5.0 + takes


def test_a_unit_with_too_many_paths_serves_all_of_them_in_turn() -> None:
    """240 paths, five seconds apart, need twenty minutes: every path gets a turn before any gets several."""
    told = play(turns(40, units=1, interval=60.0), 1300.0)
    first = [path.key for _, path in told[:245]]
    assert len(set(first)) == 240


def test_the_order_of_turns_is_the_same_after_each_start() -> None:
    first, second = (play(turns(20), 300.0) for _ in range(2))
    assert [(at, path.key) for at, path in first] == [(at, path.key) for at, path in second]


def test_failing_paths_hold_at_most_their_share() -> None:
    order = turns(20, devices=1, proxies=1, interval=10.0, pause=0.0)
    order.failing_max = 2
    for _, read in play(order, 10.6):
        read.failures = 1 if read.key[0] != "h7" else 0
    begun = []
    while (path := order.next(30.0)) is not None:
        begun.append(path)
    assert sum(1 for path in begun if path.failures) == 2
    assert [path.key[0] for path in begun if not path.failures] == ["h7"], "a healthy one is not behind them"
    order.ended(begun[0], 31.0)
    order.ended(begun[1], 31.0)
    order.ended(begun[2], 31.0)
    assert order.next(31.0) is not None, "those that were held back get their turn"


def test_what_was_put_off_comes_again() -> None:
    order = turns(1, devices=1, proxies=1, interval=10.0, pause=5.0)
    path = order.next(10.0)
    assert path is not None and order.next(10.0) is None
    order.put_off(path, 25.0)
    assert order.next(24.0) is None and order.next(25.0) is path


def test_a_reload_keeps_turns_and_spreads_new_ones() -> None:
    order = turns(20, interval=600.0)
    play(order, 300.0)
    before = {path.key: path.due for path in order._paths.values()}
    order.take(paths(30)[:-60] + paths(31)[-6:], 300.0)
    kept = {path.key: path.due for path in order._paths.values()}
    assert all(kept[key] == due for key, due in before.items() if key in kept)
    fresh = [due for key, due in kept.items() if key not in before]
    assert fresh and max(fresh) - min(fresh) > 200.0


def one(host: int, unit: str = "", *, proxy: int = 0) -> tuple[PathKey, UnitId]:
    key = (HostName(f"h{host}"), DeviceName("d0"), ProxyName(f"p{proxy}"))
    return key, UnitId(unit or f"u{host}")


def test_a_unit_keeps_its_pause_over_a_reload_that_changes_all_of_its_paths() -> None:
    order = turns(1, devices=1, proxies=1, interval=10.0, pause=50.0)
    path = order.next(10.0)
    assert path is not None
    order.ended(path, 10.0)
    order.take([one(1, "u0"), one(2, "u0")], 11.0)
    begun = [at for at, _ in play(order, 100.0, begin=11.0)]
    assert begun and begun[0] >= 60.0


def test_a_unit_that_is_read_while_reloads_change_its_paths_is_not_read_twice() -> None:
    order = Turns()
    order.interval_seconds, order.pause_seconds, order.failing_max = 10.0, 1.0, 8
    order.take([one(1, "u")], 0.0)
    path = order.next(20.0)
    assert path is not None
    order.take([], 20.0)
    order.take([one(2, "u")], 20.0)
    assert order.next(40.0) is None
    order.ended(path, 40.0)
    assert order.next(40.5) is None, "its pause"
    assert order.next(60.0) is not None


@pytest.mark.parametrize("gone", [0, 1, 2])
def test_who_is_held_back_has_its_turn_although_a_reload_takes_one_of_them_away(gone: int) -> None:
    """The slot of the failing path that ended went to a removed one, and no other path was started."""
    order = turns(3, devices=1, proxies=1, interval=10.0, pause=0.0)
    order.failing_max = 1
    for _, read in play(order, 10.6):
        read.failures = 1
    running = order.next(30.0)
    assert running is not None and order.next(30.0) is None
    order.take([path for number, path in enumerate(paths(3, devices=1, proxies=1)) if number != gone], 30.0)
    running.failures = 0
    order.ended(running, 31.0)
    assert order.next(31.0) is not None


def test_a_read_of_before_a_reload_gives_no_share_back_that_is_not_its_own() -> None:
    order = turns(1, devices=1, proxies=1, interval=10.0, pause=0.0)
    old = order.next(10.0)
    assert old is not None
    order.take([one(0, "elsewhere"), one(1)], 10.0)
    for _, read in play(order, 25.0, begin=10.0):
        read.failures = 1
    order.failing_max = 1
    assert order.next(50.0) is not None and order.next(50.0) is None
    order.ended(old, 50.0)
    assert order.next(50.0) is None


def test_a_path_that_is_gone_is_never_read_again() -> None:
    order = turns(20, interval=60.0, pause=0.0)
    running = order.next(60.0)
    assert running is not None
    order.take(paths(10), 60.0)
    order.ended(running, 61.0)
    told = play(order, 300.0, begin=61.0)
    assert told and {path.key[0] for _, path in told} <= {f"h{n}" for n in range(10)}
    assert len(order) == 60
    order.take([], 300.0)
    assert order.next(1000.0) is None and order._units == {}


def seconds_a_turn(hosts: int) -> float:
    """Return the processor seconds per read, over a whole round."""
    order = turns(hosts, interval=3600.0)
    begun, count, now = process_time(), 0, 0.0
    while now < 3600.0:
        while (path := order.next(now)) is not None:
            order.ended(path, now)
            count += 1
        now += 3600.0 / (6 * hosts)
    return (process_time() - begun) / count


def test_the_cost_of_a_turn_does_not_grow_with_the_fleet() -> None:
    """6,000 and 60,000 paths: the cost grows with the logarithm and cache misses, not with the number."""
    assert any(seconds_a_turn(10_000) < 5 * seconds_a_turn(1000) for _ in range(3)), "in three measurements"
