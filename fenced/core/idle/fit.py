"""Decides whether a host may be put to sleep now: before it is announced, during the veto, and right before the command
(S24). Everything here fails closed: whoever is not known to be idle stays on.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from fenced.core.allowed import gates, of_daemon, of_host
from fenced.core.allowed.counting import newest_witnesses
from fenced.core.believed.sharing import shared
from fenced.core.fleet import Fleet
from fenced.core.heard.own import SAVING_FORMAT
from fenced.core.idle import counts
from fenced.core.idle.counts import Count
from fenced.core.reach.candidates import expand
from fenced.core.reach.domains import domain_of
from fenced.model.inventory import Device, Host, Proxy
from fenced.model.names import HostName, ProxyName
from fenced.model.power import Kind, State

OF_CLUSTER: Final = frozenset(
    {"disabled", "armed", "lease", "store", "warm_up", "format", "trouble", "one_at_a_time", "pause", "reserve",
     "min_on", "asleep_at_most", "connectivity"}
)  # fmt: skip
"""Rules that keep a whole cluster awake."""

CANDIDATES_KEPT: Final = 2
"""Every device of every host keeps so many candidates that are awake, or all that it had."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """Why a host is not put to sleep: the rule, for metrics, and the reason, for people."""

    rule: str
    why: str


def bars(
    fleet: Fleet, name: HostName, now: float, *, is_asked: bool, is_begun: bool = False, count: Count | None = None
) -> Iterator[Bar]:  # fmt: skip
    """Yield everything that keeps the host awake. `is_asked`: a person asked for its sleep, so that it need not have
    been idle for long, nor have proven that it comes back. `is_begun`: its own operation runs. `count`: of its cluster,
    at this moment, if it was counted already."""
    cluster = fleet.host(name).cluster
    yield from _of_configuration(fleet, name)
    yield from _of_daemon(fleet, now)
    yield from _of_cluster(fleet, name, now, count or counts.of_cluster(fleet, cluster, now), is_begun=is_begun)
    yield from _of_host(fleet, name, now, is_begun=is_begun)
    if not is_asked:
        yield from _of_past(fleet, name, now)
    yield from _of_fleet(fleet, name, now)


def _of_configuration(fleet: Fleet, name: HostName) -> Iterator[Bar]:
    host = fleet.host(name)
    saving = host.settings.saving
    if not saving.is_enabled:
        yield Bar(rule="disabled", why=f"saving is not enabled for the cluster {host.cluster}")
    if not host.may_sleep:
        yield Bar(rule="host", why="its [[host]] table says saving = false")
    if host.is_beside_broker:
        yield Bar(rule="own_machine", why="the MQTT broker runs on it")
    if host.is_beside_store:
        yield Bar(rule="own_machine", why="a server of the store runs on it")
    if not any(device.kind is Kind.CHASSIS for device in host.devices):
        yield Bar(rule="chassis", why="it has no chassis device, which alone can ask it to shut down and wake it")
    if host.is_drill:
        yield Bar(rule="drill", why="it is kept for drills (drill = true)")


def _of_daemon(fleet: Fleet, now: float) -> Iterator[Bar]:
    verdicts = (*gates.owner_gates(fleet, now), of_daemon.store(fleet), of_daemon.warm_up(fleet, now))
    for verdict in gates.closed(verdicts):
        yield Bar(rule=verdict.gate, why=verdict.why)
    if fleet.own.format < SAVING_FORMAT:
        yield Bar(rule="format", why="the store has an older format: run `fenced store upgrade`")


def _of_host(fleet: Fleet, name: HostName, now: float, *, is_begun: bool) -> Iterator[Bar]:
    state = fleet.hosts[name]
    for verdict in gates.closed(of_host.eligible(fleet, name, now)):
        yield Bar(rule=verdict.gate, why=verdict.why)
    if state.state is not State.HEALTHY:
        yield Bar(rule="state", why=f"it is {state.state.value}")
    if (why := counts.why_not_idle(fleet, name, now)) is not None:
        yield Bar(rule="not_idle", why=why)
    others = (it for it in state.under_way if not (is_begun and it is state.operation))
    if any(it.is_power_changing or it.is_saving for it in others) or state.owed or state.drill is not None:
        yield Bar(rule="busy", why="an operation is under way, or devices of it are still off")
    if state.distrusted or state.disputes or state.wrong_machines:
        yield Bar(rule="distrusted", why="its devices are in doubt, so nothing would show that it is off")
    if foreign := shared(fleet, name, now):
        yield Bar(rule="shared", why=f"another host has {', '.join(sorted(foreign))} as well, and might shut down")
    if state.saving.soft_off is not None and not is_begun:
        yield Bar(rule="soft_off", why="an earlier request to shut down may still take effect")
    if now < state.saving.retry_at:
        yield Bar(rule="retry_after", why=f"it did not go down; left alone for {state.saving.retry_at - now:.0f} s")


def _of_past(fleet: Fleet, name: HostName, now: float) -> Iterator[Bar]:
    settings, state = fleet.host(name).settings.saving, fleet.hosts[name]
    since, proven = fleet.sights[name].idle_since, state.saving.proven_at
    if since is None or now < since + settings.idle_for_seconds:
        idle = "not yet" if since is None else f"{now - since:.0f} s"
        yield Bar(rule="idle_for", why=f"idle for {idle}, wanted are {settings.idle_for_seconds:.0f} s")
    if settings.proven_on_seconds and (proven is None or now > proven + settings.proven_on_seconds):
        last = "never" if proven is None else f"{(now - proven) / 86400:.0f} days ago"
        yield Bar(rule="proven_on", why=f"it last came back after our ON {last}; `fencectl sleep` proves it")
    woken = state.saving.woken_at
    if woken is not None and _is_just_woken(fleet, name, now):
        yield Bar(rule="awake_for", why=f"awake for {now - woken:.0f} of {settings.awake_for_seconds:.0f} s")


def _of_cluster(fleet: Fleet, name: HostName, now: float, count: Count, *, is_begun: bool) -> Iterator[Bar]:
    host = fleet.host(name)
    settings = host.settings.saving
    if (other := next((it for it in count.trouble if it != name), None)) is not None:
        yield Bar(rule="trouble", why=f"{other} of its cluster is {fleet.hosts[other].state.value}")
    if (other := next((it for it in count.going if it != name), None)) is not None:
        yield Bar(rule="one_at_a_time", why=f"{other} is being put to sleep; one host of a cluster at a time")
    ended = count.ended_at
    if not is_begun and ended is not None and now < ended + settings.pause_seconds:
        yield Bar(rule="pause", why=f"one was put to sleep {now - ended:.0f} s ago")
    idle = sum(other != name and not _is_just_woken(fleet, other, now) for other in count.idle)
    needed = settings.reserve + len(count.lost)
    if idle < needed:
        lost = f", because {', '.join(count.lost)} is lost" if count.lost else ""
        yield Bar(rule="reserve", why=f"{idle} other idle hosts would stay on, wanted are {needed}{lost}")
    on = count.on - (not is_begun and counts.is_on(fleet, name, now))
    if on < settings.min_on:
        yield Bar(rule="min_on", why=f"{on} hosts would stay on, at least {settings.min_on} must")
    if 100 * (len(count.asleep) + 1) > settings.asleep_at_most_percent * count.size:
        most = f"{settings.asleep_at_most_percent:g} %"
        yield Bar(rule="asleep_at_most", why=f"{len(count.asleep)} of {count.size} sleep already, at most {most} may")
    at_least = fleet.inventory.daemon.gates.connectivity_at_least + 1
    if on < at_least:
        yield Bar(rule="connectivity", why=f"{on} hosts of the cluster would be heard, the gates need {at_least}")


def _is_just_woken(fleet: Fleet, name: HostName, now: float) -> bool:
    """Return whether somebody wanted this host awake a short time ago: it is no reserve that lets another one sleep."""
    woken = fleet.hosts[name].saving.woken_at
    return woken is not None and now < woken + fleet.host(name).settings.saving.awake_for_seconds


def _of_fleet(fleet: Fleet, name: HostName, now: float) -> Iterator[Bar]:
    needed = fleet.inventory.daemon.gates.witness_hosts + 2
    leaving = {name, *counts.leaving(fleet)}
    heard = sum(other not in leaving for _, other in newest_witnesses(fleet, needed + len(leaving), now))
    if heard < needed:
        yield Bar(rule="witness", why=f"{heard} other hosts of the fleet would be heard, the gates need {needed}")
    on_it = [proxy for proxy in fleet.inventory.proxies.values() if name in (proxy.machine, *proxy.also_on)]
    if not on_it:
        return
    if (domain := _lost_domain(fleet, on_it, leaving)) is not None:
        yield Bar(rule="observer", why=f"its proxy is the last observer of the failure domain {domain or '(none)'}")
    if (lost := _lost_path(fleet, name, leaving)) is not None:
        yield Bar(rule="candidates", why=f"{lost} would have fewer than {CANDIDATES_KEPT} proxies that are awake")


def _lost_domain(fleet: Fleet, on_it: list[Proxy], leaving: set[HostName]) -> str | None:
    """Return a failure domain that has no observer beside these that can look; None: each has one."""
    gone = {proxy.name for proxy in on_it}
    for name in sorted(gone & fleet.own.observers):
        domain = domain_of(name, fleet.inventory)
        if domain == fleet.inventory.daemon.domain:
            continue
        beside = (it for it in fleet.own.observers - gone if domain_of(it, fleet.inventory) == domain)
        if not any(_stays_awake(fleet, it, leaving) for it in beside):
            return domain
    return None


def _stays_awake(fleet: Fleet, name: ProxyName, leaving: set[HostName]) -> bool:
    proxy = fleet.inventory.proxies.get(name)
    return proxy is not None and _why_asleep(fleet, proxy, leaving) is None


def _why_asleep(fleet: Fleet, proxy: Proxy, leaving: set[HostName]) -> str | None:
    """Return why the proxy can't be used once those that are on their way to sleep are gone."""
    is_on_them = any(machine in leaving for machine in (proxy.machine, *proxy.also_on))
    return "would sleep" if is_on_them else fleet.why_candidate_barred(proxy)


def _lost_path(fleet: Fleet, name: HostName, leaving: set[HostName]) -> str | None:
    """Return a device that would have too few candidates without the proxies on this host, and on those that are on
    their way to sleep; None: each has enough, or loses none with this host."""

    def why_not(proxy: Proxy) -> str | None:
        return _why_asleep(fleet, proxy, leaving)

    def why_not_before(proxy: Proxy) -> str | None:
        return _why_asleep(fleet, proxy, leaving - {name})

    for other in fleet.inventory.hosts.values():
        for device in other.devices if other.name != name else ():
            before = _candidates(fleet, other, device, why_not_before)
            if before > (after := _candidates(fleet, other, device, why_not)) and after < CANDIDATES_KEPT:
                return f"{device.name} of {other.name}"
    return None


def _candidates(fleet: Fleet, host: Host, device: Device, why_not: object) -> int:
    tiers = expand(device, host, fleet.inventory, why_not).tiers  # type: ignore[arg-type]
    return sum(len(tier) for tier in tiers)
