"""The emulated power units and their fence agent, run as a fence daemon would: parameters in, status out."""

import asyncio
import socket
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

import pytest

from fenced.lab.faults import Fault, FaultKind, Faults
from fenced.lab.outlets import PowerUnit
from fenced.lab.rack import Outlet, Rack, Wiring
from fenced.lab.settings import write_agent
from fenced.model.inventory import Secret

OUTLET = Outlet(unit="pdu-a", number=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    status: int
    stdout: str
    stderr: str


class Bench:
    """One unit with two outlets, and the agent."""

    def __init__(self, agent: Path, port: int, rack: Rack, faults: Faults) -> None:
        self.rack, self.faults = rack, faults
        self._agent = agent
        self.parameters = {
            "ip": "127.0.0.1",
            "ipport": str(port),
            "username": "fence",
            "password": "s3cret word",
            "plug": "1",
            "power_timeout": "1",
            "shell_timeout": "1",
        }

    async def agent(self, action: str, **changed: str) -> Answer:
        parameters = {"action": action, **self.parameters, **changed}
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(self._agent, stdin=pipe, stdout=pipe, stderr=pipe)
        stdin = "".join(f"{name}={value}\n" for name, value in parameters.items())
        stdout, stderr = await process.communicate(stdin.encode())
        assert process.returncode is not None
        return Answer(status=process.returncode, stdout=stdout.decode(), stderr=stderr.decode())


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    faults = Faults()
    wirings = [Wiring(host=f"node-{n}", outlets=(Outlet(unit="pdu-a", number=n),)) for n in (1, 2)]
    rack = Rack(wirings, changed=lambda host, has_power: None)
    unit = PowerUnit(rack, unit="pdu-a", username="fence", password=Secret("s3cret word"), faults=faults)
    async with AsyncExitStack() as stack:
        listener = socket.create_server(("127.0.0.1", 0))
        await stack.enter_async_context(unit.serving(listener))
        yield Bench(write_agent(tmp_path), listener.getsockname()[1], rack, faults)


async def test_status_off_and_on(bench: Bench) -> None:
    assert await bench.agent("status") == Answer(status=0, stdout="Status: ON\n", stderr="")
    assert await bench.agent("off") == Answer(status=0, stdout="Success: Powered OFF\n", stderr="")
    assert not bench.rack.is_outlet_on(OUTLET)
    assert await bench.agent("status") == Answer(status=2, stdout="Status: OFF\n", stderr="")
    assert await bench.agent("off") == Answer(status=0, stdout="Success: Already OFF\n", stderr="")
    assert await bench.agent("on") == Answer(status=0, stdout="Success: Powered ON\n", stderr="")
    assert bench.rack.is_outlet_on(OUTLET)
    assert bench.rack.has_power("node-2")


async def test_list_monitor_and_validate_all(bench: Bench) -> None:
    assert (await bench.agent("list")).stdout == "1,node-1\n2,node-2\n"
    assert (await bench.agent("monitor")).status == 0
    assert (await bench.agent("validate-all", ipport="1")).status == 0
    assert (await bench.agent("validate-all", ip="")).status == 1


async def test_metadata_names_every_action_and_parameter(bench: Bench) -> None:
    answer = await bench.agent("metadata", ip="", password="")
    root = ElementTree.fromstring(answer.stdout)
    assert root.get("name") == "fence_lab_outlet"
    actions = {action.get("name") for action in root.iter("action")}
    assert actions == {"on", "off", "status", "list", "monitor", "metadata", "validate-all"}
    assert set(bench.parameters) <= {parameter.get("name") for parameter in root.iter("parameter")}


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"plug": "9"}, "no such outlet"),
        ({"plug": "node-1"}, "plug must be the number of an outlet"),
        ({"password": "wrong"}, "login refused"),
        ({"username": ""}, "You have to set username"),
        ({"ipport": "x"}, "ipport must be a whole number"),
    ],
)
async def test_mistakes_exit_with_1_and_say_why(bench: Bench, changed: dict[str, str], said: str) -> None:
    answer = await bench.agent("off", **changed)
    assert answer.status == 1
    assert said in answer.stderr
    assert "s3cret" not in answer.stderr + answer.stdout
    assert bench.rack.is_outlet_on(OUTLET)


async def test_an_unknown_action_and_a_closed_port_fail(bench: Bench) -> None:
    assert "Unrecognised action" in (await bench.agent("reboot")).stderr
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    answer = await bench.agent("off", ipport=str(port))
    assert (answer.status, "Unable to connect" in answer.stderr) == (1, True)


async def test_a_stuck_outlet_fails_off_and_reads_on(bench: Bench) -> None:
    bench.faults.set(str(OUTLET), Fault(kind=FaultKind.STUCK))
    answer = await bench.agent("off")
    assert (answer.status, "Timed out waiting to power OFF" in answer.stderr) == (1, True)
    assert (await bench.agent("status")).stdout == "Status: ON\n"
    bench.faults.set(str(OUTLET), None)
    assert (await bench.agent("off")).status == 0


async def test_a_lying_outlet_says_off_and_stays_on(bench: Bench) -> None:
    bench.faults.set(str(OUTLET), Fault(kind=FaultKind.LYING))
    assert (await bench.agent("off")).status == 0
    assert (await bench.agent("status")).status == 2
    assert bench.rack.has_power("node-1")


async def test_a_slow_outlet_answers_late(bench: Bench) -> None:
    bench.faults.set(str(OUTLET), Fault(kind=FaultKind.SLOW, delay_seconds=0.4))
    begun = time.monotonic()
    assert (await bench.agent("status")).status == 0
    assert time.monotonic() - begun >= 0.4


async def test_a_dead_outlet_never_answers_and_its_neighbour_does(bench: Bench) -> None:
    bench.faults.set(str(OUTLET), Fault(kind=FaultKind.DEAD))
    dead, neighbour = await asyncio.gather(bench.agent("off"), bench.agent("off", plug="2"))
    assert (dead.status, "timed out" in dead.stderr) == (1, True)
    assert neighbour.status == 0
    assert bench.rack.is_outlet_on(OUTLET)
    assert not bench.rack.has_power("node-2")


async def test_hostile_lines_end_in_an_error_or_the_end(bench: Bench) -> None:
    port = int(bench.parameters["ipport"])
    for line, expected in (
        (b"off 1\n", b"error log in first\n"),
        (b"\xff\xfe\n", b"error log in first\n"),
        (b"login fence s3cret\n", b"error login refused\n"),
        (b"x" * 2000 + b"\n", b""),
    ):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(line + b"quit\n")
        try:
            assert await reader.read() == expected
        except ConnectionResetError:
            assert expected == b""
        writer.close()
    assert bench.rack.is_outlet_on(OUTLET)
