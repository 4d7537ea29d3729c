"""The check in the real daemon with real agents: which hosts could be fenced, for people, programs and Prometheus."""

from pathlib import Path

import pytest

from tests.e2e.agents import Agent
from tests.e2e.bed import bed
from tests.e2e.configuration import Configuration
from tests.needs import needs
from tests.net import until

pytestmark = [pytest.mark.integration, needs("mosquitto")]

STATUS = """status) case "$(cat "$dir/$plug")" in
  on) echo "Status: ON"; exit 0 ;;
  off) echo "Status: OFF"; exit 2 ;;
  *) echo "login refused" >&2; exit 1 ;;
  esac ;;"""


def often(configuration: Configuration) -> None:
    configuration.change("check", interval="1s", per_unit_pause="0s")
    configuration.change("detection", late_message="1s")


async def test_who_could_be_fenced(tmp_path: Path) -> None:
    agent = Agent(tmp_path / "agents", "fence_made", STATUS)
    plugs = {"node-1": ("a", "b"), "node-2": ("c", "d")}
    devices = {name: [agent.device(plug) for plug in pair] for name, pair in plugs.items()}
    async with bed(tmp_path, devices, change=often) as it:

        async def are(level: str) -> bool:
            hosts = (await it.api.get("/api/v1/hosts"))["items"]
            return {(host["fenceable"] or {}).get("level") for host in hosts} == {level}

        await until(lambda: are("full"))
        metrics = await it.api.metrics()
        assert metrics['fenced_fenceable_hosts{level="full"}'] == 2
        assert metrics["fenced_fenceable_share"] == 1

        for plug in "abcd":
            agent.set(plug, "locked")
        await until(lambda: are("none"))
        assert (await it.api.metrics())["fenced_fenceable_share"] == 0
        assert "a: unreadable: through engine" in (await it.ctl("show", "node-1")).out
        await it.story.event("node-1", "host.fenceable_changed")
        for plug in "abcd":
            agent.set(plug, "on")
        await until(lambda: are("full"))

        for plug in plugs["node-1"]:
            agent.set(plug, "off")
        await it.story.event("node-1", "host.distrusted")
        hosts = (await it.ctl("hosts")).out.splitlines()
        assert [line.split()[4] for line in hosts[1:]] == ["none", "full"]
        assert not [call for call in agent.calls if call.startswith("off")], "it only looks"
