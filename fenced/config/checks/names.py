"""Warns of names that did not resolve and of hosts that are the daemon's own machine; checks daemon.runs_on."""

from collections.abc import Iterator

from fenced.config.checks.draft import Draft
from fenced.config.checks.finding import Finding, error, warning
from fenced.config.names import needed


def unresolved(draft: Draft) -> Iterator[Finding]:
    """Warn once of the needed names that did not resolve."""
    names = needed(draft.built)
    silent = [name for name in names if name not in draft.addresses]
    if silent:
        yield warning(
            draft.where,
            f"{len(silent)} of {len(names)} names of power devices, proxies and hosts did not resolve in time, so they "
            "were only compared as text",
            value=min(silent),
            unit="name",
        )


def own_hosts(draft: Draft) -> Iterator[Finding]:
    for built in draft.hosts:
        host = built.host
        if host.is_own_machine and host.name:
            yield warning(
                built.entry.where, f"is {host.own_words}, which never switches it: another daemon must fence it"
            )


def runs_on(draft: Draft) -> Iterator[Finding]:
    """daemon.runs_on names hosts of the inventory."""
    entries, where = draft.entries, draft.where.key("daemon").key("runs_on")
    if not entries.is_whole or "host" in entries.nameless:
        return
    for index, name in enumerate(draft.main.daemon.runs_on):
        if name not in entries.named["host"]:
            yield error(where.item(index), "there is no host of this name", value=name, unit="name")
