"""The main job on Debian's fence_dummy: one host falls silent, is fenced on both its outlets, announced,
and comes back.
"""

import asyncio
from pathlib import Path

import pytest

from tests.e2e.agents import Agent, dummy
from tests.e2e.bed import bed
from tests.e2e.configuration import DAEMON, SITE
from tests.e2e.events import is_before
from tests.e2e.programs import FENCED, run_short
from tests.needs import needs

pytestmark = [pytest.mark.integration, needs("mosquitto", "fence_dummy")]


async def test_a_silent_host_is_fenced_announced_restored_and_healthy(tmp_path: Path) -> None:
    (file_a, outlet_a), (file_b, outlet_b) = dummy(tmp_path, "pdu-a"), dummy(tmp_path, "pdu-b")
    _, other = dummy(tmp_path, "other")
    async with bed(tmp_path, {"node-1": [outlet_a, outlet_b], "node-2": [other]}) as it:
        boot = it.hosts.boots["node-1"]
        it.hosts.kill("node-1")
        fenced = await it.story.event("node-1", "host.fenced")
        # The retained state came before the event, with the same token: any program may start its recovery here.
        assert fenced.state is not None
        assert (fenced.state["state"], fenced.state["token"]) == ("fenced", fenced.data["token"])
        await it.story.event("node-1", "host.restored")
        assert (file_a.read_text(), file_b.read_text()) == ("on", "on")
        it.hosts.boot("node-1")
        await it.story.event("node-1", "host.healthy", number=2)
        await it.story.state("node-1", "healthy")

        assert [kind for kind in it.story.kinds("node-1") if kind.startswith("host.")] == [
            "host.healthy", "host.suspected", "host.fencing", "host.fenced", "host.restored", "host.healthy",
        ]  # fmt: skip
        assert not it.story.of("node-2", "host.suspected")
        data = fenced.data
        assert fenced.body["specversion"] == "1.0"
        assert (fenced.body["source"], fenced.body["subject"]) == (f"/fenced/{SITE}/{DAEMON}", "node-1")
        assert {"id", "time", "type"} <= fenced.body.keys()
        assert (data["host"], data["cause"], data["proof"], data["level"]) == (
            "node-1",
            "silence",
            "device_verified",
            1,
        )
        assert data["boot"] == boot
        assert {device["name"] for device in data["devices"]} == {"pdu-a", "pdu-b"}
        for device in data["devices"]:
            assert (device["proxy"], device["power"], device["already"]) == ("engine", "off", False)
            assert device["milliseconds"] > 0
        # ON was sent only once the broker had the event.
        steps = it.story.of("node-1", "operation.step")
        ons = [step for step in steps if step.data["what"] == "on"]
        assert {step.data["device"] for step in ons} == {"pdu-a", "pdu-b"}
        assert is_before(
            it.story, lambda heard: heard.kind == "host.fenced",
            lambda heard: heard.kind == "operation.step" and heard.data["what"] == "on",
        )  # fmt: skip
        assert not it.story.repeated

        operation = await it.api.ended(data["operation"])
        assert (operation["state"], operation["action"], operation["cause"]) == ("done", "restart", "silence")
        assert operation["result"] == {
            "power": "on", "fenced": True, "proof": "device_verified", "level": 1, "restored": "all",
        }  # fmt: skip
        assert operation["gates"] and all(gate["open"] for gate in operation["gates"])
        for device in operation["devices"]:
            whats = [step["what"] for step in device["steps"]]
            assert whats.count("off") == 1 and whats.count("on") == 1
            assert whats.index("off") < whats.index("on") and whats[-1] == "status"
            times = [(step["started_ms"], step["ended_ms"]) for step in device["steps"]]
            assert all(started <= ended for started, ended in times)
            assert [entry["verdict"] for entry in device["race"]] == ["won"]
        # A warm agent ends in milliseconds, so side by side means that no device's proof waits for another's OFF.
        offs, proofs = [], []
        for device in operation["devices"]:
            whats = [step["what"] for step in device["steps"]]
            offs.append(device["steps"][whats.index("off")]["started_ms"])
            proofs.append(device["steps"][whats.index("on") - 1]["ended_ms"])
        assert max(offs) < min(proofs), "one after the other"
        host = await it.api.get("hosts/node-1")
        assert (host["state"], host["power"]) == ("healthy", {"pdu-a": "on", "pdu-b": "on"})
        assert await it.daemon.end() == 0
        await asyncio.sleep(0)
        assert it.story.controllers[DAEMON]["state"] == "offline"


STUCK = 'off) [ "$plug" = stuck ] || printf off > "$dir/$plug" ;;'


async def test_the_next_level_takes_over_and_everything_is_given_back(tmp_path: Path) -> None:
    agent = Agent(tmp_path / "agents", "fence_made", STUCK)
    short = {"verify_timeout": "500ms", "attempts": 1}
    devices = [
        agent.device("stuck", level=1, **short), agent.device("b", level=1, **short), agent.device("c", level=2),
    ]  # fmt: skip
    async with bed(tmp_path, {"node-1": devices, "node-2": [agent.device("w")]}) as it:
        it.hosts.kill("node-1")
        fenced = await it.story.event("node-1", "host.fenced")
        assert (fenced.data["level"], [device["name"] for device in fenced.data["devices"]]) == (2, ["c"])
        await it.story.event("node-1", "host.restored")
        assert (agent.power("stuck"), agent.power("b"), agent.power("c")) == ("on", "on", "on")
        operation = await it.api.ended(fenced.data["operation"])
        assert (operation["state"], operation["result"]["level"], operation["result"]["restored"]) == ("done", 2, "all")


async def test_an_agent_that_the_configuration_vouches_for_is_announced_as_vouched(tmp_path: Path) -> None:
    """An unreviewed agent: with `cuts_power` every statement says so, and a reload without it is refused."""
    agent = Agent(tmp_path / "agents", "fence_made")
    async with bed(tmp_path, {"node-1": [agent.device("a")], "node-2": [agent.device("w")]}) as it:
        it.hosts.kill("node-1")
        fenced = await it.story.event("node-1", "host.fenced")
        assert fenced.data["vouched"] == ["a"]
        assert [device["cuts_power"] for device in fenced.data["devices"]] == [True]
        operation = await it.api.ended(fenced.data["operation"])
        assert [device["cuts_power"] for device in operation["devices"]] == [True]
        shown = await it.ctl("operation", operation["id"])
        assert "vouches" in shown.out
        for device in (*it.configuration.hosts["node-1"], *it.configuration.hosts["node-2"]):
            del device["cuts_power"]
        it.configuration.write()
        await it.reload("reload_refused")
        checked = await run_short([*FENCED, "check-config", str(it.configuration.file)], seconds=60)
        assert (checked.status, "not reviewed" in checked.out) == (78, True)


async def test_a_fenced_host_that_is_switched_on_from_outside_is_revoked(tmp_path: Path) -> None:
    """The announcement is no longer true: `revoked` follows, with a higher token."""
    agent = Agent(tmp_path / "agents")
    async with bed(tmp_path, {"node-1": [agent.device("a")], "node-2": [agent.device("w")]}) as it:
        await it.api.act("node-1", "off", force=True)
        it.hosts.kill("node-1")
        fenced = await it.story.event("node-1", "host.fenced")
        state = await it.story.state("node-1", "fenced")
        assert state["stay_off"] is True
        agent.set("a", "on")
        revoked = await it.story.event("node-1", "host.revoked")
        tokens = [tuple(map(int, event.data["token"].split("-"))) for event in (fenced, revoked)]
        assert tokens[0] < tokens[1]
        assert revoked.state is not None and revoked.state["token"] == revoked.data["token"]
        assert revoked.state["state"] != "fenced"
        assert agent.calls.count("on a") == agent.calls.count("off a") - 1 == 0
