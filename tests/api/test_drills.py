"""Drills over HTTP and with fencectl: who may begin one, what is asked, what is shown, and the exit status."""

import asyncio

import pytest

from fenced.core.durable.state import DrillResult, DrillStep
from fenced.model.power import OperationState
from tests.api.conftest import Api
from tests.api.ctl import ctl, on_terminal
from tests.net import until

WAITED = ("drill", "node-1", "--reason", "monthly", "--yes", "--wait")


async def end_when_started(api: Api, result: DrillResult, *, step: DrillStep | None = None, why: str = "") -> None:
    await until(lambda: api.control.states["node-1"].drill is not None)  # type: ignore[index]
    drill = api.control.states["node-1"].drill  # type: ignore[index]
    assert drill is not None
    api.control.finish(drill.operation, OperationState.DONE)
    api.control.end_drill("node-1", result, step=step, why=why)


async def test_the_host_shows_its_drill_under_way_and_its_result(api: Api) -> None:
    async with api.client.get("/api/v1/hosts/node-1") as before:
        host = await before.json()
    assert (host["drill"], host["last_drill"], host["drilled"]) == (True, None, None)
    async with api.client.post("/api/v1/hosts/node-1/drill", json={"reason": "monthly"}) as answer:
        assert answer.status == 202
        operation = (await answer.json())["operation"]
    async with api.client.get("/api/v1/hosts/node-1") as during:
        last = (await during.json())["last_drill"]
    assert (last["operation"], last["result"], last["ended"]) == (operation, None, None)
    api.control.end_drill("node-1", DrillResult.FAILED, step=DrillStep.ON, why="bmc is dead")
    async with api.client.get("/api/v1/hosts/node-1") as after:
        host = await after.json()
    assert host["last_drill"]["steps"] == {"off": 1000, "silent": 2000, "announced": 3000, "on": None, "heard": None}
    assert (host["last_drill"]["step"], host["last_drill"]["why"], host["drilled"]) == ("on", "bmc is dead", None)


async def test_a_viewer_may_not_drill(guarded_api: Api) -> None:
    headers = {"Authorization": "Bearer look-only-1"}
    async with guarded_api.client.post("/api/v1/hosts/node-1/drill", json={}, headers=headers) as answer:
        assert answer.status == 403
    assert not guarded_api.control.calls


async def test_a_host_that_is_no_host_for_drills_is_refused(api: Api) -> None:
    run = await ctl(api.url, "drill", "node-2", "--yes")
    assert run.code == 3
    assert "no host for drills" in run.err


async def test_without_a_terminal_it_needs_yes(api: Api) -> None:
    run = await ctl(api.url, "drill", "node-1")
    assert run.code == 2
    assert "--yes" in run.err
    assert not api.control.calls


async def test_on_a_terminal_the_name_is_typed(api: Api) -> None:
    question = "Type the host's name"
    run = await on_terminal(api.url, "drill", "node-1", answers=((question, "node-2"),))
    assert (run.code, api.control.calls) == (3, [])
    run = await on_terminal(api.url, "drill", "node-1", answers=((question, "node-1"),))
    assert run.code == 0
    assert "cuts the power of node-1 for real" in run.out
    assert api.control.calls[0][0] == "drill"


async def test_wait_shows_each_step_and_exits_0(api: Api) -> None:
    async with asyncio.TaskGroup() as group:
        waiting = group.create_task(ctl(api.url, *WAITED))
        group.create_task(end_when_started(api, DrillResult.SUCCEEDED))
    run = waiting.result()
    assert run.code == 0, run.err
    lines = run.out.splitlines()
    assert [line.split()[0] for line in lines[-6:-1]] == ["off", "silent", "announced", "on", "heard"]
    assert "the drill of node-1 succeeded" in lines[-1]
    assert "drill of 20" in (await ctl(api.url, "show", "node-1")).out


@pytest.mark.parametrize(
    ("result", "step", "text"),
    [
        (DrillResult.FAILED, DrillStep.SILENT, "FAILED at step silent: it went on beating"),
        (DrillResult.CANCELLED, DrillStep.SILENT, "was cancelled and proves nothing: it went on beating"),
    ],
)
async def test_a_drill_that_did_not_succeed_exits_1_with_its_step(
    api: Api, result: DrillResult, step: DrillStep, text: str
) -> None:
    async with asyncio.TaskGroup() as group:
        waiting = group.create_task(ctl(api.url, *WAITED))
        group.create_task(end_when_started(api, result, step=step, why="it went on beating"))
    assert waiting.result().code == 1
    assert text in waiting.result().out
    words = waiting.result().out.split()
    assert words[words.index(step.value) + 1] == ("failed" if result is DrillResult.FAILED else "-")


async def test_a_drill_that_does_not_end_in_time_is_124(api: Api) -> None:
    api.control.finish_at_once = OperationState.DONE
    run = await ctl(api.url, *WAITED, "--wait-for", "300ms")
    assert run.code == 124
    assert "the drill of node-1 has not ended" in run.err
