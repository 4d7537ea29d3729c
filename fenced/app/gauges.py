"""Registers the gauges of `fenced run`, over the engine of one shard or those of several."""

from collections.abc import Callable, Sequence

from fenced.app.certificates import Certificates
from fenced.app.clocks import Clocks
from fenced.app.last_reload import LastReload
from fenced.app.running import shard_facts
from fenced.bus.client import BusClient
from fenced.core.reach.domains import domain_of
from fenced.engine.engine import Engine
from fenced.model.names import ENGINE, ProxyName
from fenced.ports.control import Control
from fenced.ports.proxies import Proxies
from fenced.telemetry.bus_gauges import BusGauges
from fenced.telemetry.certificates import CertificateGauges
from fenced.telemetry.gauges import Gauges
from fenced.telemetry.metrics import Metrics
from fenced.telemetry.observer_gauges import ObserverGauges
from fenced.telemetry.proxy_gauges import ProxyGauges
from fenced.telemetry.reloads import ReloadGauges
from fenced.telemetry.saving import SavingGauges
from fenced.telemetry.shards import ShardGauges


def register_gauges(
    metrics: Metrics, control: Control, engines: Callable[[], Sequence[Engine]], *, clocks: Clocks, proxies: Proxies,
    certificates: Certificates, bus: BusClient, last_reload: LastReload,
) -> None:  # fmt: skip
    """`engines`: those of all shards, as they are now."""
    for gauges in (
        Gauges(
            control,
            outbox_pending=lambda: sum(engine.outbox.pending for engine in engines()),
            outbox_stuck=lambda: len({name for engine in engines() for name in engine.outbox.stuck}),
            ahead_seconds=clocks.steady.ahead_seconds,
            own_health=lambda: max((engine.own_health for engine in engines()), default=0.0),
        ),
        ProxyGauges(proxies),
        ObserverGauges(proxies, lambda name: _domain_of(name, engines())),
        CertificateGauges(certificates.gauges),
        ShardGauges(lambda: [shard_facts(engine, clocks) for engine in engines()]),
        BusGauges(lambda: bus.taken_over_count),
        ReloadGauges(last_reload.outcome),
        SavingGauges(control.saving_totals),
    ):
        metrics.registry.register(gauges)


def _domain_of(name: ProxyName, engines: Sequence[Engine]) -> str:
    """Return the failure domain of an observer; every shard knows all proxies."""
    for engine in engines:
        inventory = engine.fleet.inventory
        return inventory.daemon.domain if name == ENGINE else domain_of(name, inventory)
    return ""
