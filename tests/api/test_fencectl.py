"""fencectl as operators and scripts run it: arguments, exit status, output."""

import asyncio
import json
import signal
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from fenced.core.durable.state import Restored
from fenced.model.power import OperationState, Power
from fenced.ports.control import Unavailable
from tests.api.conftest import Api
from tests.api.ctl import PROGRAM, ctl, environment, on_terminal
from tests.fakes.samples import START
from tests.net import free_port, until


def running(api: Api) -> str | None:
    """Return the id of the newest operation, if it runs."""
    newest = api.control.all_operations[-1]
    return newest.id if newest.state is OperationState.RUNNING else None


async def end_when_started(
    api: Api, state: OperationState, *, power: Power = Power.OFF, is_fenced: bool = True
) -> None:
    await until(lambda: running(api) is not None)
    name = running(api)
    assert name is not None
    api.control.finish(name, state, power=power, is_fenced=is_fenced)


async def test_hosts(api: Api) -> None:
    run = await ctl(api.url, "hosts")
    assert run.code == 0
    lines = run.out.splitlines()
    assert lines[0].split() == ["HOST", "CLUSTER", "STATE", "POWER", "FENCEABLE", "SINCE", "REMARKS"]
    assert lines[1].split()[:4] == ["node-1", "c1", "healthy", "on"]
    assert "held by armed" in lines[3]
    run = await ctl(api.url, "--json", "hosts", "--state", "healthy")
    assert [host["name"] for host in run.json["items"]] == ["node-1"]
    behind = await ctl(api.url, "hosts", "--json", "--state", "healthy")
    assert behind.json == run.json


async def test_show_has_all_devices_and_reasons(api: Api) -> None:
    run = await ctl(api.url, "show", "node-3")
    assert run.code == 0
    assert "held by armed: the file says armed = false" in run.out
    for device in ("pdu-a", "pdu-b"):
        assert f"{device}   1      outlet" in run.out
    assert (await ctl(api.url, "show", "node-3", "--json")).json["name"] == "node-3"


async def test_explain_prints_ten_lines_at_most_and_each_gate_with_all(api: Api) -> None:
    short = await ctl(api.url, "explain", "node-3")
    assert short.out.splitlines() == [
        "node-1 is healthy: heard 1.0 s ago, its grace is 15 s.", "If it died now: it would be fenced.",
    ]  # fmt: skip
    run = await ctl(api.url, "explain", "node-3", "--all")
    assert run.code == 0
    assert run.out.startswith(short.out)
    assert "armed  CLOSED          the file says armed = false" in run.out
    assert "lease  open" in run.out
    assert "host_heard" in run.out
    assert "hunter2" not in run.out


async def test_without_wait_it_prints_the_id(api: Api) -> None:
    run = await ctl(api.url, "off", "node-2", "--reason", "rack work")
    assert (run.code, run.out, run.err) == (0, "2-1\n", "")
    assert api.control.calls[0][4] == "rack work"
    assert api.control.calls[0][3] not in ("", "api")  # the unix user


async def test_wait_ends_with_the_operation_and_says_whether_it_is_fenced(api: Api) -> None:
    async with asyncio.TaskGroup() as group:
        waiting = group.create_task(ctl(api.url, "off", "node-2", "--wait"))
        group.create_task(end_when_started(api, OperationState.DONE))
    run = waiting.result()
    assert run.code == 0
    lines = run.out.splitlines()
    assert any("pdu-a: status via engine: off" in line for line in lines)
    assert lines[-1].startswith("node-2 is fenced after 1.00 s: off, read back on every device")


async def test_a_failed_operation_exits_1_and_says_not_fenced(api: Api) -> None:
    api.control.finish_at_once = OperationState.FAILED
    run = await ctl(api.url, "off", "node-2", "--wait")
    assert run.code == 1
    assert run.out.splitlines()[-1].startswith("off failed: node-2 is NOT fenced")
    run = await ctl(api.url, "off", "node-2", "--wait", "--json")
    assert run.code == 1
    assert run.json["state"] == "failed"
    assert "NOT fenced" in run.err


async def test_a_failed_restore_exits_1_and_says_that_it_is_fenced(api: Api) -> None:
    api.control.finish_at_once = OperationState.FAILED
    async with asyncio.TaskGroup() as group:
        api.control.finish_at_once = None
        waiting = group.create_task(ctl(api.url, "restart", "node-2", "--wait"))
        await until(lambda: running(api) is not None)
        found = api.control.all_operations[-1]
        failed = replace(
            found,
            state=OperationState.FAILED,
            ended=START + 9,
            is_fenced=True,
            power=Power.OFF,
            restored=Restored.NO,
        )
        api.control.update(found.id, failed)
    run = waiting.result()
    assert run.code == 1
    assert "restart failed: node-2 is fenced" in run.out
    assert "restored: no" in run.out


async def test_not_ended_in_time_is_124(api: Api) -> None:
    run = await ctl(api.url, "off", "node-2", "--wait-for", "300ms")
    assert run.code == 124
    assert "it goes on" in run.err


async def test_usage_is_2(api: Api) -> None:
    for words in (
        ("of", "node-1"),
        ("off",),
        ("off", "node-1", "--wait-for", "soon"),
        ("maintenance", "node-1", "on"),
        ("maintenance", "node-1", "off", "--reason", "x", "--until", "2h"),
        ("confirm-off", "node-1"),
        ("hosts", "--no-such"),
    ):
        assert (await ctl(api.url, *words)).code == 2, words
    assert (await ctl("ftp://127.0.0.1", "hosts")).code == 2
    assert (await ctl(api.url, "--token-file", "/no/such/file", "hosts")).code == 2


async def test_refusals_are_3(api: Api) -> None:
    for words, said in (
        (("show", "nobody"), "there is no host nobody"),
        (("operation", "9-9"), "there is no operation"),
        (("cancel", "1-7"), "refused (ended)"),
        (("hosts", "--state", "dead"), "state:"),
        (("off", "node-1"), "refused (alive)"),
        (("maintenance", "node-1", "on", "--reason", "x", "--until", "soon"), "until:"),
        (("pause", "--match", "cluster=nowhere", "--reason", "x"), "refused (match)"),
        (("resume", "--match", "cluster=c9", "--reason", "x"), "no pause"),
        (("confirm-off", "node-1", "--reason", "x"), "refused (alive)"),
    ):
        run = await ctl(api.url, *words)
        assert run.code == 3, (words, run)
        assert said in run.err, (words, run.err)
    run = await ctl(api.url, "--json", "off", "node-1")
    assert (run.code, run.json["rule"]) == (3, "alive")


async def test_a_living_host_needs_force_without_a_terminal(api: Api) -> None:
    run = await ctl(api.url, "off", "node-1")
    assert run.code == 3
    assert "--force" in run.err
    run = await ctl(api.url, "off", "node-1", "--force")
    assert (run.code, api.control.calls[-1][5]) == (0, True)


async def test_a_living_host_is_asked_for_on_a_terminal(api: Api) -> None:
    question = "although it is alive?"
    run = await on_terminal(api.url, "off", "node-1", answers=((question, "n"),))
    assert run.code == 3
    assert "cluster c1" in run.out  # who is affected
    assert [call[5] for call in api.control.calls] == [False]
    run = await on_terminal(api.url, "off", "node-1", answers=((question, "y"),))
    assert run.code == 0
    assert [call[5] for call in api.control.calls] == [False, False, True]


async def test_a_terminal_shows_the_operation_live(api: Api) -> None:
    async with asyncio.TaskGroup() as group:
        waiting = group.create_task(on_terminal(api.url, "off", "node-2", "--wait"))
        group.create_task(end_when_started(api, OperationState.DONE))
    run = waiting.result()
    assert run.code == 0
    assert "race engine (tier 1)" in run.out
    assert "node-2 is fenced" in run.out


async def test_roles_and_tokens(guarded_api: Api, tmp_path: Path) -> None:
    assert (await ctl(guarded_api.url, "hosts")).code == 3
    token = tmp_path / "token"
    for text, words, code in (
        ("look-only-1\n", ("hosts",), 0),
        ("viewer:look-only-1\n", ("off", "node-2"), 3),
        ("work-2", ("off", "node-2"), 0),
        ("work-2", ("confirm-off", "node-2", "--reason", "x"), 3),
        ("all-3", ("confirm-off", "node-2", "--reason", "x"), 0),
    ):
        token.write_text(text)
        run = await ctl(guarded_api.url, "--token-file", str(token), *words)
        assert run.code == code, (text, words, run)
    assert (await ctl(guarded_api.url, "hosts", FENCED_TOKEN_FILE=str(token))).code == 0
    token.write_text("two\nlines")
    run = await ctl(guarded_api.url, "--token-file", str(token), "hosts")
    assert run.code == 2
    assert "lines" not in run.err


async def test_too_many_requests_is_3(narrow_api: Api) -> None:
    codes = [(await ctl(narrow_api.url, "hosts")).code for _ in range(6)]
    assert codes == [0, 0, 0, 0, 0, 3]


async def test_a_daemon_that_is_away_is_4(api: Api) -> None:
    run = await ctl(f"http://127.0.0.1:{free_port()}", "hosts")
    assert run.code == 4
    assert "is the daemon running?" in run.err
    run = await ctl(f"https://{api.url.removeprefix('http://')}", "hosts")
    assert run.code == 4
    api.control.failure = Unavailable("the store takes no writes")
    run = await ctl(api.url, "off", "node-2")
    assert run.code == 4
    assert "the store takes no writes" in run.err


async def test_the_wait_outlives_a_daemon_that_fails_for_a_while(api: Api) -> None:
    async with asyncio.TaskGroup() as group:
        waiting = group.create_task(ctl(api.url, "off", "node-2", "--wait"))
        await until(lambda: ("/api/v1/operations/{operation}", 200) in api.answers)
        operations, api.control.all_operations = api.control.all_operations, None  # type: ignore[assignment]
        await until(lambda: ("/api/v1/operations/{operation}", 500) in api.answers)
        api.control.all_operations = operations
        group.create_task(end_when_started(api, OperationState.DONE))
    assert waiting.result().code == 0


async def test_status_waits_by_itself(api: Api) -> None:
    api.control.finish_at_once = OperationState.DONE
    run = await ctl(api.url, "status", "node-2")
    assert (run.code, run.out) == (0, "node-2: off\n  pdu-a  off\n  pdu-b  off\n")
    api.control.finish_at_once = None
    async with asyncio.TaskGroup() as group:
        waiting = group.create_task(ctl(api.url, "status", "node-2"))
        group.create_task(end_when_started(api, OperationState.FAILED, power=Power.UNKNOWN))
    assert waiting.result().code == 1
    assert waiting.result().out.startswith("node-2: unknown\n")


async def test_probe_shows_the_paths(api: Api) -> None:
    api.control.finish_at_once = OperationState.DONE
    run = await ctl(api.url, "probe", "node-2")
    assert run.code == 0
    assert run.out.splitlines()[1].split() == ["pdu-a", "engine", "1", "won", "50", "ms", "off"]


async def test_operations_and_the_waterfall(api: Api) -> None:
    run = await ctl(api.url, "operations")
    assert run.out.splitlines()[1].split()[:6] == ["1-7", "node-2", "restart", "done", "yes", "on"]
    run = await ctl(api.url, "operation", "1-7")
    assert run.code == 0
    for said in (
        "race px1 (tier 1)",
        "timed_out",
        "no answer",
        "left out node-2: the target itself",
        "(was off already)",
    ):
        assert said in run.out
    assert max(len(line) for line in run.out.splitlines()) <= 100
    assert (await ctl(api.url, "--json", "operation", "1-7")).json["id"] == "1-7"
    for number in range(3):
        await ctl(api.url, "on", f"node-{number + 2}")
    run = await ctl(api.url, "--json", "operations", "--limit", "2")
    assert len(run.json["items"]) == 2


async def test_cancel_maintenance_pause_and_arms(api: Api) -> None:
    await ctl(api.url, "off", "node-2")
    assert (await ctl(api.url, "cancel", "2-1", "--reason", "wrong")).out == "2-1\n"
    run = await ctl(api.url, "maintenance", "node-1", "on", "--reason", "new disk", "--until", "2h")
    assert (run.code, api.control.calls[-1][4]) == (0, START + 7200)
    assert "in maintenance" in (await ctl(api.url, "hosts")).out
    assert (await ctl(api.url, "maintenance", "node-1", "off", "--reason", "done")).code == 0
    assert (await ctl(api.url, "pause", "--reason", "all")).code == 0
    assert (await ctl(api.url, "pause", "--match", "cluster=c1", "--until", "1h", "--reason", "one")).code == 0
    run = await ctl(api.url, "resume", "--match", "cluster=c1", "--reason", "done")
    assert (run.code, run.out) == (0, "p2: cluster=c1 resumed\np1: * is still paused\n")
    assert "p1" in (await ctl(api.url, "pauses")).out
    assert (await ctl(api.url, "disarm", "--reason", "move")).out == "fenced-a: disarmed\n"
    assert (await ctl(api.url, "arm")).out == "fenced-a: armed\n"
    api.control.store_hold = "another one stands there"
    assert (await ctl(api.url, "release", "store")).code == 2
    assert (await ctl(api.url, "release", "store", "--reason", "looked")).out == "fenced-a: the store is released\n"
    assert (await ctl(api.url, "release", "store", "--reason", "looked")).code == 3


async def test_confirm_off_asks_for_the_name_on_a_terminal(api: Api) -> None:
    words = ("confirm-off", "node-1", "--reason", "cords in my hand", "--force")
    question = "if node-1 is really off"
    run = await on_terminal(api.url, *words, answers=((question, "node-2"),))
    assert (run.code, api.control.calls) == (3, [])
    run = await on_terminal(api.url, *words, answers=((question, "node-1"),))
    assert run.code == 0
    assert api.control.calls[-1][0] == "confirm_off"
    assert (await ctl(api.url, *words)).code == 0


def _heed_ctrl_c() -> None:
    """Handle SIGINT even if the test runs as a background job, whose children inherit that it is ignored."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


async def test_watch_prints_events_and_ends_with_ctrl_c(api: Api) -> None:
    process = await asyncio.create_subprocess_exec(
        *PROGRAM, "--url", api.url, "watch", stdout=asyncio.subprocess.PIPE, env=environment(), preexec_fn=_heed_ctrl_c
    )  # fmt: skip
    try:
        assert process.stdout is not None
        await until(lambda: api.control.watchers == 1)
        api.control.emit("fenced", "node-1")
        async with asyncio.timeout(60):
            line = (await process.stdout.readline()).decode()
        assert line.split() == ["2027-01-15T08:00:00Z", "node-1", "host.fenced"]
        process.send_signal(signal.SIGINT)
        async with asyncio.timeout(60):
            assert await process.wait() == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def test_every_command_has_help_with_an_example() -> None:
    run = await ctl("http://127.0.0.1:1", "--help")
    commands = [line.split()[0] for line in run.out.partition("Commands:")[2].splitlines() if line.strip()]
    wanted = (
        "arm cancel confirm-off disarm explain hosts maintenance off on operation operations pause probe resume show"
    )
    assert set(wanted.split()) | {"restart", "status", "watch"} <= set(commands)
    helps = await asyncio.gather(*(ctl("http://127.0.0.1:1", command, "--help") for command in commands))
    for command, shown in zip(commands, helps, strict=True):
        assert shown.code == 0
        assert f"Example: fencectl {command}" in " ".join(shown.out.split()), command


def test_it_starts_without_the_heavy_libraries() -> None:
    """Compare imports: a measured time would depend on the machine."""
    import subprocess

    code = "import sys, json, fenced.cli.fencectl; print(json.dumps(list(sys.modules)))"
    loaded = json.loads(subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout)
    assert not {"aiohttp", "rich", "pydantic", "structlog", "asyncio"} & set(loaded)


@pytest.mark.parametrize("answer", [b"hello", b"[1]", b'{"a":1}'])
async def test_another_server_in_its_place_is_4(answer: bytes) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 301 Moved\r\nContent-Length: %d\r\n\r\n" % len(answer) + answer)
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        assert (await ctl(f"http://127.0.0.1:{port}", "hosts")).code == 4


async def test_show_says_what_is_missing(api: Api) -> None:
    lines = (await ctl(api.url, "show", "node-2")).out.splitlines()
    at = next(number for number, line in enumerate(lines) if "fenceable degraded since" in line)
    assert "pdu-b: unreadable: through engine: no route to host" in lines[at + 1]


async def test_the_proxies_and_what_is_wrong_with_them(api: Api) -> None:
    shown = (await ctl(api.url, "proxies")).out
    assert shown.splitlines()[0].split()[:3] == ["PROXY", "URL", "UP"] and "can't be reached" in shown
    items = (await ctl(api.url, "--json", "proxies")).json["items"]
    assert [(item["name"], item["up"], item["barred"]) for item in items] == [("px1", True, None), ("px2", False, None)]
    assert "10.0.0.0/8, fd00::/64" in shown and [item["looks_at"] for item in items][1] == []
    assert [item["reload_refused"] for item in items] == [None, None]
    why = "reload refused at 2026-01-31 03:12:00 UTC: 1 errors, the first: look.targets is missing"
    api.control.proxy_views[0] = replace(api.control.proxy_views[0], reload_refused=why)
    assert why in (await ctl(api.url, "proxies")).out
