"""Two controllers and two shards on one PostgreSQL: a fair share for each, and all for one that is left."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.agents import Agent
from tests.e2e.bed import Bed, bed
from tests.e2e.configuration import Configuration
from tests.needs import needs
from tests.net import until
from tests.postgres import Server, postgres

__all__ = ["postgres"]
pytestmark = [pytest.mark.integration, needs("mosquitto", "postgres")]

LEASE_SECONDS = 3
SHARING_SECONDS = 60.0


async def held(it: Bed, urls: str) -> Mapping[str, list[str]]:
    """Return the shards of each controller that holds any."""
    listed = json.loads((await it.ctl("--url", urls, "--json", "controllers")).out)
    return {
        one["name"]: sorted(each["shard"] for each in one["shards"])
        for one in listed["items"] if one["shards"] and one["state"] == "active"
    }  # fmt: skip


@pytest.mark.timeout(240)
async def test_two_controllers_share_two_shards_and_one_takes_both(tmp_path: Path, postgres: Server) -> None:
    url = postgres.url(await postgres.empty_database())

    def two_shards(configuration: Configuration) -> None:
        configuration.change("store", url=url, lease_ttl=f"{LEASE_SECONDS}s")
        configuration.change("api", advertise=f"http://{configuration.tables['api']['listen']}")
        configuration.shards = dict.fromkeys(("node-2", "node-4", "node-6"), "dc2")

    agent = Agent(tmp_path / "agents")
    names = [f"node-{number}" for number in range(1, 7)]  # the last two live on, as witnesses of their shards
    devices: dict[str, list[dict[str, Any]]] = {name: [agent.device(name)] for name in names}
    async with bed(tmp_path, devices, change=two_shards) as it:

        async def has_all() -> bool:
            return await held(it, it.api.url) == {"fenced-a": ["dc2", "main"]}

        await until(has_all, what="the only controller holds both shards")
        second, url_of_second = it.second(is_advertised=True)
        both = f"{it.api.url},{url_of_second}"
        await second.start()

        async def is_fair() -> bool:
            return sorted(map(len, (await held(it, both)).values())) == [1, 1]

        await until(is_fair, seconds=SHARING_SECONDS, what="each controller has a shard")
        await it.healthy()
        for host in ("node-1", "node-2"):
            it.hosts.kill(host)
        for host in ("node-1", "node-2"):
            await it.story.event(host, "host.fenced")
        shown = await it.ctl("--url", both, "--json", "hosts")
        assert {one["name"] for one in json.loads(shown.out)["items"]} == set(devices)

        await second.kill()

        async def has_all_again() -> bool:
            return await held(it, it.api.url) == {"fenced-a": ["dc2", "main"]}

        await until(has_all_again, seconds=SHARING_SECONDS, what="the controller that is left holds both shards")
        for host in ("node-3", "node-4"):
            it.hosts.kill(host)
        for host in ("node-3", "node-4"):
            await it.story.event(host, "host.fenced")
        for host in names[:4]:
            assert len(it.story.of(host, "host.fenced")) == 1
        assert it.daemon.is_running
