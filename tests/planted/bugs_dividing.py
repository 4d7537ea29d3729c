"""Planted bugs in the division of an inventory into shards: each host in one, nothing that two share (S4, S20)."""

from typing import Final

from tests.planted.bug import Bug

SHARDS: Final = "tests/config/test_shards.py"
ALIASES: Final = "tests/config/checks/test_aliases.py"

DIVIDING_BUGS: Final = (
    Bug(
        name="a shard without a host gets every host",
        rule="S20",
        file="model/inventory.py",
        old="        if len(hosts) == len(self.hosts):",
        new="        if not hosts or len(hosts) == len(self.hosts):",
        killers=(f"{SHARDS}::test_a_part_of_a_part_is_that_part",),
    ),
    Bug(
        name="every shard has the hosts without a data centre",
        rule="S20",
        file="model/inventory.py",
        old="if self.shard_of(host) == shard}",
        new="if not host.datacenter or self.shard_of(host) == shard}",
        killers=(f"{SHARDS}::test_every_host_is_in_exactly_one_shard",),
    ),
    Bug(
        name="a proxy on a host of another shard is placed nowhere",
        rule="S15",
        file="model/inventory.py",
        old="self.hosts.get(proxy.machine) or self.machines.get(proxy.machine)",
        new="self.hosts.get(proxy.machine)",
        killers=(f"{SHARDS}::test_a_hosts_devices_are_reached_in_its_shard_as_in_the_whole",),
    ),
    Bug(
        name="what may be one plug of two shards is a warning",
        rule="S4",
        file="config/checks/outlets.py",
        old="    is_across = user.shard != other.shard\n",
        new="    is_across = False\n",
        killers=(f"{ALIASES}::test_two_hosts_of_two_shards[names that differ in case]",),
    ),
    Bug(
        name="of a unit that two shards share only the first ways to name outlets are compared",
        rule="S4",
        file="config/checks/outlets.py",
        old="            first = ways.setdefault((user.shard, user.place.way), [user])\n",
        new="            first = ways.setdefault(user.place.way, [user])\n",
        killers=(f"{ALIASES}::test_what_may_be_one_plug_of_two_shards_is_found_beside_pairs_of_one",),
    ),
    Bug(
        name="one file of SQLite may hold several shards",
        rule="S20",
        file="config/checks/shards.py",
        old="        if entry.table.shard != MAIN_SHARD:",
        new="        if False:",
        killers=(f"{SHARDS}::test_a_mistake_stops_a_start_and_makes_no_others[two shards in a file]",),
    ),
    Bug(
        name="a reload moves a host to another shard",
        rule="S20",
        file="config/difference.py",
        old="        if now is None or old.shard_of(host) == new.shard_of(now):",
        new="        if True:",
        killers=(f"{SHARDS}::test_a_host_that_moves_to_another_shard_needs_a_restart[a host]",),
    ),
    Bug(
        name="two divisions into shards have one digest",
        rule="S20",
        file="config/digest.py",
        old='        yield ("shards", *shards)\n',
        new='        yield ("shards",)\n',
        killers=(f"{SHARDS}::test_the_digest_tells_two_divisions_apart",),
    ),
)
