"""Real daemons with damaged rows in the store, with an empty store in place of another, with an edited inventory."""

import sqlite3
from pathlib import Path

import pytest

from tests.e2e.agents import Agent
from tests.e2e.bed import Bed, bed
from tests.needs import needs
from tests.net import until

pytestmark = [pytest.mark.integration, needs("mosquitto")]


async def held_by(it: Bed, host: str) -> list[str]:
    return list((await it.api.get(f"hosts/{host}"))["held_by"])


async def test_a_device_is_renamed_and_a_host_removed_beside_a_damaged_row(tmp_path: Path) -> None:
    """It starts, reports each of the three, and goes on with the others."""
    agent = Agent(tmp_path / "agents")
    devices = {f"node-{n}": [agent.device(f"p{n}", attempt_timeout="1500ms")] for n in range(1, 6)}
    async with bed(tmp_path, devices) as it:
        off = await it.api.act("node-1", "off", force=True)
        it.hosts.kill("node-1")
        assert (await it.api.ended(off))["result"]["fenced"] is True
        await it.story.state("node-2", "healthy")
        it.hosts.kill("node-2")  # a host that is heard is healthy again, and only its gate stays closed
        await it.daemon.kill()
        with sqlite3.connect(it.state_dir / "fenced.db") as database:
            damage = "UPDATE snapshots SET body = '{\"kind\":\"from the future\"}' WHERE host = 'node-2'"
            assert database.execute(damage).rowcount == 1
        it.configuration.hosts["node-1"][0]["name"] = "renamed"
        del it.configuration.hosts["node-3"]
        it.configuration.write()
        await it.start()
        told = await it.story.event("node-1", "host.left_off")
        assert told.data["devices"] == ["p1"]
        assert agent.power("p1") == "off"

        async def is_put_aside() -> bool:
            return await held_by(it, "node-2") == ["record"]

        await until(is_put_aside, what="node-2 is put aside")
        assert (await it.api.get("hosts/node-2"))["state"] == "failed"
        assert "node-3" not in {host["name"] for host in (await it.api.get("hosts"))["items"]}
        await until(lambda: it.story.states["node-3"] == {}, what="the retained state of node-3 is cleared")
        it.hosts.kill("node-4")
        await it.story.event("node-4", "host.fenced", seconds=60)


async def test_a_store_that_vanished_fences_no_host_until_it_is_released(tmp_path: Path) -> None:
    agent = Agent(tmp_path / "agents")
    async with bed(tmp_path, {f"node-{n}": [agent.device(f"p{n}")] for n in range(1, 5)}) as it:
        await it.daemon.kill()
        for file in it.state_dir.glob("fenced.db*"):
            file.unlink()
        await it.start()
        await until(lambda: it.story.of(None, "fleet.store_held") != [], what="store_held is told")
        await it.story.state("node-1", "healthy")
        it.hosts.kill("node-1")
        held = await it.story.event("node-1", "host.held", seconds=60)
        assert "store" in [gate["gate"] for gate in held.data["gates"] if not gate["open"]]
        released = await it.api.call("POST", "store/release", body={"reason": "a test"})
        assert (released.status, released.body["store_held"]) == (200, None)
        await it.story.event("node-1", "host.fenced", seconds=60)
        await it.daemon.kill()
        await it.start()
        assert (await it.api.get("/readyz"))["daemon"]["store_held"] is None
