"""Who looks at a silent host now, and what they saw: one vote per failure domain (design.md#detection).

A look counts as "silent" only while it is fresh, over an address that the host still has, with a control that is not
the observer's own machine, and of an observer that may still look. Anything else is unknown. Unknown is never silent.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from fenced.core.durable.standing import is_in_hand
from fenced.core.fleet import Fleet
from fenced.core.heard.looks import Look, Saw, Target
from fenced.core.heard.watching import Control, Roster
from fenced.core.reach import controls, observers
from fenced.core.reach.observers import Panel
from fenced.model.names import HostName
from fenced.model.power import State

FRESH_TIMEOUTS: Final = 2.0
"""An answer older than so many `probe_timeout` is unknown."""
AWAY: Final = frozenset({State.FENCED, State.RESTORING, State.MAINTENANCE, State.LEFT})
"""A machine in one of these is away for a known reason: its proxy is no missing observer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Vote:
    """What observers say of one host. `alive`: looks that found it alive, of whatever age. `silent`: the looks by which
    a domain sees it silent, by domain; `missing`: why another voting domain does not count."""

    panel: Panel
    alive: tuple[Look, ...]
    silent: dict[str, tuple[Look, ...]]
    missing: tuple[str, ...]

    @property
    def is_enough(self) -> bool:
        return len(self.silent) >= self.panel.needed


def panel(fleet: Fleet, name: HostName, now: float) -> Panel:
    """Return who looks at that host."""
    return observers.panel(fleet.host(name), roster(fleet, now), fleet.inventory.daemon.observers)


def roster(fleet: Fleet, now: float) -> Roster:
    """Return all observers of this moment."""
    memo = fleet.memo_at(now)
    if memo.roster is None:
        memo.roster = observers.roster(
            fleet.inventory, fleet.own.observers, fleet.why_candidate_barred, lambda it: _is_away(fleet, it, now)
        )
    return memo.roster


def _is_away(fleet: Fleet, machine: HostName, now: float) -> bool:
    state = fleet.hosts.get(machine)
    return state is not None and (state.state in AWAY or is_in_hand(state, now))


def targets(fleet: Fleet, name: HostName, now: float, asked: Panel) -> tuple[Target, ...]:
    """Return what they look at; empty where there is nothing to look at."""
    observing = {machine for member in asked.asked for machine in member.machines}
    known = fleet.paths.networks
    return controls.targets(fleet.host(name), known, lambda network: _pool(fleet, network, now), observing)


def _pool(fleet: Fleet, network: str, now: float) -> Sequence[Control]:
    memo = fleet.memo_at(now)
    if network not in memo.controls:
        among = fleet.paths.networks.hosts.get(network, ())
        memo.controls[network] = controls.pool(among, lambda name: _is_heard(fleet, name, now))
    return memo.controls[network]


def _is_heard(fleet: Fleet, name: HostName, now: float) -> bool:
    """Return whether the host is healthy and heard now."""
    is_healthy = fleet.hosts[name].state in {State.HEALTHY, State.MAINTENANCE}
    return is_healthy and fleet.sights[name].heard_at is not None and not fleet.is_overdue(name, now)


def is_looked_at(fleet: Fleet, name: HostName) -> bool:
    """Return whether there is anything to look at."""
    return controls.is_looked_at(fleet.host(name))


# -- what they saw ----------------------------------------------------------------------------------------------------


def vote(fleet: Fleet, name: HostName, now: float) -> Vote:
    """Return what the observers of a host say of it now."""
    asked, looks = panel(fleet, name, now), looks_of(fleet, name)
    alive = tuple(look for look in looks if look.saw is Saw.ALIVE)
    living = {_domain(fleet, look, now) for look in alive}
    silent: dict[str, tuple[Look, ...]] = {}
    for look in looks:
        domain = _domain(fleet, look, now)
        if domain in asked.voting and domain not in living and why_unknown(fleet, name, look, now) == "":
            silent[domain] = (*silent.get(domain, ()), look)
    missing = tuple(_missing(fleet, name, now, asked, {*silent, *living}))
    return Vote(panel=asked, alive=alive, silent=silent, missing=missing)


def looks_of(fleet: Fleet, name: HostName) -> tuple[Look, ...]:
    """Return what each observer saw last."""
    life = fleet.sights[name].life
    return () if life is None else life.looks


def _domain(fleet: Fleet, look: Look, now: float) -> str:
    """Return the domain of the look's observer, as configured now."""
    member = roster(fleet, now).members.get(look.observer.name)
    return look.observer.domain if member is None else member.observer.domain


def why_unknown(fleet: Fleet, name: HostName, look: Look, now: float) -> str:
    """Return why a look does not show that the host is silent now; "": it does."""
    if why := why_no_silence(fleet, name, look, now):
        return why
    return "" if is_fresh(fleet, name, look, now) else f"answered {now - look.at:.0f} s ago"


def why_no_silence(fleet: Fleet, name: HostName, look: Look, now: float) -> str:
    """Return why a look does not show that the host was silent when it was looked at; "": it does."""
    host, member = fleet.host(name), roster(fleet, now).members.get(look.observer.name)
    if look.saw is not Saw.SILENT:
        return look.why or f"saw {look.saw.value}"
    if member is None or name in member.machines:
        return "is no observer of it"
    if member.why_missing:
        return member.why_missing
    if (look.network, look.target) not in host.networks:
        return f"looked at {look.target}, which is no address of it"
    if look.control in {"", look.target} or look.control in member.observer.own:
        return f"reached no control{_over(look.network)}"
    return ""


def is_fresh(fleet: Fleet, name: HostName, look: Look, now: float) -> bool:
    """Return whether an answer is not older than two `probe_timeout`."""
    return now - look.at <= FRESH_TIMEOUTS * fleet.host(name).settings.detection.probe_timeout_seconds + 1e-6


def _over(network: str) -> str:
    return f" over the network {network}" if network else ""


def _missing(fleet: Fleet, name: HostName, now: float, asked: Panel, known: set[str]) -> Iterator[str]:
    """Say of each observer of a domain that does not count why it does not."""
    looks = looks_of(fleet, name)
    for member in asked.missing:
        yield f"{member.observer.words}: {member.why_missing}"
    for member in asked.asked:
        if member.observer.domain not in asked.voting or member.observer.domain in known:
            continue
        why = [why_unknown(fleet, name, look, now) for look in looks if look.observer.name == member.observer.name]
        yield f"{member.observer.words}: {' and '.join(dict.fromkeys(why)) or 'did not answer'}"


def sees_beside(fleet: Fleet, name: HostName, other: HostName, now: float) -> Look | None:
    """Return the look of an observer in a known domain that is none of the host's, if it sees the host silent and at
    the same time, over the same network, reaches the other host: then the network between them works."""
    near = observers.near_domains(fleet.host(name)) | observers.near_domains(fleet.host(other))
    for look in looks_of(fleet, name):
        domain = _domain(fleet, look, now)
        if not domain or domain in near or why_unknown(fleet, name, look, now):
            continue
        for beside in looks_of(fleet, other):
            is_same = (beside.observer.name, beside.network) == (look.observer.name, look.network)
            if is_same and beside.saw is Saw.ALIVE and not beside.is_by_agent and is_fresh(fleet, other, beside, now):
                return look
    return None


# -- in words ---------------------------------------------------------------------------------------------------------


def alive_words(found: Vote) -> str:
    """Say who reached the host, and who did not."""
    reached = "; ".join(
        f"{look.observer.words} reaches it{_over(look.network)}{f' ({look.why})' if look.why else ''}"
        for look in _one_each(found.alive)
    )
    blind = [look.observer.words for look in _one_each([it for looks in found.silent.values() for it in looks])]
    return f"partial: {reached}, {' and '.join(blind)} can't: it is cut off from some" if blind else reached


def silent_words(found: Vote, now: float) -> str:
    """Say who saw the host silent."""
    looks = _one_each([it for looks in found.silent.values() for it in looks])
    who = ", ".join(f"{look.observer.words} while it reached {look.control}" for look in looks)
    age = max((now - look.at for look in looks), default=0.0)
    return f"silent for {who}, {age:.0f} s ago"


def looked_words(fleet: Fleet, name: HostName, now: float) -> str:
    """Say in one sentence who saw what, and how long ago; "" before anybody looked."""
    looks = looks_of(fleet, name)
    if not looks:
        return ""
    alive = [look for look in looks if look.saw is Saw.ALIVE]
    silent = [look for look in looks if not why_unknown(fleet, name, look, now)]
    sees = {look.observer.name for look in (*alive, *silent)}
    unsure = [look for look in looks if look.observer.name not in sees]
    said = [f"{_names(found)} {what}" for found, what in (
        (alive, "reached it"), (silent, "saw it silent"), (unsure, "could not tell"),
    ) if found]  # fmt: skip
    return f"Looked at {now - min(look.at for look in looks):.0f} s ago: {'; '.join(said)}."


def _names(looks: Sequence[Look]) -> str:
    return ", ".join(look.observer.words for look in _one_each(looks))


def _one_each(looks: Sequence[Look]) -> list[Look]:
    """Return the first look of each observer."""
    return list({look.observer.name: look for look in reversed(looks)}.values())[::-1]
