"""A table becomes hosts with devices; what it says of no host or in no known column is reported."""

import pytest

from fenced.imports.csv_table import import_csv
from fenced.imports.shape import Imported, NotImported

HEAD = "Host;Address;Cluster;Datacenter;Rack;Device;Driver;Device Address;Username;Password;Plug;Level;Options\n"


def imported(text: str) -> Imported:
    return import_csv(text.encode(), what="hosts.csv")


def told(result: Imported, word: str) -> list[str]:
    return [loss.sentence for loss in result.losses if word in loss.sentence]


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_rows_of_one_host_are_its_devices(delimiter: str) -> None:
    text = (
        HEAD
        + "node-1;10.0.0.1;c1;dc1;r1;bmc;fence_ipmilan;10.9.0.1;fence;hunter2;;1;lanplus=1\n"
        + "# a comment\n\n"
        + "node-1;;;;;pdu;fence_apc;10.9.1.1;apc;s3cret;3;2;\n"
        + "node-2;10.0.0.2;c1;;;;;;;;;;\n"
    )
    result = imported(text.replace(";", delimiter))
    first, second = result.hosts
    assert (first.cluster, first.keys) == ("c1", {"address": "10.0.0.1", "rack": "r1"})
    assert [(device.name, device.driver, device.level) for device in first.devices] == [
        ("bmc", "fence_ipmilan", 1),
        ("pdu", "fence_apc", 2),
    ]
    assert [dict(device.options) for device in first.devices] == [{"lanplus": "1"}, {"plug": "3"}]
    assert (result.datacenters, result.clusters) == (("dc1",), {"c1": {"datacenter": "dc1"}})
    assert second.devices == ()
    assert told(result, "no power device of the source serves node-2")


def test_a_native_driver_has_its_own_options() -> None:
    text = "host,driver,device address,user,password file,option:insecure,secret:kg\nn,redfish,https://b,f,s/x,true,k\n"
    device = imported(text).hosts[0].devices[0]
    assert (device.driver, device.address, device.password_file) == ("redfish", "https://b", "s/x")
    assert device.options == {"insecure": True}
    assert list(device.secrets) == ["kg"]


def test_numbers_of_a_native_driver() -> None:
    text = "host,driver,device address,plug,options\nn,snmp_outlet,10.0.0.9,7,model=custom;offset=-1;version=1\n"
    options = imported(text).hosts[0].devices[0].options
    assert options == {"plug": "7", "model": "custom", "offset": -1, "version": "1"}


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("host,colour\nn,red\n", "column colour"),
        ("host,address\n,10.0.0.1\n", "line 2: names no host"),
        ("host,address\nn,10.0.0.1\nn,10.0.0.2\n", "line 3, address: another row"),
        ("host,cluster\nn,a\nn,b\n", "line 3, cluster: another row"),
        ("host,plug\nn,3\n", "without a driver"),
        ("host,driver\nn,magic\n", "magic is not a fence agent"),
        ("host,driver,level\nn,fence_apc,0\n", "'0' is not 1 to 16"),
        ("host,protected\nn,perhaps\n", "neither yes nor no"),
        ("host\nn,more\n", "more cells than the header"),
        ("host,datacenter\nn,dc1\n", "a data centre without a cluster"),
        ("host\nnode 1\n", "'node 1' can't be the name of a host"),
    ],
)
def test_what_is_lost(text: str, word: str) -> None:
    assert told(imported(text), word)


@pytest.mark.parametrize("text", ["", "a,b\n1,2\n", "host,host\nn,n\n", 'host\n"n\n'])
def test_other_files_are_refused(text: str) -> None:
    with pytest.raises(NotImported):
        imported(text)


def test_a_table_that_is_not_utf_8_is_refused() -> None:
    with pytest.raises(NotImported, match="UTF-8"):
        import_csv(b"host\n\xff\n", what="x")
