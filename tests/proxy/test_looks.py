"""A proxy looks at hosts for a daemon: a real agent over mutual TLS, and only what its own file allows."""

import asyncio
import http.client
import json
import signal
import socket
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from aiohttp import web

from fenced.core.heard.looks import Saw, Target
from fenced.lab.blackhole import black_hole
from fenced.model.look_rules import LookRules
from fenced.model.power import Power
from fenced.ports.devices import DeviceError, LoginRefused, ProxyTimedOut, ProxyUnreachable
from fenced.ports.liveness import Question, Seen
from fenced.proxy.look_protocol import LOOK_PATH, LookRequest, WireTarget
from fenced.proxy.looks import LOOKS_MAX, LOOKS_PER_SECOND_MAX, Looks, TooManyLooks
from fenced.proxy.tls import client_context
from fenced.proxy.transport import NoSuchRequest
from fenced.telemetry.proxy_metrics import ProxyMetrics
from tests.host.test_liveness import full, hanging, listening
from tests.net import free_port, until
from tests.proxy.bed import PX1, caller_of, tls_files
from tests.proxy.test_program import AGENT, Program, device
from tests.proxy.test_watch import speaking

LOOK = "[look]\ntargets = {targets}\nports = [{ports}]\n"


@pytest.fixture
def program(certificates: Path, tmp_path: Path) -> Program:
    agent = tmp_path / "fence_file"
    agent.write_text(AGENT, encoding="utf-8")
    agent.chmod(0o755)
    return Program(directory=tmp_path, certificates=certificates, port=free_port())


def allowing(program: Program, *ports: int, targets: str = '["127.0.0.0/8"]') -> None:
    """Write the proxy's file with [look]."""
    program.write()
    look = LOOK.format(targets=targets, ports=", ".join(map(str, ports)))
    program.file.write_text(program.file.read_text(encoding="utf-8") + look, encoding="utf-8")


def question(*ports: int, address: str = "127.0.0.1", controls: tuple[str, ...] = (), seconds: float = 0.5) -> Question:
    target = Target(network="storage", address=address, controls=controls)
    return Question(targets=(target,), ports=ports, timeout_seconds=seconds)


async def seen(program: Program, asked: Question) -> Seen:
    async with program.caller() as caller:
        (found,) = await caller.look(PX1, asked, 5)
    return found


async def test_a_proxy_says_what_it_sees(program: Program) -> None:
    async with AsyncExitStack() as stack:
        living = await stack.enter_async_context(listening(banner=b"SSH-2.0-OpenSSH_9.2p1\r\n"))
        control = await stack.enter_async_context(listening(host="127.0.0.2"))
        stack.enter_context(full("127.0.0.1", control))
        allowing(program, living, control)
        await stack.enter_async_context(program.running())
        found = await seen(program, question(living))
        assert (found.network, found.target, found.saw) == ("storage", "127.0.0.1", Saw.ALIVE)
        assert found.answered == f"tcp {living}" and found.why == f"tcp {living} accepted: SSH-2.0-OpenSSH_9.2p1"
        assert found.milliseconds is not None and found.milliseconds < 5000
        found = await seen(program, question(control, controls=("127.0.0.3", "127.0.0.2")))
        assert (found.saw, found.control, found.milliseconds) == (Saw.SILENT, "127.0.0.2", None)
        found = await seen(program, question(control, controls=("127.0.0.3",)))
        assert (found.saw, found.control) == (Saw.SILENT, ""), "its control did not answer: its silence proves nothing"


async def test_an_open_port_whose_program_hangs_is_a_living_kernel(program: Program) -> None:
    async with hanging() as port:
        allowing(program, port)
        async with program.running():
            assert (await seen(program, question(port))).saw is Saw.ALIVE


async def test_the_hosts_own_agent_is_looked_at_where_the_file_lists_its_port(program: Program) -> None:
    async with listening() as agent:
        with full() as port:
            asked = Question(
                targets=(Target(network="", address="127.0.0.1"),), ports=(port,), agents=(("127.0.0.1", agent),),
                timeout_seconds=0.5,
            )  # fmt: skip
            allowing(program, port)
            async with program.running() as process:
                found = await seen(program, asked)
                assert found.saw is Saw.SILENT and f"port {agent} is not in [look] ports" in found.why
                allowing(program, port, agent)
                process.send_signal(signal.SIGHUP)
                await until(lambda: "reloaded" in program.stderr, what="the file is read again")
                assert (await seen(program, asked)).answered == f"proxy 127.0.0.1:{agent}"


# -- what its file allows ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """`targets` of the file, what is asked for beside the open port, and what the answer says."""

    targets: str
    why: str
    address: str = "127.0.0.1"
    port: int = 0


REFUSED = {
    "an address outside": Refused(targets='["127.0.0.2"]', why="127.0.0.1 is in no network of [look] targets"),
    "an address that is mapped": Refused(
        targets='["127.0.0.2"]', address="::ffff:127.0.0.1", why="127.0.0.1 is in no network of [look] targets"
    ),
    "a name of an address outside": Refused(
        targets='["127.0.0.2", "fd00::/64"]', address="localhost", why="is in no network of [look] targets"
    ),
    "a number that a resolver takes for an address": Refused(
        targets='["127.0.0.2"]', address="2130706433", why="127.0.0.1 is in no network of [look] targets"
    ),
    "another port": Refused(targets='["127.0.0.0/8"]', port=1, why="is not in [look] ports"),
}


@pytest.mark.parametrize("what", REFUSED)
async def test_what_the_file_does_not_allow_is_refused_and_not_touched(what: str, program: Program) -> None:
    refused, touched = REFUSED[what], list[object]()
    async with listening(touched=touched) as port:
        allowing(program, refused.port or port, targets=refused.targets)
        async with program.running():
            found = await seen(program, question(port, address=refused.address))
    assert found.saw is Saw.UNKNOWN and refused.why in found.why and "proxy px1: " in found.why
    assert touched == [], "it connected all the same"


async def test_a_control_outside_is_not_touched_and_does_not_count(program: Program) -> None:
    touched = list[object]()
    async with listening(host="127.0.0.2", touched=touched) as port:
        with full("127.0.0.1", port):
            allowing(program, port, targets='["127.0.0.1"]')
            async with program.running():
                found = await seen(program, question(port, controls=("127.0.0.2",)))
    assert (found.saw, found.control, touched) == (Saw.SILENT, "", [])
    assert "127.0.0.2 is in no network of [look] targets" in found.why


async def test_without_a_table_of_its_own_a_proxy_looks_at_nothing(program: Program) -> None:
    touched = list[object]()
    async with listening(touched=touched) as port:
        program.write()
        async with program.running():
            found = await seen(program, question(port))
            async with program.caller() as caller:
                assert (await caller.status(PX1, timeout_seconds=5)).looking is None
    assert found.saw is Saw.UNKNOWN and "has no [look]" in found.why and touched == []


async def test_a_reload_changes_what_it_looks_at_as_a_whole(program: Program) -> None:
    async with listening() as port:
        program.write()
        async with program.running() as process, program.caller() as caller:
            allowing(program, port)
            process.send_signal(signal.SIGHUP)
            await until(lambda: program.stderr.count("reloaded") == 1, what="[look] is in effect")
            looking = (await caller.status(PX1, timeout_seconds=5)).looking
            assert looking is not None and (looking.targets, looking.ports) == (("127.0.0.0/8",), (port,))
            assert (await seen(program, question(port))).saw is Saw.ALIVE
            allowing(program, port, targets='["127.0.0.1/8"]')
            process.send_signal(signal.SIGHUP)
            await until(lambda: "reload refused" in program.stderr, what="the mistake is refused")
            refused = (await caller.status(PX1, timeout_seconds=5)).reload_refused
            assert refused.startswith("reload refused at ") and "look.targets[0] = 127.0.0.1/8" in refused
            assert (await seen(program, question(port))).saw is Saw.ALIVE, "the file before it stays in effect"
            program.write()
            process.send_signal(signal.SIGHUP)
            await until(lambda: program.stderr.count("reloaded") == 2, what="[look] is gone")
            assert (await caller.status(PX1, timeout_seconds=5)).reload_refused == ""
            assert (await seen(program, question(port))).saw is Saw.UNKNOWN


async def test_only_those_who_may_call_may_have_it_look(program: Program) -> None:
    touched = list[object]()
    async with listening(touched=touched) as port:
        allowing(program, port)
        async with program.running():
            urls = {PX1: f"https://127.0.0.1:{program.port}"}
            async with caller_of(program.certificates, urls, name="fenced-b") as caller:
                with pytest.raises(LoginRefused, match="not in this proxy's allow list"):
                    await caller.look(PX1, question(port), 5)
    assert touched == []


# -- bounds -----------------------------------------------------------------------------------------------------------


async def test_looks_that_last_delay_no_call(program: Program) -> None:
    """S15: hosts that are silent by the dozen must not hold up the power command of one of them."""
    spec = device(program.directory / "bmc")
    with full() as port:
        allowing(program, port)
        async with program.running(), program.caller() as caller, asyncio.TaskGroup() as group:
            asked = question(port, seconds=3)
            looking = [group.create_task(caller.look(PX1, asked, 5), name="look") for _ in range(50)]
            await asyncio.sleep(0.3)
            started = time.monotonic()
            assert await caller.read(PX1, spec, timeout_seconds=5) is Power.ON
            assert time.monotonic() - started < 2 and not any(task.done() for task in looking)


@dataclass(slots=True)
class Slow:
    """ports.liveness.Liveness: every look lasts until the test says so."""

    over: asyncio.Event

    async def look(self, question: Question, *, why_not: object = None) -> tuple[Seen, ...]:
        await self.over.wait()
        return ()


def request() -> LookRequest:
    return LookRequest(id="1", targets=(WireTarget(address="127.0.0.1"),), ports=(22,), timeout=5)


async def test_looks_are_bounded_in_number_and_rate(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1000.0]
    monkeypatch.setattr("fenced.proxy.looks.time.monotonic", lambda: now[0])
    over = asyncio.Event()
    rules = LookRules.parse(("127.0.0.0/8",), (22,))
    looks = Looks(proxy="px1", liveness=Slow(over), rules=rules, telemetry=ProxyMetrics())
    async with asyncio.TaskGroup() as group:
        for number in range(LOOKS_MAX):
            now[0] = 1000.0 + number // 64
            group.create_task(looks.look(request(), who="a"), name="look")
            await asyncio.sleep(0)
        now[0] += 1
        async with asyncio.timeout(5):
            with pytest.raises(TooManyLooks, match="are under way"):
                await looks.look(request(), who="a")
        over.set()
    now[0] += 1
    for _ in range(LOOKS_PER_SECOND_MAX):
        await looks.look(request(), who="a")
    with pytest.raises(TooManyLooks, match="in a second"):
        await looks.look(request(), who="a")
    now[0] += 1
    await looks.look(request(), who="a")


async def test_a_look_that_finds_no_turn_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fenced.proxy.looks.OVERTIME_SECONDS", -4.9)
    rules = LookRules.parse(("127.0.0.0/8",), (22,))
    looks = Looks(proxy="px1", liveness=Slow(asyncio.Event()), rules=rules, telemetry=ProxyMetrics())
    (found,) = await looks.look(request(), who="a")
    assert (found.saw, found.why, looks.in_flight) == (Saw.UNKNOWN, "proxy px1 is too busy to look", 0)


BAD: dict[str, tuple[object, int]] = {
    "no target": ({"id": "1", "targets": [], "ports": [22], "timeout": 1}, 422),
    "nine targets": ({"id": "1", "targets": [{"address": "127.0.0.1"}] * 9, "ports": [22], "timeout": 1}, 422),
    "nine controls": (
        {"id": "1", "targets": [{"address": "127.0.0.1", "controls": ["127.0.0.2"] * 9}], "ports": [22], "timeout": 1},
        422,
    ),
    "too many ports": (
        {"id": "1", "targets": [{"address": "127.0.0.1"}], "ports": [*range(1, 18)], "timeout": 1}, 422
    ),
    "a port that is none": ({"id": "1", "targets": [{"address": "127.0.0.1"}], "ports": [0], "timeout": 1}, 422),
    "a port as text": ({"id": "1", "targets": [{"address": "127.0.0.1"}], "ports": ["22"], "timeout": 1}, 422),
    "no time": ({"id": "1", "targets": [{"address": "127.0.0.1"}], "ports": [22], "timeout": 0}, 422),
    "all the time": ({"id": "1", "targets": [{"address": "127.0.0.1"}], "ports": [22], "timeout": 61}, 422),
    "a long address": ({"id": "1", "targets": [{"address": "a" * 254}], "ports": [22], "timeout": 1}, 422),
    "no object": ([], 422),
    "a large body": ({"id": "1", "targets": [{"address": "127.0.0.1"}], "more": "x" * 70_000, "timeout": 1}, 413),
}  # fmt: skip


async def test_a_body_out_of_bounds_is_refused(program: Program) -> None:
    allowing(program, 22)
    async with program.running():
        for what, (body, status) in BAD.items():
            found = await asyncio.to_thread(posted, program, body)
            assert found == status, what
        async with program.caller() as caller:
            assert (await caller.status(PX1, timeout_seconds=5)).looking is not None


def posted(program: Program, body: object) -> int:
    """Return the status of the answer to this body."""
    return exchanged(program, "POST", LOOK_PATH, json.dumps(body))[0]


def exchanged(program: Program, method: str, path: str, body: str | None = None) -> tuple[int, str]:
    """Return status and body of the answer, with the daemon's certificate."""
    context = client_context(tls_files(program.certificates))
    connection = http.client.HTTPSConnection("127.0.0.1", program.port, context=context, timeout=10)
    try:
        connection.request(method, path, body, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


async def test_its_metrics_count_looks_and_name_no_host(program: Program) -> None:
    async with listening() as port:
        allowing(program, port)
        async with program.running():
            await seen(program, question(port))
            status, text = await asyncio.to_thread(exchanged, program, "GET", "/metrics")
    assert status == 200 and 'fenced_proxy_look_seconds_count{answer="alive"} 1.0' in text
    assert 'fenced_proxy_calls_in_flight{kind="look"} 0.0' in text and "storage" not in text


# -- at the daemon ----------------------------------------------------------------------------------------------------


async def test_a_proxy_that_hangs_costs_its_own_time_only() -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        async with black_hole(listener), caller_of(None, {PX1: url}) as caller:
            started = time.monotonic()
            with pytest.raises(ProxyTimedOut, match="no answer within"):
                await caller.look(PX1, question(22), 0.5)
            assert time.monotonic() - started < 5


async def test_a_proxy_that_is_gone_and_an_older_one_do_not_look() -> None:
    async with caller_of(None, {PX1: f"http://127.0.0.1:{free_port()}"}) as caller:
        with pytest.raises(ProxyUnreachable):
            await caller.look(PX1, question(22), 5)
    async with speaking({}) as url, caller_of(None, {PX1: url}) as caller:
        with pytest.raises(NoSuchRequest):
            await caller.look(PX1, question(22), 5)


CLOCK = {"boot": "b", "monotonic": 1.0}
ALIVE = {"network": "storage", "address": "127.0.0.1", "saw": "alive", "answered": "tcp 22"}
NONSENSE: dict[str, object] = {
    "nothing": {},
    "no look": {"id": "1", "looks": [], "clock": CLOCK},
    "two looks": {"id": "1", "looks": [ALIVE, ALIVE], "clock": CLOCK},
    "another request": {"id": "2", "looks": [ALIVE], "clock": CLOCK},
    "another host": {"id": "1", "looks": [ALIVE | {"address": "127.0.0.2"}], "clock": CLOCK},
    "another network": {"id": "1", "looks": [ALIVE | {"network": ""}], "clock": CLOCK},
    "a word of its own": {"id": "1", "looks": [ALIVE | {"saw": "dead"}], "clock": CLOCK},
}


@asynccontextmanager
async def answering(body: object) -> AsyncIterator[str]:
    """Run a proxy agent that answers each look with this body; yield its URL."""

    async def answer(_: web.Request) -> web.Response:
        return web.json_response(body)

    application = web.Application()
    application.router.add_post(LOOK_PATH, answer)
    runner = web.AppRunner(application)
    await runner.setup()
    port = free_port()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        await runner.cleanup()


@pytest.mark.parametrize("what", NONSENSE)
async def test_nonsense_is_no_look(what: str) -> None:
    async with answering(NONSENSE[what]) as url, caller_of(None, {PX1: url}) as caller:
        with pytest.raises(DeviceError, match="no answer to this look"):
            await caller.look(PX1, question(22), 5)


async def test_a_control_that_nobody_asked_for_does_not_count() -> None:
    silent = {"network": "storage", "address": "127.0.0.1", "saw": "silent", "control": "127.0.0.9", "why": "a\nb"}
    body = {"id": "1", "looks": [silent], "clock": CLOCK}
    async with answering(body) as url, caller_of(None, {PX1: url}) as caller:
        (found,) = await caller.look(PX1, question(22, controls=("127.0.0.2",)), 5)
    assert (found.saw, found.control, found.why) == (Saw.SILENT, "", "a\\nb")


async def test_more_than_a_proxy_takes_is_left_out() -> None:
    asked = Question(
        targets=(Target(network="", address="127.0.0.1", controls=("127.0.0.2",) * 20),), ports=tuple(range(1, 30)),
        agents=(("127.0.0.1", 8471),) * 9, timeout_seconds=300,
    )  # fmt: skip
    wanted = LookRequest.of(asked, "1")
    assert (len(wanted.targets[0].controls), len(wanted.ports), len(wanted.agents), wanted.timeout) == (8, 16, 4, 60)
