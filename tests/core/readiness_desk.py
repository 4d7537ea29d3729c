"""A disarmed rack whose readiness is judged: every path was read and works."""

from dataclasses import replace

from fenced.core import events as e
from fenced.core.durable.fleet_state import Listening
from fenced.core.readiness.of_cluster import Sum
from fenced.core.readiness.of_host import host_readiness, is_observed
from fenced.core.readiness.values import WEEK_SECONDS, ClusterReadiness, Found, HostReadiness
from fenced.core.suspected import trials
from fenced.model.names import HostName
from tests.core.desk import NODE, Desk
from tests.fakes.looks import Sees, answer
from tests.world.rack import Rack, Setting

OTHER = HostName("node-1")


def desk(*, hosts: tuple[str, ...] = ("node-1", "node-2", "node-3", "node-4"), **settings: Setting) -> Desk:
    """A disarmed rack in which every path was read and works."""
    given: dict[str, Setting] = {"daemon.is_armed_by_file": False, "check.interval_seconds": 300.0}
    given |= {name.replace("__", "."): value for name, value in settings.items()}
    at = Desk(Rack(hosts=hosts, proxies=("px1",), reach=("engine", "px1"), settings=given))
    prove(at)
    look_at_all(at)
    return at


def prove(at: Desk, *, but: HostName | None = None) -> None:
    """Let a round of the check read every path; those of one host fail twice."""
    for name, host in at.inventory.hosts.items():
        for _ in range(2):
            at.now += 1.0
            for device in host.devices:
                for proxy in at.fleet.paths.of(host, device):
                    at.do(
                        e.PathChecked(
                            host=name, device=device.name, proxy=proxy, started=at.now, ended=at.now,
                            power=at.power(name, device.name), error="no route" if name == but else None,
                        )
                    )  # fmt: skip


def look_at_all(at: Desk, sees: Sees | None = None, *, rounds: int = 1) -> None:
    """Let a round of the check have every host that lives looked at; without `sees` each observer reaches it."""
    for _ in range(rounds):
        at.go(2.0)
        for name in at.inventory.hosts:
            look_at(at, name, sees)


def look_at(at: Desk, name: HostName, sees: Sees | None = None) -> None:
    """Let the observers of one host look at it; nobody does so while it does not live."""
    if (command := trials.question(at.fleet, name, at.now)) is not None:
        found = answer(command, at.now, answered=None if sees else "tcp 22", sees=sees)
        at.do(e.TrialLooked(host=name, looks=found.looks))


def host(at: Desk, name: HostName = NODE, *, misnamed: tuple[str, ...] = ()) -> HostReadiness:
    return host_readiness(at.fleet, name, at.now, misnamed=misnamed, is_observed=is_observed(at.fleet, at.now))


def kinds(at: Desk, name: HostName = NODE) -> set[Found]:
    return {finding.found for finding in host(at, name).findings}


def cluster(at: Desk) -> ClusterReadiness:
    found = Sum("c1")
    for name in at.fleet.hosts:
        found.add(host(at, name))
    return found.result(at.fleet, at.now)


def of_cluster(at: Desk) -> set[Found]:
    return {finding.found for finding in cluster(at).findings}


def observed_for_a_week(at: Desk) -> None:
    """As if the daemon had listened for a week, and known its hosts for longer."""
    listened = (Listening(since=at.now - WEEK_SECONDS, seconds=WEEK_SECONDS),)
    at.fleet.state = replace(at.fleet.state, listened=listened)
    for name in at.inventory.hosts:
        at.fleet.put(replace(at.state(name), known_since=at.now - 2 * WEEK_SECONDS))
