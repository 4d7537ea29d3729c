"""A CIB becomes an inventory that fences the same hosts by the same devices; what it can't say is reported."""

from collections.abc import Mapping

import pytest

from fenced.imports.pacemaker import import_cib
from fenced.imports.pacemaker_keys import seconds
from fenced.imports.shape import Device, Imported, Loss, NotImported
from tests.imports.cibs import BMC, PDU, cib, level, pairs, stonith


def imported(content: bytes, cluster: str = "") -> Imported:
    return import_cib(content, what="cib.xml", cluster=cluster)


def devices(result: Imported, host: str) -> dict[str, Device]:
    return {device.name: device for each in result.hosts if each.name == host for device in each.devices}


def losses(result: Imported, word: str) -> list[Loss]:
    return [loss for loss in result.losses if word in loss.sentence]


def test_old_and_new_names_mean_the_same() -> None:
    renamed = {"ip": "ipaddr", "username": "login", "password": "passwd"}
    old = {renamed.get(name, name): value for name, value in BMC.items()}
    new, was = (imported(cib(stonith("bmc", "fence_ipmilan", **each))).hosts[0] for each in (BMC, old))
    assert was == new
    device = new.devices[0]
    assert (device.driver, device.address, device.username) == ("fence_ipmilan", "10.0.0.1", "fence")
    assert device.options == {"lanplus": "1"}
    password = device.secrets["password"]
    assert password is not None
    assert password.reveal() == "hunter2"


def test_a_host_map_makes_one_device_for_each_host() -> None:
    result = imported(cib(stonith("pdu", "fence_apc", **PDU)))
    assert [(host.name, host.devices[0].options["plug"]) for host in result.hosts] == [
        ("node-1", "3"),
        ("node-2", "4,5"),
    ]
    assert {host.devices[0].secret_stem for host in result.hosts} == {"pdu"}
    assert result.hosts[0].devices[0].keys["sessions"] == 1, "Pacemaker runs one action at a time on a device"


@pytest.mark.parametrize(
    ("text", "plugs"),
    [
        ("node-1:1 node-2:2", ["1", "2"]),
        ("node-1=1;node-2=2;", ["1", "2"]),
        ("NODE-1:1\tnode-2:a\\;b\\ c", ["1", "a;b c"]),
        ("node-1:1;node-1:9;node-2:2", ["1", "2"]),
    ],
)
def test_spellings_of_a_host_map(text: str, plugs: list[str]) -> None:
    result = imported(cib(stonith("pdu", "fence_apc", ip="10.0.0.9", pcmk_host_map=text)))
    assert [host.devices[0].options["plug"] for host in result.hosts] == plugs


def test_a_host_map_with_a_mistake_is_reported() -> None:
    result = imported(cib(stonith("pdu", "fence_apc", ip="10.0.0.9", pcmk_host_map="node-1:1;node-2")))
    assert losses(result, "'node-2' is not HOST:PORT")
    assert [bool(host.devices) for host in result.hosts] == [True, False]
    assert losses(result, "no power device of the source serves node-2")[0].is_loud


def test_a_plug_of_the_device_itself_counts_before_the_host_map_as_in_pacemaker() -> None:
    result = imported(cib(stonith("pdu", "fence_apc", ip="10.0.0.9", port="8", pcmk_host_map="node-1:3")))
    assert devices(result, "node-1")["pdu"].options["plug"] == "8"
    assert losses(result, "port 3 of pcmk_host_map")[0].is_loud


def test_levels_stay_and_devices_of_one_level_share_it() -> None:
    topology = level("node-1", 1, "bmc") + level("node-1", 3, "pdu-a,pdu-b")
    pdus = [stonith(f"pdu-{side}", "fence_apc", **{**PDU, "ip": f"10.0.0.{side}"}) for side in "ab"]
    result = imported(cib(stonith("bmc", "fence_ipmilan", **BMC), *pdus, topology=topology))
    assert {name: device.level for name, device in devices(result, "node-1").items()} == {
        "bmc": 1,
        "pdu-a": 3,
        "pdu-b": 3,
    }


def test_without_a_topology_each_device_suffices_so_each_is_a_level() -> None:
    result = imported(cib(stonith("bmc", "fence_ipmilan", **BMC), stonith("pdu", "fence_apc", **PDU)))
    assert {name: device.level for name, device in devices(result, "node-1").items()} == {"bmc": 1, "pdu": 2}
    assert losses(result, "without a topology")


@pytest.mark.parametrize("selector", ['target-pattern="NODE-[1]"', 'target-attribute="rack" target-value="a"'])
def test_levels_by_pattern_and_by_attribute(selector: str) -> None:
    by_rule = f'<fencing-level id="l" {selector} index="2" devices="pdu"/>'
    in_rack = b'<instance_attributes id="n"><nvpair id="n1" name="rack" value="a"/></instance_attributes></node>'
    content = cib(stonith("pdu", "fence_apc", **PDU), topology=by_rule)
    result = imported(content.replace(b'uname="node-1"/>', b'uname="node-1">' + in_rack))
    assert [host.devices[0].level for host in result.hosts] == [2, 1]


def test_a_device_that_cuts_no_power_is_lost_aloud_with_its_place_in_the_levels() -> None:
    topology = level("node-1", 1, "ping,bmc")
    ping = stonith("ping", "fence_heuristics_ping", ping_targets="10.0.0.254")
    result = imported(cib(ping, stonith("bmc", "fence_ipmilan", **BMC), topology=topology))
    assert list(devices(result, "node-1")) == ["bmc"]
    assert all(loss.is_loud for loss in losses(result, "ping"))
    assert losses(result, "level 1 of node-1 loses ping")


@pytest.mark.parametrize("name", ["stonith-enabled", "fencing-enabled"])
def test_disabled_fencing_is_said_loudly_and_kept(name: str) -> None:
    content = cib(stonith("bmc", "fence_ipmilan", **BMC), properties={name: "false", "cluster-name": "c1"})
    result = imported(content)
    assert losses(result, "FENCING IS DISABLED")[0].is_loud
    assert result.clusters == {"c1": {"automatic": False}}
    without_cluster = imported(content.replace(b"c1", b""))
    assert all(host.keys["automatic"] is False for host in without_cluster.hosts)


@pytest.mark.parametrize("prefix", ["stonith", "fencing"])
def test_both_spellings_of_the_properties(prefix: str) -> None:
    given = {f"{prefix}-timeout": "90", f"{prefix}-action": "off", f"{prefix}-watchdog-timeout": "10s"}
    result = imported(cib(stonith("bmc", "fence_ipmilan", **BMC), properties=given), cluster="c1")
    assert result.clusters == {"c1": {"attempt_timeout": "1m30s", "fence_action": "off"}}
    assert losses(result, f"{prefix}-watchdog-timeout")[0].is_loud


def test_timeouts_and_retries_become_keys_and_the_operation_has_room_for_them() -> None:
    given = {**BMC, "pcmk_off_timeout": "15min", "pcmk_reboot_timeout": "5", "pcmk_off_retries": "4",
             "pcmk_action_limit": "2", "pcmk_status_timeout": "7"}  # fmt: skip
    host = imported(cib(stonith("bmc", "fence_ipmilan", **given))).hosts[0]
    assert host.devices[0].keys == {"attempt_timeout": "15m", "attempts": 4, "sessions": 2}
    assert host.keys["operation_timeout"] == "16m"


def test_the_longest_of_off_and_on_is_kept() -> None:
    given = {**BMC, "pcmk_off_timeout": "30", "pcmk_on_timeout": "60"}
    host = imported(cib(stonith("bmc", "fence_ipmilan", **given))).hosts[0]
    assert host.devices[0].keys["attempt_timeout"] == "1m"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("pcmk_delay_max", "15s"), ("pcmk_delay_base", "node-1:0s;node-2:5s"), ("pcmk_off_action", "diag"),
        ("pcmk_future", "x"), ("delay", "5"), ("method", "cycle"), ("missing_as_off", "1"),
        ("pcmk_off_timeout", "soon"),
    ],
)  # fmt: skip
def test_what_has_no_counterpart_is_lost_with_its_place(name: str, value: str) -> None:
    result = imported(cib(stonith("bmc", "fence_ipmilan", **BMC, **{name: value})))
    found = [loss for loss in result.losses if loss.where == f"primitive bmc, {name}"]
    assert [loss.is_note for loss in found] == [False]
    assert name not in devices(result, "node-1")["bmc"].options


def test_reboot_as_off_is_the_hosts_fence_action() -> None:
    assert imported(cib(stonith("bmc", "fence_ipmilan", **BMC, pcmk_reboot_action="off"))).hosts[0].keys == {
        "fence_action": "off"
    }


def test_constraints() -> None:
    located = '<rsc_location id="L{0}" rsc="bmc" node="node-{0}" score="-INFINITY"/>'
    result = imported(cib(stonith("bmc", "fence_ipmilan", **BMC), constraints=located.format(1) + located.format(2)))
    assert [(loss.where, loss.is_note) for loss in result.losses if "rsc_location" in loss.where] == [
        ("rsc_location L1", True),  # the device's own host, which fenced never uses
        ("rsc_location L2", False),
    ]


@pytest.mark.parametrize(
    ("agent", "parameters", "served"),
    [
        ("fence_ipmilan", {"ip": "10.0.0.1"}, []),
        ("fence_virsh", {"ip": "10.0.0.1"}, ["node-1", "node-2"]),
        ("fence_virsh", {"ip": "10.0.0.1", "port": "node-2"}, ["node-2"]),
        ("fence_apc", {"ip": "10.0.0.1", "pcmk_host_check": "static-list"}, []),
        ("fence_ipmilan", {"ip": "10.0.0.1", "pcmk_host_check": "none"}, ["node-1", "node-2"]),
    ],
)
def test_a_device_without_a_list_of_hosts_is_reported(
    agent: str, parameters: Mapping[str, str], served: list[str]
) -> None:
    result = imported(cib(stonith("d", agent, **parameters)))
    assert [host.name for host in result.hosts if host.devices] == served
    assert [loss for loss in result.losses if loss.where == "primitive d"]


def test_templates_shared_sets_and_remote_nodes() -> None:
    template = (
        '<template class="stonith" id="t" type="fence_ipmilan"><instance_attributes id="ti">'
        f"{pairs('t', {'username': 'fence', 'lanplus': '1'})}</instance_attributes></template>"
    )
    device = (
        f'<primitive id="bmc" template="t"><instance_attributes id="bi">{pairs("b", {"ip": "10.0.0.1"})}'
        '</instance_attributes><instance_attributes id-ref="list"/></primitive>'
    )
    other = (
        '<primitive id="far" class="ocf" provider="pacemaker" type="remote"><instance_attributes id="list">'
        f"{pairs('f', {'pcmk_host_list': 'far', 'server': '10.1.0.1'})}</instance_attributes></primitive>"
    )
    host = imported(cib(template, device, other)).hosts[2]
    assert (host.name, host.keys["address"]) == ("far", "10.1.0.1")
    assert host.devices[0].username == "fence"


def test_what_concerns_fencing_elsewhere_in_the_cib_is_reported() -> None:
    web = (
        '<primitive id="web" class="ocf" type="x"><operations><op id="o" name="monitor" on-fail="fence"/></operations>'
        '</primitive><primitive id="lonely" template="absent"/>'
    )
    selector = '<fencing-level id="L" target-pattern="other.*" index="1" devices="bmc"/>'
    content = cib(web, stonith("bmc", "fence_ipmilan", **BMC), topology=selector)
    alert = b'<alerts><alert id="mail" path="/bin/mail"/></alerts></configuration>'
    result = imported(content.replace(b"</configuration>", alert))
    for where in ("primitive web, monitor", "primitive lonely", "alert mail", "fencing-level L"):
        assert [loss.is_note for loss in result.losses if loss.where == where] == [False], where


def test_a_disabled_device_is_lost_aloud() -> None:
    result = imported(cib(stonith("bmc", "fence_ipmilan", role="Stopped", **BMC)))
    assert devices(result, "node-1") == {}
    assert losses(result, "is disabled")[0].is_loud


def test_a_host_with_an_invalid_name_is_left_out_aloud() -> None:
    result = imported(cib(nodes=("node 1", "node-2")))
    assert [host.name for host in result.hosts] == ["node-2"]
    assert losses(result, "'node 1'")[0].is_loud


def test_no_loss_quotes_a_secret() -> None:
    given = {**BMC, "passwd": "other-secret", "snmp_priv_passwd": "third-secret", "community": "fourth-secret"}
    result = imported(cib(stonith("bmc", "fence_ipmilan", **given)))
    told = " ".join(loss.sentence for loss in result.losses)
    assert not [word for word in ("hunter2", "other-secret", "third-secret", "fourth-secret") if word in told]
    assert losses(result, "given twice")
    assert set(devices(result, "node-1")["bmc"].secrets) == {"password", "snmp_priv_passwd", "community"}


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b'<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><cib><configuration/></cib>', "document type"),
        (b'<!DOCTYPE x SYSTEM "file:///etc/passwd"><cib/>', "document type"),
        (b"<cib>", "not XML"),
        (b"<cib/>", "not a CIB"),
        (b"", "not XML"),
    ],
)
def test_a_bomb_or_another_file_is_refused(content: bytes, why: str) -> None:
    with pytest.raises(NotImported, match=why):
        imported(content)


@pytest.mark.parametrize(
    ("text", "expected"),
    [("20", 20), ("20s", 20), ("2min", 120), ("1h", 3600), ("500ms", 0.5), ("x", None), ("", None)],
)
def test_times(text: str, expected: float | None) -> None:
    assert seconds(text) == expected
