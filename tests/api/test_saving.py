"""Power saving over HTTP: what sleeps, who is woken, and who may request it."""

from typing import Any

from fenced.model.power import Action, State
from fenced.ports.control import Refused
from tests.api.conftest import Api

WAKE = {"cluster": "c1", "hosts": 2, "reason": "a batch begins"}


async def shown(api: Api, query: str = "") -> Any:
    async with api.client.get(f"/api/v1/saving{query}") as response:
        assert response.status == 200, await response.text()
        return (await response.json())["items"]


async def test_each_cluster_says_who_sleeps_and_what_keeps_the_others_awake(api: Api) -> None:
    api.control.save("c1")
    api.control.fall_asleep("node-2")
    api.control.short_of = {"c1": 1}
    saving, still = await shown(api)
    assert (saving["cluster"], saving["enabled"], saving["reserve"], saving["short"]) == ("c1", True, 1, 1)
    assert saving["counts"] == {"hosts": 2, "on": 0, "idle": 0, "asleep": 1, "coming": 0, "lost": 0}
    assert saving["saved_host_hours"] == 1.0
    (sleeper,) = saving["sleepers"]
    assert (sleeper["host"], sleeper["state"], sleeper["wanted_by"]) == ("node-2", "sleeping", None)
    (awake,) = saving["others"]
    assert awake["host"] == "node-1"
    assert [bar["rule"] for bar in awake["bars"]] == ["chassis", "known", "not_idle"]
    assert all(bar["why"] for bar in awake["bars"])
    assert (still["cluster"], still["enabled"], still["others"]) == ("c2", False, [])


async def test_a_sleeper_that_is_wanted_names_who_wants_it(api: Api) -> None:
    api.control.fall_asleep("node-1", waker="slurm", why="a batch", state=State.RESTORING)
    api.control.fall_asleep("node-2", waker="slurm", why="a batch", state=State.SUSPECT)
    (cluster,) = await shown(api, "?cluster=c1")
    found = [(it["host"], it["state"], it["wanted_by"], it["why"]) for it in cluster["sleepers"]]
    assert found == [("node-1", "restoring", "slurm", "a batch"), ("node-2", "suspect", "slurm", "a batch")]
    assert cluster["counts"]["coming"] == 1


async def test_a_cluster_that_does_not_exist_is_not_found(api: Api) -> None:
    async with api.client.get("/api/v1/saving?cluster=c9") as response:
        assert response.status == 404
    async with api.client.post("/api/v1/saving/wake", json={**WAKE, "cluster": "c9"}) as response:
        assert response.status == 404
    async with api.client.get("/api/v1/saving?clusters=c1") as response:
        assert response.status == 422


async def test_a_wake_names_the_hosts_and_how_many_are_short(api: Api) -> None:
    api.control.wakeable = ["node-3"]
    async with api.client.post("/api/v1/saving/wake", json={**WAKE, "more": 1}) as response:
        assert (response.status, await response.json()) == (
            202, {"hosts": ["node-3"], "short": 1, "warnings": ["unknown key 'more' was ignored"]},
        )  # fmt: skip
    assert api.control.calls == [("wake", "c1", 2, "api", "a batch begins")]


async def test_a_wake_needs_a_cluster_a_reason_and_some_hosts(api: Api) -> None:
    for body in ({}, {"cluster": "c1"}, {"cluster": "c1", "reason": " "}, {**WAKE, "hosts": 0}, {**WAKE, "hosts": "2"}):
        async with api.client.post("/api/v1/saving/wake", json=body) as response:
            assert response.status == 422, body
    assert api.control.calls == []


async def test_a_repeated_wake_has_its_key(api: Api) -> None:
    for key in ("k1", "k1", "k2"):
        async with api.client.post("/api/v1/saving/wake", json=WAKE, headers={"Idempotency-Key": key}) as response:
            assert response.status == 202
    assert len({*api.control.keys}) == 2
    assert len({content for _, content in api.control.keys}) == 1


async def test_roles_are_as_for_other_actions(guarded_api: Api) -> None:
    for token, looks, wakes in (("look-only-1", 200, 403), ("work-2", 200, 202), ("wrong", 401, 401)):
        headers = {"Authorization": f"Bearer {token}"}
        async with guarded_api.client.get("/api/v1/saving", headers=headers) as response:
            assert response.status == looks
        async with guarded_api.client.post("/api/v1/saving/wake", json=WAKE, headers=headers) as response:
            assert response.status == wakes


async def test_a_standby_shows_saving_and_names_who_wakes(api: Api) -> None:
    api.control.follow("https://fenced-a.example:8470")
    assert await shown(api)
    async with api.client.post("/api/v1/saving/wake", json=WAKE) as response:
        problem = await response.json()
    assert (response.status, problem["rule"], problem["active"]) == (503, "standby", "https://fenced-a.example:8470")
    assert api.control.calls == []


async def test_sleep_is_an_action_of_a_host_and_wake_is_none(api: Api) -> None:
    body = {"action": "sleep", "reason": "to prove it"}
    async with api.client.post("/api/v1/hosts/node-1/actions", json=body) as response:
        assert response.status == 202
    assert api.control.calls[0][:3] == ("act", "node-1", Action.SLEEP)
    async with api.client.post("/api/v1/hosts/node-1/actions", json={"action": "wake"}) as response:
        problem = await response.json()
    assert (response.status, "saving/wake" in problem["detail"]) == (422, True)
    assert len(api.control.calls) == 1


async def test_a_rule_that_keeps_the_host_awake_is_told(api: Api) -> None:
    api.control.failure = Refused("not_idle", "node-1 stays on: it reports 3 workloads")
    async with api.client.post("/api/v1/hosts/node-1/actions", json={"action": "sleep"}) as response:
        problem = await response.json()
    assert (response.status, problem["rule"]) == (409, "not_idle")
