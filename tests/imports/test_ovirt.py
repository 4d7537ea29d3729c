"""oVirt's hosts in JSON and XML, version 3 and 4, become the same inventory, with what the engine gives an agent."""

import json
from typing import Any

import pytest

from fenced.imports.ovirt import import_ovirt
from fenced.imports.shape import Device, Imported, NotImported
from tests.imports.typed import assert_typed


def agent(kind: str = "ipmilan", **fields: Any) -> dict[str, Any]:
    return {"type": kind, "order": "1", "address": "10.9.0.1", "username": "fence", **fields}


def options(**values: str) -> dict[str, Any]:
    return {"options": {"option": [{"name": name, "value": value} for name, value in values.items()]}}


def host(*agents: dict[str, Any], **power: Any) -> dict[str, Any]:
    return {
        "name": "node-1",
        "address": "10.0.0.1",
        "cluster": {"id": "7", "name": "c1"},
        "power_management": {"enabled": "true", **power},
        "agents": {"agent": list(agents)},
    }


def imported(*hosts: dict[str, Any]) -> Imported:
    return import_ovirt(json.dumps({"host": list(hosts)}).encode(), what="hosts.json")


def devices(*agents: dict[str, Any]) -> tuple[Device, ...]:
    return imported(host(*agents)).hosts[0].devices


def told(result: Imported, word: str) -> list[str]:
    return [loss.sentence for loss in result.losses if word in loss.sentence]


def test_a_host_with_one_agent() -> None:
    found = imported(host(agent(**options(lanplus="1")))).hosts[0]
    assert (found.name, found.cluster, found.keys) == ("node-1", "c1", {"address": "10.0.0.1"})
    device = found.devices[0]
    assert (device.driver, device.address, device.username) == ("fence_ipmilan", "10.9.0.1", "fence")
    assert device.options == {"lanplus": "1"}
    assert device.secrets == {"password": None}, "the API never returns passwords"


def test_equal_orders_share_a_level_and_others_follow() -> None:
    found = devices(agent(order="20"), agent("apc", order="10", **options(slot="3")), agent("apc", order="10"))
    assert [(device.driver, device.level) for device in found] == [
        ("fence_ipmilan", 2),
        ("fence_apc", 1),
        ("fence_apc", 1),
    ]
    assert len({device.name for device in found}) == 3


@pytest.mark.parametrize(
    ("kind", "given", "driver", "expected"),
    [
        (
            "apc",
            {"slot": "3", "port": "23", "secure": "true"},
            "fence_apc",
            {"plug": "3", "ipport": "23", "secure": "true"},
        ),
        ("ilo2", {"secure": "1"}, "fence_ilo", {"ssl": "1"}),
        ("drac7", {}, "fence_ipmilan", {"privlvl": "operator", "lanplus": "1"}),
        ("drac7", {"lanplus": "0"}, "fence_ipmilan", {"privlvl": "operator", "lanplus": "0"}),
        ("redfish", {}, "fence_redfish", {"ssl_insecure": "1"}),
        ("ilo4", {"power_wait": "9"}, "fence_ilo4", {"power_wait": "9"}),
    ],
)
def test_the_agent_gets_what_the_engine_gives_it(
    kind: str, given: dict[str, str], driver: str, expected: object
) -> None:
    device = devices(agent(kind, **options(**given)))[0]
    assert (device.driver, device.options) == (driver, expected)


def test_a_delay_that_the_engine_adds_is_lost_with_its_place() -> None:
    assert told(imported(host(agent("drac7"))), "agent 1 (drac7), delay: delay=10")


def test_json_and_xml_of_both_versions_are_the_same() -> None:
    new = b"""<hosts><host id="1"><name>node-1</name><address>10.0.0.1</address>
      <cluster id="7"><name>c1</name></cluster><power_management><enabled>true</enabled>
      </power_management><agents><agent id="2"><type>ipmilan</type>
      <order>1</order><address>10.9.0.1</address><username>fence</username><options><option><name>lanplus</name>
      <value>1</value></option></options></agent></agents></host></hosts>"""
    old = b"""<hosts><host id="1"><name>node-1</name><address>10.0.0.1</address>
      <cluster id="7"><name>c1</name></cluster><power_management><enabled>true</enabled>
      <agents><agent><type>ipmilan</type><order>1</order><ip>10.9.0.1</ip>
      <user>fence</user><options><option name="lanplus" value="1"/></options></agent></agents></power_management>
      </host></hosts>"""
    expected = imported(host(agent(**options(lanplus="1")))).hosts
    assert import_ovirt(new, what="x").hosts == import_ovirt(old, what="x").hosts == expected


def test_disabled_power_management_is_said_loudly() -> None:
    result = imported(host(agent(), enabled="false"))
    assert result.hosts[0].keys["automatic"] is False
    assert [loss.is_loud for loss in result.losses if "DISABLED" in loss.what] == [True]


def test_what_the_engine_sets_for_every_host_is_no_loss_where_power_management_is_off() -> None:
    """As captured engines answer: 27 of 27 hosts without power management had both set."""
    power = {"kdump_detection": "true", "automatic_pm_enabled": "true", "pm_proxies": {}}
    result = imported(host(enabled="false", **power))
    assert [told(result, word) for word in ("kdump_detection", "automatic_pm_enabled")] == [[], []]
    assert told(result, "no power device of the source serves node-1")
    result = imported(host(agent(), **power))
    assert all(told(result, word) for word in ("kdump_detection", "automatic_pm_enabled"))


@pytest.mark.parametrize("key", ["status", "external_status"])
def test_the_advice_is_a_command_that_fencectl_takes(key: str) -> None:
    (line,) = told(imported({**host(agent()), key: "maintenance"}), "fencectl")
    assert_typed(line.partition("`")[2].partition("`")[0])


def test_agents_that_are_not_in_the_export_are_missed() -> None:
    assert told(imported(host()), "its agents are not in the source")
    assert told(imported(host()), "no power device of the source serves node-1")


def test_proxies_and_what_is_lost() -> None:
    power = {"pm_proxies": {"pm_proxy": [{"type": "dc"}, {"type": "moon"}]}, "kdump_detection": "true", "odd": "1"}
    result = imported({**host(agent(slot="4"), **power), "status": "maintenance", "cluster": {"id": "7"}})
    assert result.hosts[0].keys["proxies"] == ("dc", "engine")
    words = ("'moon'", "kdump_detection", "power_management.odd", "agent 1 (ipmilan), slot", "status", "only its id")
    for word in (*words, "fencing policy"):
        assert told(result, word), word


@pytest.mark.parametrize("content", [b"{}", b"nonsense", b"<api/>", b"[1]", b"<!DOCTYPE a><hosts/>"])
def test_other_files_are_refused(content: bytes) -> None:
    with pytest.raises(NotImported):
        import_ovirt(content, what="x")
