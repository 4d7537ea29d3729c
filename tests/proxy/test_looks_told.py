"""What a proxy tells beside what it sees: whether its silence would count, and why a reload of `[look]` failed."""

import asyncio
import signal
from dataclasses import replace
from pathlib import Path

import pytest

from fenced.core.heard.looks import Saw
from fenced.model.inventory import Proxy
from fenced.proxy.watch import ProxyWatch
from tests.host.test_liveness import listening
from tests.net import free_port, until
from tests.proxy.bed import PX1, BootClock, caller_of
from tests.proxy.test_looks import CLOCK, allowing, answering, question, seen
from tests.proxy.test_program import AGENT, Program


@pytest.fixture
def program(certificates: Path, tmp_path: Path) -> Program:
    agent = tmp_path / "fence_file"
    agent.write_text(AGENT, encoding="utf-8")
    agent.chmod(0o755)
    return Program(directory=tmp_path, certificates=certificates, port=free_port())


@pytest.mark.parametrize(
    "mistake",
    ['[look]\ntarget = ["127.0.0.0/8"]\n', '[looks]\ntargets = ["127.0.0.0/8"]\n', "[look]\n", "[look]\ntargets = ["],
)
async def test_a_reload_with_a_mistake_in_what_it_looks_at_fails_and_is_told_to_the_daemon(
    program: Program, mistake: str
) -> None:
    """SIGHUP can't say how it ended, so the unit checks the file first, and the daemon shows what the agent refused."""
    async with listening() as port:
        allowing(program, port)
        async with program.running() as process, program.caller() as caller:
            program.write()
            program.file.write_text(program.file.read_text(encoding="utf-8") + mistake, encoding="utf-8")
            checked = await asyncio.to_thread(program.run, "--check")
            assert checked.exit_code == 78, "systemctl reload ends here, before the signal"
            process.send_signal(signal.SIGHUP)
            await until(lambda: "reload refused" in program.stderr, what="the mistake is refused")
            watch = ProxyWatch(caller, [Proxy(name=PX1, url="https://px1", address="")], clock=BootClock())
            await watch.ask(PX1)
            (view,) = watch.views()
            assert view.looks_at == ("127.0.0.0/8",), "it goes on with the old one"
            assert view.reload_refused.startswith("reload refused at ")
            assert (await seen(program, question(port))).saw is Saw.ALIVE


async def test_a_proxy_says_whether_it_reaches_a_control_beside_a_host_that_lives(program: Program) -> None:
    async with listening() as port:
        allowing(program, port)
        async with program.running():
            asked = question(port, controls=("127.0.0.2",), seconds=1.5)
            found = await seen(program, replace(asked, needs_control=True))
    assert (found.saw, found.control) == (Saw.ALIVE, "")
    assert "no control answered" in found.control_fault


async def test_an_older_proxy_says_nothing_of_controls_beside_a_host_that_lives() -> None:
    alive = {"network": "storage", "address": "127.0.0.1", "saw": "alive", "answered": "tcp 22"}
    async with answering({"id": "1", "looks": [alive], "clock": CLOCK}) as url, caller_of(None, {PX1: url}) as caller:
        asked = replace(question(22, controls=("127.0.0.2",)), needs_control=True)
        (found,) = await caller.look(PX1, asked, 5)
    assert (found.saw, found.control, found.control_fault) == (Saw.ALIVE, "", "")
