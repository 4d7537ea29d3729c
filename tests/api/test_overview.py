"""`fencectl status` without a host: one page about the daemon and its fleet, and an exit status for monitoring."""

from dataclasses import replace

from fenced.core.durable.drill_state import Drill, DrillResult, DrillStep
from fenced.core.durable.state import Fenceable, FenceableLevel, Reason
from fenced.model.names import HostName, OperationId
from fenced.model.power import State
from tests.api.conftest import Api
from tests.api.ctl import ctl
from tests.net import free_port


async def test_status_without_a_host_is_a_page_with_an_exit_status_for_monitoring(api: Api) -> None:
    api.control.states = {name: state for name, state in api.control.states.items() if name == "node-1"}
    run = await ctl(api.url, "status")
    assert run.code == 1  # the fake daemon warns of the broker
    assert run.out.startswith("WARNING: the broker does not take the messages of node-2; 1 hosts: 1 healthy")
    api.control.is_armed = False
    assert "not armed (disarmed by an operator)" in (await ctl(api.url, "status")).out
    api.control.is_ready = False
    run = await ctl(api.url, "status")
    assert run.code == 2
    assert run.out.startswith("CRITICAL: not ready: bus not connected")


async def test_status_names_the_hosts_that_need_someone(api: Api) -> None:
    state = api.control.states[HostName("node-2")]
    api.control.states[HostName("node-2")] = replace(state, state=State.FAILED, fenceable=None)
    run = await ctl(api.url, "--json", "status")
    assert run.code == 2
    assert run.json["level"] == "critical"
    assert {host["name"] for host in run.json["hosts"]} == {"node-1", "node-2", "node-3", "node-4"}
    out = (await ctl(api.url, "status")).out
    assert "critical  not proven off, and no attempt left for now: node-2" in out
    assert "warning   held: node-3" in out
    assert "warning   never heard: node-4" in out


async def test_status_counts_and_names_hosts_without_a_device(api: Api) -> None:
    bare = Reason(device=None, kind="no_device", text="it has no power device")
    lost = Reason(device=None, kind="no_proxy", text="no proxy reaches it")
    for name, why in (("node-2", bare), ("node-4", bare), ("node-3", lost)):
        level = Fenceable(level=FenceableLevel.NONE, since=1.0, why=(why,))
        state = api.control.states[HostName(name)]
        api.control.states[HostName(name)] = replace(state, fenceable=level)
    out = (await ctl(api.url, "status")).out
    assert "warning   has no power device: node-2, node-4" in out
    assert "warning   can't be fenced by any path: node-3" in out
    assert "no power device  2: node-2, node-4" in out


async def test_status_of_a_daemon_that_does_not_answer_is_critical_and_of_one_that_refuses_unknown(
    guarded_api: Api,
) -> None:
    away = await ctl(f"http://127.0.0.1:{free_port()}", "status")
    assert (away.code, away.out.partition(":")[0]) == (2, "CRITICAL")
    refused = await ctl(guarded_api.url, "status")
    assert (refused.code, refused.out.partition(":")[0]) == (3, "UNKNOWN")


async def test_status_names_hosts_whose_last_drill_failed(api: Api) -> None:
    failed = Drill(
        operation=OperationId("1-1"), by="person", reason="", started=1.0, boot=None, ended=2.0,
        result=DrillResult.FAILED, failed_step=DrillStep.SILENT, why="it went on beating",
    )  # fmt: skip
    for name in ("node-1", "node-2"):  # node-2 is no host for drills any more
        state = api.control.states[HostName(name)]
        api.control.states[HostName(name)] = replace(state, last_drill=failed)
    assert "warning   its last drill failed: node-1\n" in (await ctl(api.url, "status")).out
