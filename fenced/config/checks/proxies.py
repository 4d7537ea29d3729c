"""Checks that the name and the place of each proxy agree with the rest of the inventory."""

from collections.abc import Iterator

from fenced.config.checks.draft import Draft
from fenced.config.checks.finding import Finding, error, keys, warning
from fenced.config.entries import Entry
from fenced.config.inventory_tables import ProxyTable
from fenced.core.reach.candidates import RESERVED_WORDS
from fenced.model.names import ClusterName, ProxyName


def check(draft: Draft) -> Iterator[Finding]:
    for entry in draft.entries.all_proxies:
        if entry.table.name in RESERVED_WORDS:
            yield error(
                entry.where.key("name"), "is a reserved preference word: choose another name", value=entry.table.name
            )
        yield from _place(draft, entry)
        yield from _machine(draft, entry)


def _place(draft: Draft, entry: Entry[ProxyTable]) -> Iterator[Finding]:
    table, names = entry.table, draft.entries.named
    of_cluster = draft.inventory.clusters.get(ClusterName(table.cluster), "")
    is_known = table.datacenter in names["datacenter"] and table.cluster in names["cluster"]
    if table.datacenter and is_known and of_cluster and of_cluster != table.datacenter:
        yield error(
            entry.where.key("datacenter"),
            f"the cluster {table.cluster} is in {of_cluster}",
            value=table.datacenter,
            unit="name",
        )


def _machine(draft: Draft, entry: Entry[ProxyTable]) -> Iterator[Finding]:
    name = entry.table.name
    is_first = draft.entries.proxies.get(name) is entry
    if is_first and name in draft.entries.hosts and draft.inventory.proxies[ProxyName(name)].machine != name:
        yield warning(
            entry.where.key("name"),
            f"is also a host's name, but the proxy is not known to run on it: set host = {name!r} if it does",
            value=name,
            rests_on=keys(entry, "host"),
        )
