"""Preference lists: tiers in their order, each proxy once, never the target, never a suspect machine."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fenced.core.candidates import expand
from fenced.core.state import Exclusion
from fenced.model.inventory import Device, DeviceSpec, Host, Inventory, Proxy
from fenced.model.names import ClusterName, DatacenterName, DeviceName, HostName, PlugId, ProxyName, UnitId
from fenced.model.power import Kind

C1, C2, C3 = ClusterName("c1"), ClusterName("c2"), ClusterName("c3")
DC1, DC2 = DatacenterName("dc1"), DatacenterName("dc2")


def make_host(name: str, cluster: ClusterName, datacenter: DatacenterName, address: str, *aliases: str) -> Host:
    return Host(name=HostName(name), cluster=cluster, datacenter=datacenter, address=address, aliases=aliases)


def make_proxy(
    name: str,
    *,
    cluster: ClusterName | None = None,
    datacenter: DatacenterName | None = None,
    machine: str | None = None,
    address: str = "",
    tags: tuple[str, ...] = (),
) -> Proxy:
    return Proxy(
        name=ProxyName(name),
        url=f"https://{address or name}:8471",
        address=address or name,
        cluster=cluster,
        datacenter=datacenter,
        machine=HostName(machine) if machine else None,
        tags=tags,
    )


HOSTS = (
    make_host("node-1", C1, DC1, "10.0.0.1", "node-1.example.org"),
    make_host("node-2", C1, DC1, "10.0.0.2", "node-2.example.org"),
    make_host("node-3", C2, DC1, "10.0.0.3"),
    make_host("alone", ClusterName(""), DatacenterName(""), ""),
)
PROXIES = (
    make_proxy("on-1", machine="node-1", address="10.0.0.1"),
    make_proxy("on-2", machine="node-2", address="10.0.0.2"),
    make_proxy("on-3", machine="node-3", address="node-3"),
    make_proxy("in-c1", cluster=C1, tags=("oob",)),
    make_proxy("in-dc1", datacenter=DC1),
    make_proxy("in-dc2", datacenter=DC2, tags=("oob",)),
    make_proxy("in-c3", cluster=C3, address="10.1.0.3"),
    make_proxy("nowhere"),
)
INVENTORY = Inventory(
    hosts={host.name: host for host in HOSTS},
    proxies={proxy.name: proxy for proxy in PROXIES},
    clusters={C1: DC1, C2: DC1, C3: DC2},
    datacenters=(DC1, DC2),
)


def nobody(name: HostName) -> bool:
    return False


def device(*words: str) -> Device:
    spec = DeviceSpec(driver="redfish", plug_id=PlugId("p"), unit_id=UnitId("u"))
    return Device(name=DeviceName("bmc"), kind=Kind.CHASSIS, level=1, spec=spec, proxies=words)


def tiers(
    *words: str, host: Host = HOSTS[0], inventory: Inventory = INVENTORY, suspect: Callable[[HostName], bool] = nobody
) -> list[list[str]]:
    return [list(tier) for tier in expand(device(*words), host, inventory, suspect).tiers]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["engine"], [["engine"]]),
        (["cluster"], [["on-2", "in-c1"]]),
        (["dc"], [["on-2", "on-3", "in-c1", "in-dc1"]]),
        (["cluster", "dc", "engine"], [["on-2", "in-c1"], ["on-3", "in-dc1"], ["engine"]]),
        (["dc", "cluster"], [["on-2", "on-3", "in-c1", "in-dc1"]]),
        (["other_dc"], [["in-dc2", "in-c3"]]),
        (["tag:oob"], [["in-c1", "in-dc2"]]),
        (["tag:oo"], []),
        (["nowhere", "engine"], [["nowhere"], ["engine"]]),
        (["node-2"], [["on-2"]]),
        (["node-2.example.org"], [["on-2"]]),
        (["10.0.0.2"], [["on-2"]]),
        (["10.1.0.3"], [["in-c3"]]),
        (["10.0.0"], []),
        (["node"], []),
        (["in-c1", "cluster", "in-c1"], [["in-c1"], ["on-2"]]),
        ([], []),
    ],
)
def test_words_name_exactly_these(words: list[str], expected: list[list[str]]) -> None:
    assert tiers(*words) == expected


def test_the_target_never_reaches_itself() -> None:
    found = expand(device("on-1", "cluster", "node-1"), HOSTS[0], INVENTORY, nobody)
    assert found.tiers == (("on-2", "in-c1"),)
    assert found.excluded == (Exclusion(proxy="on-1", why="runs on the target itself"),)


def test_a_proxy_at_the_targets_address_is_the_target() -> None:
    at_target = Inventory(proxies={ProxyName("p"): make_proxy("p", address="node-1.example.org")})
    assert expand(device("p"), HOSTS[0], at_target, nobody).is_empty


def test_a_suspect_machine_is_left_out_and_named() -> None:
    found = expand(device("cluster", "engine"), HOSTS[0], INVENTORY, lambda name: name == "node-2")
    assert found.tiers == (("in-c1",), ("engine",))
    assert Exclusion(proxy="on-2", why="runs on node-2, which is suspect itself") in found.excluded


def test_the_engine_never_reaches_its_own_machine() -> None:
    own = Host(name=HostName("ctl"), cluster=C1, datacenter=DC1, is_own_machine=True)
    found = expand(device("engine", "cluster"), own, INVENTORY, nobody)
    assert found.tiers == (("on-1", "on-2", "in-c1"),)
    assert found.excluded[0].proxy == "engine"


def test_a_host_of_no_place_has_no_neighbours() -> None:
    assert tiers("cluster", "dc", "other_dc", "engine", host=HOSTS[3]) == [["engine"]]


def test_loopback_is_nobodys_address() -> None:
    here = Inventory(proxies={ProxyName("p"): make_proxy("p", address="127.0.0.1")})
    local = make_host("node-9", C1, DC1, "127.0.0.1")
    assert tiers("p", host=local, inventory=here) == [["p"]]


WORDS = ["engine", "cluster", "dc", "other_dc", "tag:oob", "node-2", "10.0.0.3", *(proxy.name for proxy in PROXIES)]


@given(
    words=st.lists(st.sampled_from(WORDS), max_size=8),
    host=st.sampled_from(HOSTS),
    suspects=st.sets(st.sampled_from([host.name for host in HOSTS])),
)
def test_whatever_the_list(words: list[str], host: Host, suspects: set[HostName]) -> None:
    found = expand(device(*words), host, INVENTORY, lambda name: name in suspects)
    candidates = [name for tier in found.tiers for name in tier]
    left_out = [exclusion.proxy for exclusion in found.excluded]
    assert len(candidates + left_out) == len({*candidates, *left_out})
    assert all(found.tiers)
    for name in candidates:
        machine = INVENTORY.proxies[name].machine if name != "engine" else None
        assert machine != host.name
        assert machine not in suspects
