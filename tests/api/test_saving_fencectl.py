"""`fencectl saving`, `wake` and `sleep` against the API: pages, exit codes, waiting."""

import asyncio
from dataclasses import replace

import pytest

from fenced.cli.fencectl.saving import page
from fenced.core.durable.sleep_state import NEVER
from fenced.model.names import HostName
from fenced.model.power import Action, OperationState, Power, State
from fenced.ports.control import Refused
from tests.api.conftest import Api
from tests.api.ctl import ctl
from tests.fakes.samples import START
from tests.net import until

WAKE = ("wake", "--cluster", "c1", "--reason", "a batch begins")


def heard(api: Api, name: str) -> None:
    """Let a sleeper be heard again."""
    before = api.control.states[HostName(name)]
    api.control.states[before.name] = replace(before, state=State.HEALTHY, saving=NEVER)


# -- saving -----------------------------------------------------------------------------------------------------------


async def test_saving_says_who_sleeps_and_why_the_others_do_not(api: Api) -> None:
    api.control.save("c1")
    api.control.fall_asleep("node-2", waker="slurm", why="a batch begins", state=State.RESTORING)
    api.control.short_of = {"c1": 1}
    run = await ctl(api.url, "saving")
    assert run.code == 0
    lines = run.out.splitlines()
    assert lines[0].startswith("c1: 0 of 2 hosts on, 0 idle (reserve 1), 1 asleep, 1 waking, 1 SHORT")
    assert "1.0 host-hours saved" in " ".join(run.out.split())
    (sleeper,) = [line for line in lines if line.startswith("  node-2")]
    assert sleeper.split() == [
        "node-2", "restoring", "2027-01-15", "07:00:00Z", "slurm:", "a", "batch", "begins",
    ]  # fmt: skip
    (awake,) = [line for line in lines if line.startswith("  node-1")]
    assert awake.split()[1] == "chassis"
    assert lines[-1] == "c2: saving is not enabled"
    assert all(len(line) <= 100 for line in lines)
    run = await ctl(api.url, "saving", "--cluster", "c1", "--all")
    assert "not_idle" in run.out
    assert "c2" not in run.out


async def test_saving_as_json_is_the_answer_of_the_api(api: Api) -> None:
    api.control.fall_asleep("node-2")
    run = await ctl(api.url, "saving", "--cluster", "c1", "--json")
    (item,) = run.json["items"]
    assert (item["cluster"], item["sleepers"][0]["host"], item["sleepers"][0]["wanted_by"]) == ("c1", "node-2", None)
    assert (await ctl(api.url, "saving", "--cluster", "c9")).code == 3


@pytest.mark.parametrize("width", [40, 80, 200])
def test_the_page_fits_the_terminal(width: int) -> None:
    bar = {"rule": "not_idle", "why": "it reports 3 workloads, and more words than a narrow terminal has room for"}
    item = {
        "cluster": "c1", "enabled": True, "reserve": 1, "short": 0, "saved_host_hours": 12.34,
        "counts": {"hosts": 9, "on": 8, "idle": 1, "asleep": 1, "coming": 0, "lost": 1},
        "sleepers": [{"host": "n1", "state": "sleeping", "since": None, "wanted_by": "a\x1b[1mby", "why": "w " * 9}],
        "others": [{"host": f"n{number}", "bars": [bar], "operation": None} for number in range(2, 9)]
        + [{"host": "n9", "bars": [], "operation": "4-1"}],
    }  # fmt: skip
    for is_all in (False, True):
        lines = list(page([item], width=width, is_all=is_all))
        assert all(line.isprintable() for line in lines)
        assert all(len(line) <= max(width, 80) for line in lines), lines
        told = " ".join(" ".join(lines).split())
        assert "being put to sleep" in told
        assert "1 lost" in told
    assert "n2, n3, n4, n5 and 3 more" in " ".join(page([item], width=width))
    assert list(page([], width=width)) == ["no cluster"]


# -- wake -------------------------------------------------------------------------------------------------------------


async def test_wake_names_the_hosts_and_how_many_are_short(api: Api) -> None:
    api.control.wakeable = ["node-2", "node-1"]
    run = await ctl(api.url, *WAKE)
    assert (run.code, run.out, run.err) == (0, "node-2\n", "")
    assert api.control.calls[0][:3] == ("wake", "c1", 1)
    run = await ctl(api.url, *WAKE, "--hosts", "3")
    assert (run.code, run.out) == (1, "node-1\n")
    assert "2 short" in run.err
    run = await ctl(api.url, *WAKE, "--json")
    assert (run.code, run.json) == (1, {"hosts": [], "short": 1, "warnings": []})


async def test_wake_waits_until_each_host_is_heard(api: Api) -> None:
    api.control.wakeable = ["node-1", "node-2"]
    for name in ("node-1", "node-2"):
        api.control.fall_asleep(name, waker="me", why="a batch", state=State.RESTORING)
    async with asyncio.TaskGroup() as group:
        waiting = group.create_task(ctl(api.url, *WAKE, "--hosts", "2", "--wait"))
        await until(lambda: bool(api.control.calls))
        heard(api, "node-1")
        await asyncio.sleep(0.3)
        assert not waiting.done()
        heard(api, "node-2")
    run = waiting.result()
    assert (run.code, run.out) == (0, "node-1\nnode-2\n")


async def test_a_host_that_does_not_come_is_a_failure(api: Api) -> None:
    api.control.wakeable = ["node-1", "node-2"]
    api.control.fall_asleep("node-2", waker="me", why="a batch", state=State.SUSPECT)
    run = await ctl(api.url, *WAKE, "--hosts", "2", "--wait-for", "20s")
    assert (run.code, run.out) == (1, "node-1\n")
    assert "did not come: node-2" in run.err


async def test_a_wake_that_takes_too_long_is_124(api: Api) -> None:
    api.control.wakeable = ["node-2"]
    api.control.fall_asleep("node-2", waker="me", why="a batch")
    run = await ctl(api.url, *WAKE, "--wait-for", "300ms")
    assert run.code == 124
    assert "it goes on" in run.err


async def test_wake_usage_and_refusals(api: Api) -> None:
    for words in (("wake",), ("wake", "--cluster", "c1"), (*WAKE, "--hosts", "0")):
        assert (await ctl(api.url, *words)).code == 2
    assert (await ctl(api.url, "wake", "--cluster", "c9", "--reason", "r")).code == 3
    api.control.follow(None)
    assert (await ctl(api.url, *WAKE)).code == 4
    assert api.control.calls == []


async def test_of_several_addresses_the_one_that_acts_wakes(api: Api) -> None:
    api.control.wakeable = ["node-2"]
    run = await ctl(f"http://127.0.0.1:1,{api.url}", *WAKE)
    assert (run.code, run.out) == (0, "node-2\n")


# -- sleep ------------------------------------------------------------------------------------------------------------


async def test_sleep_prints_the_id_and_waits_if_told(api: Api) -> None:
    run = await ctl(api.url, "sleep", "node-1", "--reason", "to prove it")
    assert (run.code, run.out) == (0, "2-1\n")
    assert api.control.calls[0][:3] == ("act", "node-1", Action.SLEEP)
    async with asyncio.TaskGroup() as group:
        waiting = group.create_task(ctl(api.url, "sleep", "node-2", "--wait"))
        await until(lambda: len(api.control.all_operations) == 3)
        found = api.control.all_operations[-1]
        api.control.update(found.id, replace(found, state=OperationState.DONE, ended=START + 90, power=Power.OFF))
    run = waiting.result()
    assert (run.code, run.out.splitlines()[-1]) == (0, "node-2 sleeps after 90.00 s")


async def test_a_host_that_stays_on_is_told_with_the_reason(api: Api) -> None:
    api.control.finish_at_once = OperationState.FAILED
    run = await ctl(api.url, "sleep", "node-2", "--wait")
    assert run.code == 1
    assert "sleep failed: node-2 does not sleep; power reads" in run.out
    api.control.failure = Refused("not_idle", "node-1 stays on: it reports 3 workloads")
    run = await ctl(api.url, "sleep", "node-1")
    assert run.code == 3
    assert "it reports 3 workloads" in run.err
