"""A shard's engine in a process that serves several: what it takes, reports, and hears of the others."""

import asyncio
import math
from dataclasses import replace
from types import SimpleNamespace

import pytest

from fenced.app.several import _Target
from fenced.app.store import Opened
from fenced.app.unit import AHEAD_SECONDS_MAX, ClocksApart, Common, Unit, _reach, first_clock
from fenced.core import events as e
from fenced.engine.beside import Beside
from fenced.engine.giving_over import WENT_BACK, HandedOver, Shown
from fenced.model.answers import RefusedBy
from fenced.model.inventory import Inventory
from fenced.ports.control import Unavailable
from fenced.ports.journal import ControllerReport, Loaded
from tests.engine.pair import RACK, both, play
from tests.world import rack as racks
from tests.world.daemon import Daemon
from tests.world.world import World

WAIT_SECONDS = 120.0


def stands_by(daemon: Daemon) -> bool:
    return daemon.engine is None or daemon.engine.fleet.is_standby


def test_a_full_controller_takes_no_shard() -> None:
    async def main() -> None:
        full: list[str] = ["yes"]
        world = World(RACK)
        world.begin()
        first, second = world.daemons.values()
        second.beside = Beside(patience=lambda: math.inf if full else 0.0)
        await first.start()
        await asyncio.sleep(2.0)
        await second.start()
        await asyncio.sleep(WAIT_SECONDS)
        await first.crash()
        await asyncio.sleep(WAIT_SECONDS)
        assert stands_by(second), "not even if nobody else takes it"
        full.clear()
        await asyncio.sleep(WAIT_SECONDS)
        assert not stands_by(second)
        await world.end()

    play(main())


def test_a_fuller_controller_takes_a_shard_later() -> None:
    async def main(patience: float) -> float:
        world, first, second = await both()
        assert second.engine is not None
        second.beside = Beside(patience=lambda: patience)
        await second.crash()
        await second.start()
        await asyncio.sleep(WAIT_SECONDS)
        await first.crash()
        died = asyncio.get_running_loop().time()
        while stands_by(second):  # noqa: ASYNC110 - virtual time
            await asyncio.sleep(0.1)
        waited.append(asyncio.get_running_loop().time() - died)
        await world.end()
        return 0.0

    waited: list[float] = []
    for patience in (0.0, 5.0):

        async def story(seconds: float = patience) -> None:
            await main(seconds)

        play(story())
    assert waited[1] - waited[0] >= 4.0


def test_the_report_is_of_all_shards() -> None:
    """One row in the store speaks for the process, whichever of its engines wrote it."""

    async def main() -> None:
        world, first, _ = await both()
        others = ("shard dc2: no proxy answers",)
        first.beside = Beside(
            shard="main", mark="shard main: ", unfit=lambda: others, lag=lambda: 7, takes=lambda: ("dc2", "main")
        )
        await first.crash()
        await first.start()
        await asyncio.sleep(WAIT_SECONDS)
        assert first.engine is not None
        report: ControllerReport = first.engine.giving_over.report()
        assert set(others) <= set(report.unfit)
        assert (report.lag, report.takes) == (7, ("dc2", "main"))
        world.broker.set_up(False)
        await asyncio.sleep(1.0)
        assert "shard main: the bus is not connected" in first.engine.giving_over.report().unfit
        await world.end()

    play(main())


@pytest.mark.parametrize(("shard", "is_held"), [("main", True), ("dc2", False)])
def test_a_doubt_about_another_shards_records_holds_nothing_here(shard: str, is_held: bool) -> None:
    async def main() -> None:
        world, first, second = await both()
        first.beside = Beside(shard="main", mark="shard main: ")
        second.beside = Beside(unfit=lambda: (f"shard {shard}: {WENT_BACK}records 7 to 9 are missing",))
        for daemon in (second, first):
            await daemon.crash()
            await daemon.start()
        await asyncio.sleep(WAIT_SECONDS)
        active = first if stands_by(second) else second
        assert active.engine is not None
        if active is first:
            assert bool(active.engine.fleet.state.store_hold) is is_held
        await world.end()
        assert active is first, "the one whose report is fit acts"

    play(main())


def test_a_trial_of_a_new_inventory_changes_nothing() -> None:
    async def main() -> None:
        world, first, second = await both()
        for daemon in (first, second):
            assert daemon.engine is not None
            fleet = daemon.engine.fleet
            before = fleet.inventory
            fewer = dict(list(before.hosts.items())[:-1])
            new = replace(before, hosts=fewer)
            await daemon.engine.reactor.ask(e.InventoryRead(inventory=new, is_trial=True))
            assert fleet.inventory is before and fleet.hosts.keys() == before.hosts.keys()
            await daemon.engine.reactor.ask(e.InventoryRead(inventory=new))
            assert fleet.inventory is new
        await world.end()

    play(main())


class LoopClock:
    """The steady clock of a process, over the loop's time."""

    def __init__(self) -> None:
        self.steady = self

    def now(self) -> float:
        return 1000.0 + asyncio.get_running_loop().time()


def test_the_clock_of_all_shards_never_leaps_to_the_records_of_one() -> None:
    """Every host of the other shards would look silent at once, and a command of theirs as if it could act no more."""

    async def main() -> None:
        clocks = LoopClock()
        to = clocks.now() + AHEAD_SECONDS_MAX / 2
        assert await _reach("dc2", clocks, to) == 0.0  # type: ignore[arg-type] # all that it uses
        assert clocks.now() >= to
        with pytest.raises(ClocksApart, match="dc2"):
            await _reach("dc2", clocks, clocks.now() + 2 * AHEAD_SECONDS_MAX)  # type: ignore[arg-type]

    play(main())


def test_the_first_clock_knows_how_far_it_is_ahead_of_each_shard() -> None:
    def store(steady_at: float) -> Opened:
        loaded = Loaded(store_id="s", last_at=steady_at - 1.0, steady_at=steady_at)
        return Opened(journal=None, loaded=loaded, kept=None)  # type: ignore[arg-type] # nothing is read

    clocks, moved = first_clock({"dc2": store(5000.0), "main": store(5100.0)})
    assert clocks.steady.now() >= 5100.0
    assert moved == {"dc2": pytest.approx(100.0, abs=1.0), "main": pytest.approx(0.0, abs=1.0)}


def test_whoever_asks_while_a_life_ends_gets_an_answer() -> None:
    """The API, reloads and gifts go on over the lives of a shard's engine."""

    async def main() -> None:
        world, first, _ = await both()
        engine = first.engine
        assert engine is not None
        asked: list[asyncio.Task[object]] = []
        giving = asyncio.create_task(engine.hand_over(to="fenced-b", by="person", reason="told"))
        while first.engine is engine:
            asked.append(asyncio.create_task(engine.reactor.ask(e.ArmAsked(is_on=False, by="person", reason="told"))))
            await asyncio.sleep(0.001)
        asked.append(asyncio.create_task(engine.reactor.ask(e.ArmAsked(is_on=False, by="person", reason="too late"))))
        answers = await asyncio.wait_for(asyncio.gather(*asked, return_exceptions=True), 1.0)
        assert isinstance(answers[-1], Unavailable)
        await giving
        await world.end()

    play(main())


class EndingUnit(Unit):
    """Its lives are handed over at once, and take a while to end. After a hundred of them, nobody stops it."""

    begun = 0

    async def _live(self, store: Opened, common: Common, shown: Shown) -> None:
        self.begun += 1
        assert self.begun < 100
        async with asyncio.TaskGroup() as group:
            group.create_task(self._hand_over())
            group.create_task(self._end_slowly())

    async def _hand_over(self) -> None:
        raise HandedOver("a test")

    async def _end_slowly(self) -> None:
        try:
            await asyncio.sleep(3600.0)
        finally:
            await asyncio.sleep(2.0)

    async def _open_again(self, common: Common) -> Opened:
        await asyncio.sleep(1.0)
        return None  # type: ignore[return-value] # `_live` does not use it


def unit(shard: str, kind: type[Unit] = Unit) -> Unit:
    return kind(shard, beside=Beside(), bus=None, retired=None)  # type: ignore[arg-type] # it hears nothing


class Ended:
    def ended(self, shard: str) -> None:
        pass


def test_a_stop_while_a_life_ends_begins_no_other_life() -> None:
    async def main() -> None:
        ending = unit("dc2", EndingUnit)
        task = asyncio.create_task(ending.run(None, Ended()))  # type: ignore[arg-type] # all that it uses
        await asyncio.sleep(1.0)
        task.cancel()
        await asyncio.wait({task}, timeout=30.0)
        assert task.cancelled()
        assert isinstance(ending, EndingUnit)
        assert ending.begun == 1

    play(main())


def test_a_life_follows_the_other() -> None:
    async def main() -> None:
        ending = unit("dc2", EndingUnit)
        task = asyncio.create_task(ending.run(None, Ended()))  # type: ignore[arg-type] # all that it uses
        await asyncio.sleep(10.0)
        assert isinstance(ending, EndingUnit)
        assert ending.begun == 4
        task.cancel()
        await asyncio.wait({task})

    play(main())


class Life:
    """A life of an engine, which takes what it is asked."""

    def __init__(self, *, is_over: bool = False, refuses: bool = False) -> None:
        self.reactor, self._is_over, self._refuses = self, is_over, refuses
        self.fleet, self.inventory = self, Inventory()
        self.taken: list[Inventory] = []

    async def ask(self, event: e.InventoryRead) -> RefusedBy | None:
        await asyncio.sleep(1.0)
        if self._is_over:
            raise Unavailable("over")
        if event.is_trial:
            return None
        if self._refuses:
            return RefusedBy(rule="running", why="it began after the trial")
        self.taken.append(event.inventory)
        return None


class NewConfiguration:
    inventory = racks.inventory(RACK)


def begin(shard: Unit, life: Life) -> None:
    shard._life = SimpleNamespace(engine=life)  # type: ignore[assignment] # all that a reload uses
    shard._is_alive.set()


def test_a_life_that_begins_during_a_reload_takes_the_new_inventory() -> None:
    """It read the configuration of before: its devices may be those of other hosts by now."""

    async def main() -> None:
        units = {"dc2": unit("dc2"), "main": unit("main")}
        lives = {name: Life() for name in units}
        for name, life in lives.items():
            begin(units[name], life)
        reload = asyncio.create_task(_Target(units).take(NewConfiguration()))  # type: ignore[arg-type]
        await asyncio.sleep(3.5)
        assert [len(lives[name].taken) for name in ("dc2", "main")] == [1, 0]
        units["dc2"]._is_alive.clear()
        begin(units["dc2"], again := Life())
        assert await asyncio.wait_for(reload, 30.0) is None
        assert again.taken == [NewConfiguration.inventory.of_shard("dc2")]
        assert lives["main"].taken == [NewConfiguration.inventory]

    play(main())


def test_a_reload_that_one_shard_refuses_after_the_trial_is_put_back_in_the_others() -> None:
    async def main() -> None:
        units = {"dc2": unit("dc2"), "main": unit("main")}
        begin(units["dc2"], first := Life())
        begin(units["main"], Life(refuses=True))
        answer = await _Target(units).take(NewConfiguration())  # type: ignore[arg-type]
        assert isinstance(answer, RefusedBy)
        assert first.taken == [NewConfiguration.inventory.of_shard("dc2"), Inventory()]

    play(main())


def test_a_reload_asks_the_next_life_of_a_shard_whose_life_ends() -> None:
    async def main() -> None:
        units = {"main": unit("main")}
        begin(units["main"], Life(is_over=True))
        reload = asyncio.create_task(_Target(units).take(NewConfiguration()))  # type: ignore[arg-type]
        await asyncio.sleep(1.5)
        begin(units["main"], again := Life())
        assert await asyncio.wait_for(reload, 30.0) is None
        assert again.taken == [NewConfiguration.inventory]

    play(main())
