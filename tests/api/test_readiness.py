"""`GET readiness`, and `fencectl readiness`, `arm` and `disarm` over it."""

import re
from dataclasses import replace

from fenced.core.durable.held_suspicion import HeldSuspicion, SuspicionEnd
from fenced.core.durable.state import HostState
from fenced.core.heard.looks import Saw
from fenced.core.heard.trials import Trial, TrialView
from fenced.model.names import ENGINE, HostName, ProxyName
from fenced.model.power import Cause, State
from tests.api.conftest import Api
from tests.api.ctl import ctl, on_terminal
from tests.fakes.samples import START, make_host
from tests.net import free_port

NODE = HostName("node-1")
SILENT = "1 host is silent NOW and may be fenced at once: node-3"


def lived(at: float = START - 3600.0) -> HeldSuspicion:
    return HeldSuspicion(
        at=at, cause=Cause.SILENCE, last_heard=at - 20.0, gates=("armed",), would_at=at + 5.0, ended_at=at + 21.0,
        end=SuspicionEnd.HEARD,
    )  # fmt: skip


def make_known(api: Api) -> None:
    """Let every host be known, so that arming concerns it."""
    api.control.states = {name: replace(state, is_known=True) for name, state in api.control.states.items()}


async def answered(api: Api, query: str = "") -> tuple[int, dict[str, object]]:
    async with api.client.get(f"/api/v1/readiness{query}") as response:
        return response.status, await response.json()


async def test_the_answer_has_each_cluster_and_the_hosts_that_hinder(api: Api) -> None:
    make_known(api)
    api.control.states[NODE] = replace(api.control.states[NODE], suspicions=(lived(),))
    async with api.client.get("/api/v1/readiness") as response:
        found = await response.json()
    assert (found["ready"], [cluster["name"] for cluster in found["clusters"]]) == (False, ["c1", "c2"])
    assert found["fleet"]["hosts"] == 4
    assert found["fleet"]["would_be_fences"]["heard"] == 1
    assert found["fleet"]["longest_false_silence_seconds"] == 41.0
    hosts = {host["name"]: host for host in found["hosts"]}
    assert [finding["kind"] for finding in hosts["node-1"]["findings"]].count("false_fence") == 1
    (suspicion,) = hosts["node-1"]["suspicions"]
    assert (suspicion["outcome"], suspicion["silence_seconds"]) == ("heard", 41.0)
    assert {path["device"] for path in hosts["node-1"]["paths"]} == {"pdu-a", "pdu-b"}


async def test_the_looks_at_hosts_that_live_are_in_the_answer_and_in_the_list(api: Api) -> None:
    make_known(api)
    hosts = dict(api.control.inventory.hosts)
    hosts[NODE] = replace(hosts[NODE], address="10.0.0.1", addresses=(("storage", "10.1.0.1"),))
    api.control.inventory = replace(api.control.inventory, hosts=hosts)
    alive = TrialView(
        observer=ENGINE, domain="r1", network="", target="10.0.0.1", at=START, saw=Saw.ALIVE, control="10.0.0.3"
    )
    blind = replace(
        alive,
        observer=ProxyName("px1"),
        domain="",
        network="storage",
        target="10.1.0.1",
        control="",
        why_blind="reached no control",
    )
    trial = Trial(
        at=START, boot=None, needed=2, able=("r1",), missing=("px1: reached no control",), views=(alive, blind)
    )
    api.control.trials[NODE] = trial
    async with api.client.get("/api/v1/readiness?all=true") as response:
        found = await response.json()
    assert found["fleet"]["observable"] == 0, "one of two failure domains"
    (host,) = (host for host in found["hosts"] if host["name"] == NODE)
    first, second = host["looks"]
    assert (first["observer"], first["domain"], first["network"]) == ("engine", "r1", None)
    assert (first["saw"], first["control"], first["blind"], first["silences"]) == ("alive", "10.0.0.3", None, 0)
    assert (second["network"], second["control"], second["blind"]) == ("storage", None, "reached no control")
    lines = (await ctl(api.url, "readiness", "--all")).out.splitlines()
    assert any(re.match(r"  observable  0 of ", line) for line in lines)
    (line,) = (line for line in lines if line.endswith("reached no control"))
    assert line.split()[:5] == ["node-1", "px1", "-", "storage", "alive"]


async def test_filters_and_pages(api: Api) -> None:
    status, found = await answered(api, "?cluster=c1&all=true")
    assert (status, [host["name"] for host in found["hosts"]]) == (200, ["node-1", "node-2"])  # type: ignore[attr-defined]
    status, found = await answered(api, "?match=host%3Dnode-3&all=true")
    assert (status, [host["name"] for host in found["hosts"]]) == (200, ["node-3"])  # type: ignore[attr-defined]
    status, page = await answered(api, "?limit=3&all=true")
    assert page["next"] == "node-3"
    status, rest = await answered(api, "?limit=3&all=true&after=node-3")
    assert ([host["name"] for host in rest["hosts"]], rest["next"]) == (["node-4"], None)  # type: ignore[attr-defined]
    assert rest["fleet"]["hosts"] == 4  # type: ignore[index]


async def test_an_expression_that_selects_no_host_is_not_ready_but_refused(api: Api) -> None:
    assert (await answered(api, "?cluster=nowhere"))[0] == 404
    for expression in ("", "shelf%3D1"):
        status, problem = await answered(api, f"?match={expression}")
        assert (status, problem["rule"]) == (409, "match")
    assert (await answered(api, "?cluster=a%2Ccluster%3Dc1"))[0] == 422


async def test_without_a_token_the_figures_are_refused(guarded_api: Api) -> None:
    assert (await ctl(guarded_api.url, "readiness")).code == 3


# -- fencectl ---------------------------------------------------------------------------------------------------------


async def test_readiness_exits_1_and_names_every_reason(api: Api) -> None:
    make_known(api)
    api.control.states[NODE] = replace(api.control.states[NODE], suspicions=(lived(),))
    run = await ctl(api.url, "readiness")
    assert run.code == 1
    assert "cluster c1: NOT READY" in run.out
    assert "1 in 7 days, 1 heard again in the same run; the longest silence of a host that lived: 41 s" in run.out
    assert "blocks  false_fence: node-1: " in run.out
    assert re.search(r"^node-1 .* armed +heard again in the same run +41 s$", run.out, re.MULTILINE)
    assert "waits   observed_too_short: " in run.out
    assert (await ctl(api.url, "readiness", "--json", "--cluster", "c1")).json["ready"] is False


async def test_hosts_whose_paths_are_not_checked_are_counted(api: Api) -> None:
    """`none` alone reads as if no host could be fenced."""
    out = (await ctl(api.url, "readiness")).out
    fenceable = {tuple(line.split(maxsplit=1)) for line in out.splitlines() if line.startswith("  fenceable")}
    assert ("fenceable", "4 not checked") in fenceable


async def test_readiness_refuses_and_fails_as_other_commands_do(api: Api) -> None:
    assert (await ctl(api.url, "readiness", "--cluster", "nowhere")).code == 3
    assert (await ctl(api.url, "readiness", "--state", "failed")).code == 2
    assert (await ctl(f"http://127.0.0.1:{free_port()}", "readiness")).code == 4


async def test_all_lists_every_host_with_its_paths_from_all_pages(api: Api) -> None:
    found = (await ctl(api.url, "readiness", "--all", "--json")).json
    assert ([host["name"] for host in found["hosts"]], found["next"]) == (
        ["node-1", "node-2", "node-3", "node-4"],
        None,
    )
    run = await ctl(api.url, "readiness", "--all")
    assert "HOST    DEVICE  LEVEL  THROUGH" in run.out


async def test_a_silent_host_that_is_not_automatic_is_not_fenced_at_once(api: Api) -> None:
    control = api.control
    silent = HostState(name=NODE, state=State.FAILED, is_known=True)
    control.states = {NODE: silent}
    for is_automatic in (True, False):
        host = make_host(NODE, "c1")
        host = replace(host, settings=replace(host.settings, automatic=is_automatic))
        control.inventory = replace(control.inventory, hosts={NODE: host})
        async with api.client.get("/api/v1/readiness") as response:
            (shown,) = (await response.json())["hosts"]
        assert [shown[key] for key in ("automatic", "subject", "at_once")] == [is_automatic] * 3


async def test_of_a_large_fleet_only_a_page_is_read_unless_every_host_is_wanted(api: Api) -> None:
    names = [HostName(f"node-{number:03}") for number in range(501)]
    control = api.control
    control.inventory = replace(control.inventory, hosts={name: make_host(name, "c1") for name in names})
    control.states = {name: HostState(name=name) for name in names}
    shown = (await ctl(api.url, "readiness")).out
    assert "never_heard: node-000, " in shown and " and 481 more: " in shown
    assert "and more than 480 more hosts: --all lists them" in shown
    assert len((await ctl(api.url, "readiness", "--json")).json["hosts"]) == 501


async def test_arm_without_a_terminal_says_what_is_fenced_at_once_and_arms(api: Api) -> None:
    make_known(api)
    run = await ctl(api.url, "arm", "--reason", "a quiet week")
    assert (run.code, run.out) == (0, "fenced-a: armed\n")
    assert SILENT in run.err
    assert "4 of 4 hosts may be fenced automatically" in run.err
    assert next(call for call in api.control.calls if call[0] == "arm")[2] == "a quiet week"


async def test_arm_says_that_would_be_fences_were_false(api: Api) -> None:
    api.control.states[NODE] = replace(api.control.states[NODE], suspicions=(lived(),))
    assert "1 would-be fences of the last week were false" in (await ctl(api.url, "arm")).err


async def test_arm_names_no_host_where_none_is_silent(api: Api) -> None:
    api.control.states = {
        name: replace(state, state=State.HEALTHY, held_by=()) for name, state in api.control.states.items()
    }
    run = await ctl(api.url, "arm")
    assert (run.code, "no host would be fenced at once" in run.err) == (0, True)


async def test_arm_asks_on_a_terminal(api: Api) -> None:
    make_known(api)
    run = await on_terminal(api.url, "arm", answers=(("Arm? [y/N]", "n\n"),))
    assert (run.code, SILENT in run.out) == (3, True)
    assert not [call for call in api.control.calls if call[0] == "arm"]
    assert (await on_terminal(api.url, "arm", answers=(("Arm? [y/N]", "y\n"),))).code == 0
    assert (await on_terminal(api.url, "arm", "--yes")).code == 0
    assert len([call for call in api.control.calls if call[0] == "arm"]) == 2


async def test_arm_asks_again_if_more_hosts_fell_silent_before_the_answer(api: Api) -> None:
    make_known(api)
    other = next(name for name, state in api.control.states.items() if state.state is not State.SUSPECT)

    def falls_silent() -> None:
        state = api.control.states[other]
        api.control.states[other] = replace(state, state=State.SUSPECT, is_known=True, held_by=())

    answers = (("Arm? [y/N]", "y"), ("more hosts fell silent meanwhile", "n"))
    run = await on_terminal(api.url, "arm", answers=answers, meanwhile=falls_silent)
    assert (run.code, str(other) in run.out) == (3, True)
    assert not [call for call in api.control.calls if call[0] == "arm"]
