"""Several controllers over HTTP: who is there, what a standby answers, and handing over."""

import pytest

from fenced.api.call import Route
from fenced.api.routes import ROUTES
from tests.api.conftest import Api
from tests.fakes.controllers import controller

ACTIVE = "https://fenced-a.example:8470"
BODIES = {
    "act": {"action": "off"},
    "confirmOff": {"reason": "seen"},
    "setMaintenance": {"reason": "disks"},
    "pause": {"reason": "switch"},
    "releaseStore": {"reason": "checked"},
    "releaseStorm": {"reason": "they are off"},
    "handOver": {"reason": "upgrade"},
    "wake": {"cluster": "c1", "reason": "a batch"},
}
CHANGES = [route for route in ROUTES if route.method != "GET"]
STANDBYS_OWN = {"reload", "reportHealth"}


def path_of(route: Route) -> str:
    return route.path.format(host="node-1", operation="1-7", pause="p1", storm="s-1-1")


@pytest.mark.parametrize("route", CHANGES, ids=lambda route: route.name)
async def test_a_standby_changes_nothing_and_names_the_controller_that_acts(api: Api, route: Route) -> None:
    api.control.follow(ACTIVE)
    async with api.client.request(route.method, path_of(route), json=BODIES.get(route.name, {})) as response:
        problem = await response.json() if response.content_type == "application/problem+json" else {}
    if route.name in STANDBYS_OWN:
        assert problem.get("rule") != "standby"
        return
    assert (response.status, problem["rule"], problem["active"]) == (503, "standby", ACTIVE)
    assert api.control.calls == []
    assert int(response.headers["Retry-After"]) >= 1


@pytest.mark.parametrize("route", CHANGES, ids=lambda route: route.name)
async def test_a_standby_accepts_what_only_restricts(api: Api, route: Route) -> None:
    api.control.follow(ACTIVE)
    api.control.accepts_words = True
    headers = {"Idempotency-Key": "one"}
    async with api.client.request(
        route.method, path_of(route), json=BODIES.get(route.name, {}), headers=headers
    ) as response:
        is_refused = response.status == 503 and (await response.json()).get("rule") == "standby"
    is_accepted = route.name in {"disarm", "pause", "setMaintenance"}
    assert is_refused is (not is_accepted and route.name not in STANDBYS_OWN)
    if is_accepted:
        assert response.status == route.status
        assert len(set(api.control.keys)) == 1


async def test_a_standby_looks_who_took_the_lease_a_moment_ago(api: Api) -> None:
    """What it knew may be from before a hand-over."""
    api.control.follow(None)
    api.control.controller_views = [
        controller("fenced-a", epoch=8, address=ACTIVE), controller("fenced-b", is_self=True),
    ]  # fmt: skip
    async with api.client.post("/api/v1/fleet/arm", json={"reason": "r"}) as response:
        problem = await response.json()
    assert (response.status, problem["rule"], problem["active"]) == (503, "standby", ACTIVE)


async def test_a_standby_that_knows_no_active_controller_says_null(api: Api) -> None:
    api.control.follow(None)
    async with api.client.post("/api/v1/fleet/disarm") as response:
        problem = await response.json()
    assert (response.status, problem["rule"]) == (503, "standby")
    assert problem["active"] is None
    async with api.client.get("/api/v1/hosts/nobody") as response:
        assert "active" not in await response.json()  # no other problem has the key


async def test_a_standby_names_nobody_to_a_caller_without_the_role(guarded_api: Api) -> None:
    guarded_api.control.follow(ACTIVE)
    for token, status in (("look-only-1", 403), ("nonsense", 401)):
        headers = {"Authorization": f"Bearer {token}"}
        async with guarded_api.client.post("/api/v1/fleet/arm", headers=headers) as response:
            assert response.status == status
            assert "fenced-a" not in await response.text()


async def test_a_standby_serves_reads_and_is_ready(api: Api) -> None:
    api.control.follow(ACTIVE)
    api.control.unfit = ("the bus is not connected",)
    for path in ("/api/v1/hosts", "/api/v1/hosts/node-1/explain", "/api/v1/operations", "/api/v1/readiness"):
        async with api.client.get(path) as response:
            assert response.status == 200, path
    async with api.client.get("/readyz") as response:
        assert response.status == 200
        daemon = (await response.json())["daemon"]
    async with api.client.get("/api/v1/fleet") as response:
        assert await response.json() == daemon
    assert (daemon["name"], daemon["active"], daemon["standby"]) == ("fenced-b", False, True)
    assert (daemon["fit"], daemon["unfit"]) == (False, ["the bus is not connected"])
    assert daemon["holders"] == {"main": "fenced-a"}


async def test_controllers_are_listed_with_their_state(api: Api) -> None:
    api.control.controller_views = [
        controller("fenced-a", epoch=7, address=ACTIVE, is_self=True),
        controller("fenced-b", unfit=("config_differs",), lag=12),
        controller("fenced-c", is_alive=False),
    ]
    async with api.client.get("/api/v1/controllers") as response:
        answer = await response.json()
    first, second, third = answer["items"]
    assert first == {
        "name": "fenced-a",
        "state": "active",
        "shards": [{"shard": "main", "epoch": 7, "since": "2027-01-15T07:50:00.000Z"}],
        "address": ACTIVE,
        "version": "1.0",
        "heard": "2027-01-15T07:59:59.000Z",
        "lag": 0,
        "fit": True,
        "unfit": [],
    }
    assert (second["state"], second["fit"], second["lag"]) == ("standby", False, 12)
    assert second["unfit"] == ["config_differs"]
    assert (third["state"], third["shards"]) == ("offline", [])


async def test_a_hand_over_names_shard_receiver_and_person(api: Api) -> None:
    api.control.controller_views.append(controller("fenced-b"))
    body = {"shard": "main", "to": "fenced-b", "reason": "upgrade", "by": "alice"}
    async with api.client.post("/api/v1/controllers/hand-over", json=body) as response:
        assert (response.status, await response.json()) == (202, {"shard": "main", "to": "fenced-b"})
    async with api.client.post("/api/v1/controllers/hand-over", json={"reason": "upgrade"}) as response:
        assert (response.status, await response.json()) == (202, {"shard": "main", "to": None})
    assert api.control.calls == [
        ("hand_over", "main", "fenced-b", "alice", "upgrade"),
        ("hand_over", "main", "", "api", "upgrade"),
    ]


async def test_a_hand_over_that_can_not_be_is_refused(api: Api, guarded_api: Api) -> None:
    for body, status in (
        ({"reason": "upgrade"}, 409),  # it is alone
        ({"reason": "upgrade", "to": "nobody"}, 404),
        ({"reason": "upgrade", "shard": "east"}, 404),
        ({"to": "fenced-b"}, 422),
        ({"reason": "upgrade", "to": "two words"}, 422),
    ):
        async with api.client.post("/api/v1/controllers/hand-over", json=body) as response:
            assert response.status == status, body
    for token, status in (("work-2", 403), ("all-3", 409)):
        headers = {"Authorization": f"Bearer {token}"}
        async with guarded_api.client.post(
            "/api/v1/controllers/hand-over", json={"reason": "upgrade"}, headers=headers
        ) as response:
            assert response.status == status


async def test_the_active_one_answers_as_ever(api: Api) -> None:
    async with api.client.post("/api/v1/fleet/disarm", json={"reason": "test"}) as response:
        answer = await response.json()
    assert response.status == 200
    assert (answer["standby"], answer["fit"], answer["holders"]) == (False, True, {"main": "fenced-a"})
