"""A first call through a proxy starts only the agent itself: the proxy has read the agent's metadata before."""

import os
from pathlib import Path

import pytest

from fenced.model.power import Power
from tests.net import free_port, until
from tests.proxy.bed import PX1, send
from tests.proxy.test_program import AGENT, Program, device

COUNTING = AGENT.replace("#!/bin/sh\n", '#!/bin/sh\nexec 9>> "STARTS"\n').replace(
    'case "$action" in', 'echo "$action" >&9\ncase "$action" in'
)


@pytest.fixture
def program(certificates: Path, tmp_path: Path) -> Program:
    install(tmp_path)
    program = Program(directory=tmp_path, certificates=certificates, port=free_port())
    program.write()
    return program


def install(directory: Path, *, comment: str = "") -> None:
    """Install a version of the agent as a package does: replace the file."""
    new = directory / "new"
    new.write_text(COUNTING.replace("STARTS", str(directory / "starts")) + comment, encoding="utf-8")
    new.chmod(0o755)
    new.rename(directory / "fence_file")


def starts(directory: Path) -> list[str]:
    """Return the actions for which the agent was started, in order."""
    file = directory / "starts"
    return file.read_text().split() if file.exists() else []


async def test_a_first_call_starts_its_agent_alone(program: Program, tmp_path: Path) -> None:
    spec = device(tmp_path / "pdu")
    async with program.running(), program.caller() as caller:
        await until(lambda: starts(tmp_path) == ["metadata"], what="it is asked at the start, once")
        assert await caller.read(PX1, spec, timeout_seconds=10) is Power.ON
        await send(caller, spec, Power.OFF)
        assert starts(tmp_path) == ["metadata", "status", "off"]


async def test_a_first_call_after_the_program_was_replaced_starts_its_agent_alone(
    program: Program, tmp_path: Path
) -> None:
    spec = device(tmp_path / "pdu")
    async with program.running(), program.caller() as caller:
        await until(lambda: starts(tmp_path) == ["metadata"])
        times = (tmp_path / "fence_file").stat()
        install(tmp_path, comment="# newer\n")
        os.utime(tmp_path / "fence_file", ns=(times.st_atime_ns, times.st_mtime_ns))  # packages preserve file times
        await until(lambda: starts(tmp_path) == ["metadata"] * 2, what="it is asked again")
        assert await caller.read(PX1, spec, timeout_seconds=10) is Power.ON
        assert starts(tmp_path) == ["metadata", "metadata", "status"]


async def test_an_agent_that_never_answers_holds_up_neither_the_start_nor_the_others(
    program: Program, tmp_path: Path
) -> None:
    (tmp_path / "fence_aaa").write_text('#!/bin/sh\necho "$$" >> "' + str(tmp_path / "hanging") + '"\nexec sleep 600\n')
    (tmp_path / "fence_aaa").chmod(0o755)
    async with program.running(), program.caller() as caller:
        await until(lambda: (tmp_path / "hanging").exists(), what="the first by name is asked, and hangs")
        assert await caller.read(PX1, device(tmp_path / "pdu"), timeout_seconds=10) is Power.ON
