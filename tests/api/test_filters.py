"""Filters of lists, their pages under change, entity tags, and the map of the fleet."""

from dataclasses import replace

import pytest

from fenced.model.names import HostName, OperationId
from fenced.model.power import Action, Cause, OperationState, State
from tests.api.conftest import Api
from tests.fakes.samples import START, finished_restart

HOSTS = "/api/v1/hosts"


async def names(api: Api, query: str) -> list[str]:
    async with api.client.get(f"{HOSTS}?{query}") as response:
        assert response.status == 200, await response.text()
        return [item["name"] for item in (await response.json())["items"]]


# -- hosts ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "wanted"),
    [
        ("state=suspect", ["node-3"]),
        ("state=suspect&state=healthy", ["node-1", "node-3"]),
        ("cluster=c1", ["node-1", "node-2"]),
        ("cluster=c1&state=healthy", ["node-1"]),
        ("datacenter=dc1", ["node-1", "node-2", "node-3", "node-4"]),
        ("datacenter=dc2", []),
        ("name=E-4", ["node-4"]),
        ("held=armed", ["node-3"]),
        ("held=lease", []),
        ("paused=false", ["node-1", "node-2", "node-3", "node-4"]),
        ("maintenance=true", []),
        ("stay_off=true", []),
        ("label=feed=a", []),
    ],
)
async def test_hosts_are_chosen_by_every_filter(api: Api, query: str, wanted: list[str]) -> None:
    assert await names(api, query) == wanted


async def test_what_is_paused_or_maintained_is_found(api: Api) -> None:
    await api.control.pause(match="cluster=c1", by="a", reason="r", until=None)
    await api.control.set_maintenance(HostName("node-4"), by="a", reason="r", until=None)
    assert await names(api, "paused=true") == ["node-1", "node-2"]
    assert await names(api, "maintenance=true") == ["node-4"]


@pytest.mark.parametrize(
    ("query", "named"),
    [
        ("state=dead", "state"),
        ("stat=failed", "stat"),
        ("cluster=a&cluster=b", "cluster"),
        ("held=nothing", "held"),
        ("paused=yes", "paused"),
        ("fenceable=some", "fenceable"),
        ("label=feed", "label"),
        ("name=a/b", "name"),
        ("limit=0", "limit"),
        ("limit=1001", "limit"),
        ("after=%00", "after"),
        ("&".join(f"state={state}" for state in ["failed"] * 33), "state"),
    ],
)
async def test_a_wrong_filter_is_named_and_never_ignored(api: Api, query: str, named: str) -> None:
    async with api.client.get(f"{HOSTS}?{query}") as response:
        assert response.status == 422
        problem = await response.json()
    assert named in problem["detail"]


async def test_a_walk_shows_each_host_once_whatever_becomes_of_others(api: Api) -> None:
    seen, after = [], ""
    for turn in range(4):
        async with api.client.get(f"{HOSTS}?limit=1{f'&after={after}' if after else ''}") as response:
            page = await response.json()
        seen += [item["name"] for item in page["items"]]
        after = page["next"]
        if turn == 0:
            del api.control.states[HostName("node-1")]  # the host that `after` names
        if after is None:
            break
    assert seen == ["node-1", "node-2", "node-3", "node-4"]


# -- operations -------------------------------------------------------------------------------------------------------


@pytest.fixture
def stories(api: Api) -> None:
    base = finished_restart()
    api.control.all_operations = [
        replace(base, id=OperationId("1-1"), action=Action.OFF, cause=Cause.REQUEST, started=START - 7200),
        replace(base, id=OperationId("1-2"), state=OperationState.FAILED, started=START - 600),
        replace(base, id=OperationId("1-3"), host=HostName("node-1"), state=OperationState.RUNNING, started=START),
    ]


@pytest.mark.parametrize(
    ("query", "wanted"),
    [
        ("", ["1-3", "1-2", "1-1"]),
        ("host=node-2", ["1-2", "1-1"]),
        ("state=failed&state=running", ["1-3", "1-2"]),
        ("action=off", ["1-1"]),
        ("cause=request", ["1-1"]),
        ("since=1h", ["1-3", "1-2"]),
        ("since=3h&until=1h", ["1-1"]),
    ],
)
@pytest.mark.usefixtures("stories")
async def test_operations_are_chosen_by_every_filter(api: Api, query: str, wanted: list[str]) -> None:
    async with api.client.get(f"/api/v1/operations?{query}") as response:
        assert response.status == 200, await response.text()
        assert [item["id"] for item in (await response.json())["items"]] == wanted


@pytest.mark.parametrize("query", ["action=fly", "cause=because", "since=yesterday", "after=x", "host=a&host=b"])
async def test_a_wrong_filter_of_operations_is_refused(api: Api, query: str) -> None:
    async with api.client.get(f"/api/v1/operations?{query}") as response:
        assert response.status == 422


# -- tags -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["hosts", "hosts/node-1", "operations", "fleet/map", "pauses", "fleet", "proxies"])
async def test_an_answer_that_still_holds_is_not_sent_again(api: Api, path: str) -> None:
    async with api.client.get(f"/api/v1/{path}") as response:
        tag, body = response.headers["ETag"], await response.read()
    async with api.client.get(f"/api/v1/{path}", headers={"If-None-Match": tag}) as response:
        assert (response.status, await response.read()) == (304, b"")
        assert response.headers["ETag"] == tag
    for other in ('"0"', "*", "nonsense", 'W/"'):
        async with api.client.get(f"/api/v1/{path}", headers={"If-None-Match": other}) as response:
            assert (response.status, await response.read()) == (200, body)


@pytest.mark.parametrize("path", ["hosts", "hosts?cluster=c1", "hosts/node-1", "fleet/map"])
async def test_a_tag_changes_with_its_answer(api: Api, path: str) -> None:
    node = HostName("node-1")
    seen = set()
    for state in (State.HEALTHY, State.SUSPECT, State.FAILED):
        api.control.states[node] = replace(api.control.states[node], state=state)
        async with api.client.get(f"/api/v1/{path}") as response:
            seen.add(response.headers["ETag"])
    await api.control.set_maintenance(node, by="a", reason="r", until=None)
    async with api.client.get(f"/api/v1/{path}") as response:
        seen.add(response.headers["ETag"])
    assert len(seen) == 4


async def test_a_tag_is_of_its_query(api: Api) -> None:
    tags = set()
    for query in ("", "?cluster=c1", "?cluster=c2", "?limit=1"):
        async with api.client.get(f"{HOSTS}{query}") as response:
            tags.add(response.headers["ETag"])
    assert len(tags) == 4


async def test_a_tag_opens_nothing(guarded_api: Api) -> None:
    async with guarded_api.client.get(HOSTS, headers={"Authorization": "Bearer look-only-1"}) as response:
        tag = response.headers["ETag"]
        assert "private" in response.headers["Cache-Control"]
    async with guarded_api.client.get(HOSTS, headers={"If-None-Match": tag}) as response:
        assert response.status == 401


# -- the map ----------------------------------------------------------------------------------------------------------


async def test_the_map_has_every_host_with_what_is_special(api: Api) -> None:
    await api.control.pause(match="host=node-1", by="a", reason="r", until=None)
    await api.control.set_maintenance(HostName("node-4"), by="a", reason="r", until=None)
    async with api.client.get("/api/v1/fleet/map") as response:
        found = await response.json()
    assert found["hosts"] == 4
    groups = {group["cluster"]: group for group in found["groups"]}
    assert groups["c1"]["hosts"] == ["node-1", "node-2"]
    assert groups["c1"]["states"] == ["healthy", "restoring"]
    assert (groups["c1"]["paused"], groups["c2"]["maintenance"]) == (["node-1"], ["node-4"])
    assert groups["c2"]["held"] == {"node-3": ["armed"]}
    assert found["held_by"] == {"armed": 1}
    assert sum(found["counts"].values()) == 4
