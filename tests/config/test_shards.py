"""Shards: what one of them gets of the inventory, which of them a controller may hold, and what must not span two."""

import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fenced.config.difference import difference, needs_restart
from fenced.core.reach.candidates import expand
from fenced.core.reach.domains import Place
from fenced.model.inventory import Device, DeviceSpec, Host, Inventory, Proxy
from fenced.model.names import (
    MAIN_SHARD,
    ClusterName,
    DatacenterName,
    DeviceName,
    HostName,
    PlugId,
    ProxyName,
    UnitId,
)
from fenced.model.power import Kind
from tests.config.files import load_files, load_ok, told
from tests.config.pieces import host, pdu

POSTGRES = '[store]\nurl = "postgresql://fenced@127.0.0.1/fenced"\n'
TWO = """
[[datacenter]]
name = "dc1"
[[datacenter]]
name = "dc2"
shard = "east"
[[cluster]]
name = "c1"
datacenter = "dc1"
[[cluster]]
name = "c2"
datacenter = "dc2"
"""
IN_C1, IN_C2 = 'cluster = "c1"\n', 'cluster = "c2"\n'
FLEET = POSTGRES + TWO + host("a", pdu(plug="1"), more=IN_C1) + host("b", pdu(plug="2"), more=IN_C2) + host("c")

NAMES = st.sampled_from(("", "a", "b", "c"))
RACKS = st.sampled_from(("", "r1", "r2"))


@st.composite
def inventories(draw: st.DrawFn) -> Inventory:
    """Return hosts in up to three data centres and shards, and proxies that are placed in every way."""
    datacenters = {DatacenterName(f"dc-{name}"): draw(st.sampled_from((MAIN_SHARD, "east", "west"))) for name in "abc"}
    clusters = {ClusterName(name): DatacenterName(f"dc-{name}") for name in "abc"} | {ClusterName("d"): ""}
    hosts = {HostName(f"h{number}"): _host(draw, number, clusters) for number in range(draw(st.integers(0, 8)))}
    proxies = {ProxyName(f"p{number}"): _proxy(draw, number, hosts) for number in range(draw(st.integers(0, 6)))}
    return Inventory(
        hosts=hosts, proxies=proxies, clusters={name: DatacenterName(at) for name, at in clusters.items()},
        datacenters=datacenters,
    )  # fmt: skip


def _host(draw: st.DrawFn, number: int, clusters: dict[ClusterName, str]) -> Host:
    cluster = ClusterName(draw(st.sampled_from(("", "a", "b", "c", "d"))))
    words: tuple[str, ...] = ("cluster", "dc", "other_dc", "engine", "h0", "alias-1")
    spec = DeviceSpec(driver="redfish", plug_id=PlugId(f"plug/{number}"), unit_id=UnitId("u"))
    proxies = tuple(draw(st.permutations(words)))
    device = Device(name=DeviceName("bmc"), kind=Kind.CHASSIS, level=1, spec=spec, proxies=proxies)
    return Host(
        name=HostName(f"h{number}"), cluster=cluster, datacenter=DatacenterName(clusters.get(cluster, "")),
        aliases=(f"alias-{number}",), rack=draw(RACKS), devices=(device,),
    )  # fmt: skip


def _proxy(draw: st.DrawFn, number: int, hosts: dict[HostName, Host]) -> Proxy:
    cluster, datacenter = draw(NAMES), draw(NAMES)
    return Proxy(
        name=ProxyName(f"p{number}"), url=f"https://p{number}:8471", address=f"p{number}",
        cluster=ClusterName(cluster) if cluster else None,
        datacenter=DatacenterName(f"dc-{datacenter}") if datacenter else None,
        machine=draw(st.sampled_from((None, *hosts))), domain=draw(RACKS),
    )  # fmt: skip


@given(inventories())
def test_every_host_is_in_exactly_one_shard(inventory: Inventory) -> None:
    parts = {shard: inventory.of_shard(shard) for shard in inventory.shards}
    found = [name for part in parts.values() for name in part.hosts]
    assert sorted(found) == sorted(inventory.hosts), "no host is lost, and none is decided twice"
    for shard, part in parts.items():
        assert {part.shard_of(each) for each in part.hosts.values()} <= {shard}
        assert part.size == len(inventory.hosts)
        assert (part.daemon, part.digest) == (inventory.daemon, inventory.digest)
    clusters = [{each.cluster for each in part.hosts.values()} - {""} for part in parts.values()]
    assert sum(map(len, clusters)) == len(set().union(*clusters)), "a cluster is in one shard"


@given(inventories())
def test_a_hosts_devices_are_reached_in_its_shard_as_in_the_whole(inventory: Inventory) -> None:
    for shard in inventory.shards:
        part = inventory.of_shard(shard)
        assert part.proxies == inventory.proxies
        assert not part.machines.keys() & part.hosts.keys()
        for each in part.hosts.values():
            for device in each.devices:
                assert expand(device, each, part, _free) == expand(device, each, inventory, _free)
            here, there = Place(host=each, inventory=part), Place(host=each, inventory=inventory)
            assert all(here.domain_of(name) == there.domain_of(name) for name in inventory.proxies)


@given(inventories())
def test_a_part_of_a_part_is_that_part(inventory: Inventory) -> None:
    for shard in inventory.shards:
        part = inventory.of_shard(shard)
        assert part.of_shard(shard) is part
        for other in set(inventory.shards) - {shard}:
            nothing = part.of_shard(other)
            assert (nothing.hosts, nothing.size) == ({}, len(inventory.hosts))


def _free(proxy: Proxy) -> None:
    return None


def test_a_large_fleet_is_divided_in_a_moment() -> None:
    datacenters = {DatacenterName(f"dc{number}"): f"shard-{number}" for number in range(4)}
    hosts = {
        HostName(f"h{number}"): Host(
            name=HostName(f"h{number}"), cluster=ClusterName("c"), datacenter=DatacenterName(f"dc{number % 4}")
        )
        for number in range(50_000)
    }
    inventory = Inventory(hosts=hosts, datacenters=datacenters)
    began = time.process_time()
    parts = [inventory.of_shard(shard) for shard in inventory.shards]
    assert time.process_time() - began < 1.0
    assert [len(part.hosts) for part in parts] == [12_500] * 4


def test_a_host_is_in_the_shard_of_its_data_centre_and_else_in_main(tmp_path: Path) -> None:
    configuration = load_ok(tmp_path, FLEET)
    inventory = configuration.inventory
    assert inventory.shards == configuration.shards == ("east", "main")
    assert {name: inventory.shard_of(each) for name, each in inventory.hosts.items()} == {
        "a": "main",
        "b": "east",
        "c": "main",
    }


def test_without_a_named_shard_everything_is_one(tmp_path: Path) -> None:
    inventory = load_ok(tmp_path, host("a")).inventory
    assert inventory.shards == ("main",)
    assert inventory.of_shard("main") is inventory
    assert load_ok(tmp_path, "").inventory.shards == ("main",)


@pytest.mark.parametrize(
    ("words", "held"), [('["east"]', ("east",)), ('["main", "east"]', ("east", "main")), ('["*"]', ("east", "main"))]
)
def test_a_controller_may_hold_the_shards_that_it_names(words: str, held: tuple[str, ...], tmp_path: Path) -> None:
    store = f"{POSTGRES}shards = {words}\nshards_at_most = 2\n"
    configuration = load_ok(tmp_path, FLEET.replace(POSTGRES, store))
    assert configuration.shards == held
    assert configuration.store.shards_at_most == 2


MISTAKES = {
    "an unknown shard": (f'{POSTGRES}shards = ["west"]\n{TWO}', "store.shards[0]", "east, main"),
    "all and some": (f'{POSTGRES}shards = ["*", "east"]\n{TWO}', "store.shards", "leave it out"),
    "no shard": (f"{POSTGRES}shards = []\n{TWO}", "store.shards", "must have 1 to"),
    "a name that is no file name": (POSTGRES + TWO.replace('"east"', '"ea/st"'), "datacenter[1].shard", "letters"),
    "a name that proxies refuse": (POSTGRES + TWO.replace("east", 65 * "e"), "datacenter[1].shard", "at most 64"),
    "two shards in a file": (TWO, "datacenter[1].shard", "one SQLite file holds one shard"),
    "one shard of another name in a file": (
        '[[datacenter]]\nname = "dc1"\nshard = "east"\n', "datacenter[0].shard", "one SQLite file holds one shard",
    ),
    "a plug of two shards": (
        POSTGRES + TWO + host("a", pdu(), more=IN_C1) + host("b", pdu(), more=IN_C2), "host[1].device[0]", "same plug",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_stops_a_start_and_makes_no_others(name: str, tmp_path: Path) -> None:
    main, path, reason = MISTAKES[name]
    loaded = load_files(tmp_path, main)
    assert [mistake.path for mistake in loaded.errors] == [path], told(loaded.errors)
    assert reason in loaded.errors[0].reason


def test_one_sqlite_file_holds_main(tmp_path: Path) -> None:
    assert load_ok(tmp_path, '[[datacenter]]\nname = "dc1"\nshard = "main"\n').shards == ("main",)


@pytest.mark.parametrize(("place", "count"), [(IN_C2, 1), (IN_C1, 0)])
def test_a_rack_in_two_shards_is_a_warning(place: str, count: int, tmp_path: Path) -> None:
    hosts = host("a", more=f'{IN_C1}rack = "r1"\n') + "".join(
        host(name, more=f'{place}rack = "r1"\n') for name in ("b", "c")
    )
    loaded = load_files(tmp_path, POSTGRES + TWO + hosts)
    assert loaded.configuration is not None, told(loaded.errors)
    assert len([mistake for mistake in loaded.warnings if mistake.path.endswith(".rack")]) == count


def test_a_wrong_place_of_a_host_is_the_only_mistake(tmp_path: Path) -> None:
    """Which shard the host is in is unknown then, and so is what it shares with another one."""
    hosts = host("a", pdu(plug="A"), more=IN_C1) + host("b", pdu(plug="a"), more=IN_C2)
    assert len(load_files(tmp_path, POSTGRES + TWO + hosts).errors) == 1
    unsure = {
        "datacenter[1].shard": (TWO.replace('"east"', "7"), hosts),
        "cluster[1].datacenter": (TWO.replace('datacenter = "dc2"', 'datacenter = "dc9"'), hosts),
        "host[1].cluster": (TWO, hosts.replace(IN_C2, "cluster = 7\n")),
    }
    for path, (places, those) in unsure.items():
        loaded = load_files(tmp_path, POSTGRES + places + those)
        assert [mistake.path for mistake in loaded.errors] == [path], told(loaded.errors)


MOVES = {
    "a data centre": ('shard = "east"', 'shard = "main"', ("datacenters.dc2.shard",)),
    "a cluster": ('name = "c2"\ndatacenter = "dc2"', 'name = "c2"\ndatacenter = "dc1"', ("clusters.c2.datacenter",)),
    "a host": (IN_C2, IN_C1, ("hosts.b.cluster",)),
    "a data centre without a host that comes": (
        '[[datacenter]]\nname = "dc2"', '[[datacenter]]\nname = "dc3"\nshard = "west"\n[[datacenter]]\nname = "dc2"',
        ("shards",),
    ),
    "what the controller may hold": (POSTGRES, f'{POSTGRES}shards = ["east"]\n', ("store.shards",)),
    "how many it may hold": (POSTGRES, f"{POSTGRES}shards_at_most = 1\n", ("store.shards_at_most",)),
    "a data centre of a shard that is there": (
        '[[datacenter]]\nname = "dc2"', '[[datacenter]]\nname = "dc3"\nshard = "east"\n[[datacenter]]\nname = "dc2"',
        (),
    ),
    "a cluster of a shard that is there": (IN_C1, IN_C1.replace("c1", "c3"), ()),
}  # fmt: skip


@pytest.mark.parametrize("name", MOVES)
def test_a_host_that_moves_to_another_shard_needs_a_restart(name: str, tmp_path: Path) -> None:
    was, now, keys = MOVES[name]
    fleet = FLEET + '[[cluster]]\nname = "c3"\ndatacenter = "dc1"\n'
    assert was in fleet
    old, new = load_ok(tmp_path, fleet), load_ok(tmp_path, fleet.replace(was, now, 1))
    assert needs_restart(old, new) == keys
    assert difference(old, new)


def test_the_digest_tells_two_divisions_apart(tmp_path: Path) -> None:
    """A standby that would decide other hosts than the holder has another configuration."""
    main = load_ok(tmp_path, FLEET).inventory.digest
    assert load_ok(tmp_path, FLEET.replace('"east"', '"west"')).inventory.digest != main
    assert load_ok(tmp_path, FLEET.replace('shard = "east"\n', "")).inventory.digest != main
