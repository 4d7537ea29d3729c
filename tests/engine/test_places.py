"""Which shard a host is in, before and after a reload."""

from dataclasses import replace

from fenced.app.places import Places
from fenced.model.inventory import Host, Inventory
from fenced.model.names import MAIN_SHARD, ClusterName, DatacenterName, HostName


def inventory(**datacenters: str) -> Inventory:
    """Return one with a host in each of these data centres; only `dc2` names a shard."""
    hosts = {
        HostName(name): Host(name=HostName(name), cluster=ClusterName(""), datacenter=DatacenterName(datacenter))
        for name, datacenter in datacenters.items()
    }
    return Inventory(hosts=hosts, datacenters={DatacenterName("dc1"): MAIN_SHARD, DatacenterName("dc2"): "east"})


def test_a_host_is_in_the_shard_of_its_data_centre() -> None:
    fleet = inventory(first="dc1", second="dc2", third="")
    places = Places(lambda: fleet)
    assert [places.shard_of(name) for name in fleet.hosts] == [MAIN_SHARD, "east", MAIN_SHARD]
    assert places.shard_of(HostName("fourth")) is None


def test_a_reload_brings_hosts_and_takes_them_away() -> None:
    in_force = [inventory(first="dc1")]
    places = Places(lambda: in_force[-1])
    assert places.shard_of(HostName("first")) == MAIN_SHARD
    in_force.append(inventory(second="dc2"))
    assert places.shard_of(HostName("second")) == "east"
    assert places.shard_of(HostName("first")) is None


def test_a_cluster_is_in_the_shard_of_its_hosts() -> None:
    fleet = inventory(first="dc1", second="dc2")
    hosts = {name: replace(host, cluster=ClusterName(f"c-{name}")) for name, host in fleet.hosts.items()}
    places = Places(lambda: replace(fleet, hosts=hosts))
    assert [places.shard_of_cluster(name) for name in ("c-first", "c-second", "c-third")] == [MAIN_SHARD, "east", None]
