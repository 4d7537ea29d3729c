"""Which machine a name or address means: the daemon's own, a proxy's, the broker's (S18)."""

import dataclasses
from pathlib import Path

import pytest

from fenced.config.own_machine import OwnMachine, this_machine
from fenced.core.reach.candidates import why_not
from fenced.model.inventory import Inventory
from fenced.model.names import ENGINE, ClusterName, HostName, ProxyName
from tests.config.files import CLUSTERS, TLS, load_files, load_ok, told, write
from tests.config.pieces import host, pdu

PLACES = {
    "by host": ('url = "https://px.example.org:1"\nhost = "node-1"', "node-1"),
    "by address": ('url = "https://10.0.0.1:1"', "node-1"),
    "by IPv6 address": ('url = "https://[fd00:0::1]:1"', "node-2"),
    "by alias": ('url = "https://Node-1.Example.org"', "node-1"),
    "by name": ('url = "https://node-2"', "node-2"),
    "never by a short name": ('url = "https://node"', None),
    "never by loopback": ('url = "http://127.0.0.1:1"', None),
}


@pytest.mark.parametrize("how", PLACES)
def test_a_proxy_is_matched_to_the_host_it_runs_on(how: str, tmp_path: Path) -> None:
    keys, machine = PLACES[how]
    text = f'{TLS}[[proxy]]\nname = "p"\n{keys}\n' + host(
        "node-1", more='address = "10.0.0.1"\naliases = ["Node-1.example.org", "127.0.0.1"]'
    )
    inventory = load_ok(tmp_path, text + host("node-2", more='address = "fd00::1"')).inventory
    assert inventory.proxies[ProxyName("p")].machine == machine


def test_a_proxy_as_the_race_gets_it(tmp_path: Path) -> None:
    text = '[[proxy]]\nname = "p"\nurl = "https://px1.example.org"\ncluster = "c1"\ndomain = "rack-7"\ntags = ["oob"]\n'
    proxy = load_ok(tmp_path, TLS + CLUSTERS + text).inventory.proxies[ProxyName("p")]
    assert proxy.url == "https://px1.example.org:8471"
    assert (proxy.address, proxy.cluster, proxy.datacenter) == ("px1.example.org", ClusterName("c1"), None)
    assert (proxy.domain, proxy.tags) == ("rack-7", ("oob",))


OWN = OwnMachine(hostname="Ctl-1", names=frozenset({"ctl-1.example.org"}), addresses=frozenset({"10.0.0.9", "fd00::9"}))


@pytest.mark.parametrize(
    ("keys", "is_own"),
    [
        ('name = "ctl-1"', True),
        ('name = "x"\naddress = "10.0.0.9"', True),
        ('name = "x"\naddress = "fd00:0:0::9"', True),
        ('name = "x"\naliases = ["y", "CTL-1.example.org"]', True),
        ('name = "ctl-1.example"', False),
        ('name = "ctl"', False),
        ('name = "x"\naddress = "127.0.0.1"', False),
        ('name = "x"\naddress = "10.0.0.90"', False),
    ],
)
def test_the_own_machine_is_known_by_each_of_its_names(keys: str, is_own: bool, tmp_path: Path) -> None:
    hosts = load_ok(tmp_path, f"[[host]]\n{keys}\n", own_machine=OWN).inventory.hosts
    assert [node.is_own_machine for node in hosts.values()] == [is_own]


@pytest.mark.parametrize(
    ("keys", "is_own"),
    [
        ('name = "x"\naddress = "ctl.example.org"', True),
        ('name = "ctl.example.org"', True),
        ('name = "x"\naddresses = { storage = "ctl.example.org" }', True),
        ('name = "x"\naddress = "10.0.0.9"\naliases = ["ctl.example.org"]', True),
        ('name = "x"\naddress = "::ffff:10.0.0.250"', True),
        ('name = "x"\naddress = "[::ffff:a00:fa]"', True),
        ('name = "x"\naddress = "px.example.org"', False),
        ('name = "x"\naddress = "nowhere.example.org"', False),
        ('name = "x"\naddress = "::ffff:127.0.0.1"', False),
    ],
)
def test_the_own_machine_is_known_by_what_its_names_resolve_to(keys: str, is_own: bool, tmp_path: Path) -> None:
    loaded = load_files(tmp_path, f"[[host]]\n{keys}\n")
    assert loaded.configuration is not None, told(loaded.errors)
    assert [node.is_own_machine for node in loaded.configuration.inventory.hosts.values()] == [is_own]
    assert is_own == any("is the machine that the daemon runs on" in mistake.reason for mistake in loaded.warnings)


def test_a_person_says_on_which_machine_the_daemons_own_one_runs(tmp_path: Path) -> None:
    text = '[daemon]\nruns_on = ["hypervisor"]\n' + host("hypervisor", more='address = "10.0.0.8"') + host("other")
    hosts = load_ok(tmp_path, text).inventory.hosts
    assert [node.name for node in hosts.values() if node.is_own_machine] == ["hypervisor"]
    assert "daemon.runs_on" in hosts[HostName("hypervisor")].own_words
    assert "daemon.runs_on" in (why_not(ENGINE, hosts[HostName("hypervisor")], Inventory(), lambda _: None) or "")
    named = load_ok(tmp_path, text, own_machine=OwnMachine(addresses=frozenset({"10.0.0.8"}))).inventory.hosts
    assert "daemon.runs_on" not in named[HostName("hypervisor")].own_words
    wrong = load_files(tmp_path, text.replace('["hypervisor"]', '["other", "hypervisors"]'))
    assert [mistake.path for mistake in wrong.errors] == ["daemon.runs_on[1]"]


ALSO_ON = {
    "by a name of its own": ('url = "https://px.example.org"', ("node-1",)),
    "though another host is said": ('url = "https://px.example.org"\nhost = "node-2"', ("node-1",)),
    "by a name that several hosts answer": ('url = "https://balanced.example.org"', ("node-1", "node-2")),
    "by IPv4 inside IPv6": ('url = "https://[::ffff:10.0.0.1]"\nhost = "node-2"', ("node-1",)),
    "by nothing": ('url = "https://elsewhere.example.org"', ()),
    "by loopback": ('url = "http://127.0.0.1:1"', ()),
}


@pytest.mark.parametrize("how", ALSO_ON)
def test_a_proxy_never_serves_the_host_that_its_url_is_another_name_of(how: str, tmp_path: Path) -> None:
    keys, also_on = ALSO_ON[how]
    text = f'{TLS}[[proxy]]\nname = "p"\n{keys}\n' + host("node-1", more='address = "10.0.0.1"')
    inventory = load_ok(tmp_path, text + host("node-2", more='address = "10.0.0.2"')).inventory
    assert inventory.proxies[ProxyName("p")].also_on == also_on
    barred = [
        name for name, node in inventory.hosts.items() if why_not(ProxyName("p"), node, inventory, lambda _: None)
    ]
    machine = inventory.proxies[ProxyName("p")].machine
    assert set(barred) == {*also_on, *([machine] if machine else [])}


def test_a_host_whose_only_proxy_is_itself_by_another_name_is_a_mistake(tmp_path: Path) -> None:
    text = f'{TLS}[[proxy]]\nname = "p"\nurl = "https://px.example.org"\n' + host(
        "node-1", pdu(more='proxies = ["p"]\n'), more='address = "10.0.0.1"'
    )
    loaded = load_files(tmp_path, text)
    assert [mistake.path for mistake in loaded.errors] == ["host[0].device[0].proxies"]
    # Without an answering name server no proxy is refused for that.
    assert not load_files(tmp_path, text.replace("px.example.org", "nowhere.example.org")).errors


def test_names_that_a_wildcard_answers_bar_no_proxy(tmp_path: Path) -> None:
    """A name server that answers for all names does not show which host is meant."""
    fleet = f'{TLS}[[proxy]]\nname = "p"\nurl = "https://one.wild.example.org"\n' + "".join(
        host(f"node-{number}.wild.example.org", pdu(plug=str(number), more='proxies = ["p"]\n')) for number in (1, 2)
    )
    loaded = load_files(tmp_path, fleet)
    assert not loaded.errors, told(loaded.errors)


@pytest.mark.parametrize(
    ("url", "keys", "is_beside"),
    [
        ("mqtt://broker.example.org", 'name = "x"\naliases = ["Broker.example.org."]', True),
        ("mqtts://[2001:db8::5]:8883", 'name = "x"\naddress = "2001:DB8:0::5"', True),
        ("mqtt://10.0.0.5:1884", 'name = "x"\naddress = "10.0.0.5"', True),
        ("mqtt://10.0.0.5", 'name = "x"\naddress = "10.0.0.50"', False),
        ("mqtt://127.0.0.1", 'name = "x"\naddress = "127.0.0.1"', False),
    ],
)
def test_the_brokers_machine_is_known_by_each_of_its_names(
    url: str, keys: str, is_beside: bool, tmp_path: Path
) -> None:
    hosts = load_ok(tmp_path, f'[bus]\nurl = "{url}"\n[[host]]\n{keys}\n').inventory.hosts
    assert [node.is_beside_broker for node in hosts.values()] == [is_beside]


@pytest.mark.parametrize(
    ("hosts", "is_beside"), [("db1.example.org,10.0.0.5", True), ("db1.example.org", False), ("[2001:db8::5]", False)]
)
def test_the_machines_of_the_store_are_known(hosts: str, is_beside: bool, tmp_path: Path) -> None:
    text = f'[store]\nurl = "postgresql://fenced@{hosts}/fenced"\n[[host]]\nname = "x"\naddress = "10.0.0.5"\n'
    (node,) = load_ok(tmp_path, text).inventory.hosts.values()
    assert node.is_beside_store is is_beside and not node.is_beside_broker


def test_the_own_machines_loopback_addresses_identify_no_machine(tmp_path: Path) -> None:
    own = dataclasses.replace(OWN, addresses=frozenset({"127.0.0.1", "::1"}))
    text = host("a", more='address = "127.0.0.1"') + host("b", more='address = "127.0.0.1"')
    assert not any(node.is_own_machine for node in load_ok(tmp_path, text, own_machine=own).inventory.hosts.values())


def test_this_machine_asks_the_kernel_and_etc_hosts(tmp_path: Path) -> None:
    name = this_machine().hostname
    etc_hosts = write(
        tmp_path,
        "hosts",
        f"127.0.0.1 localhost\n127.0.1.1 {name}.example.org {name}\n10.0.0.5 me # x\n10.0.0.6 other\n",
    )
    write(
        tmp_path,
        "net/fib_trie",
        "Main:\n  +-- 0.0.0.0/0 3 0 5\n     |-- 10.0.0.0\n        /24 link UNICAST\n     |-- 10.0.0.5\n"
        "        /32 host LOCAL\n     |-- 127.0.0.1\n        /32 host LOCAL\n     |-- 10.0.0.255\n"
        "        /32 link BROADCAST\n",
    )
    write(
        tmp_path,
        "net/if_inet6",
        "00000000000000000000000000000001 01 80 10 80       lo\nfd000000000000000000000000000005 02 40 00 80     eth0\n"
        "fe800000000000000000000000000001 02 40 20 80     eth0\n",
    )
    machine = this_machine(etc_hosts, tmp_path)
    assert machine.addresses == frozenset({"10.0.0.5", "fd00::5"})
    assert machine.names == frozenset({name, f"{name}.example.org", "me"})


FURTHER = 'addresses = { storage = "10.1.0.1", backup = "back.example.org" }'


def test_a_further_address_is_the_host_for_its_proxy(tmp_path: Path) -> None:
    """A proxy that is reached over the storage network runs on the host like any other: it never serves it (S18)."""
    text = (
        f'{TLS}[[proxy]]\nname = "p"\nurl = "https://10.1.0.1:1"\n[[proxy]]\nname = "q"\nurl = "https://10.2.0.2:1"\n'
    )
    inventory = load_ok(
        tmp_path,
        text + host("node-1", more=FURTHER) + host("node-2", more=FURTHER.replace("1.0.1", "2.0.2").replace("ba", "x")),
    ).inventory
    found = [inventory.proxies[ProxyName(name)].machine for name in ("p", "q")]
    assert found == ["node-1", "node-2"]
    node = inventory.hosts[HostName("node-1")]
    bare = dataclasses.replace(inventory.proxies[ProxyName("p")], machine=None)
    apart = dataclasses.replace(inventory, proxies={ProxyName("p"): bare})
    assert why_not(ProxyName("p"), node, apart, lambda proxy: None) == "runs on the target itself"


@pytest.mark.parametrize(
    ("addresses", "is_own"),
    [
        ('{ storage = "10.0.0.9" }', True),
        ('{ storage = "fd00:0:0::9" }', True),
        ('{ storage = "CTL-1.example.org" }', True),
        ('{ storage = "127.0.0.1" }', False),
        ('{ storage = "10.0.0.90" }', False),
    ],
)
def test_the_own_machine_is_known_by_a_further_address(addresses: str, is_own: bool, tmp_path: Path) -> None:
    hosts = load_ok(tmp_path, host("x", more=f"addresses = {addresses}"), own_machine=OWN).inventory.hosts
    assert [node.is_own_machine for node in hosts.values()] == [is_own]


def test_a_further_address_belongs_to_one_host(tmp_path: Path) -> None:
    text = host("node-1", more='address = "10.0.0.1"') + host("node-2", more='addresses = { storage = "10.0.0.1" }')
    loaded = load_files(tmp_path, text)
    assert [mistake.path for mistake in loaded.errors] == ["host[1].addresses.storage"], told(loaded.errors)


def test_a_broker_at_a_further_address_is_on_that_host(tmp_path: Path) -> None:
    text = '[bus]\nurl = "mqtt://10.1.0.1"\n' + host("node-1", more='addresses = { storage = "10.1.0.1" }')
    node = load_ok(tmp_path, text).inventory.hosts[HostName("node-1")]
    assert node.is_beside_broker and not node.can_witness


def test_a_preference_word_may_be_a_further_address(tmp_path: Path) -> None:
    text = f'{TLS}[[proxy]]\nname = "p"\nurl = "https://px.example.org"\nhost = "node-1"\n' + host(
        "node-1", more=FURTHER
    )
    load_ok(tmp_path, text + host("node-2", pdu(), more='proxies = ["10.1.0.1"]'))
