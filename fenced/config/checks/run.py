"""The list of all checks, in the order in which they run.

A check is a function from the draft to findings. It reports nothing itself and depends on no other check; the order
is only that of the output. A new check is one function and one line here.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Final

from fenced.config.build import BuiltHost
from fenced.config.checks import (
    agent_trust,
    device_addresses,
    device_keys,
    evidence,
    heard_as,
    hosts,
    identities,
    levels,
    names,
    network,
    not_yet,
    observers,
    options,
    outlets,
    proxies,
    reach,
    rounds,
    saving,
    shards,
    storms,
    timing,
)
from fenced.config.checks.draft import Draft, Scope
from fenced.config.checks.finding import Finding, report
from fenced.config.mistakes import Mistakes

Check = Callable[[Draft], Iterable[Finding]]
HostCheck = Callable[[Draft, BuiltHost], Iterable[Finding]]
ScopeCheck = Callable[[Draft, Scope], Iterable[Finding]]


def each_host(*checks: HostCheck) -> Check:
    """Run all of these on one host before the next, so that the output goes host by host."""

    def check(draft: Draft) -> Iterator[Finding]:
        for host in draft.hosts:
            for of_host in checks:
                yield from of_host(draft, host)

    return check


def each_scope(*checks: ScopeCheck) -> Check:
    """As `each_host`, for data centres and clusters."""

    def check(draft: Draft) -> Iterator[Finding]:
        for scope in draft.scopes():
            for of_scope in checks:
                yield from of_scope(draft, scope)

    return check


CHECKS: Final[tuple[Check, ...]] = (
    proxies.check,
    each_host(agent_trust.reviewed, device_keys.check, device_addresses.of_host, hosts.power),
    names.unresolved,
    names.own_hosts,
    names.runs_on,
    network.api,
    not_yet.main,
    observers.domains,
    observers.references,
    timing.main,
    rounds.check,
    network.confirm_off,
    hosts.any_host,
    each_scope(timing.of_scope, not_yet.of_scope),
    network.proxies,
    agent_trust.agent_path,
    reach.check,
    reach.programs,
    reach.cautions,
    each_host(identities.of_host, options.of_host),
    identities.between_hosts,
    each_host(timing.of_host, not_yet.of_host, timing.of_devices, outlets.kinds, outlets.feeds),
    levels.check,
    hosts.addresses,
    heard_as.check,
    outlets.plugs,
    shards.store,
    shards.permitted,
    shards.racks,
    storms.domains,
    evidence.kinds,
    saving.check,
)


def run(draft: Draft, mistakes: Mistakes) -> None:
    """Run all checks and report what they find."""
    for check in CHECKS:
        report(check(draft), mistakes)
