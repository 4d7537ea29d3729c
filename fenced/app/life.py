"""One life of a shard's engine over an opened store: its drivers, what speaks to the proxies, and the watch over them.

`daemon` runs one such life after the other; `unit` does so for each of several shards.
"""

import contextlib
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field

from fenced.app.clocks import Clocks
from fenced.app.connections import tls_files, urls, vias
from fenced.app.store import Opened, divide, shard_dir
from fenced.app.survivors import kill_marked, kill_named
from fenced.config.configuration import Configuration
from fenced.drivers.keeper.client import Keeper
from fenced.drivers.local import LocalCaller
from fenced.drivers.registry import drivers
from fenced.engine.beside import Beside
from fenced.engine.engine import Engine, Ports
from fenced.engine.giving_over import Shown
from fenced.engine.replaying import replay
from fenced.engine.retired import Retired
from fenced.engine.takeover import Surroundings
from fenced.host import memory
from fenced.host.liveness import TcpLiveness
from fenced.journal.database import SqlJournal
from fenced.journal.instance import instance
from fenced.ports.bus import Bus
from fenced.proxy.client import ProxyCaller
from fenced.proxy.watch import ProxyWatch
from fenced.telemetry.metrics import Metrics


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """What a life of an engine is put into. `advance`, `moved_seconds`: as at Surroundings. `remarks`: lines for
    /readyz; "" says nothing. `retired`: an old name of this controller that it is to clear. `shown`: what the last life
    left."""

    bus: Bus
    clocks: Clocks
    metrics: Metrics
    advance: Callable[[float], Awaitable[float]]
    remarks: Callable[[], tuple[str, ...]]
    retired: Retired | None
    shown: Shown
    moved_seconds: float = 0.0
    beside: Beside = field(default_factory=Beside)


@dataclass(frozen=True, slots=True, kw_only=True)
class Life:
    """The parts of one life that others use."""

    engine: Engine
    journal: SqlJournal
    remote: ProxyCaller
    watch: ProxyWatch

    def use(self, new: Configuration) -> None:
        """Use the proxies, certificates and shards of an accepted configuration."""
        self.remote.use(urls(new.inventory), vias(new.inventory))
        self.watch.use(new.inventory.proxies.values())
        divide(self.journal, new.inventory)
        if self.remote.certificates is not None:
            self.remote.certificates.ask()


async def begin(
    configuration: Configuration, store: Opened, setting: Setting, stack: contextlib.AsyncExitStack
) -> Life:
    """Kill what an earlier run left, replay the store, and build the engine, which does not run yet.

    `stack` closes what is opened here. Raises CertificateError.
    """
    shard, clock = setting.beside.shard, setting.clocks.steady
    directory = shard_dir(configuration.state_dir, shard)
    await kill_marked(configuration, store_id=store.loaded.store_id, shard=shard)
    keeper = Keeper(marker=instance(directory), has_warm_agents=configuration.inventory.daemon.has_warm_agents)
    registry = await stack.enter_async_context(
        drivers(agent_path=configuration.agent_path, keeper=keeper, state_dir=directory)
    )
    inventory = configuration.inventory.of_shard(shard)
    fleet = replay(inventory, store.loaded, started=clock.now())
    memory.give_back()
    remote = ProxyCaller(
        store=store.loaded.store_id, shard=shard, urls=urls(inventory), vias=vias(inventory),
        tls=tls_files(configuration.proxy_client), clock=clock,
    )  # fmt: skip
    stack.push_async_callback(remote.close)
    watch = ProxyWatch(remote, inventory.proxies.values(), clock=clock)
    around = Surroundings(
        advance=setting.advance, settle=kill_named, floors=remote, moved_seconds=setting.moved_seconds
    )
    engine = Engine(
        fleet=fleet, loaded=store.loaded,
        ports=Ports(
            bus=setting.bus, journal=store.journal, local=LocalCaller(registry.driver_for), remote=remote,
            liveness=TcpLiveness(), clock=clock, telemetry=setting.metrics, anchor=setting.clocks.anchor,
            reach=remote.reach, ask_proxy=remote.look, proxies=watch.views, wall=setting.clocks.wall,
            remarks=setting.remarks, retired=setting.retired, takeover=around, shown=setting.shown,
            beside=setting.beside,
        ),
    )  # fmt: skip
    watch.report_to(engine.note_proxies)
    return Life(engine=engine, journal=store.journal, remote=remote, watch=watch)


def said(remarks: Iterable[Callable[[], str]]) -> tuple[str, ...]:
    """Return the remarks that say something."""
    return tuple(filter(None, (remark() for remark in remarks)))
