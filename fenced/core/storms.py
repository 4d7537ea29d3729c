"""Begins, ends and releases storms (`allowed.storm` has the rule). A storm is durable, so that a restart ends none."""

import zlib

from fenced.core import events as e
from fenced.core.allowed import of_daemon
from fenced.core.allowed import storm as rule
from fenced.core.durable import records as r
from fenced.core.durable.fleet_state import Storm, StormEnd, StormEnding
from fenced.core.durable.standing import NOT_MONITORED, is_in_hand
from fenced.core.durable.state import HostState
from fenced.core.fleet import Fleet
from fenced.core.heard.counts import Domain
from fenced.core.heard.own import STORMS_FORMAT
from fenced.core.work import Work
from fenced.model.answers import Accepted, Answer, RefusedBy
from fenced.model.names import HostName, OperationId


def begin(work: Work, name: HostName) -> None:
    """Record the storms that a suspect is part of and that are not recorded yet.

    In a store of an older format none is recorded: then a domain is held while its hosts make a storm.
    """
    fleet, now = work.fleet, work.now
    if fleet.own.format < STORMS_FORMAT:
        return
    for domain in rule.domains_of(fleet, name):
        known = rule.last_of(fleet, domain, now)
        if known is not None and known.end is None:
            continue
        if why := rule.why_new(fleet, domain, name, now):
            hosts = rule.made_by(fleet, domain, name, now)
            work.record_fleet(r.StormBegan(storm=_storm(work, domain, hosts), why=why))


def _storm(work: Work, domain: Domain, hosts: tuple[HostName, ...]) -> Storm:
    key, value = domain
    shared = rule.shared_by([work.fleet.host(name) for name in hosts], but=key)
    digest = f"{zlib.crc32(f'{key}={value}'.encode()):08x}"  # shards of one store have equal tokens
    new_id = f"s-{work.fleet.next_token()}-{digest}"
    return Storm(id=new_id, domain=key, value=value, since=work.now, hosts=hosts, common=shared)


def look(work: Work) -> None:
    """End the storms whose hosts are heard again, and those whose longest time is over."""
    fleet, now = work.fleet, work.now
    if not of_daemon.warm_up(fleet, now).is_open:
        return  # until then no host was heard, so it is unknown which are silent
    settings = fleet.inventory.daemon.gates
    longest = settings.storm_max_seconds
    for storm in fleet.state.lasting_storms:
        silent = silent_of(fleet, storm, now)
        if storm.domain not in settings.storm_domains:
            reason = f"gates.storm.domains names {storm.domain} no more"
            end = _end(work, "over", by="fenced", reason=reason, hosts=silent)
        elif len(silent) < min(settings.storm_hosts, len(storm.hosts)):
            reason = f"{len(silent)} of its hosts are silent still"
            end = _end(work, "over", by="fenced", reason=reason, hosts=silent)
        elif longest and now >= storm.since + longest:
            end = _end(work, "max", by="fenced", reason="gates.storm.max is over", hosts=silent)
        else:
            continue
        work.record_fleet(r.StormEnded(id=storm.id, end=end))


def release(work: Work, event: e.StormReleaseAsked) -> Answer:
    """End a storm because a person looked: its silent hosts are fenced as single ones would be, at once."""
    fleet = work.fleet
    storm = next((it for it in fleet.state.lasting_storms if it.id == event.id), None)
    if storm is None:
        return RefusedBy(rule="storm", why=f"no storm {event.id} lasts")
    silent = silent_of(fleet, storm, work.now)
    end = _end(work, "released", by=event.by, reason=event.reason, hosts=silent)
    work.record_fleet(r.StormEnded(id=storm.id, end=end))
    for name in silent:
        work.on(name).wake(work.now)
    return Accepted(operation=OperationId(""))


def _end(work: Work, why: StormEnding, *, by: str, reason: str, hosts: tuple[HostName, ...]) -> StormEnd:
    cooldown = 0.0 if why == "released" else work.fleet.inventory.daemon.gates.storm_cooldown_seconds
    return StormEnd(at=work.now, why=why, by=by, reason=reason, hosts=hosts, cooldown_until=work.now + cooldown)


def warnings(fleet: Fleet) -> tuple[str, ...]:
    """Return a line for each storm that lasts: nobody of its domain is fenced, and it may wait for a person."""
    return tuple(
        f"storm in {it.words}: {len(it.hosts)} hosts fell silent together, so none of it is fenced: `fencectl storms`"
        for it in fleet.durable_state.lasting_storms
    )


def silent_of(fleet: Fleet, storm: Storm, now: float) -> tuple[HostName, ...]:
    """Return the hosts of the storm's domain, and those with which it began, that are silent still, off or not.

    Cutting the power of some of them, by whom ever, does not explain the silence of the others: only maintenance takes
    a host out of a storm. One that was not heard since the start is silent still, although this life listened for a
    short time only.
    """
    named = frozenset(storm.hosts)
    began = (name for name in storm.hosts if name in fleet.hosts)  # a reload may have moved or renamed its domain
    return tuple(
        name
        for name in dict.fromkeys((*fleet.by_domain.get((storm.domain, storm.value), ()), *began))
        if _counts(fleet.hosts[name], named, now)
        and (fleet.is_overdue(name, now) or fleet.sights[name].heard_at is None)
    )


def _counts(state: HostState, named: frozenset[HostName], now: float) -> bool:
    if state.maintenance is not None or state.state in NOT_MONITORED or state.is_asleep:
        return False
    return state.name in named or not is_in_hand(state, now)
