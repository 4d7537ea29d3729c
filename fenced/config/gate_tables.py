"""The tables below [gates], as `tables` has those of the whole main file."""

from typing import Annotated

from pydantic import Field

from fenced.config.keys import Count, Listed, Name, Percent, Seconds
from fenced.config.table import Table


class AttemptsGate(Table):
    count: Annotated[int, Count("automatic operations per host that sent an OFF", most=1000)] = 3
    per: Annotated[float, Seconds("in this window")] = 86400.0


class WitnessGate(Table):
    hosts: Annotated[int, Count("other hosts that must be heard after the suspicion; 0 = no gate", least=0)] = 1
    wait: Annotated[float, Seconds("how long to wait for them after the suspicion", least="0s", most="1h")] = 5.0


class ConnectivityGate(Table):
    share: Annotated[float, Percent("closed when at least this share of a cluster's hosts is overdue", least=1.0)] = (
        50.0
    )
    at_least: Annotated[int, Count("and at least this many")] = 3


class StormGate(Table):
    domains: Annotated[
        tuple[str, ...],
        Listed("what fails together: rack, cluster, datacenter, keys of labels; [] = no gate", item=Name("")),
    ] = ("rack", "cluster")
    hosts: Annotated[int, Count("overdue hosts in one domain that make a storm", least=2)] = 3
    per: Annotated[float, Seconds("if they fell silent within this time", most="7d")] = 300.0
    cooldown: Annotated[
        float, Seconds("how long the domain is held on after a storm that no person released", least="0s", most="7d")
    ] = 300.0
    mtbf: Annotated[
        float,
        Seconds(
            "mean time between two failures of one host: fewer than `hosts` make a storm, too, where so many "
            "independent failures have a probability below 10^-6; 0s = no such test",
            least="0s",
            most="36500d",
        ),
    ] = 0.0
    max: Annotated[
        float,
        Seconds(
            "the longest time of a storm; 0s = until hosts are heard or a person releases it", least="0s", most="30d"
        ),
    ] = 0.0


class BudgetGate(Table):
    hosts: Annotated[
        int, Count("automatic fences per cluster and fleet: min(max(hosts, percent rounded down), at_most)")
    ] = 1
    percent: Annotated[float, Percent("of the monitored hosts")] = 5.0
    at_most: Annotated[int, Count("upper limit, whatever the percentage says")] = 10
    per: Annotated[float, Seconds("in this window", most="7d")] = 600.0
    unrecovered: Annotated[int, Count("closed when this many fenced hosts have not come back")] = 10


class GatesTable(Table):
    attempts: AttemptsGate = Field(default_factory=AttemptsGate)
    cooldown: Annotated[
        float, Seconds("per host, after an automatic operation ended, done or failed", least="0s", most="7d")
    ] = 600.0
    witness: WitnessGate = Field(default_factory=WitnessGate)
    connectivity: ConnectivityGate = Field(default_factory=ConnectivityGate)
    storm: StormGate = Field(default_factory=StormGate)
    budget: BudgetGate = Field(default_factory=BudgetGate)
    concurrency: Annotated[int, Count("automatic operations at once", most=10_000)] = 8
    live_evidence: Annotated[
        tuple[str, ...],
        Listed("kinds of evidence that hold a fence while they last: storage_lease, maintenance, shutting_down, "
               "drained, or a kind of your own", item=Name("")),
    ] = ("storage_lease", "maintenance", "shutting_down")  # fmt: skip
