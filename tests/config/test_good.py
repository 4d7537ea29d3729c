"""Unusual but valid configurations: an operator may have a good reason for them."""

from pathlib import Path

import pytest

from tests.config.files import load_files, told
from tests.config.pieces import BMC, host, pdu

IPMI = '[[host.device]]\nname = "{name}"\ndriver = "fence_ipmilan"\naddress = "10.9.0.1"\nlevel = {level}\n'
DUMMY = (
    '[[host.device]]\nname = "{name}"\ndriver = "fence_dummy"\ncuts_power = true\n'
    'options = {{ type = "file", status_file = "{file}" }}\n'
)

GOOD = {
    "a BMC by two drivers, one after the other": host(
        "n", BMC.format(ip="10.9.0.1"), IPMI.format(name="ipmi", level=2)
    ),
    "a BMC twice by one agent, one after the other": host(
        "n", IPMI.format(name="a", level=1), IPMI.format(name="b", level=2)
    ),
    "two PDUs on one address with their own ports": host(
        "n",
        pdu("a").replace("plug =", "ipport = 1161, plug ="),
        pdu("b").replace("plug =", "ipport = 1162, plug ="),
    ),
    "two agents on one address with their own ports": host(
        "n",
        pdu("a").replace("plug =", "ipport = 1161, plug ="),
        pdu("b").replace("plug =", "ipport = 2323, plug =").replace("fence_apc_snmp", "fence_apc"),
    ),
    "two outlets of one PDU": host("n", pdu("a", plug="1"), pdu("b", plug="2")),
    "agents without an address": host("n", DUMMY.format(name="a", file="/a"), DUMMY.format(name="b", file="/b"))
    + host("m", DUMMY.format(name="a", file="/c")),
    "a chassis that keeps its power beside outlets": host(
        "n", pdu(), BMC.format(ip="10.9.0.1") + 'standby = "separate"\n'
    ),
    "hosts that share a loopback address": host("n", more='address = "127.0.0.1"')
    + host("m", more='address = "127.0.0.1"'),
    "a host that is its own alias": host("n", more='address = "10.0.0.1"\naliases = ["n", "10.0.0.1"]'),
    "names that differ by case alone": host("n") + host("N"),
    "device names are a host's own": host("n", pdu("a")) + host("m", pdu("a", plug="2")),
    "a proxy named like the host it runs on": host("n")
    + '[[proxy]]\nname = "n"\nurl = "http://127.0.0.1:1"\nhost = "n"\n',
    "a hypervisor with a machine for each host": host(
        "n", '[[host.device]]\nname="v"\ndriver="fence_virsh"\naddress="h"\n'
    )
    + host("m", '[[host.device]]\nname="v"\ndriver="fence_virsh"\naddress="h"\n'),
    "an empty list of TCP ports": "[detection]\nprobe_ports = []\n",
    "one observer": "[detection]\nobservers = 1\n",
    "no evidence": "[gates]\nlive_evidence = []\n",
}


@pytest.mark.parametrize("name", GOOD)
def test_no_mistake(name: str, tmp_path: Path) -> None:
    loaded = load_files(tmp_path, GOOD[name])
    assert loaded.configuration is not None, told(loaded.errors)
