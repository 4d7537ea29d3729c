"""Preference lists: tiers in their order, each proxy once, never the target, never a suspect machine."""

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fenced.core.durable.state import Exclusion, HostState
from fenced.core.fleet import Fleet
from fenced.core.reach.candidates import expand
from fenced.core.reach.domains import Place, spread
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
from fenced.model.power import Kind, State

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
    datacenters={DC1: MAIN_SHARD, DC2: MAIN_SHARD},
)


def nobody(proxy: Proxy) -> str | None:
    return None


def suspect(*machines: str) -> Callable[[Proxy], str | None]:
    """Return a function that bars the proxies on these machines."""
    return lambda proxy: f"runs on {proxy.machine}, which is suspect itself" if proxy.machine in machines else None


def device(*words: str) -> Device:
    spec = DeviceSpec(driver="redfish", plug_id=PlugId("p"), unit_id=UnitId("u"))
    return Device(name=DeviceName("bmc"), kind=Kind.CHASSIS, level=1, spec=spec, proxies=words)


def tiers(
    *words: str,
    host: Host = HOSTS[0],
    inventory: Inventory = INVENTORY,
    barred: Callable[[Proxy], str | None] = nobody,
) -> list[list[str]]:
    """Return each tier sorted by name, because another test checks the order of starts."""
    return [sorted(tier) for tier in expand(device(*words), host, inventory, barred).tiers]


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
    assert tiers(*words) == [sorted(tier) for tier in expected]


def test_the_target_never_reaches_itself() -> None:
    found = expand(device("on-1", "cluster", "node-1"), HOSTS[0], INVENTORY, nobody)
    assert [set(tier) for tier in found.tiers] == [{"on-2", "in-c1"}]
    assert found.excluded == (Exclusion(proxy="on-1", why="runs on the target itself"),)


def test_a_proxy_at_the_targets_address_is_the_target() -> None:
    at_target = Inventory(proxies={ProxyName("p"): make_proxy("p", address="node-1.example.org")})
    assert expand(device("p"), HOSTS[0], at_target, nobody).is_empty


def test_a_suspect_machine_is_left_out_and_named() -> None:
    found = expand(device("cluster", "engine"), HOSTS[0], INVENTORY, suspect("node-2"))
    assert found.tiers == (("in-c1",), ("engine",))
    assert Exclusion(proxy="on-2", why="runs on node-2, which is suspect itself") in found.excluded


def test_the_engine_never_reaches_its_own_machine() -> None:
    own = Host(name=HostName("ctl"), cluster=C1, datacenter=DC1, is_own_machine=True)
    found = expand(device("engine", "cluster"), own, INVENTORY, nobody)
    assert [set(tier) for tier in found.tiers] == [{"on-1", "on-2", "in-c1"}]
    assert found.excluded[0].proxy == "engine"


def test_a_host_of_no_place_has_no_neighbours() -> None:
    assert tiers("cluster", "dc", "other_dc", "engine", host=HOSTS[3]) == [["engine"]]


def test_loopback_does_not_identify_a_proxys_machine() -> None:
    here = Inventory(proxies={ProxyName("p"): make_proxy("p", address="127.0.0.1")})
    local = make_host("node-9", C1, DC1, "127.0.0.1")
    assert tiers("p", host=local, inventory=here) == [["p"]]


WORDS = ["engine", "cluster", "dc", "other_dc", "tag:oob", "node-2", "10.0.0.3", *(proxy.name for proxy in PROXIES)]


@given(
    words=st.lists(st.sampled_from(WORDS), max_size=8),
    host=st.sampled_from(HOSTS),
    suspects=st.sets(st.sampled_from([host.name for host in HOSTS])),
)
def test_for_any_preference_list_candidates_are_unique_and_never_the_target_or_a_suspect(
    words: list[str], host: Host, suspects: set[HostName]
) -> None:
    found = expand(device(*words), host, INVENTORY, suspect(*suspects))
    candidates = [name for tier in found.tiers for name in tier]
    left_out = [exclusion.proxy for exclusion in found.excluded]
    assert len(candidates + left_out) == len({*candidates, *left_out})
    assert all(found.tiers)
    for name in candidates:
        machine = INVENTORY.proxies[name].machine if name != "engine" else None
        assert machine != host.name
        assert machine not in suspects


WORDS_FOR_ON_2 = ["on-2", "node-2", "node-2.example.org", "10.0.0.2", "cluster", "dc", "tag:rack-2"]
ON_2_TAGGED = replace(
    INVENTORY, proxies={**INVENTORY.proxies, ProxyName("on-2"): replace(PROXIES[1], tags=("rack-2",))}
)


@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("word", WORDS_FOR_ON_2)
def test_a_machine_in_trouble_is_no_proxy_by_any_preference_word(word: str, state: State) -> None:
    fleet = Fleet(ON_2_TAGGED, epoch=1, started=0.0)
    fleet.hosts[HostName("node-2")] = HostState(name=HostName("node-2"), state=state)
    found = expand(device(word, "engine"), HOSTS[0], ON_2_TAGGED, fleet.why_candidate_barred)
    is_candidate = any("on-2" in tier for tier in found.tiers)
    why = [left.why for left in found.excluded if left.proxy == "on-2"]
    assert is_candidate == (state in {State.UNKNOWN, State.HEALTHY})
    assert is_candidate or (len(why) == 1 and why[0].startswith("runs on node-2, which "))


def test_the_other_data_centres_machine_in_trouble_is_no_proxy_either() -> None:
    far = make_host("far", C3, DC2, "10.1.0.9")
    inventory = replace(
        INVENTORY,
        hosts={**INVENTORY.hosts, far.name: far},
        proxies={**INVENTORY.proxies, ProxyName("on-far"): make_proxy("on-far", machine="far", address="far")},
    )
    barred = expand(device("other_dc"), HOSTS[0], inventory, suspect("far"))
    assert "on-far" in tiers("other_dc", inventory=inventory)[0]
    assert [left.proxy for left in barred.excluded] == ["on-far"]


def in_racks(*racks: str) -> Inventory:
    proxies = [replace(make_proxy(f"p{number}", cluster=C1), domain=rack) for number, rack in enumerate(racks)]
    return Inventory(
        hosts=INVENTORY.hosts, proxies={proxy.name: proxy for proxy in proxies}, clusters=INVENTORY.clusters
    )


def test_neighbours_in_a_tier_are_of_different_racks_and_the_targets_own_rack_comes_last() -> None:
    inventory = in_racks("r1", "r2", "r2", "r3", "r1")
    host = replace(HOSTS[0], rack="r1")
    for number in range(50):
        spec = DeviceSpec(driver="redfish", plug_id=PlugId(f"p/{number}"), unit_id=UnitId("u"))
        (tier,) = expand(replace(device("cluster"), spec=spec), host, inventory, nobody).tiers
        domains = [inventory.proxies[name].domain for name in tier]
        assert domains[3:] == ["r1", "r1"] and domains[0] != domains[1], domains


def test_a_proxy_on_a_host_is_in_that_hosts_rack() -> None:
    racked = {host.name: replace(host, rack="r1" if host.name in {"node-1", "node-2"} else "r9") for host in HOSTS}
    inventory = replace(INVENTORY, hosts=racked)
    (tier,) = expand(device("cluster"), racked[HostName("node-1")], inventory, nobody).tiers
    assert tier == ("in-c1", "on-2"), "node-2 stands in the target's own rack"


def test_a_thousand_hosts_with_equal_proxies_do_not_all_begin_with_the_first() -> None:
    inventory = in_racks(*[""] * 4)
    first: Counter[ProxyName] = Counter()
    for number in range(1000):
        spec = DeviceSpec(driver="redfish", plug_id=PlugId(f"redfish/10.9.0.{number}/1"), unit_id=UnitId("u"))
        first[expand(replace(device("cluster"), spec=spec), HOSTS[0], inventory, nobody).tiers[0][0]] += 1
    assert min(first.values()) > 150 and len(first) == 4


def test_a_proxy_that_speaks_another_protocol_is_no_candidate() -> None:
    fleet = Fleet(INVENTORY, epoch=1, started=0.0)
    fleet.own = replace(fleet.own, proxy_faults={ProxyName("in-c1"): "speaks protocol 2"})
    found = expand(device("cluster"), HOSTS[0], INVENTORY, fleet.why_candidate_barred)
    assert found.tiers == (("on-2",),)
    assert Exclusion(proxy="in-c1", why="speaks protocol 2") in found.excluded


def test_a_large_tier_in_one_rack_is_arranged_in_no_time() -> None:
    """Four times the proxies may cost a little more than four times; to compare all pairs costs sixteen times."""

    def seconds(count: int) -> float:
        inventory = in_racks(*["r7"] * count)
        place = Place(host=HOSTS[0], inventory=inventory)
        started = time.process_time()
        assert len(place.arrange(inventory.proxies, lambda name: (0, spread(PlugId("p"), name)))) == count
        return time.process_time() - started

    pairs = [(seconds(1000), seconds(4000)) for _ in range(5)]
    assert min(many for _, many in pairs) < 13 * max(min(few for few, _ in pairs), 0.001)
