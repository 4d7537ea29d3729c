"""One plug under two names: two hosts that share it are reported, for all drivers, names and addresses (S4)."""

from pathlib import Path

import pytest

from tests.config.files import load_files, told
from tests.config.pieces import host

MISTAKE, WARNING, NOTHING = "mistake", "warning", "nothing"


def device(driver: str, address: str, options: str = "", more: str = "") -> str:
    return (
        f'[[host.device]]\nname = "d"\ndriver = "{driver}"\naddress = "{address}"\noptions = {{ {options} }}\n{more}\n'
    )


def redfish(address: str = "10.9.0.1", options: str = "", more: str = "") -> str:
    return device("redfish", f"https://{address}", options, more)


def agent(options: str, address: str = "10.9.0.1") -> str:
    return device("fence_redfish", address, options)


def outlet(plug: str, options: str = "", address: str = "10.9.1.1") -> str:
    return device("snmp_outlet", address, f'plug = "{plug}"' + (f", {options}" if options else ""))


def custom(plug: str, more: str = "", column: str = "1.3.6.1.4.1.99999.1") -> str:
    said = f'status_oid = "{column}.3.{{plug}}", status_on = 1, status_off = 2, '
    said += f'control_oid = "{column}.4.{{plug}}", control_on = 1, control_off = 2'
    return outlet(plug, f'model = "custom", {said}' + (f", {more}" if more else ""))


def apc(plug: str, options: str = "", name: str = "fence_apc_snmp", address: str = "10.9.1.1") -> str:
    return device(name, address, f'plug = "{plug}"' + (f", {options}" if options else ""))


def virsh(plug: str, options: str = "", address: str = "10.9.1.1") -> str:
    return apc(plug, options, "fence_virsh", address)


def cloud(options: str, driver: str = "fence_aws") -> str:
    return device(driver, "", options)


def bridged(target: str) -> str:
    return device("fence_ipmilan", "10.9.0.1", f'target = "{target}"')


UUID = "4c4c4544-0042-3510-8043-b7c04f4e3332"

PAIRS = {
    "an address by name and by number": (redfish("bmc-1.example.org"), redfish(), MISTAKE),
    "two names": (redfish("bmc-1.example.org"), redfish("BMC-one.example.org."), MISTAKE),
    "a name with several addresses": (redfish("bmc-6.example.org"), redfish("[fd00:9::1]"), MISTAKE),
    "IPv4 inside IPv6": (redfish("[::ffff:10.9.0.1]"), redfish(), MISTAKE),
    "IPv4 inside IPv6, in hexadecimal": (redfish("[::ffff:a09:1]"), redfish("bmc-1.example.org"), MISTAKE),
    "another spelling of IPv6": (redfish("[fd00:0:0::1]"), redfish("[FD00::1]"), MISTAKE),
    "two BMCs": (redfish("10.9.0.1"), redfish("10.9.0.2"), NOTHING),
    "http beside https": (device("redfish", "http://10.9.0.1"), redfish(), MISTAKE),
    "ports of a gateway": (redfish("10.9.0.1:8001"), redfish("10.9.0.1:8002"), NOTHING),
    "one port of a gateway and the usual one": (redfish("10.9.0.1:8001"), redfish(), WARNING),
    "ports on loopback": (device("redfish", "http://127.0.0.1:8001"), device("ipmi", "127.0.0.1:8002"), NOTHING),
    # Redfish systems
    "a system by Id and by none": (redfish(options='system = "1"'), redfish(), MISTAKE),
    "a system by Id and by path": (
        redfish(options='system = "1"'),
        redfish(options='system = "/redfish/v1/Systems/1/"'),
        MISTAKE,
    ),
    "a system by Id and by UUID": (redfish(options='system = "1"'), redfish(options=f'system = "{UUID}"'), WARNING),
    "a system by Id and by serial number": (
        redfish(options='system = "System.Embedded.1"'),
        redfish(options='system = "CN7475B"'),
        WARNING,
    ),
    "a system by UUID in two spellings": (
        redfish(options=f'system = "{UUID}"'),
        redfish(options=f'system = "{UUID.upper().replace("-", "")}"'),
        MISTAKE,
    ),
    "a system by UUID in the other byte order": (
        redfish(options=f'system = "{UUID}"'),
        redfish(options='system = "44454c4c-4200-1035-8043-b7c04f4e3332"'),
        MISTAKE,
    ),
    "two systems by UUID": (
        redfish(options=f'system = "{UUID}"'),
        redfish(options=f'system = "{UUID.replace("4c", "5d")}"'),
        NOTHING,
    ),
    "two systems": (redfish(options='system = "Node1"'), redfish(options='system = "Node2"'), NOTHING),
    "a system by Id and by its identity": (
        redfish(options='system = "1"'),
        redfish(more=f'identity = "{UUID}"'),
        WARNING,
    ),
    "our Redfish and the agent's": (redfish(), agent(""), MISTAKE),
    "our Redfish and the agent's, one by path": (
        redfish(options='system = "1"'),
        agent('systems-uri = "/redfish/v1/Systems/1"'),
        MISTAKE,
    ),
    "our Redfish and the agent's, one by none": (redfish(options='system = "1"'), agent(""), MISTAKE),
    "our Redfish and the agent's, two systems": (
        redfish(options='system = "1"'),
        agent('systems_uri = "/redfish/v1/Systems/2"'),
        NOTHING,
    ),
    # two drivers of one BMC
    "Redfish and IPMI": (redfish(), device("ipmi", "bmc-1.example.org"), MISTAKE),
    "Redfish and an IPMI agent": (device("fence_idrac", "10.9.0.1"), redfish(), MISTAKE),
    "Redfish and an SSH agent": (device("fence_ilo4_ssh", "10.9.0.1"), redfish(), MISTAKE),
    "IPMI and its agent": (device("ipmi", "10.9.0.1"), device("fence_ipmilan", "10.9.0.1"), MISTAKE),
    "IPMI and one of several systems": (device("ipmi", "10.9.0.1"), redfish(options='system = "1"'), WARNING),
    "Redfish and IPMI, one behind another port": (redfish("10.9.0.1:8443"), device("ipmi", "10.9.0.1"), WARNING),
    "an agent's plug that it may not read": (
        device("fence_ipmilan", "10.9.0.1", 'plug = "1"'),
        device("fence_ipmilan", "10.9.0.1", 'plug = "2"'),
        WARNING,
    ),
    "a BMC's plug and none": (device("fence_ipmilan", "10.9.0.1", 'plug = "1"'), device("ipmi", "10.9.0.1"), MISTAKE),
    # outlets
    "an outlet by our driver and by an agent": (outlet("7"), apc("7"), MISTAKE),
    "an outlet by our driver and over SSH": (outlet("7"), apc("7", name="fence_apc"), MISTAKE),
    "an outlet by our driver and by another vendor's agent": (
        outlet("7"),
        apc("7", name="fence_raritan_px3", address="pdu.example.org"),
        MISTAKE,
    ),
    "two outlets by two drivers": (outlet("7"), apc("8", name="fence_apc"), NOTHING),
    "outlets of two feeds of one tower": (
        outlet("7", 'model = "sentry3"'),
        outlet("1:2:7", 'model = "sentry3"'),
        NOTHING,
    ),
    "an outlet of a tower and feed, and with the first of both left out": (
        outlet("7", 'model = "sentry4"'),
        outlet("1:1:7", 'model = "sentry4"'),
        MISTAKE,
    ),
    "one index by two offsets": (custom("7", "offset = 1"), custom("8"), MISTAKE),
    "two indices by one number": (custom("7", "offset = 1"), custom("7"), WARNING),
    "two indices by two numbers": (custom("7", "offset = 1"), custom("9"), WARNING),
    "two outlets of one offset": (custom("7", "offset = 1"), custom("8", "offset = 1"), NOTHING),
    "one number on the housing, with an offset and by a model": (
        custom("7", "offset = -1"),
        outlet("7", 'model = "eaton_managed"'),
        MISTAKE,
    ),
    "one number on the housing, with an offset and by an agent": (
        custom("7", "offset = -1"),
        apc("7", name="fence_eaton_snmp"),
        MISTAKE,
    ),
    "one index, as a number and by a model that counts otherwise": (
        custom("6"),
        outlet("7", 'model = "eaton_managed"'),
        WARNING,
    ),
    "one index, with an offset and by an agent": (custom("7", "offset = 1"), apc("8"), WARNING),
    "one object, its chain in the plug and in the object's name": (
        custom("2:7"),
        outlet(
            "7",
            'model = "custom", status_oid = "1.3.6.1.4.1.99999.1.9.2.{plug}", status_on = 1, status_off = 2, '
            'control_oid = ".1.3.6.1.4.1.99999.1.4.02.{plug}", control_on = 1, control_off = 2',
        ),
        MISTAKE,
    ),
    "one number at other objects": (custom("7"), custom("7", column="1.3.6.1.4.1.99999.5"), MISTAKE),
    "two numbers at other objects": (custom("7"), custom("8", column="1.3.6.1.4.1.99999.5"), WARNING),
    "two units of a chain at one object": (custom("2:7"), custom("3:7"), NOTHING),
    "an outlet by number and by label": (apc("7"), apc("web"), WARNING),
    "an outlet's label by two drivers": (apc("web"), apc("db", name="fence_apc"), WARNING),
    "leading zeros": (outlet("7"), outlet("07"), MISTAKE),
    "leading zeros of an agent": (apc("7"), apc("007"), MISTAKE),
    "the first unit of a chain, of an agent": (apc("1"), apc("1:1"), MISTAKE),
    "the first unit of a chain, by option": (apc("1", "switch = 1"), apc("1:1"), MISTAKE),
    "another unit of a chain": (apc("1"), apc("2:1"), NOTHING),
    "the first unit of a chain of a known model": (
        outlet("1", 'model = "raritan"'),
        outlet("1:1", 'model = "raritan"'),
        MISTAKE,
    ),
    "the second unit of a known model": (outlet("1", 'model = "eaton"'), outlet("1:1", 'model = "eaton"'), NOTHING),
    "the first unit of an Eaton": (outlet("1", 'model = "eaton"'), outlet("0:1", 'model = "eaton"'), MISTAKE),
    "the first unit of any model": (outlet("1"), outlet("1:1"), WARNING),
    "lists that share an outlet": (outlet("6, 07"), apc("7,8"), MISTAKE),
    "lists that share an outlet in the middle": (outlet("1,2,3"), outlet("4,02,9"), MISTAKE),
    "lists that share none": (outlet("1,2"), outlet("3,4"), NOTHING),
    "an agent's usual port and none": (
        device("fence_ipmilan", "10.9.0.1", "ipport = 623"),
        device("ipmi", "10.9.0.1"),
        MISTAKE,
    ),
    "an agent's port that may be the usual one": (
        apc("1", "ipport = 22", "fence_apc"),
        apc("1", "", "fence_apc"),
        WARNING,
    ),
    # virtual machines
    "a machine by name and by UUID": (virsh("web"), virsh(UUID), WARNING),
    "two machines": (virsh("web"), virsh("db"), NOTHING),
    "two machines in two projects": (
        apc("web", 'project = "a"', "fence_gce"),
        apc("web", 'project = "b"', "fence_gce"),
        NOTHING,
    ),
    "a machine in a project and in none": (
        apc("web", 'project = "a"', "fence_gce"),
        apc("web", "", "fence_gce"),
        WARNING,
    ),
    "a machine without an address, said with another time": (
        cloud('plug = "i-1", region = "r", power_timeout = 240'),
        cloud('plug = "i-1", region = "r", power_timeout = 120'),
        WARNING,
    ),
    "a machine without an address, said twice": (
        cloud('plug = "i-1", region = "r"'),
        cloud('plug = "i-1", region = "r"'),
        MISTAKE,
    ),
    "a machine without an address, in two regions": (
        cloud('plug = "i-1", region = "r", verbose = true'),
        cloud('plug = "i-1", region = "s"'),
        NOTHING,
    ),
    "a machine without an address, its group in other letters": (
        cloud('plug = "vm", resourceGroup = "rg"'),
        cloud('plug = "VM", resourceGroup = "RG"'),
        WARNING,
    ),
    "machines of one name without an address, asked for in two networks": (
        cloud('plug = "web", multicast_address = "225.0.0.12"', "fence_xvm"),
        cloud('plug = "web", multicast-address = "225.0.0.13"', "fence_xvm"),
        NOTHING,
    ),
    "two machines without an address": (
        cloud('plug = "i-1", power_timeout = 240'),
        cloud('plug = "i-2", power_timeout = 120'),
        NOTHING,
    ),
    "two machines behind a bridge of one BMC": (bridged("0x82"), bridged("0x84"), NOTHING),
    "one machine behind a bridge, in two numbers": (bridged("0x82"), bridged("130"), WARNING),
    "a machine behind a bridge and the bridge": (bridged("0x82"), device("ipmi", "10.9.0.1"), WARNING),
    "names that differ in case": (virsh("Web"), virsh("web"), WARNING),
    "an emulated BMC beside its hypervisor": (virsh("web"), device("ipmi", "10.9.1.1:6230"), WARNING),
}  # fmt: skip


@pytest.mark.parametrize("order", [1, -1])
@pytest.mark.parametrize("name", PAIRS)
def test_two_hosts(name: str, order: int, tmp_path: Path) -> None:
    one, other, expected = PAIRS[name]
    hosts = [("one", one), ("other", other)][::order]
    loaded = load_files(tmp_path, "".join(host(of, keys) for of, keys in hosts))
    same = [mistake for mistake in loaded.errors if "the same plug as" in mistake.reason]
    possible = [mistake for mistake in loaded.warnings if "may be on the same plug as" in mistake.reason]
    others = [mistake for mistake in loaded.errors if mistake not in same]
    assert all("no such program" in mistake.reason for mistake in others), told(tuple(others))
    assert (len(same), len(possible)) == {MISTAKE: (1, 0), WARNING: (0, 1), NOTHING: (0, 0)}[expected], told(
        (*loaded.errors, *loaded.warnings)
    )
    for mistake in (*same, *possible):
        assert "one, d" in mistake.reason or "other, d" in mistake.reason
    for mistake in possible:
        assert "one" in mistake.reason and "other" in mistake.reason


TWO_SHARDS = """
[store]
url = "postgresql://fenced@127.0.0.1/fenced"
[[datacenter]]
name = "dc1"
[[datacenter]]
name = "dc2"
shard = "east"
[[cluster]]
name = "in-dc1"
datacenter = "dc1"
[[cluster]]
name = "in-dc2"
datacenter = "dc2"
"""


@pytest.mark.parametrize("name", PAIRS)
def test_two_hosts_of_two_shards(name: str, tmp_path: Path) -> None:
    """No shard sees what another one switches: what may be one plug is a mistake, too."""
    one, other, expected = PAIRS[name]
    hosts = host("one", one, more='cluster = "in-dc1"') + host("other", other, more='cluster = "in-dc2"')
    loaded = load_files(tmp_path, TWO_SHARDS + hosts)
    found = [mistake for mistake in loaded.errors if "same plug" in mistake.reason]
    assert (len(found) > 0) == (expected != NOTHING), told(loaded.errors)
    assert not [mistake for mistake in loaded.warnings if "same plug" in mistake.reason]


def test_what_may_be_one_plug_of_two_shards_is_found_beside_pairs_of_one(tmp_path: Path) -> None:
    """Of each way to name an outlet the first host alone is compared, in each shard anew."""
    hosts = [virsh("vm-1"), virsh(UUID), virsh("vm-2"), virsh(UUID.replace("33", "44"))]
    places = ["in-dc1", "in-dc1", "in-dc1", "in-dc2"]
    fleet = "".join(
        host(f"n{number}", keys, more=f'cluster = "{place}"')
        for number, (keys, place) in enumerate(zip(hosts, places, strict=True))
    )
    loaded = load_files(tmp_path, TWO_SHARDS + fleet)
    assert ["n3" in mistake.reason for mistake in loaded.errors] == [True], told(loaded.errors)
    assert len([mistake for mistake in loaded.warnings if "same plug" in mistake.reason]) == 1


def test_a_third_hosts_name_that_has_both_addresses_makes_them_one_unit(tmp_path: Path) -> None:
    fleet = host("a", outlet("1", address="10.9.0.1")) + host("b", outlet("1", address="fd00:9::1"))
    assert not load_files(tmp_path, fleet).errors, "nothing says that they are one"
    loaded = load_files(tmp_path, fleet + host("c", outlet("2", address="bmc-6.example.org")))
    assert [mistake.path for mistake in loaded.errors] == ["host[1].device[0]"], told(loaded.errors)


def test_two_feeds_of_one_level_are_two_plugs(tmp_path: Path) -> None:
    loaded = load_files(tmp_path, host("n", outlet("7"), apc("07", name="fence_apc").replace('"d"', '"e"')))
    assert [mistake.path for mistake in loaded.errors] == ["host[0].device[1]"], told(loaded.errors)
    loaded = load_files(tmp_path, host("n", redfish(), device("ipmi", "10.9.0.1").replace('"d"', '"f"')))
    assert [mistake.path for mistake in loaded.errors] == ["host[0].device[1]"], told(loaded.errors)


def test_a_unit_with_many_hosts_is_reported_once(tmp_path: Path) -> None:
    fleet = "".join(host(f"n{number}", virsh(f"vm-{number}")) for number in range(50))
    fleet += "".join(host(f"u{number}", virsh(UUID.replace("33", f"{number:02d}"))) for number in range(50))
    loaded = load_files(tmp_path, fleet)
    assert not loaded.errors, told(loaded.errors)
    assert len([mistake for mistake in loaded.warnings if "same plug" in mistake.reason]) == 1


def test_the_ids_stay_as_they_are(tmp_path: Path) -> None:
    """Tokens are stored under them."""
    loaded = load_files(tmp_path, host("n", redfish("[::ffff:10.9.0.1]", 'system = "/redfish/v1/Systems/1"')))
    assert loaded.configuration is not None
    (node,) = loaded.configuration.inventory.hosts.values()
    assert node.devices[0].spec.plug_id == "redfish|[::ffff:a09:1]:443|?system=/redfish/v1/Systems/1"


def test_two_outlets_of_one_number_have_two_ids(tmp_path: Path) -> None:
    loaded = load_files(tmp_path, host("a", custom("7")) + host("b", custom("7", "offset = 1")))
    assert loaded.configuration is not None
    ids = [node.devices[0].spec.plug_id for node in loaded.configuration.inventory.hosts.values()]
    assert ids == ["snmp_outlet|10.9.1.1:161|7", "snmp_outlet|10.9.1.1:161|7?offset=1"]
