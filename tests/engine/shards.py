"""Reactors of several shards on one store: each has its own hosts and journal, and the fleet's budget is one."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping

from fenced.core import commands as c
from fenced.core import events as e
from fenced.core.durable import records as r
from fenced.core.fleet import Fleet
from fenced.engine.others import OtherShards
from fenced.engine.reactor import Reactor
from fenced.model.names import BootId, HostName
from tests.fakes.budget import Budget
from tests.fakes.journal import Durable, MemoryJournal
from tests.fakes.looks import answer
from tests.world import rack as racks
from tests.world.loop import run
from tests.world.network import START
from tests.world.rack import Rack, Setting
from tests.world.telemetry import RecordingTelemetry

HOSTS_EACH = 6
BEAT_SECONDS = 5.0
CALM_SECONDS = 20.0
"""When all hosts are heard, and a host that falls silent is suspected."""
SETTINGS: Mapping[str, Setting] = {
    "daemon.startup_quiet_seconds": 1.0, "daemon.bus_settle_seconds": 1.0, "gates.connectivity_share_percent": 100,
    "gates.budget_percent": 0, "gates.budget_per_seconds": 60.0, "gates.concurrency": 10,
    "gates.attempts_count": 9, "gates.cooldown_seconds": 0.0,
}  # fmt: skip


class WorldClock:
    """The steady clock of each shard, and the store's."""

    def now(self) -> float:
        return START + asyncio.get_running_loop().time()


class Shard:
    """A shard's reactor. Its hosts are heard but for the `silent` ones; nothing answers for devices, so an operation
    that began goes on. `reactor` runs from `begin` on."""

    def __init__(self, name: str, budget: Budget, settings: Mapping[str, Setting]) -> None:
        self.name, self.clock = name, WorldClock()
        self.hosts = tuple(HostName(f"{name}-{number}") for number in range(1, HOSTS_EACH + 1))
        rack = Rack(hosts=self.hosts, settings={**SETTINGS, **settings})
        self.fleet = Fleet(racks.inventory(rack), epoch=1, started=self.clock.now())
        self.journal = MemoryJournal(Durable(shard=name, budget=budget), is_checked=True)
        self.reactor = Reactor(
            fleet=self.fleet, journal=self.journal, clock=self.clock, telemetry=RecordingTelemetry(),
            controller=f"fenced-{name}", observe=lambda collected: None, heard=lambda event, decision: None,
        )  # fmt: skip
        self.reactor.use(self)
        self.others = OtherShards(
            fleet=self.fleet, journal=self.journal, clock=self.clock, deliver=self.reactor.deliver
        )
        self.silent: set[HostName] = set()
        self._beats = 0

    def start(self, command: c.Command) -> None:
        """No host answers a probe."""
        if isinstance(command, c.AskLife):
            self.reactor.deliver(answer(command, self.clock.now()))

    def begin(self, group: asyncio.TaskGroup) -> list[asyncio.Task[None]]:
        self.reactor.deliver(e.LeaseRenewed(until=START + 1e9))
        self.reactor.deliver(e.BusConnected(at=self.clock.now()))
        return [group.create_task(self.reactor.run()), group.create_task(self._beat())]

    async def _beat(self) -> None:
        while True:
            self._beats += 1
            for name in self.hosts:
                if name not in self.silent:
                    beat = e.Health(
                        host=name, received=self.clock.now(), is_retained=False, boot=BootId("b1"),
                        sequence=self._beats,
                    )  # fmt: skip
                    self.reactor.deliver(beat)
            await asyncio.sleep(BEAT_SECONDS)

    def silence(self, count: int = 1) -> None:
        """Let so many more hosts fall silent. The others stay, as witnesses."""
        self.silent.update([name for name in self.hosts if name not in self.silent][:count])

    def fenced(self) -> list[HostName]:
        """Return the hosts whose fence is durable, in order."""
        started = [it.record for it in self.journal.durable.entries.values()]
        return [it.operation.host for it in started if isinstance(it, r.OperationStarted) and it.operation.is_automatic]

    def draws(self, per_seconds: float) -> list[tuple[float, float]]:
        """Return from when until when each durable draw counts."""
        records = [(it.at, it.record) for it in self.journal.durable.entries.values()]
        returned = {(it.host, it.drawn_at): at for at, it in records if isinstance(it, r.BudgetReturned)}
        drawn = [(it.host, at) for at, it in records if isinstance(it, r.BudgetDrawn)]
        return [(at, min(at + per_seconds, returned.get((host, at), at + per_seconds))) for host, at in drawn]

    def held_by(self, name: HostName) -> set[str]:
        return {verdict.gate for verdict in self.fleet.hosts[name].held_by}


def most_at_once(shards: tuple[Shard, ...], per_seconds: float) -> int:
    """Return the most draws of all shards that ever counted at once."""
    draws = [draw for shard in shards for draw in shard.draws(per_seconds)]
    return max((sum(begin <= at < end for begin, end in draws) for at, _ in draws), default=0)


Story = Callable[[Shard, Shard], Awaitable[None]]


def play(story: Story, **settings: Setting) -> None:
    """Run a story beside the reactors of two shards, once all hosts are heard. Gates as `gates__budget_hosts`."""

    async def main() -> None:
        budget = Budget(now=WorldClock().now)
        given = {name.replace("__", "."): value for name, value in settings.items()}
        shards = Shard("a", budget, given), Shard("b", budget, given)
        for shard in shards:
            await shard.journal.opened(holder=f"fenced-{shard.name}", now=shard.clock.now())
        async with asyncio.TaskGroup() as group:
            tasks = [task for shard in shards for task in shard.begin(group)]
            await asyncio.sleep(CALM_SECONDS)
            await story(*shards)
            for task in tasks:
                task.cancel()

    run(main())
