"""The proxy race (design.md#proxy-race): (k x stagger) + one probe, never a sum of timeouts."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

import pytest

from fenced.core.reach.domains import Place
from fenced.engine.race import PathMemory, Race, RaceResult
from fenced.engine.settling import Reading
from fenced.engine.workers import Turn
from fenced.model.inventory import Host, Inventory, Proxy
from fenced.model.names import ClusterName, DatacenterName, HostName, PlugId, ProxyName
from fenced.model.power import Power, Verdict
from fenced.model.settings import RaceSettings
from fenced.ports.devices import DeviceTimedOut, DeviceUnreachable, WrongMachine
from tests.world.loop import run
from tests.world.network import WorldClock

PLUG = PlugId("node-1/pdu-a")
SETTINGS = RaceSettings()
HOST = Host(name=HostName("node-1"), cluster=ClusterName("c1"), datacenter=DatacenterName("dc1"), rack="r1")
NOWHERE = Place(host=HOST, inventory=Inventory())


@dataclass
class Paths:
    """Proxies by seconds until they answer; None: never; negative: they fail after that time.

    `ends_itself_seconds`: when a read without an answer gives up, as a driver does by the probe's timeout.
    """

    seconds: Mapping[str, float | None]
    started: list[tuple[float, str]] = field(default_factory=list)
    cancelled: list[str] = field(default_factory=list)
    logout_seconds: float = 0.0
    wrong: tuple[str, ...] = ()
    ends_itself_seconds: float = SETTINGS.probe_timeout_seconds
    never_served: tuple[str, ...] = ()
    off: tuple[str, ...] = ()
    answers_as_cancelled: tuple[str, ...] = ()

    async def read(self, proxy: ProxyName, turn: Turn) -> Reading:
        if proxy in self.never_served:
            await asyncio.sleep(1e6)
        turn.came()
        self.started.append((asyncio.get_running_loop().time(), str(proxy)))
        try:
            seconds = self.seconds[proxy]
            await asyncio.sleep(self.ends_itself_seconds if seconds is None else abs(seconds))
        except asyncio.CancelledError as exc:
            self.cancelled.append(str(proxy))
            if proxy in self.wrong:  # its answer came as it was cancelled
                raise WrongMachine(f"{proxy} finds another machine", may_be_done=False) from exc
            if proxy in self.answers_as_cancelled:
                return self._reading(proxy)
            await asyncio.sleep(self.logout_seconds)
            raise
        if proxy in self.wrong:
            raise WrongMachine(f"{proxy} finds another machine", may_be_done=False)
        if seconds is None:
            raise DeviceTimedOut(f"{proxy}: no answer")
        if seconds < 0:
            raise DeviceUnreachable(f"{proxy} refuses")
        return self._reading(proxy)

    def _reading(self, proxy: ProxyName) -> Reading:
        return Reading(power=Power.OFF if proxy in self.off else Power.ON)


def race(
    paths: Paths, *tiers: Sequence[str], memory: PathMemory | None = None, settings: RaceSettings = SETTINGS,
    is_exhaustive: bool = False, stops_at_mismatch: bool = False, place: Place = NOWHERE,
    load: Mapping[str, float] = MappingProxyType({}),
) -> tuple[RaceResult, float]:  # fmt: skip
    """Run a race. Return the result and its duration."""

    async def main() -> tuple[RaceResult, float]:
        racing = Race(
            tiers=[[ProxyName(name) for name in tier] for tier in tiers], plug=PLUG, read=paths.read,
            memory=memory if memory is not None else PathMemory(), settings=settings, clock=WorldClock(),
            origin=WorldClock().now(), is_exhaustive=is_exhaustive, place=place,
            load=lambda proxy: load.get(proxy, 0.0),
            stops_at_mismatch=stops_at_mismatch,
        )  # fmt: skip
        result = await racing.run()
        return result, asyncio.get_running_loop().time()

    return run(main())


def verdicts(result: RaceResult) -> dict[str, Verdict]:
    return {str(entry.proxy): entry.verdict for entry in result.entries}


@pytest.mark.parametrize("k", range(9))
@pytest.mark.parametrize("is_one_tier", [True, False])
def test_k_dead_candidates_cost_k_staggers_and_one_probe(k: int, is_one_tier: bool) -> None:
    dead = [f"dead-{number}" for number in range(k)]
    paths = Paths({**dict.fromkeys(dead), "live": 0.1})
    tiers = [[*dead, "live"]] if is_one_tier else [*[[name] for name in dead], ["live"]]
    # The only living candidate, in a lower tier, waits its preference grace for the better ones still running.
    grace = 0.0 if is_one_tier or k == 0 else SETTINGS.preference_grace_seconds
    result, seconds = race(paths, *tiers)
    assert result.winner == "live"
    assert seconds == pytest.approx(k * SETTINGS.stagger_seconds + 0.1 + grace, abs=0.01)


def test_k_failing_candidates_cost_no_stagger() -> None:
    paths = Paths({"a": -0.01, "b": -0.01, "c": -0.01, "live": 0.1})
    result, seconds = race(paths, ["a", "b", "c", "live"])
    assert result.winner == "live" and seconds == pytest.approx(0.13, abs=0.001)
    assert verdicts(result) == {
        "a": Verdict.FAILED, "b": Verdict.FAILED, "c": Verdict.FAILED, "live": Verdict.WON
    }  # fmt: skip


def test_a_success_starts_no_other_path() -> None:
    paths = Paths({"a": 0.1, "b": 0.1})
    result, _ = race(paths, ["a"], ["b"])
    assert [name for _, name in paths.started] == ["a"]
    assert verdicts(result)["b"] is Verdict.NOT_STARTED


def test_a_lower_tier_waits_its_preference_grace_for_a_better_one_still_running() -> None:
    paths = Paths({"slow": 0.5, "quick": 0.05})
    result, seconds = race(paths, ["slow"], ["quick"])
    assert result.winner == "slow" and seconds == pytest.approx(0.5, abs=0.01)
    assert result.reserves == ("quick",)
    paths = Paths({"slow": 2.0, "quick": 0.05})
    result, seconds = race(paths, ["slow"], ["quick"])
    assert result.winner == "quick" and seconds == pytest.approx(0.6, abs=0.01)
    assert paths.cancelled == ["slow"]


def test_inside_a_tier_the_first_answer_wins() -> None:
    paths = Paths({"slow": 0.5, "quick": 0.05})
    result, seconds = race(paths, ["slow", "quick"])
    assert result.winner == "quick" and seconds == pytest.approx(0.3, abs=0.01)


def test_a_race_without_an_answer_ends_after_a_probe_timeout_and_the_staggers() -> None:
    paths = Paths(dict.fromkeys(["a", "b", "c"]))
    result, seconds = race(paths, ["a", "b", "c"])
    assert result.winner is None and result.power is Power.UNKNOWN
    assert seconds == pytest.approx(5.0 + 2 * 0.25, abs=0.01)
    assert set(verdicts(result).values()) == {Verdict.TIMED_OUT}


def test_a_probe_that_does_not_end_itself_is_cancelled_soon_after_its_timeout() -> None:
    paths = Paths({"a": None}, ends_itself_seconds=1e6)
    result, seconds = race(paths, ["a"])
    assert verdicts(result)["a"] is Verdict.TIMED_OUT and paths.cancelled == ["a"]
    assert SETTINGS.probe_timeout_seconds < seconds < 2 * SETTINGS.probe_timeout_seconds


def test_a_race_before_a_command_ends_at_the_first_mismatch() -> None:
    paths = Paths({"a": 0.1, "b": 0.2, "c": None}, wrong=("a",))
    result, seconds = race(paths, ["a", "b", "c"], stops_at_mismatch=True)
    assert result.winner is None and seconds == pytest.approx(0.1)
    assert [entry.kind for entry in result.entries] == ["wrong_machine", "", ""]


def test_a_race_that_only_reads_goes_on_after_a_mismatch_and_reports_it() -> None:
    result, _ = race(Paths({"a": 0.1, "b": 0.2}, wrong=("a",)), ["a", "b"])
    assert result.winner == "b"
    assert result.entries[0].kind == "wrong_machine"


def test_a_mismatch_is_not_lost_over_the_winner_of_the_same_moment() -> None:
    paths = Paths({"a": 100.0, "b": 0.1}, wrong=("a",))
    result, _ = race(paths, ["a", "b"])
    assert [entry.kind for entry in result.entries] == ["wrong_machine", ""]


def powers(result: RaceResult) -> dict[str, Power | None]:
    return {str(entry.proxy): entry.power for entry in result.entries}


def test_what_each_path_read_is_kept_beside_the_winners_word() -> None:
    paths = Paths({"slow": 0.5, "quick": 0.05, "dead": -0.01}, off=("slow",))
    result, _ = race(paths, ["slow", "dead"], ["quick", "idle"])
    assert (result.winner, result.power) == ("slow", Power.OFF)
    assert powers(result) == {"slow": Power.OFF, "dead": None, "quick": Power.ON, "idle": None}


def test_an_on_that_came_as_its_probe_was_cancelled_is_kept() -> None:
    paths = Paths({"a": 100.0, "b": 0.1}, off=("b",), answers_as_cancelled=("a",))
    result, _ = race(paths, ["a", "b"])
    assert result.winner == "b" and powers(result) == {"a": Power.ON, "b": Power.OFF}


def test_losers_are_cancelled_with_a_moment_to_log_out_and_no_more() -> None:
    paths = Paths({"a": None, "b": 0.1}, logout_seconds=2.0)
    result, seconds = race(paths, ["a", "b"])
    assert paths.cancelled == ["a"] and verdicts(result)["a"] is Verdict.CANCELLED
    assert seconds == pytest.approx(0.35 + 2.0, abs=0.01)
    paths = Paths({"a": None, "b": 0.1}, logout_seconds=1000.0)
    _, seconds = race(paths, ["a", "b"])
    assert seconds < 10.0


def test_a_cancelled_race_cancels_its_probes() -> None:
    paths = Paths({"a": None, "b": None})

    async def main() -> None:
        racing = Race(
            tiers=[[ProxyName("a"), ProxyName("b")]], plug=PLUG, read=paths.read, memory=PathMemory(),
            settings=SETTINGS, clock=WorldClock(), origin=0.0, place=NOWHERE, load=lambda proxy: 0.0,
        )  # fmt: skip
        task = asyncio.get_running_loop().create_task(racing.run())
        await asyncio.sleep(1.0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    run(main())
    assert sorted(paths.cancelled) == ["a", "b"]


def test_at_most_parallel_fresh_probes_run_at_once_and_the_hopeless_are_bounded() -> None:
    names = [f"p{number}" for number in range(40)]
    paths = Paths(dict.fromkeys(names))
    result, _ = race(paths, names)
    running = [
        sum(1 for begun, _ in paths.started if begun <= at < begun + SETTINGS.probe_timeout_seconds)
        for at, _ in paths.started
    ]
    assert max(running) <= 4 * SETTINGS.parallel
    assert len(result.entries) == 40 and result.winner is None


def test_a_probe_asks_every_candidate() -> None:
    paths = Paths({"a": 0.1, "b": -0.1, "c": 0.3, "d": None})
    result, seconds = race(paths, ["a", "b"], ["c", "d"], is_exhaustive=True)
    assert verdicts(result) == {
        "a": Verdict.WON, "b": Verdict.FAILED, "c": Verdict.RESERVE, "d": Verdict.TIMED_OUT
    }  # fmt: skip
    assert result.reserves == ("c",) and seconds < 7.0


# -- memory -----------------------------------------------------------------------------------------------------------


def test_who_failed_lately_comes_last_in_its_tier_and_who_is_fast_first() -> None:
    memory = PathMemory()
    memory.failed(ProxyName("a"), PLUG)
    memory.succeeded(ProxyName("c"), PLUG, 0.05)
    memory.succeeded(ProxyName("b"), PLUG, 0.9)
    paths = Paths(dict.fromkeys(["a", "b", "c", "new"]))
    race(paths, ["a", "b", "new", "c"], memory=memory)
    assert [name for _, name in paths.started] == ["c", "b", "new", "a"]


def test_memory_never_moves_a_proxy_to_another_tier() -> None:
    memory = PathMemory()
    memory.failed(ProxyName("first"), PLUG)
    paths = Paths({"first": 0.1, "second": 0.1})
    result, _ = race(paths, ["first"], ["second"], memory=memory)
    assert result.winner == "first"


def test_memory_is_of_one_proxy_and_one_device() -> None:
    memory = PathMemory()
    memory.failed(ProxyName("a"), PlugId("another/plug"))
    paths = Paths({"a": 0.1, "b": 0.1})
    race(paths, ["a", "b"], memory=memory)
    assert paths.started[0][1] == "a"


def test_a_path_that_is_usually_slow_gets_its_time_before_the_next_is_started() -> None:
    memory = PathMemory()
    memory.succeeded(ProxyName("a"), PLUG, 2.0)
    paths = Paths({"a": 2.0, "b": 0.1})
    result, seconds = race(paths, ["a"], ["b"], memory=memory)
    assert result.winner == "a" and seconds == pytest.approx(2.0, abs=0.01)


def test_a_success_forgets_failures_and_a_race_remembers() -> None:
    memory = PathMemory()
    for _ in range(3):
        memory.failed(ProxyName("a"), PLUG)
    paths = Paths({"a": 0.2, "b": -0.1})
    race(paths, ["a", "b"], memory=memory)
    assert memory.get(ProxyName("a"), PLUG).failures == 0
    assert memory.get(ProxyName("b"), PLUG).failures == 1


def test_memory_is_bounded() -> None:
    memory = PathMemory(most=10)
    for number in range(100):
        memory.succeeded(ProxyName(f"p{number}"), PLUG, 0.1)
    assert len(memory.paths) == 10
    assert memory.get(ProxyName("p99"), PLUG).successes == 1


def test_race_entries_are_in_milliseconds_from_the_operations_start() -> None:
    paths = Paths({"a": -0.1, "b": 0.2})
    result, _ = race(paths, ["a"], ["b"], settings=replace(SETTINGS, parallel=1))
    told = [(entry.proxy, entry.tier, entry.started_ms, entry.ended_ms, entry.error) for entry in result.entries]
    assert told == [("a", 1, 0, 100, "a refuses"), ("b", 2, 100, 300, None)]


def in_domains(**domains: str) -> Place:
    proxies = {
        ProxyName(name): Proxy(name=ProxyName(name), url="https://x:1", address=name, domain=domain)
        for name, domain in domains.items()
    }
    return Place(host=HOST, inventory=Inventory(proxies=proxies))


def order(paths: Paths, *tiers: Sequence[str], **more: Any) -> list[str]:
    race(paths, *tiers, is_exhaustive=True, **more)
    return [name for _, name in paths.started]


def test_the_busy_proxy_is_asked_after_the_idle_one_and_a_failing_one_last() -> None:
    memory = PathMemory()
    memory.failed(ProxyName("failing"), PLUG)
    paths = Paths(dict.fromkeys(("failing", "busy", "idle"), 0.01))
    assert order(paths, ["failing", "busy", "idle"], memory=memory, load={"busy": 0.5}) == ["idle", "busy", "failing"]


def test_a_fast_proxy_that_everybody_likes_does_not_get_everything() -> None:
    memory = PathMemory()
    memory.succeeded(ProxyName("fast"), PLUG, 0.01)
    memory.succeeded(ProxyName("slow"), PLUG, 1.0)
    both = dict.fromkeys(("fast", "slow"), 0.01)
    assert order(Paths(both), ["slow", "fast"], memory=memory, load={"fast": 0.05}) == ["fast", "slow"]
    assert order(Paths(both), ["slow", "fast"], memory=memory, load={"fast": 0.9}) == ["slow", "fast"]


def test_starts_alternate_between_failure_domains_and_the_targets_own_comes_last() -> None:
    place = in_domains(a="r2", b="r2", c="r3", near="r1")
    paths = Paths(dict.fromkeys(("near", "a", "b", "c"), 0.01))
    assert order(paths, ["near", "a", "b", "c"], place=place) == ["a", "c", "b", "near"]


def test_one_whose_turn_never_came_is_not_held_against_the_path() -> None:
    memory = PathMemory()
    result, _ = race(Paths({"a": 0.1}, never_served=("a",)), ["a"], memory=memory)
    assert result.winner is None and verdicts(result) == {"a": Verdict.TIMED_OUT}
    assert memory.get(ProxyName("a"), PLUG).failures == 0
