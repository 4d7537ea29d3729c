"""Proxies as processes with certificates of `fenced certs`: one is dead, one is foreign; the fence finds its way."""

import json
from pathlib import Path

import pytest

from tests.e2e.agents import Agent
from tests.e2e.bed import Bed, bed
from tests.e2e.configuration import Configuration
from tests.e2e.proxies import client_table, make_certificates, proxy
from tests.needs import needs
from tests.net import free_port

pytestmark = [pytest.mark.integration, needs("mosquitto")]


async def test_a_dead_proxy_and_a_strangers_proxy_are_passed_over(tmp_path: Path) -> None:
    """px1 is dead, px2 has a certificate of another authority, px3 works: the operation shows the whole race."""
    agent = Agent(tmp_path / "agents", "fence_made")
    ours = await make_certificates(tmp_path / "certs", "px3")
    others = await make_certificates(tmp_path / "other-certs", "px2")
    ports = {name: free_port() for name in ("px1", "px2", "px3")}

    def through_proxies(configuration: Configuration) -> None:
        # The daemon's own machine has no such agent: only a proxy can reach the device.
        configuration.change("daemon", agent_path=["/usr/sbin"])
        configuration.tables["proxy_client"] = client_table(ours)
        configuration.preference = ["px1", "px2", "px3"]
        configuration.proxies = [
            {"name": name, "url": f"https://127.0.0.1:{port}", "cluster": "c1"} for name, port in ports.items()
        ]

    def device(plug: str) -> dict[str, object]:
        return {**agent.device(plug), "proxies": ["px1", "px2", "px3"]}

    async with (
        proxy("px2", ports["px2"], certificates=others, folder=tmp_path, agents=tmp_path / "agents"),
        proxy("px3", ports["px3"], certificates=ours, folder=tmp_path, agents=tmp_path / "agents") as px3,
        bed(tmp_path, {"node-1": [device("a"), device("b")], "node-2": [device("c")]}, change=through_proxies) as it,
    ):
        it.hosts.kill("node-1")
        fenced = await it.story.event("node-1", "host.fenced")
        assert {device["proxy"] for device in fenced.data["devices"]} == {"px3"}
        operation = await it.api.ended(fenced.data["operation"])
        assert (operation["state"], operation["result"]["restored"]) == ("done", "all")
        for told in operation["devices"]:
            race = {entry["proxy"]: entry for entry in told["race"]}
            assert [race[name]["verdict"] for name in ("px1", "px2", "px3")] == ["failed", "failed", "won"]
            assert [race[name]["tier"] for name in ("px1", "px2", "px3")] == [1, 2, 3]
            assert "certificate" in race["px2"]["error"].lower()
            assert race["px1"]["error"]
            assert all(entry["started_ms"] <= entry["ended_ms"] for entry in race.values())
            # The race did not wait for a timeout of the dead ones.
            assert race["px3"]["ended_ms"] < 2000
            assert all(step["proxy"] == "px3" for step in told["steps"])
        assert (agent.power("a"), agent.power("b")) == ("on", "on")
        await paths_are_shown(it)
        # The last path dies: nothing can be proven, nothing is claimed.
        it.hosts.boot("node-1")
        await it.story.event("node-1", "host.healthy", number=2)
        await px3.kill()
        status = await it.ctl("status", "node-1")
        assert status.status == 1


async def paths_are_shown(it: Bed) -> None:
    """`fencectl probe` probes every candidate."""
    probe = await it.ctl("probe", "node-1", "--json")
    assert probe.status == 0, probe.err
    races = [device["race"] for device in json.loads(probe.out)["devices"]]
    for race in races:
        assert {entry["proxy"]: entry["verdict"] for entry in race}["px3"] in ("won", "reserve")
        assert {entry["proxy"] for entry in race if entry["verdict"] == "failed"} == {"px1", "px2"}
