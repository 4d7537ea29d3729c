"""What the API shows and does, field by field (interface.md#http)."""

import re
from dataclasses import replace

from fenced.core.allowed.catalogue import GATES
from fenced.core.durable.state import Step
from fenced.model.names import ENGINE
from fenced.model.power import Action, What
from fenced.ports.control import Control
from tests.api.conftest import Api, start
from tests.fakes.control import FakeControl
from tests.fakes.samples import START

HOST_FIELDS = {
    "name",
    "cluster",
    "datacenter",
    "state",
    "since",
    "power",
    "last_heard",
    "operation",
    "held_by",
    "maintenance",
    "paused",
    "stay_off",
    "fenceable",
    "misnamed",
    "drill",
    "last_drill",
    "drilled",
}
OPERATION_FIELDS = {
    "id",
    "host",
    "action",
    "state",
    "cause",
    "by",
    "reason",
    "joined",
    "started",
    "ended",
    "token",
    "result",
    "devices",
}


async def test_the_fake_is_a_whole_control() -> None:
    control: Control = FakeControl()  # mypy checks that it implements the port
    assert control.fleet().is_ready


async def test_hosts_are_listed_by_name_in_pages(api: Api) -> None:
    seen: list[str] = []
    after: dict[str, str] = {}
    while True:
        async with api.client.get("/api/v1/hosts", params={"limit": "3", **after}) as response:
            assert response.status == 200
            page = await response.json()
        seen += [host["name"] for host in page["items"]]
        if page["next"] is None:
            break
        after = {"after": page["next"]}
    assert seen == ["node-1", "node-2", "node-3", "node-4"]


async def test_a_page_costs_what_it_shows_not_what_the_fleet_has(api: Api) -> None:
    async with api.client.get("/api/v1/hosts", params={"limit": "1", "after": "node-1"}) as response:
        assert [host["name"] for host in (await response.json())["items"]] == ["node-2"]
    assert api.control.viewed == ["node-2", "node-3"], "the page, and one more: are there others?"


async def test_hosts_are_chosen_by_state_and_cluster(api: Api) -> None:
    async with api.client.get("/api/v1/hosts", params={"state": "suspect"}) as response:
        assert [host["name"] for host in (await response.json())["items"]] == ["node-3"]
    async with api.client.get("/api/v1/hosts", params={"cluster": "c1"}) as response:
        assert [host["name"] for host in (await response.json())["items"]] == ["node-1", "node-2"]
    async with api.client.get("/api/v1/hosts", params={"cluster": "c"}) as response:
        assert (await response.json())["items"] == []  # a prefix of a name does not match


async def test_a_host_has_every_field(api: Api) -> None:
    async with api.client.get("/api/v1/hosts/node-1") as response:
        host = await response.json()
    assert set(host) == HOST_FIELDS
    assert host == {
        "name": "node-1",
        "cluster": "c1",
        "datacenter": "dc1",
        "state": "healthy",
        "since": "2027-01-15T07:59:00.000Z",
        "power": {"pdu-a": "on", "pdu-b": "on"},
        "last_heard": "2027-01-15T07:59:59.000Z",
        "operation": None,
        "held_by": [],
        "maintenance": None,
        "paused": False,
        "stay_off": False,
        "fenceable": None,
        "misnamed": [],
        "drill": True,
        "last_drill": None,
        "drilled": None,
    }
    async with api.client.get("/api/v1/hosts/node-3") as response:
        assert (await response.json())["held_by"] == ["armed"]
    async with api.client.get("/api/v1/hosts/node-2") as response:
        node = await response.json()
        assert node["operation"] == "1-7"
        assert node["fenceable"] == {
            "level": "degraded",
            "since": "2027-01-15T08:00:00.000Z",
            "why": [{"device": "pdu-b", "reason": "unreadable", "text": "through engine: no route to host"}],
        }
    async with api.client.get("/api/v1/hosts/node-4") as response:
        assert (await response.json())["since"] is None


async def test_an_operation_has_every_field(api: Api) -> None:
    async with api.client.get("/api/v1/operations/1-7") as response:
        operation = await response.json()
    assert set(operation) >= OPERATION_FIELDS
    assert {key: operation[key] for key in ("id", "host", "action", "state", "cause", "joined", "token")} == {
        "id": "1-7",
        "host": "node-2",
        "action": "restart",
        "state": "done",
        "cause": "silence",
        "joined": ["alice"],
        "token": "1-6",
    }
    assert operation["started"] == "2027-01-15T08:00:00.000Z"
    assert operation["ended"] == "2027-01-15T08:00:06.250Z"
    assert operation["result"] == {
        "power": "on",
        "fenced": True,
        "proof": "device_verified",
        "level": 1,
        "restored": "all",
    }
    worked, found_off = operation["devices"]
    assert set(worked) == {"name", "level", "power", "already", "cuts_power", "race", "excluded", "steps"}
    assert worked["race"] == [
        {
            "proxy": "px1",
            "tier": 1,
            "verdict": "timed_out",
            "started_ms": 0,
            "ended_ms": 5000,
            "error": "no answer",
            "power": None,
        },
        {"proxy": "px2", "tier": 1, "verdict": "won", "started_ms": 250, "ended_ms": 310, "error": None, "power": "on"},
        {
            "proxy": "engine",
            "tier": 2,
            "verdict": "not_started",
            "started_ms": None,
            "ended_ms": None,
            "error": None,
            "power": None,
        },
    ]
    assert worked["excluded"] == [{"proxy": "node-2", "why": "the target itself"}]
    assert worked["steps"][0] == {
        "what": "off",
        "proxy": "px2",
        "started_ms": 400,
        "ended_ms": 1400,
        "outcome": "timed_out",
        "error": "no answer from 10.9.1.1",
    }
    assert (worked["already"], found_off["already"]) == (False, True)


async def test_a_step_under_way_is_shown_once(api: Api) -> None:
    operation = api.control.all_operations[0]
    running = Step(number=8, what=What.STATUS, proxy=ENGINE, started=START + 7)
    first = replace(operation.devices[0], step=running)
    second = replace(operation.devices[1], step=operation.devices[1].steps[-1])
    api.control.update("1-7", replace(operation, devices=(first, second)))
    async with api.client.get("/api/v1/operations/1-7") as response:
        devices = (await response.json())["devices"]
    assert devices[0]["steps"][-1] == {
        "what": "status",
        "proxy": "engine",
        "started_ms": 7000,
        "ended_ms": None,
        "outcome": None,
        "error": None,
    }
    assert len(devices[1]["steps"]) == len(operation.devices[1].steps)


async def test_operations_are_listed_newest_first_in_pages(api: Api) -> None:
    for action in ("status", "probe", "off"):
        async with api.client.post("/api/v1/hosts/node-2/actions", json={"action": action}) as response:
            assert response.status == 202
    async with api.client.get("/api/v1/operations", params={"limit": "2"}) as response:
        first = await response.json()
    async with api.client.get("/api/v1/operations", params={"limit": "2", "after": first["next"]}) as response:
        second = await response.json()
    assert [item["action"] for item in first["items"] + second["items"]] == ["off", "probe", "status", "restart"]
    assert second["next"] is None
    async with api.client.get("/api/v1/operations", params={"state": "done", "host": "node-2"}) as response:
        assert [item["id"] for item in (await response.json())["items"]] == ["1-7"]


async def test_an_equal_request_joins(api: Api) -> None:
    ids = []
    for _ in range(2):
        async with api.client.post("/api/v1/hosts/node-2/actions", json={"action": "off"}) as response:
            assert response.status == 202
            ids.append(await response.json())
    assert ids[0] == ids[1] == {"operation": "2-1", "warnings": []}


async def test_an_unknown_key_is_ignored_and_reported(api: Api) -> None:
    body = {"action": "status", "forse": True}
    async with api.client.post("/api/v1/hosts/node-2/actions", json=body) as response:
        assert response.status == 202
        assert (await response.json())["warnings"] == ["unknown key 'forse' was ignored"]


async def test_the_action_reaches_the_engine_whole(api: Api) -> None:
    body = {"action": "restart", "reason": "  rack work ", "force": True, "by": "alice"}
    async with api.client.post("/api/v1/hosts/node-1/actions", json=body) as response:
        assert response.status == 202
    assert api.control.calls == [("act", "node-1", Action.RESTART, "alice", "rack work", True)]


async def test_by_comes_from_the_body_the_header_or_is_api(api: Api) -> None:
    for headers, body in (({}, {}), ({"X-Fenced-By": "bob"}, {}), ({"X-Fenced-By": "bob"}, {"by": "carol"})):
        given = {"action": "status", **body}
        async with api.client.post("/api/v1/hosts/node-2/actions", json=given, headers=headers) as response:
            assert response.status == 202
    assert [call[3] for call in api.control.calls] == ["api", "bob", "carol"]


async def test_explain_shows_gates_plan_and_records_without_secrets(api: Api) -> None:
    async with api.client.get("/api/v1/hosts/node-3/explain") as response:
        text = await response.text()
        found = await response.json()
    assert "hunter2" not in text
    assert found["host"]["name"] == "node-3"
    assert found["gates"][0] == {
        "gate": "armed", "open": False, "why": "the file says armed = false", "margin": None,
        "opens_when": GATES["armed"].opens_when,
    }  # fmt: skip
    assert len(found["summary"]) == 2
    assert found["plan"] == [{"level": 1, "devices": ["pdu-a", "pdu-b"]}]
    assert [record["kind"] for record in found["records"]] == ["operation_started", "host_heard"]
    assert found["records"][0]["facts"] == {"operation": "1-7", "slot": "running"}
    assert found["devices"][0]["driver"] == "fence_dummy"


async def test_a_refusal_names_its_rule(api: Api) -> None:
    async with api.client.post("/api/v1/hosts/node-1/actions", json={"action": "off"}) as response:
        assert response.status == 409
        assert response.content_type == "application/problem+json"
        problem = await response.json()
    assert problem["rule"] == "alive"
    assert problem["status"] == 409
    assert problem["title"] == "Conflict"
    assert "alive" in problem["detail"]


async def test_confirm_off_with_force_needs_the_name_again(api: Api) -> None:
    path = "/api/v1/hosts/node-1/confirm-off"
    for body, status in (
        ({"reason": "unplugged"}, 409),
        ({"reason": "unplugged", "force": True}, 422),
        ({"reason": "unplugged", "force": True, "host": "node-2"}, 422),
        ({"force": True, "host": "node-1"}, 422),
        ({"reason": "unplugged", "force": True, "host": "node-1"}, 202),
    ):
        async with api.client.post(path, json=body) as response:
            assert response.status == status, await response.text()
    async with api.client.post("/api/v1/hosts/nobody/confirm-off", json={"reason": "x", "force": True}) as response:
        assert response.status == 404


async def test_maintenance_takes_a_duration_or_a_time(api: Api) -> None:
    path = "/api/v1/hosts/node-1/maintenance"
    for until, expected in (("2h", START + 7200), ("2027-01-16T08:00:00+00:00", START + 86400), (None, None)):
        async with api.client.put(path, json={"reason": "new disk", "until": until}) as response:
            assert response.status == 200
            shown = (await response.json())["maintenance"]
        assert api.control.calls[-1] == ("set_maintenance", "node-1", "api", "new disk", expected)
    assert shown == {"by": "api", "reason": "new disk", "since": "2027-01-15T08:00:00.000Z", "until": None}
    async with api.client.delete(path, json={"reason": "done"}) as response:
        assert response.status == 200
        assert (await response.json())["maintenance"] is None
    async with api.client.delete(path) as response:
        assert response.status == 200  # the body is optional


async def test_cancel_ends_a_running_operation_only(api: Api) -> None:
    async with api.client.post("/api/v1/hosts/node-2/actions", json={"action": "off"}) as response:
        name = (await response.json())["operation"]
    async with api.client.post(f"/api/v1/operations/{name}/cancel", json={"reason": "wrong host"}) as response:
        assert response.status == 202
        assert (await response.json())["operation"] == name
    async with api.client.post(f"/api/v1/operations/{name}/cancel") as response:
        assert response.status == 409
        assert (await response.json())["rule"] == "ended"


async def test_pauses_are_made_listed_and_ended(api: Api) -> None:
    body = {"match": "cluster=c1", "reason": "switch work", "until": "30m"}
    async with api.client.post("/api/v1/pauses", json=body) as response:
        assert response.status == 201
        made = await response.json()
    assert made["until"] == "2027-01-15T08:30:00.000Z"
    async with api.client.get("/api/v1/pauses") as response:
        assert await response.json() == {"items": [made], "next": None}
    async with api.client.delete(f"/api/v1/pauses/{made['id']}") as response:
        assert response.status == 204
    async with api.client.delete(f"/api/v1/pauses/{made['id']}") as response:
        assert response.status == 404
    async with api.client.post("/api/v1/pauses", json={**body, "match": "cluster=nowhere"}) as response:
        assert response.status == 409
        assert (await response.json())["rule"] == "match"


async def test_arm_and_disarm(api: Api) -> None:
    async with api.client.post("/api/v1/fleet/disarm", json={"reason": "storage move"}) as response:
        assert (await response.json())["armed"] is False
    async with api.client.post("/api/v1/fleet/arm") as response:
        assert (await response.json())["armed"] is True
    assert api.control.calls == [("disarm", "api", "storage move"), ("arm", "api", "")]


async def test_the_store_is_released_once_and_with_a_reason(api: Api) -> None:
    api.control.store_hold = "another one stands there"
    async with api.client.post("/api/v1/store/release", json={"reason": ""}) as response:
        assert response.status == 422
    async with api.client.get("/readyz") as response:
        assert (await response.json())["daemon"]["store_held"] == "another one stands there"
    async with api.client.post("/api/v1/store/release", json={"reason": "looked"}) as response:
        assert (response.status, (await response.json())["store_held"]) == (200, None)
    async with api.client.post("/api/v1/store/release", json={"reason": "looked"}) as response:
        assert (response.status, (await response.json())["rule"]) == (409, "store")
    assert api.control.calls == [("release_store", "api", "looked")]


async def test_every_time_is_shown_by_the_right_wall_clock() -> None:
    """The steady clock is 73 years ahead of it."""
    ahead = 73 * 365 * 86400.0
    async for api in start(wall=lambda at: at - ahead):
        for path in ("hosts/node-1", "hosts/node-1/explain", "hosts", "operations"):
            async with api.client.get(f"/api/v1/{path}") as response:
                assert response.status == 200
                years = {int(year) for year in re.findall(r"(\d{4})-\d\d-\d\dT", await response.text())}
            assert years and all(year < 1970 for year in years), path
