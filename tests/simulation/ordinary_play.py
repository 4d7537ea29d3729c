"""Plays an ordinary day, and says which hosts lost their power while they worked, and which of the dead were fenced."""

import asyncio
from dataclasses import dataclass

from fenced.core.durable import records as r
from fenced.model.names import HostName
from fenced.model.power import State
from tests.simulation.opened import opened
from tests.simulation.ordinary import Ordinary, ordinary
from tests.simulation.play import Quiet
from tests.world.loop import Stuck, run
from tests.world.machines import Run

LOOK_SECONDS = 10.0
LOOKS_AT_REST = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Day:
    """The result. `false`: hosts whose power was cut while they worked and somebody outside their rack could reach
    them; `cut_off`: while they worked and nobody could. `booting`: while they booted, or did nothing.

    `dead`: how many died for good; `fenced`: after how many seconds each of those that were was fenced. `is_asked`:
    whether the hosts answer probes. `problems`: rules that were broken.
    """

    seed: int
    kinds: tuple[str, ...]
    is_asked: bool
    false: tuple[str, ...]
    cut_off: tuple[str, ...]
    booting: tuple[str, ...]
    dead: int
    fenced: tuple[float, ...]
    problems: tuple[str, ...]


class Watched(Quiet):
    """A play that looks at a machine when its power is cut: only the daemon does that in an ordinary day."""

    def watch(self) -> None:
        self.false: list[str] = []
        self.cut_off: list[str] = []
        self.booting: list[str] = []

    def _say(self, who: str, text: str) -> None:
        name, _, what = text.partition(" ")
        if who != "~" or not what.endswith("goes OFF"):
            return
        machine = self.world.machines[HostName(name)]
        if machine.does is Run.RUNNING and not machine.is_hung:
            (self.cut_off if machine.is_cut_off else self.false).append(name)
        elif machine.does is not Run.DEAD:
            self.booting.append(name)

    async def _calm(self, end: float) -> None:
        """Wait for the end, or until all hosts are well for a while."""
        loop, looks = asyncio.get_running_loop(), 0
        while loop.time() < end and looks < LOOKS_AT_REST:
            await asyncio.sleep(min(LOOK_SECONDS, end - loop.time()))
            looks = looks + 1 if self._is_well else 0

    @property
    def _is_well(self) -> bool:
        engine = self.world.daemon.engine
        return engine is not None and all(
            state.state is State.HEALTHY and state.operation is None and self.world.machines[name].is_beating
            for name, state in engine.fleet.hosts.items()
        )

    def fenced_after(self, dies: dict[str, float]) -> tuple[float, ...]:
        """Return after how many seconds each of these was fenced that was."""
        found: dict[str, float] = {}
        for entry in self.world.disk.durable.entries.values():
            if isinstance(entry.record, r.HostFenced) and entry.host in dies:
                found.setdefault(str(entry.host), entry.at - self._zero - dies[str(entry.host)])
        return tuple(found.values())


def played(seed: int, gate: str | None = None) -> Day:
    """Play a seed with all gates, or with one of them open."""
    made: Ordinary = ordinary(seed)
    playing: list[Watched] = []

    async def main() -> list[str]:
        playing.append(Watched(made.story, is_journal_checked=False))
        playing[0].watch()
        return await playing[0].play()

    with opened(gate):
        try:
            problems = run(main(), seed=seed)
        except (AssertionError, Stuck, ExceptionGroup) as exc:
            problems = [f"{type(exc).__name__}: {exc}"]
    it = playing[0]
    return Day(
        seed=seed, kinds=made.kinds, is_asked=made.is_asked,
        false=tuple(it.false), cut_off=tuple(it.cut_off), booting=tuple(it.booting),
        dead=len(made.dies), fenced=it.fenced_after(made.dies), problems=tuple(problems),
    )  # fmt: skip
