"""What an operator does with `fencectl`, through the real program: every command once, by its exit code and effect."""

import json
from pathlib import Path

import pytest

from tests.e2e.agents import STATUS, Agent
from tests.e2e.bed import bed
from tests.e2e.programs import FENCECTL, run_short
from tests.needs import needs
from tests.net import free_port, until

pytestmark = [pytest.mark.integration, needs("mosquitto")]

DONE, FAILED, USAGE, REFUSED, UNREACHABLE, NOT_ENDED = 0, 1, 2, 3, 4, 124

SLOW = 'off) [ "$plug" = slow ] && sleep 2; [ "$plug" = stuck ] || printf off > "$dir/$plug" ;;'


async def test_power_by_hand(tmp_path: Path) -> None:
    agent = Agent(tmp_path / "agents", "fence_made", SLOW)
    devices = {
        "node-1": [agent.device("a"), agent.device("b")],
        "node-2": [agent.device("slow")],
        "node-3": [agent.device("stuck", verify_timeout="500ms", attempts=1)],
    }
    async with bed(tmp_path, devices) as it:
        status = await it.ctl("status", "node-1")
        assert (status.status, agent.power("a")) == (DONE, "on")
        refused = await it.ctl("off", "node-1", "--reason", "no force")
        assert (refused.status, agent.power("a")) == (REFUSED, "on")
        assert "force" in refused.err

        async with it.host_follows_power("node-1", lambda: agent.power("a") == "on"):
            off = await it.ctl("off", "node-1", "--force", "--wait", "--reason", "rack work")
            assert (off.status, agent.power("a"), agent.power("b")) == (DONE, "off", "off")
            shown = json.loads((await it.ctl("show", "node-1", "--json")).out)
            assert (shown["state"], shown["stay_off"]) == ("fenced", True)
            on = await it.ctl("on", "node-1", "--wait")
            assert (on.status, agent.power("a"), agent.power("b")) == (DONE, "on", "on")
            await it.story.event("node-1", "host.healthy", number=2)
            restart = await it.ctl("restart", "node-1", "--force", "--wait")
            assert (restart.status, agent.power("a")) == (DONE, "on")
            assert [call for call in agent.calls if call == "off a"] == ["off a"] * 2

        probe = await it.ctl("probe", "node-1")
        assert (probe.status, "engine" in probe.out) == (DONE, True)
        # Accepted only: the id is printed; the slow one does not end in time, then it does.
        accepted = await it.ctl("off", "node-2", "--force")
        assert accepted.status == DONE
        operation = accepted.out.strip()
        late = await it.ctl("off", "node-2", "--wait-for", "100ms")
        assert late.status == NOT_ENDED
        again = await it.ctl("off", "node-2", "--wait", "--json")
        assert again.status == DONE
        assert (await it.ctl("cancel", operation)).status == REFUSED
        shown = json.loads((await it.ctl("operation", operation, "--json")).out)
        assert (shown["state"], shown["result"]["fenced"]) == ("done", True)
        listed = json.loads((await it.ctl("operations", "--host", "node-2", "--json")).out)["items"]
        assert operation in [item["id"] for item in listed]

        failed = await it.ctl("off", "node-3", "--force", "--wait")
        assert (failed.status, agent.power("stuck")) == (FAILED, "on")
        assert "NOT fenced" in failed.out
        confirm = await it.ctl("confirm-off", "node-3", "--reason", "I see it")
        assert (confirm.status, "reads ON" in confirm.err) == (REFUSED, True)

        assert (await it.ctl("status", "nobody")).status == REFUSED
        assert (await it.ctl("off")).status == USAGE
    nobody = await run_short([*FENCECTL, "--url", f"http://127.0.0.1:{free_port()}", "hosts"])
    assert nobody.status == UNREACHABLE


async def test_holding_back(tmp_path: Path) -> None:
    """While disarmed, paused or in maintenance nothing is fenced and `held` says so; each has its own command
    to undo it.
    """
    agent = Agent(tmp_path / "agents")
    devices = {name: [agent.device(name)] for name in ("node-1", "node-2", "node-3", "node-4")}

    async with bed(tmp_path, devices) as it:
        assert (await it.ctl("maintenance", "node-2", "on", "--reason", "new memory")).status == DONE
        assert (await it.ctl("pause", "--match", "host=node-3", "--reason", "switch work")).status == DONE
        assert (await it.ctl("pause", "--match", "host=nobody", "--reason", "x")).status == REFUSED
        assert (await it.ctl("disarm", "--reason", "storage is moved")).status == DONE
        it.hosts.kill("node-1", "node-2", "node-3")
        held = await it.story.event("node-1", "host.held")
        shut = [gate["gate"] for gate in held.data["gates"] if not gate["open"]]
        assert (shut, held.data["would"]) == (["armed"], "restart")
        paused = await it.story.event("node-3", "host.held")
        assert [gate["gate"] for gate in paused.data["gates"] if not gate["open"]] == ["armed", "paused"]
        refused = await it.ctl("off", "node-1")
        assert (refused.status, "armed" in refused.err) == (REFUSED, True)
        assert (await it.ctl("status", "node-1")).status == DONE
        assert not it.story.of(None, "host.fencing", "host.fenced")
        assert {call.split()[0] for call in agent.calls} == {"status"}

        assert (await it.ctl("arm")).status == DONE
        await it.story.event("node-1", "host.fenced")
        assert agent.power("node-2") == agent.power("node-3") == "on"
        assert (await it.ctl("resume", "--match", "host=node-3", "--reason", "done")).status == DONE
        await it.story.event("node-3", "host.fenced")
        assert it.story.states["node-2"]["state"] == "maintenance"
        # No device can prove node-4 off any more; a person may, once it is silent and no device reads ON.
        (tmp_path / "agents" / "fence_made").write_text("#!/bin/sh\nexit 1\n")
        it.hosts.kill("node-4")
        await it.story.event("node-4", "host.suspected")

        async def is_confirmed() -> bool:
            return (await it.ctl("confirm-off", "node-4", "--reason", "the cord is in my hand")).status == DONE

        await until(is_confirmed, seconds=40, what="confirm-off is taken")
        fenced = await it.story.event("node-4", "host.fenced")
        assert (fenced.data["proof"], fenced.data["devices"]) == ("human", [])
        assert it.story.states["node-4"]["stay_off"] is True
        assert (await it.ctl("maintenance", "node-2", "off", "--reason", "done")).status == DONE
        await until(lambda: it.story.states["node-2"]["state"] != "maintenance", what="node-2 left maintenance")


async def test_a_cancelled_operation_sends_nothing(tmp_path: Path) -> None:
    """Before the first OFF a person can cancel it; after that the operation goes on."""
    status = STATUS.replace("status)", 'status) [ -e "$dir/hold" ] && sleep 3')
    agent = Agent(tmp_path / "agents", "fence_made", status, 'off) sleep 1; printf off > "$dir/$plug" ;;')
    async with bed(tmp_path, {"node-1": [agent.device("a")]}) as it:
        agent.set("hold", "")
        accepted = await it.ctl("off", "node-1", "--force")
        assert (await it.ctl("cancel", accepted.out.strip(), "--reason", "wrong host")).status == DONE
        ended = await it.api.ended(accepted.out.strip())
        assert (ended["state"], agent.power("a")) == ("cancelled", "on")
        assert "off a" not in agent.calls
        (agent.directory / "hold").unlink()
        await it.story.state("node-1", "healthy")

        operation = await it.api.act("node-1", "off", force=True)
        await until(lambda: "off a" in agent.calls, what="the OFF is sent")
        assert (await it.ctl("cancel", operation)).status == REFUSED
        assert (await it.api.ended(operation))["result"]["fenced"] is True
