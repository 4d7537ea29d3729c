"""Checks the shards: the store can hold them, `store.shards` names them, and what belongs together is in one.

Each shard is decided alone, perhaps by another process, so what must be decided together must be in one. A cluster is,
because it is in one data centre. A plug that two shards may share is reported by `outlets`.
"""

from collections import defaultdict
from collections.abc import Iterator

from fenced.config.checks.draft import Draft
from fenced.config.checks.finding import Finding, error, keys, once_for_all, warning
from fenced.config.keys import ALL
from fenced.model.names import MAIN_SHARD
from fenced.model.store_urls import SQLITE


def store(draft: Draft) -> Iterator[Finding]:
    """One SQLite file holds one shard."""
    url = draft.where.key("store").key("url")
    if not draft.main.store.url.startswith(SQLITE):
        return
    for entry in draft.entries.all_datacenters:
        if entry.table.shard != MAIN_SHARD:
            yield error(
                entry.where.key("shard"),
                f"one SQLite file holds one shard, {MAIN_SHARD}: leave the key out, or set [store] url to PostgreSQL",
                value=entry.table.shard,
                unit="name",
                rests_on=(url,),
            )


def permitted(draft: Draft) -> Iterator[Finding]:
    """`store.shards` has names of shards, or `ALL` alone."""
    where, words = draft.where.key("store").key("shards"), draft.main.store.shards
    if ALL in words and len(words) > 1:
        yield error(where, f'"{ALL}" is every shard: leave it out, or the names', value=words, unit="list")
        return
    if not draft.are_shards_sure:
        return
    shards = draft.inventory.shards
    for index, word in enumerate(words):
        if word not in (ALL, *shards):
            yield error(
                where.item(index),
                f"there is no shard of this name: there are {', '.join(shards)}",
                value=word,
                unit="name",
                rests_on=(where,),
            )


def racks(draft: Draft) -> Iterator[Finding]:
    """Warn of a rack that is in two shards: what fails together is judged together only within one."""
    if not draft.are_shards_sure:
        return
    shards_of: dict[str, dict[str, str]] = defaultdict(dict)
    for built in draft.hosts:
        host = built.host
        if not host.rack:
            continue
        shards = shards_of[host.rack]
        is_first = shards.setdefault(draft.inventory.shard_of(host), host.name) == host.name
        if is_first and len(shards) == 2:
            other, its = next(iter(shards.items()))
            yield warning(
                built.entry.where.key("rack"),
                f"{its} of shard {other} is in this rack, too: the gates judge what fails together only within a "
                "shard. If they are two racks, give them two names",
                value=host.rack,
                unit="text",
                rests_on=keys(built.entry, "cluster"),
                once=once_for_all("racks"),
            )
