"""medik8s' templates become devices of each node, with the parameters that the agent got there."""

import base64
from typing import Any

import pytest
import yaml

from fenced.imports.medik8s import import_medik8s
from fenced.imports.shape import Imported, NotImported

KIND = "FenceAgentsRemediationTemplate"
SPEC: dict[str, Any] = {
    "agent": "fence_ipmilan",
    "sharedparameters": {"--ip": "bmc.{{.NodeName}}.example", "--lanplus": "", "--action": "reboot"},
    "nodeparameters": {"--ipport": {"worker-0": "6230", "worker-1": "6231"}},
    "retrycount": 7,
    "timeout": "1m30s",
}


def template(name: str = "bmc", **spec: Any) -> dict[str, Any]:
    return {
        "kind": KIND,
        "metadata": {"name": name, "namespace": "far"},
        "spec": {"template": {"spec": {**SPEC, **spec}}},
    }


def secret(name: str, **data: str) -> dict[str, Any]:
    coded = {key.replace("_", "-"): base64.b64encode(value.encode()).decode() for key, value in data.items()}
    return {
        "kind": "Secret",
        "metadata": {"name": name, "namespace": "far"},
        "data": {f"--{key}": value for key, value in coded.items()},
    }


def imported(*objects: dict[str, Any]) -> Imported:
    return import_medik8s(yaml.safe_dump_all(objects).encode(), what="objects.yaml")


def told(result: Imported, word: str) -> list[str]:
    return [loss.sentence for loss in result.losses if word in loss.sentence]


def test_one_device_for_each_node() -> None:
    hosts = imported(template()).hosts
    assert [host.name for host in hosts] == ["worker-0", "worker-1"]
    device = hosts[1].devices[0]
    assert (device.driver, device.address) == ("fence_ipmilan", "bmc.worker-1.example")
    assert device.options == {"lanplus": "1", "ipport": "6231"}
    assert device.keys == {"attempts": 7, "attempt_timeout": "1m30s"}


def test_secrets_are_used_if_they_are_there_and_made_otherwise() -> None:
    given = template(sharedSecretName="all", nodeSecretNames={"worker-0": "of-0"})
    result = imported(given, secret("all", username="fence"), secret("of-0", password="hunter2"))
    first, second = (host.devices[0] for host in result.hosts)
    assert (first.username, second.username) == ("fence", "fence")
    password = first.secrets["password"]
    assert password is not None
    assert password.reveal() == "hunter2"
    assert imported(given).hosts[0].devices[0].secrets == {"password": None}
    assert told(imported(given), "Secret of-0")
    assert not told(result, "hunter2")


def test_nodes_give_addresses_and_opt_out() -> None:
    node = {
        "kind": "Node",
        "metadata": {"name": "worker-9", "labels": {"remediation.medik8s.io/exclude-from-remediation": "true"}},
        "status": {"addresses": [{"type": "Hostname", "address": "w"}, {"type": "InternalIP", "address": "10.0.0.9"}]},
    }
    result = imported(template(), {"kind": "List", "items": [node]})
    assert result.hosts[0].keys == {"address": "10.0.0.9", "automatic": False}


def test_an_escalation_is_levels_and_the_rest_of_a_check_is_lost() -> None:
    order = ((2, KIND, "bmc"), (1, KIND, "pdu"), (3, "SelfNodeRemediationTemplate", "s"))
    steps = [
        {"order": number, "timeout": "90s", "remediationTemplate": {"kind": kind, "name": name}}
        for number, kind, name in order
    ]
    check = {
        "kind": "NodeHealthCheck",
        "metadata": {"name": "nhc"},
        "spec": {
            "escalatingRemediations": steps, "minHealthy": "51%", "pauseRequests": ["me"], "odd": 1,
            "unhealthyConditions": [{"type": "Ready", "status": "False", "duration": "300s"}],
        },
    }  # fmt: skip
    result = imported(template("bmc"), template("pdu", agent="fence_apc"), check)
    assert [(device.driver, device.level) for device in result.hosts[0].devices] == [
        ("fence_ipmilan", 2),
        ("fence_apc", 1),
    ]
    for word in ("minHealthy", "unhealthyConditions", "odd", "SelfNodeRemediationTemplate", "REMEDIATION IS PAUSED"):
        assert told(result, word), word


def test_off_is_the_hosts_action() -> None:
    off = template(sharedparameters={**SPEC["sharedparameters"], "--action": "off"})
    assert imported(off).hosts[0].keys == {"fence_action": "off"}


def test_a_remediation_is_for_its_node() -> None:
    one = {"kind": "FenceAgentsRemediation", "metadata": {"name": "worker-1"}, "spec": SPEC}
    result = imported(one)
    assert [host.name for host in result.hosts] == ["worker-1"]


def test_what_is_lost() -> None:
    given = template(agent="fence_scsi", remediationStrategy="OutOfServiceTaint")
    assert told(imported(given), "does not cut power")
    result = imported(template(remediationStrategy="OutOfServiceTaint", odd=1, sharedparameters={"-x": "1", "-a": "b"}))
    for word in ("remediationStrategy", "odd", "-x: a short option"):
        assert told(result, word), word
    assert result.hosts[0].devices[0].address == "b"
    nowhere = imported(template(nodeparameters={}))
    assert [loss.is_loud for loss in nowhere.losses if loss.where == "nodes"] == [True]


@pytest.mark.parametrize("content", [b"", b"a: [", b"- 1", b"kind: Pod", b"\xff"])
def test_other_files_are_refused(content: bytes) -> None:
    with pytest.raises(NotImported):
        import_medik8s(content, what="x")
