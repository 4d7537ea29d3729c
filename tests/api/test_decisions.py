"""Decision records over HTTP and with `fencectl explain --at`."""

import json
from dataclasses import replace

import pytest

from fenced.api.times import parse_past
from fenced.core.decided.lines import LINES_MAX, lines
from fenced.core.durable.decision import ShutGate
from fenced.model.moments import as_steady, rfc3339
from fenced.model.names import HostName
from tests.api.conftest import Api
from tests.api.ctl import ctl
from tests.fakes.decisions import FIRST_AT, NODE, samples

HELD, FENCED, REFUSED = (rfc3339(as_steady(FIRST_AT + 60.0 * number)) for number in range(3))


async def listed(api: Api, query: str = "") -> list[str]:
    async with api.client.get(f"/api/v1/hosts/{NODE}/decisions{query}") as response:
        assert response.status == 200
        return [item["id"] for item in (await response.json())["items"]]


async def test_they_come_newest_first_page_by_page(api: Api) -> None:
    assert await listed(api) == ["d-1-3", "d-1-2", "d-1-1"]
    async with api.client.get(f"/api/v1/hosts/{NODE}/decisions?limit=2") as response:
        page = await response.json()
    assert [item["id"] for item in page["items"]] == ["d-1-3", "d-1-2"]
    assert await listed(api, f"?limit=2&after={page['next']}") == ["d-1-1"]


async def test_before_is_a_moment_and_its_own_millisecond_counts(api: Api) -> None:
    assert await listed(api, f"?before={FENCED}") == ["d-1-2", "d-1-1"]
    assert await listed(api, f"?before={rfc3339(FIRST_AT + 59.9)}") == ["d-1-1"]
    assert await listed(api, f"?before={rfc3339(FIRST_AT - 1.0)}") == []
    api.clock.at = FIRST_AT + 70.0
    assert await listed(api, "?before=5s") == ["d-1-2", "d-1-1"]


@pytest.mark.parametrize("before", ["yesterday", "2026-01-31T03:12:00", "-5m", ""])
async def test_a_moment_that_nobody_can_read_is_refused(api: Api, before: str) -> None:
    async with api.client.get(f"/api/v1/hosts/{NODE}/decisions", params={"before": before}) as response:
        assert response.status == 422
        assert (await response.json())["errors"][0]["path"] == "before"


async def test_unknown_hosts_and_pages_are_not_found(api: Api) -> None:
    for path, status in (("nobody/decisions", 404), (f"{NODE}/decisions?after=x", 422)):
        async with api.client.get(f"/api/v1/hosts/{path}") as response:
            assert response.status == status


async def test_a_record_has_the_names_of_the_interface(api: Api) -> None:
    async with api.client.get(f"/api/v1/hosts/{NODE}/decisions?before={FENCED}&limit=1") as response:
        (record,) = (await response.json())["items"]
    wanted = {"id", "at", "host", "outcome", "inputs", "confirm", "gates", "policy", "plan"}
    assert wanted <= record.keys()
    assert (record["at"], record["host"], record["outcome"], record["policy"]) == (FENCED, NODE, "fence", "abc")
    assert record["inputs"][0].keys() == {"what", "value", "age", "source"}
    seen = {"observer", "domain", "network", "target", "answer", "control", "milliseconds"}
    assert record["confirm"][0].keys() == seen
    assert record["gates"] == [
        {
            "gate": "connectivity", "open": True, "why": "1 of 4 hosts of the cluster are overdue",
            "margin": "3 more overdue", "opens_when": None,
        }
    ]  # fmt: skip
    assert record["plan"]["devices"][0] == {
        "device": "pdu-a", "level": 1, "driver": "fence_apc", "through": ["px1"], "more": 2,
    }  # fmt: skip


async def test_explain_at_tells_the_last_decision_up_to_then_in_ten_lines(api: Api) -> None:
    run = await ctl(api.url, "explain", NODE, "--at", FENCED)
    assert run.code == 0
    told = run.out.splitlines()
    assert told[0] == f"{FENCED}  node-1 was to be fenced: every gate was open."
    assert "fencectl operation 1-5" in told[-1]
    assert len(told) <= LINES_MAX
    held = await ctl(api.url, "explain", NODE, "--at", rfc3339(FIRST_AT + 59.0))
    assert held.out.splitlines()[:3] == [
        f"{HELD}  node-1 was not fenced: paused held it.",
        "  paused: paused by ann: switch work",
        "    opens when its time is over",
    ]


async def test_explain_at_takes_a_duration_with_or_without_ago(api: Api) -> None:
    api.clock.at = FIRST_AT + 130.0
    for at in ("65s", "65s ago"):
        run = await ctl(api.url, "explain", NODE, "--at", at)
        assert run.out.startswith(FENCED), run.out
    last = await ctl(api.url, "explain", NODE, "--at", "0s")
    assert last.out.splitlines()[0] == f"{REFUSED}  A request for node-1 by ann was refused: off: test."


async def test_explain_at_says_so_where_nothing_is_kept(api: Api) -> None:
    run = await ctl(api.url, "explain", NODE, "--at", rfc3339(FIRST_AT - 1.0))
    assert run.code == 0
    assert run.out.startswith("No decision about node-1 is kept from before ")


async def test_json_prints_the_record_and_all_the_rest_of_it(api: Api) -> None:
    run = await ctl(api.url, "explain", NODE, "--at", FENCED, "--json")
    assert json.loads(run.out)["id"] == "d-1-2"
    whole = await ctl(api.url, "explain", NODE, "--at", FENCED, "--all")
    for words in (
        "3 more overdue",
        "OBSERVER",
        "level 1  pdu-a (fence_apc) through px1 and 2 more",
        "configuration abc",
    ):
        assert words in whole.out


async def test_the_live_answer_names_the_last_decision(api: Api) -> None:
    async with api.client.get(f"/api/v1/hosts/{NODE}/explain") as response:
        assert (await response.json())["decision"] is None


def test_no_record_takes_more_than_ten_lines() -> None:
    for one in samples():
        many = tuple(ShutGate(gate=f"g{number}", why="w", opens_when="o", margin="m") for number in range(20))
        told = lines(HostName("node-1"), replace(one.record, shut=many))
        assert 0 < len(told) <= LINES_MAX


def test_a_time_is_meant_by_the_wall_clock_of_that_moment() -> None:
    """The steady clock was 50 s ahead until 5,000 and is 70 s ahead now."""

    def wall(at: float) -> float:
        return at - (50.0 if at < 5_000.0 else 70.0)

    assert parse_past(rfc3339(1_000.0), 9_000.0, 70.0, wall) == 1_050.0
    assert parse_past(rfc3339(8_000.0), 9_000.0, 70.0, wall) == 8_070.0
    assert parse_past("10m", 9_000.0, 70.0, wall) == 8_400.0
