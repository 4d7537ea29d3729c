"""Several shards over HTTP: who refuses what, what a partial failure says, and positions in the event stream."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import pytest

from fenced.api.server import build_app, serve
from fenced.model.names import HostName
from fenced.model.positions import TEXT_MAX
from fenced.ports.control import Unavailable
from fenced.telemetry.gauges import Gauges
from tests.api.conftest import expose
from tests.api.test_events import read_event
from tests.fakes.control import FakeClock
from tests.fakes.shards import Shards
from tests.net import until

B = "https://fenced-b.example:8470"


@dataclass(kw_only=True)
class Site:
    """The API of a controller with the shards dc2 (node-2, node-4) and main (node-1, node-3)."""

    client: aiohttp.ClientSession
    shards: Shards = field(default_factory=Shards)

    async def ask(self, method: str, path: str, body: object = None, **headers: str) -> tuple[int, Any]:
        async with self.client.request(method, f"/api/v1/{path}", json=body, headers=headers) as response:
            return response.status, await response.json(content_type=None) if response.content_length else None


@contextlib.asynccontextmanager
async def served(shards: Shards) -> AsyncIterator[Site]:
    app = build_app(
        shards.control, tokens=(), requests_per_second=1000, has_tcp_writes=True, metrics=expose, clock=FakeClock()
    )
    async with serve(app, "127.0.0.1:0") as serving, aiohttp.ClientSession(serving.url) as client:
        yield Site(client=client, shards=shards)


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    async with served(Shards()) as made:
        yield made


# -- who refuses what -------------------------------------------------------------------------------------------------


async def test_a_controller_changes_hosts_of_the_shard_that_it_holds_and_no_others(site: Site) -> None:
    site.shards.follow("dc2", B)
    body = {"action": "off", "force": True}
    assert (await site.ask("POST", "hosts/node-1/actions", body))[0] == 202
    for path in ("hosts/node-2/actions", "hosts/node-4/actions"):
        status, problem = await site.ask("POST", path, body)
        assert (status, problem["rule"], problem["active"]) == (503, "standby", B)
    assert (await site.ask("POST", "hosts/node-9/actions", body))[0] == 404
    assert site.shards.fakes["dc2"].calls == []
    for path in ("hosts", "hosts/node-2", "operations", "readiness", "fleet", "controllers", "pauses", "proxies"):
        assert (await site.ask("GET", path))[0] == 200
    assert (await site.ask("POST", "health/node-2"))[0] == 204


async def test_a_controller_without_a_shard_names_a_holder(site: Site) -> None:
    site.shards.follow("main", None)
    site.shards.follow("dc2", B)
    for path, body in (("fleet/disarm", {}), ("pauses", {"reason": "test"}), ("fleet/arm", {})):
        status, problem = await site.ask("POST", path, body)
        assert (status, problem["rule"], problem["active"], "shards" in problem) == (503, "standby", B, False)
    status, problem = await site.ask("POST", "fleet/disarm", {"shard": "main"})
    assert (status, problem["rule"], problem["active"]) == (503, "standby", None)


async def test_a_partial_answer_names_the_shards_that_did_not_obey(site: Site) -> None:
    site.shards.follow("dc2", B)
    status, problem = await site.ask("POST", "fleet/disarm", {"reason": "test"})
    assert (status, problem["rule"], "active" in problem) == (503, "shards", False)
    assert [(one["shard"], one["active"]) for one in problem["shards"]] == [("dc2", B)]
    assert not site.shards.fakes["main"].is_armed
    status, problem = await site.ask("POST", "fleet/arm", {"reason": "test"})
    assert [(one["shard"], one["active"]) for one in problem["shards"]] == [("dc2", B), ("main", None)]
    assert not site.shards.fakes["main"].is_armed
    status, answer = await site.ask("POST", "fleet/arm", {"reason": "test", "shard": "main"})
    assert (status, [one["armed"] for one in answer["shards"]]) == (200, [True, True])
    assert (await site.ask("POST", "fleet/arm", {"shard": "dc3"}))[0] == 404
    assert (await site.ask("POST", "fleet/arm", {"shard": "d c3"}))[0] == 422
    status, problem = await site.ask("POST", "fleet/arm", {"shard": "dc2"})
    assert (status, problem["rule"], problem["active"]) == (503, "standby", B)


async def test_a_pause_is_one_for_all_shards(site: Site) -> None:
    key = {"Idempotency-Key": "k1"}
    status, made = await site.ask("POST", "pauses", {"match": "host=node-2", "reason": "test"}, **key)
    assert status == 201
    _, listed = await site.ask("GET", "pauses")
    assert [one["id"] for one in listed["items"]] == [made["id"]]
    assert [len(fake.pauses) for fake in site.shards.fakes.values()] == [1, 1]
    assert (await site.ask("DELETE", f"pauses/{made['id']}", {"shard": "dc2"}))[0] == 204
    assert [len(fake.pauses) for fake in site.shards.fakes.values()] == [0, 1]
    assert (await site.ask("DELETE", f"pauses/{made['id']}"))[0] == 204
    assert (await site.ask("DELETE", f"pauses/{made['id']}"))[0] == 404
    status, problem = await site.ask("POST", "pauses", {"match": "host=node-9", "reason": "test"})
    assert (status, problem["rule"]) == (409, "match")


async def test_a_wake_goes_to_the_shard_that_has_the_cluster(site: Site) -> None:
    site.shards.fakes["main"].wakeable = ["node-3"]
    body = {"cluster": "c-main", "hosts": 1, "reason": "test"}
    status, answer = await site.ask("POST", "saving/wake", body)
    assert (status, answer["hosts"], answer["short"]) == (202, ["node-3"], 0)
    site.shards.follow("dc2", B)
    status, problem = await site.ask("POST", "saving/wake", {**body, "cluster": "c-dc2"})
    assert (status, problem["rule"], problem["active"]) == (503, "standby", B)
    assert (await site.ask("POST", "saving/wake", {**body, "cluster": "c9"}))[0] == 404
    assert (site.shards.fakes["dc2"].calls, len(site.shards.fakes["main"].calls)) == ([], 1)


async def test_saving_is_shown_of_all_shards(site: Site) -> None:
    site.shards.follow("dc2", B)
    site.shards.fakes["dc2"].fall_asleep("node-2")
    site.shards.fakes["main"].save("c-main")
    _, shown = await site.ask("GET", "saving")
    assert [(one["cluster"], one["counts"]["asleep"]) for one in shown["items"]] == [("c-dc2", 1), ("c-main", 0)]
    _, shown = await site.ask("GET", "saving?cluster=c-main")
    assert [one["cluster"] for one in shown["items"]] == ["c-main"]
    assert (await site.ask("GET", "saving?cluster=c9"))[0] == 404
    totals = site.shards.control.saving_totals()
    assert (totals.sleeping, totals.blocked, totals.saved_seconds) == (
        {"c-dc2": 1, "c-main": 0}, {"not_idle": 1, "state": 1}, 3600.0,
    )  # fmt: skip


async def test_a_hand_over_is_of_one_shard(site: Site) -> None:
    site.shards.name("fenced-a", "fenced-b")
    answer = await site.ask("POST", "controllers/hand-over", {"shard": "dc2", "reason": "upgrade"})
    assert answer == (202, {"shard": "dc2", "to": None})
    assert [fake.calls for fake in site.shards.fakes.values()] == [[("hand_over", "dc2", "", "api", "upgrade")], []]
    assert (await site.ask("POST", "controllers/hand-over", {"shard": "dc3", "reason": "upgrade"}))[0] == 404
    site.shards.follow("dc2", B)
    status, problem = await site.ask("POST", "controllers/hand-over", {"shard": "dc2", "reason": "upgrade"})
    assert (status, problem["rule"], problem["active"]) == (503, "standby", B)


# -- what is shown ----------------------------------------------------------------------------------------------------


async def test_the_fleet_shows_each_shard_and_its_holder(site: Site) -> None:
    site.shards.follow("dc2", B)
    site.shards.fakes["dc2"].is_armed = False
    site.shards.name("fenced-a", "fenced-b")
    _, fleet = await site.ask("GET", "fleet")
    assert (fleet["armed"], fleet["active"], fleet["standby"]) == (False, True, False)
    assert fleet["holders"] == {"main": "fenced-a", "dc2": "fenced-b"}
    shown = [(one["shard"], one["armed"], one["active"], one["standby"], one["epoch"]) for one in fleet["shards"]]
    assert shown == [("dc2", False, False, True, 0), ("main", True, True, False, 1)]
    _, listed = await site.ask("GET", "controllers")
    assert [[one["shard"] for one in item["shards"]] for item in listed["items"]] == [["main"], ["dc2"]]


async def test_lists_are_of_all_shards_and_go_on_page_by_page(site: Site) -> None:
    _, first = await site.ask("GET", "hosts?limit=3")
    _, rest = await site.ask("GET", f"hosts?limit=3&after={first['next']}")
    assert [one["name"] for one in (*first["items"], *rest["items"])] == ["node-1", "node-2", "node-3", "node-4"]
    _, found = await site.ask("GET", "readiness?all=true&limit=3")
    assert [one["name"] for one in found["hosts"]] == ["node-1", "node-2", "node-3"]
    assert (found["fleet"]["hosts"], [one["name"] for one in found["clusters"]]) == (4, ["c-dc2", "c-main"])


def test_the_gauges_count_the_hosts_of_all_shards() -> None:
    shards = Shards()
    shards.follow("dc2", B)
    gauges = Gauges(shards.control, outbox_pending=lambda: 0, outbox_stuck=lambda: 0)
    found = {(sample.name, *sample.labels.values()): sample.value for one in gauges.collect() for sample in one.samples}
    assert sum(value for (name, *_), value in found.items() if name == "fenced_hosts") == 4
    assert (found["fenced_leader",], found["fenced_armed",], found["fenced_epoch",]) == (1, 1, 1)


# -- events -----------------------------------------------------------------------------------------------------------


async def test_the_id_of_an_event_is_a_position_in_every_shard(site: Site) -> None:
    fakes = site.shards.fakes
    fakes["main"].emit("suspected", "node-1")
    async with site.client.get("/api/v1/events") as response:
        await until(lambda: all(fake.watchers for fake in fakes.values()))
        fakes["dc2"].emit("fenced", "node-2")
        assert (await read_event(response))["id"] == "dc2=1,main=1"
        fakes["main"].emit("fenced", "node-1")
        last = (await read_event(response))["id"]
    assert last == "dc2=1,main=2"
    await until(lambda: not any(fake.watchers for fake in fakes.values()))
    fakes["dc2"].emit("restored", "node-2")
    fakes["dc2"].emit("healthy", "node-2")
    async with site.client.get("/api/v1/events", headers={"Last-Event-ID": last}) as response:
        assert [(await read_event(response))["id"] for _ in range(2)] == ["dc2=2,main=2", "dc2=3,main=2"]


async def test_an_id_from_before_there_were_shards_goes_on_in_main(site: Site) -> None:
    fakes = site.shards.fakes
    for kind in ("suspected", "fenced"):
        fakes["main"].emit(kind, "node-1")
        fakes["dc2"].emit(kind, "node-2")
    async with site.client.get("/api/v1/events", headers={"Last-Event-ID": "1"}) as response:
        assert (await read_event(response))["id"] == "dc2=2,main=2"


@pytest.mark.parametrize("text", ["never", "main=1,main=2", "main=x", "=", "9" * 19, "x" * TEXT_MAX + "=1"])
async def test_an_id_of_no_stream_is_refused(site: Site, text: str) -> None:
    async with site.client.get("/api/v1/events", headers={"Last-Event-ID": text}) as response:
        assert response.status == 422


async def test_a_stream_ends_with_its_reader_and_when_a_shard_fails(site: Site) -> None:
    fakes = site.shards.fakes
    async with site.client.get("/api/v1/events"):
        await until(lambda: all(fake.watchers for fake in fakes.values()))
    async with site.client.get("/api/v1/events") as response:
        fakes["dc2"].failure = Unavailable("the store is away")
        fakes["dc2"].emit("fenced", "node-2")
        async with asyncio.timeout(60):
            assert "reconnect" in await response.text()
    fakes["dc2"].failure = None
    fakes["main"].emit("fenced", "node-1")
    await until(lambda: not any(fake.watchers for fake in fakes.values()))
    assert site.shards.control.host(HostName("node-1"))
